"""Band expressions through range and scores at pixels to scores on cells, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.job import Bands, Job
from napari_clearclip.progress import Progress, counted
from napari_clearclip.settings import Index, Prompt

if TYPE_CHECKING:
    from napari_clearclip.engine.automatic import Counts
    from napari_clearclip.engine.bands import Levels, Range

_STATE = Progress("Computing band expressions")


class Measuring:
    """Computes the scores of the prompts that are band expressions; none of it needs a model.

    Parameters
    ----------
    cache : Cache
        What is kept of each expression.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def filled_in(self, job: Job) -> Generator[Progress, None, Job]:
        """The job with low, high and Otsu's threshold of each index as the image recommends them.

        Raises
        ------
        ValueError
            If an index names a band that the image does not have.
        """
        prompts = list(job.settings.prompts)
        for place, prompt in enumerate(prompts):
            if prompt.index is not None:
                prompts[place] = yield from self._filled_in(job, prompt, prompt.index)
        return replace(job, settings=job.settings.replace(prompts=tuple(prompts)))

    def _filled_in(self, job: Job, prompt: Prompt, index: Index) -> Generator[Progress, None, Prompt]:
        """A prompt with everything filled in that its index leaves to the image."""
        from napari_clearclip.engine.automatic import otsu
        from napari_clearclip.engine.bands import resolve_index

        yield _STATE
        wanted, index = index.otsu, resolve_index(index.replace(otsu=False), partial(self.range, job.bands, index))
        prompt = prompt.replace(index=index)
        found = otsu((yield from self.counts(job, index))) if wanted else None
        return prompt if found is None else prompt.replace(threshold=found)

    def range(self, bands: Bands, index: Index) -> Range | None:
        """The values between which those of an index are: see `engine.bands.measure_range`."""
        from napari_clearclip.engine.bands import measure_range

        found: Range | None = self._cache.made(
            _range_parts(bands, index), lambda: measure_range(bands.image, bands.view, index)
        )
        return found

    def key(self, bands: Bands, index: Index) -> str:
        """Names the scores that an index gives the pixels."""
        return key_of("levels", *_read(bands, index), index.low, index.high)

    def levels(self, bands: Bands, index: Index) -> Generator[Progress, None, Levels]:
        """The scores that an index, filled in, gives the pixels: see `engine.bands.measure`."""
        from napari_clearclip.engine.bands import measure_steps

        key = self.key(bands, index)
        levels: Levels | None = self._cache.get(key)
        if levels is None:
            levels, found = yield from counted(measure_steps(bands.image, bands.view, index), _STATE)
            levels.flags.writeable = False
            self._cache.made(_range_parts(bands, index), lambda: found)
            self._cache.put(key, levels, levels.nbytes)
        return levels

    def counts(self, job: Job, index: Index) -> Generator[Progress, None, Counts]:
        """How many pixels have which score."""
        from napari_clearclip.engine.bands import count_scores

        key = key_of("counts", self.key(job.bands, index), job.valid_key)
        counts: Counts | None = self._cache.get(key)
        if counts is None:
            counts = count_scores((yield from self.levels(job.bands, index)), job.valid)
            self._cache.put(key, counts, counts.nbytes)
        return counts

    def cells(self, job: Job, index: Index) -> Generator[Progress, None, npt.NDArray[np.float32]]:
        """The mean scores (h, w) on the job's cells."""
        from napari_clearclip.engine.bands import mean_cells

        key = key_of("cells", self.key(job.bands, index), job.valid_key, job.frame.cells)
        values: npt.NDArray[np.float32] | None = self._cache.get(key)
        if values is None:
            values = mean_cells((yield from self.levels(job.bands, index)), job.frame.cells, job.valid)
            self._cache.put(key, values, values.nbytes)
        return values


def _range_parts(bands: Bands, index: Index) -> tuple[str, ...]:
    """Names where the values of an index begin and end."""
    return "range", *_read(bands, index)


def _read(bands: Bands, index: Index) -> tuple[str, str]:
    """Names what an index reads, and what it makes of it."""
    from napari_clearclip.engine.bands import channels_of

    return bands.key(channels_of(bands.image, bands.view, index)), index.expression
