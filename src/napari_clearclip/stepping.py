"""What was made last of an image, so that a small change of what is wanted costs as little as it changes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.progress import Progress, counted
from napari_clearclip.result import LabelArray
from napari_clearclip.tally import Tally, boxes

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.engine.decide import Assignment
    from napari_clearclip.engine.reach import Reach

Tallied = tuple[LabelArray, Tally]


class Stepping:
    """Makes masks, and counts them, from those that were made last.

    Parameters
    ----------
    cache : Cache
        Where these are kept; without them everything is made, with the same result.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def threshold(
        self, key: str, assignment: Assignment, thresholds: Sequence[float], lead: float, valid: Mask | None
    ) -> Generator[Progress, None, Tallied]:
        """Exclusive labels, of which only tiles that a threshold has crossed are made anew, and their tally.

        Parameters
        ----------
        key : str
            Names the assignment.
        assignment, thresholds, lead, valid
            As for `napari_clearclip.engine.decide.threshold`; the labels are not to be written to.
        """
        from napari_clearclip.engine.decide import threshold

        reach = yield from self._reach(key, assignment, len(thresholds))
        key = key_of("last labels", key, lead)
        last: tuple[Sequence[float], Tallied] | None = self._cache.get(key)
        if last is None:
            labels = threshold(assignment, thresholds, lead, valid)
            tally = Tally.of(labels, labels.shape, len(thresholds))
        else:
            before, (old, known) = last
            crossed = reach.crossed(before, thresholds)
            tiles, prompts = np.asarray(crossed.any(axis=0)), np.flatnonzero(crossed.any(axis=(1, 2)))
            labels = threshold(assignment, thresholds, lead, valid, old, boxes(tiles, old.shape))
            tally = known.followed(old, labels, tiles, prompts.tolist())
        labels.flags.writeable = False
        self._cache.put(key, (thresholds, (labels, tally)), labels.nbytes + tally.nbytes)
        return labels, tally

    def _reach(self, key: str, assignment: Assignment, prompts: int) -> Generator[Progress, None, Reach]:
        """What the winners' scores reach in each tile."""
        from napari_clearclip.engine.reach import reach_steps

        key = key_of("reach", key)
        reach: Reach | None = self._cache.get(key)
        if reach is None:
            reach = yield from counted(reach_steps(assignment, prompts), Progress("Making masks"))
            self._cache.put(key, reach, reach.nbytes)
        return reach

    def tally(self, stage: str, image: str, masks: LabelArray, shape: tuple[int, ...], prompts: int) -> Tally:
        """The tally of masks that a stage makes as a whole, counted where they are not those that it made last.

        Parameters
        ----------
        stage, image : str
            Names the stage, and the image that the masks are of.
        masks : uint8 array
            Labels or packed masks, as in `Tally`; not to be written to from now on.
        shape : tuple of int
            Shape (H, W) of the image.
        prompts : int
            How many prompts there are.
        """
        masks.flags.writeable = False
        key = key_of("last tally", stage, image, masks.shape, prompts)
        last: Tallied | None = self._cache.get(key)
        tally = Tally.of(masks, shape, prompts) if last is None else last[1].followed(last[0], masks)
        self._cache.put(key, (masks, tally), masks.nbytes + tally.nbytes)
        return tally
