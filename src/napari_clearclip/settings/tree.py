"""All settings in one tree, and what changes only speed and memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from napari_clearclip.settings.deciding import Comparing, Deciding, Refining
from napari_clearclip.settings.prompts import MOST_PROMPTS, Prompt
from napari_clearclip.settings.reading import Attention, Model, Tiling
from napari_clearclip.settings.tidying import Cleaning, Linking, Splitting
from napari_clearclip.settings.value import Value


class Settings(Value):
    """Everything the user wants; with an image, its `View` and the `Edits` it determines the result."""

    model: Model = Model()
    attention: Attention = Attention()
    tiling: Tiling = Tiling()
    prompts: tuple[Prompt, ...] = ()
    comparing: Comparing = Comparing()
    refining: Refining = Refining()
    deciding: Deciding = Deciding()
    cleaning: Cleaning = Cleaning()
    splitting: Splitting = Splitting()
    linking: Linking = Linking()

    @field_validator("prompts")
    @classmethod
    def _are_distinct(cls, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        if len({prompt.id for prompt in prompts}) < len(prompts):
            raise ValueError("two prompts have the same id; give each its own")
        objects = [prompt for prompt in prompts if prompt.kind == "object"]
        if len(objects) > MOST_PROMPTS:
            raise ValueError(f"{len(objects)} prompts; at most {MOST_PROMPTS} can be compared at once")
        seen: dict[tuple[str, str], str] = {}
        for prompt in prompts:
            for phrase in prompt.phrases:
                if (key := (prompt.kind, phrase.casefold())) in seen:
                    raise ValueError(f"the phrase {phrase!r} is given twice; remove one")
                seen[key] = prompt.id
        return prompts

    @property
    def objects(self) -> tuple[Prompt, ...]:
        """The prompts that get masks, in order."""
        return tuple(prompt for prompt in self.prompts if prompt.kind == "object")

    @property
    def worded(self) -> tuple[Prompt, ...]:
        """The object prompts that are phrases, in order."""
        return tuple(prompt for prompt in self.objects if prompt.index is None)

    @property
    def distractors(self) -> tuple[Prompt, ...]:
        """The distractors that compete: not muted, and no phrase of theirs asked for by a prompt."""
        asked = {phrase.casefold() for prompt in self.objects for phrase in prompt.words}
        return tuple(
            prompt
            for prompt in self.prompts
            if prompt.kind == "distractor"
            and not prompt.muted
            and asked.isdisjoint(phrase.casefold() for phrase in prompt.phrases)
        )


class Runtime(Value):
    """What changes only speed and memory; never part of a session."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps.")
    threads: int | None = Field(
        None, ge=1, le=1024, description="CPU cores to compute with; empty = as many as torch takes by itself."
    )
    batch_size: int | None = Field(None, ge=1, le=4096, description="Windows at once; empty = by their cost.")
    cache_bytes: int = Field(2 * 1024**3, ge=0, description="Memory for what can be reused, in bytes.")
    cache_folder: str | None = Field(
        None, description="Folder for text vectors and for features of large images; empty = the user's cache folder."
    )
    store_bytes: int = Field(2 * 10**9, ge=0, description="Disk for features of large images, in bytes.")
    storage: Literal["float32", "float16"] = Field("float32", description="How cached features are stored.")
