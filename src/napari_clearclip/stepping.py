"""What was made last of an image, so that a small change of what is wanted costs as little as it changes."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.progress import Progress, counted
from napari_clearclip.result import LabelArray
from napari_clearclip.tally import Tally, boxes, holding

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.engine.decide import Assignment
    from napari_clearclip.engine.reach import Reach

Tallied = tuple[LabelArray, Tally]

_KEPT = 3  # labels for as many thresholds; a step back to others costs no more than any step


class _Steps:
    """Labels for the thresholds that were asked for last, the newest at the end, and some that are written over."""

    def __init__(self) -> None:
        self.kept: list[tuple[tuple[float, ...], Tallied]] = []
        self._spare: list[tuple[tuple[float, ...], LabelArray]] = []

    def find(self, thresholds: tuple[float, ...]) -> Tallied | None:
        """Labels for these thresholds, if they are kept."""
        return next((made for before, made in self.kept if before == thresholds), None)

    def keep(self, thresholds: tuple[float, ...], made: Tallied) -> None:
        """Keep labels as the newest."""
        self.kept = [entry for entry in self.kept if entry[0] != thresholds] + [(thresholds, made)]
        if len(self.kept) > _KEPT:
            thresholds, (labels, _) = self.kept.pop(0)
            self._spare = [(thresholds, labels)]

    def writable(self) -> tuple[tuple[float, ...], LabelArray]:
        """Labels that may be written to, and their thresholds.

        They are labels that nobody refers to any more, where there are any: new memory takes longer than a step.
        """
        thresholds, labels = self._spare.pop() if self._spare else ((), None)
        if labels is None or sys.getrefcount(labels) > 2:  # this name and the argument
            thresholds, (newest, _) = self.kept[-1]
            labels = newest.copy()
        labels.flags.writeable = True
        return thresholds, labels

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return (len(self.kept) + 1) * self.kept[-1][1][0].nbytes


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
        self, key: str, assignment: Assignment, thresholds: tuple[float, ...], lead: float, valid: Mask | None
    ) -> Generator[Progress, None, Tallied]:
        """Exclusive labels, of which only blocks that a threshold has crossed are made anew, and their tally.

        Parameters
        ----------
        key : str
            Names the assignment.
        assignment, thresholds, lead, valid
            As for `napari_clearclip.engine.labelling.threshold`; the labels are not to be written to.
        """
        from napari_clearclip.engine.labelling import move_threshold, threshold
        from napari_clearclip.engine.reach import SIDE

        reach = yield from self._reach(key, assignment, len(thresholds))
        key = key_of("last labels", key, lead)
        steps = self._cache.get(key) or _Steps()
        made = steps.find(thresholds)
        if made is None and steps.kept:
            before, (_, known) = steps.kept[-1]
            base, labels = steps.writable()
            for prompt, crossed in enumerate(reach.crossed(base, thresholds)):
                for box in boxes(crossed, labels.shape, SIDE):
                    move_threshold(labels, assignment, prompt, base[prompt], thresholds[prompt], lead, valid, box)
            crossed = reach.crossed(before, thresholds)
            moved = np.flatnonzero(crossed.any(axis=(1, 2))).tolist()
            made = labels, known.stepped(labels, holding(np.asarray(crossed.any(axis=0))), moved)
        elif made is None:
            labels = threshold(assignment, thresholds, lead, valid)
            made = labels, Tally.of(labels, labels.shape, len(thresholds))
        made[0].flags.writeable = False
        steps.keep(thresholds, made)
        self._cache.put(key, steps, steps.nbytes)
        return made

    def _reach(self, key: str, assignment: Assignment, prompts: int) -> Generator[Progress, None, Reach]:
        """What the winners' scores reach in each block."""
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
