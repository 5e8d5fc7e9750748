"""Blocks of one large image, which several processes read and one puts together."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from napari_clearclip.edits import Edits, View
from napari_clearclip.encoding import READING
from napari_clearclip.job import Job, Picture
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Settings
from napari_clearclip.stages import FloatArray, Stages
from napari_clearclip.surveying import blocks_of

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline


def cutting_steps(
    pipeline: Pipeline, image: Any, settings: Settings, view: View, count: int
) -> Generator[Progress, None, tuple[range, ...]]:
    """About `count` blocks of rows of cells that several processes can read of one large image with words.

    Empty where that would not help: windows fit into memory, or are too few.
    """
    job = yield from _part(pipeline.stages, image, settings, view)
    return blocks_of(job.frame, count) if pipeline.stages.surveying.is_for(job) else ()


def block_steps(
    pipeline: Pipeline, image: Any, settings: Settings, view: View, rows: range | None = None
) -> Generator[Progress, None, dict[str, FloatArray]]:
    """Each phrase's cosines (n, w) in a block of rows of cells, or in all; the same bits as in a run."""
    stages = pipeline.stages
    job = yield from _part(stages, image, settings, view)
    vectors = yield from stages.vectors(job)
    if rows is None:
        found = yield from stages.cosines(job, vectors)
    else:
        found = yield from stages.surveying.compare(job, vectors, None, None, READING, rows)
    return {phrase: map_.numpy() for phrase, map_ in found.items()}


def _part(stages: Stages, image: Any, settings: Settings, view: View) -> Generator[Progress, None, Job]:
    """What reading a part of an image works on."""
    words = bool(settings.worded)
    return stages.look(Picture(image, view), settings, view, Edits(), None, with_model=words, whole=False)
