"""Masks, with what was done by hand, to instances, keeping what can be reused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache
from napari_clearclip.result import IdArray, LabelArray, Segmentation


class Splitter:
    """Makes the instances of a segmentation when they are asked for, from any thread.

    Parameters
    ----------
    cache : Cache
        What is kept.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def __call__(self, result: Segmentation, prompt: str | None) -> IdArray:
        """The ids (H, W) of the instances of a prompt's mask, or of all labels; not to be written to."""
        from napari_clearclip.engine.instances import split

        ids, splitting, pixel = result.scores.prompts, result.settings.splitting, result.view.pixel
        labels: LabelArray = result.labels
        if prompt is not None:
            ids, labels = (prompt,), result.mask(prompt).view(np.uint8)

        def score_at(value: int, rows: slice, cols: slice) -> npt.NDArray[np.float32]:
            return result.scores.at(ids[value - 1], rows, cols)

        def make() -> IdArray:
            made = split(labels, score_at, splitting, pixel)
            made.flags.writeable = False  # it is kept
            return made

        scores = [result.scores.of(id_) for id_ in ids]
        made: IdArray = self._cache.made(("split", labels, *scores, splitting, pixel), make)
        return made
