"""One image after the other, each from its file to what is written of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clearclip import __version__
from napari_clearclip.batch.exports import Exports
from napari_clearclip.batch.inputs import stamp
from napari_clearclip.batch.outcome import Outcome, found_in, sentence
from napari_clearclip.batch.planes import Block, Part, parts_of, picture_steps
from napari_clearclip.batch.results import write_results
from napari_clearclip.blocks import block_steps
from napari_clearclip.cache import key_of
from napari_clearclip.edits import Edits
from napari_clearclip.io.images import read_image
from napari_clearclip.io.settings_file import SettingsFile
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Runtime
from napari_clearclip.steps import drain

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline


Follow = Callable[[str, Generator[Progress, None, Outcome]], Outcome]
"""Runs steps to their end, telling the user by a name."""


@dataclass(frozen=True)
class Task:
    """An image, what its files begin with, and what `Outcome.key` will be."""

    path: Path
    name: str
    key: str = ""

    @property
    def about(self) -> dict[str, Any]:
        """The same as fields of an outcome."""
        return {"image": str(self.path.absolute()), "name": self.name, "key": self.key}


@dataclass(frozen=True)
class Wish:
    """What is to be made of each image.

    Attributes
    ----------
    wanted : SettingsFile
        Settings, and how the image is looked at.
    folder, spool : Path
        Where files are written to; `spool` is for the masks of formats that hold all images.
    formats, leave_out : tuple of str
        As for `Exports`.
    bands : tuple of str
        Names of the channels.
    results : bool
        Whether labels, overlay, settings, masks and similarities are written beside the formats.
    edits : Edits
        What was done by hand, where there is one image.
    """

    wanted: SettingsFile
    folder: Path
    spool: Path
    formats: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    results: bool = True
    edits: Edits = Edits()

    @property
    def exports(self) -> Exports:
        """What writes the formats."""
        return Exports(self.folder, self.spool, self.formats, self.leave_out)

    def key(self, path: Path) -> str:
        """Names what an image's files are made from: equal keys, equal files.

        Raises
        ------
        OSError
            If the image cannot be looked at.
        """
        weights = Path(self.wanted.settings.model.pretrained)
        model = stamp(weights) if weights.is_file() else ()
        asked = (self.wanted, self.formats, self.leave_out, self.bands, self.results, self.edits)
        return key_of(__version__, str(path.absolute()), stamp(path), model, *asked)


# What may be wrong with an image or a disk, and not with what is wanted of all images.
FAULTS = (ValueError, TypeError, OSError, RuntimeError, MemoryError, ImportError)

# Of an image that is done nothing is used again in the same run.
_MOST_MEMORY = 2**27


def runtime_of(runtime: Runtime) -> Runtime:
    """The same for images that are done one after the other: little is kept in memory, and all of it on disk."""
    return runtime.replace(cache_bytes=min(runtime.cache_bytes, _MOST_MEMORY))


def work_steps(
    pipeline: Pipeline, task: Task, wish: Wish, blocks: Sequence[Block] = ()
) -> Generator[Progress, None, Outcome]:
    """What became of one image, once its files are written.

    Parameters
    ----------
    pipeline : Pipeline
        Forgets the image afterwards, so that memory does not grow with the number of images.
    task, wish
        The image and what is wanted.
    blocks : sequence of mapping
        What `read_part` gave for each part of the image, where it was `cut` into some.

    Raises
    ------
    napari_clearclip.engine.model.ModelError
        If the model cannot be loaded: all other errors are about this image and are in the outcome.
    """
    from napari_clearclip.engine.model import ModelError

    began, path = time.perf_counter(), task.path
    try:
        picture = read_image(path, lazy=True)
        results = yield from picture_steps(pipeline, picture, wish.wanted, wish.bands, wish.edits, blocks)
        files = write_results(wish.folder, task.name, picture, results) if wish.results else []
        files += wish.exports.add(task.name, picture, path.name, results)
    except ModelError:
        raise
    except FAULTS as error:
        return failed(task, sentence(error), _since(began))
    finally:
        pipeline.forget()
    return Outcome(
        **task.about,
        status="done",
        seconds=_since(began),
        prompts=found_in(results),
        files=tuple(Path(os.path.relpath(file, wish.folder)).as_posix() for file in files),
        unknown=dict(results[0].unknown or {}),
        unlearned=tuple(prompt.phrase for prompt in results[0].unlearned),
    )


def work_through(
    pipeline: Pipeline, tasks: Sequence[Task], wish: Wish, follow: Follow | None = None
) -> Iterator[Outcome]:
    """What became of each image, in order; `follow` runs its steps to their end."""
    for place, task in enumerate(tasks):
        steps = work_steps(pipeline, task, wish)
        shown = f"{task.path.name} ({place + 1}/{len(tasks)})" if len(tasks) > 1 else task.path.name
        yield drain(steps) if follow is None else follow(shown, steps)


def cut(pipeline: Pipeline, task: Task, wish: Wish, count: int) -> tuple[Part, ...]:
    """About `count` parts in which an image is best read by several processes; () where it is not.

    Raises
    ------
    OSError, ValueError
        If the image cannot be read.
    """
    if wish.edits != Edits():
        return ()
    picture = read_image(task.path, lazy=True)
    return drain(parts_of(pipeline, picture, wish.wanted, wish.bands, count))


def read_part(pipeline: Pipeline, task: Task, part: Part) -> Block:
    """What is found in a part of an image, for `work_steps`.

    Raises
    ------
    OSError, ValueError
        If it cannot be read.
    """
    picture = read_image(task.path, lazy=True)
    try:
        return drain(block_steps(pipeline, picture.data, part.settings, part.view, part.rows))
    finally:
        pipeline.forget()


def failed(task: Task, reason: str, seconds: float = 0.0) -> Outcome:
    """What became of an image that failed."""
    return Outcome(**task.about, status="failed", seconds=seconds, error=reason)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)
