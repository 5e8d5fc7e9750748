"""What is shown while many windows are still being read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_clearclip.encoding import Cosines
from napari_clearclip.job import Job, coarser
from napari_clearclip.progress import Preview, Progress
from napari_clearclip.settings import Refining

if TYPE_CHECKING:
    from napari_clearclip.stages import Stages


def first_look_steps(stages: Stages, job: Job) -> Generator[Progress, None, Cosines]:
    """The cosines of few large windows, on the job's own cells."""
    from napari_clearclip.engine.windows import resize

    coarse = coarser(job)
    vectors = yield from stages.vectors(coarse)
    found = yield from stages.cosines(coarse, vectors, stage="Taking a first look")
    return {phrase: resize(cosines, job.frame.cells) for phrase, cosines in found.items()}


def show_steps(stages: Stages, job: Job, rough: Cosines, detailed: Cosines) -> Generator[Progress, None, None]:
    """A preview from detailed cosines where there are any, else from rough ones; refining it would take long."""
    mixed = dict(rough)
    for phrase, cosines in detailed.items():
        mixed[phrase] = cosines.where(~cosines.isnan(), rough[phrase])
    quick = replace(job, settings=job.settings.replace(refining=Refining()))
    segmentation = yield from stages.segmentation(quick, mixed)
    yield Preview("Making masks", segmentation=replace(segmentation, settings=job.settings))
