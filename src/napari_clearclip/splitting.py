"""Masks, with what was done by hand, to instances, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache
from napari_clearclip.job import Bands
from napari_clearclip.measuring import Measuring
from napari_clearclip.result import IdArray, LabelArray, Segmentation
from napari_clearclip.steps import drain

if TYPE_CHECKING:
    from napari_clearclip.engine.bands import Levels


class Splitter:
    """Makes the instances of a segmentation when they are asked for, from any thread.

    Parameters
    ----------
    cache : Cache
        What is kept.
    bands : Bands, optional
        What band expressions were computed from: their objects peak at pixels, and not where their cells do.
    """

    def __init__(self, cache: Cache, bands: Bands | None = None) -> None:
        self._cache, self._bands = cache, bands
        self._measuring = Measuring(cache)

    def __call__(self, result: Segmentation, prompt: str | None) -> IdArray:
        """The ids (H, W) of the instances of a prompt's mask, or of all labels; not to be written to."""
        from napari_clearclip.engine.instances import split

        ids, splitting, pixel = result.scores.prompts, result.settings.splitting, result.view.pixel
        labels: LabelArray = result.labels
        if prompt is not None:
            ids, labels = (prompt,), result.mask(prompt).view(np.uint8)

        def make() -> IdArray:
            made = split(labels, self._scores(result, ids), splitting, pixel)
            made.flags.writeable = False  # it is kept
            return made

        scores = [result.scores.of(id_) for id_ in ids]
        indices = [item.index for item in result.settings.objects if self._bands is not None and item.id in ids]
        made: IdArray = self._cache.made(("split", labels, *scores, *indices, splitting, pixel), make)
        return made

    def _scores(
        self, result: Segmentation, ids: tuple[str, ...]
    ) -> Callable[[int, slice, slice], npt.NDArray[np.float32]]:
        """What gives the scores of a part of the image by the place of a prompt, from 1 on."""
        from napari_clearclip.engine.bands import scores_of

        levels: dict[str, Levels] = {}
        for item in result.settings.objects:
            if item.index is not None and item.id in ids and self._bands is not None:
                levels[item.id] = drain(self._measuring.levels(self._bands, item.index))

        def score_at(value: int, rows: slice, cols: slice) -> npt.NDArray[np.float32]:
            id_ = ids[value - 1]
            return scores_of(levels[id_][rows, cols]) if id_ in levels else result.scores.at(id_, rows, cols)

        return score_at
