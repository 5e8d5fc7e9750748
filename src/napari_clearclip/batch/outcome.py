"""What became of an image: a value that fits into a line of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from napari_clearclip.batch.results import coverage
from napari_clearclip.io.settings_file import explain
from napari_clearclip.settings import Value

if TYPE_CHECKING:
    from napari_clearclip.result import Segmentation


class Found(Value):
    """One prompt in one image: its share of the valid pixels, highest score and threshold, all from 0 to 1."""

    prompt: str
    coverage: float
    highest: float
    threshold: float


class Outcome(Value):
    """What became of an image."""

    image: str = Field(description="Full path of the image.")
    name: str = Field(description="What its files' names begin with.")
    status: Literal["done", "failed"]
    seconds: float = Field(description="How long it took.")
    prompts: tuple[Found, ...] = ()
    error: str = Field("", description="What went wrong, in one sentence.")
    files: tuple[str, ...] = Field((), description="What was written, relative to the folder.")
    key: str = Field("", description="Names image, settings, model and formats; where it is equal, so are the files.")
    unknown: dict[str, tuple[str, ...]] = Field({}, description="By phrase, words that the model has never seen.")
    unlearned: tuple[str, ...] = Field((), description="Phrases of which another model has learned something.")


def found_in(results: Sequence[Segmentation]) -> tuple[Found, ...]:
    """What is known of each object prompt after all planes of an image."""
    return tuple(
        Found(
            prompt=", ".join(prompt.phrases),
            coverage=coverage(results, prompt.id),
            highest=max(float(part.scores.of(prompt.id).max(initial=0)) for part in results),
            threshold=prompt.threshold,
        )
        for prompt in results[0].settings.objects
    )


def sentence(error: BaseException) -> str:
    """What an exception says, as one line."""
    if isinstance(error, ValidationError):
        return explain(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory; try a smaller --short-side or --device cpu"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
