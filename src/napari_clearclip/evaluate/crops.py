"""CLIP-DIY's maps, to compare with: each phrase's cosines with whole crops of three sizes, averaged."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from napari_clearclip.encoding import Cosines
from napari_clearclip.job import Job
from napari_clearclip.progress import Progress, counted


def by_crops(job: Job, vectors: dict[str, npt.NDArray[np.float32]]) -> Generator[Progress, None, Cosines]:
    """Each phrase's cosines on the cells (h, w), the mean over sizes of crops, each stretched over the image.

    What CLIP-DIY weighs them with, a network's saliency (FOUND), is left out.
    """
    from napari_clearclip.engine.crops import crop_steps
    from napari_clearclip.engine.windows import resize

    steps = crop_steps(job.clip, job.image, job.view, job.frame.image, job.settings.tiling.antialias)
    grids = yield from counted(steps, Progress("Reading crops"))
    found = {}
    for phrase, vector in vectors.items():
        maps = [resize(grid @ grid.new_tensor(vector), job.frame.cells) for grid in grids]
        found[phrase] = sum(maps[1:], start=maps[0]) / len(maps)
    return found
