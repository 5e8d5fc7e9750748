"""Cosines on cells to maps at pixels that follow the image's edges, part by part, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.job import Job
from napari_clearclip.progress import Progress

if TYPE_CHECKING:
    from napari_clearclip.engine.decide import Candidates, Strip

REFINING = "Refining edges"

LevelArray = npt.NDArray[np.uint16]


class Refinement:
    """Maps at pixels in strips, as `napari_clearclip.engine.decide.upsample` gives them, but refined by the image.

    Calling it gives the strips anew; `state` says how far it is.

    Parameters
    ----------
    cache : Cache
        What is kept: each phrase's refined map by itself, where all of them take no more than their share.
    job : Job
        Image, settings and coordinates.
    candidates : Candidates
        All phrases' cosines on the cells.

    Notes
    -----
    Values are rounded to 65536 levels between a phrase's lowest and highest cosine, whether they are kept or not, so
    that the result does not depend on the memory there is.
    """

    def __init__(self, cache: Cache, job: Job, candidates: Candidates) -> None:
        from napari_clearclip.engine.refinement import parts_of

        self._cache = cache
        self._job = job
        self._cosines = candidates.cosines
        self._refining = job.settings.refining
        self._ranges = [(float(map_.min()), float(map_.max())) for map_ in self._cosines]
        self._keys = [key_of("refined", job.key, job.frame, self._refining.key, map_.numpy()) for map_ in self._cosines]
        self._parts = parts_of(job.frame.image, len(self._keys), self._refining)
        # Where masks may overlap nothing later is kept, so that each move of a threshold would refine again.
        share = 4 if job.settings.deciding.exclusive else 2
        height, width = job.frame.image
        self._keeps = 2 * len(self._keys) * height * width <= cache.budget // share
        self.state = Progress(REFINING)

    def __call__(self) -> Iterator[Strip]:
        """The strips, in order, and None in between where the caller may stop."""
        height, width = self._job.frame.image
        found = {index: levels for index, key in enumerate(self._keys) if (levels := self._cache.get(key)) is not None}
        missing = [index for index in range(len(self._keys)) if index not in found]
        bands = self._parts.along(0) if missing else [slice(0, height)]
        self.state = Progress(REFINING, 0, len(bands) * len(self._parts.along(1)) * len(missing))
        whole = [np.empty((height, width), np.uint16) for _ in missing] if self._keeps else []
        for band in bands:
            made = [levels[band] for levels in whole] or [
                np.empty((band.stop - band.start, width), np.uint16) for _ in missing
            ]
            yield from self._refine(band, missing, made)
            yield from self._strips(band, {index: levels[band] for index, levels in found.items()}, missing, made)
        for index, levels in zip(missing, whole, strict=False):
            self._cache.put(self._keys[index], levels, levels.nbytes)

    def _strips(
        self, band: slice, found: Mapping[int, LevelArray], missing: Sequence[int], made: Sequence[LevelArray]
    ) -> Iterator[Strip]:
        """All maps in a band of rows, in strips."""
        from napari_clearclip.engine.decide import strip_rows
        from napari_clearclip.engine.refinement import maps_of

        levels = {**found, **dict(zip(missing, made, strict=True))}
        for rows in strip_rows(len(levels), (band.stop - band.start, self._job.frame.image[1])):
            parts = [levels[index][rows] for index in range(len(levels))]
            yield slice(band.start + rows.start, band.start + rows.stop), maps_of(parts, self._ranges)

    def _refine(self, band: slice, missing: Sequence[int], made: Sequence[LevelArray]) -> Iterator[None]:
        """Refine the missing maps in a band of rows, writing their levels into `made`."""
        from napari_clearclip.engine.refinement import guide_of, levels_of, refine_steps

        if not missing:
            return
        job = self._job
        for cols in self._parts.along(1):
            outer, inner = self._parts.around((band, cols)), self._parts.inside((band, cols))
            guide = guide_of(job.image, job.view, job.clip, outer, self._refining)
            for start in range(0, len(missing), self._parts.together):
                numbers = missing[start : start + self._parts.together]
                maps = job.frame.sample(self._cosines[numbers].to(guide.pixels), *outer)
                refined = (yield from refine_steps(maps, guide, self._refining))[:, *inner]
                for place, (index, map_) in enumerate(zip(numbers, refined, strict=True), start):
                    made[place][:, cols] = levels_of(map_, self._ranges[index])
                self.state = replace(self.state, done=self.state.done + len(numbers))
