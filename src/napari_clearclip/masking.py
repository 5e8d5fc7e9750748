"""Cosines through decide, threshold and clean to masks, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.encoding import Cosines
from napari_clearclip.job import Job
from napari_clearclip.progress import Progress, counted
from napari_clearclip.result import IdArray, LabelArray, Scores, Segmentation

if TYPE_CHECKING:
    from napari_clearclip.engine.decide import Assignment, Candidates

MAKING = "Making masks"
CLEANING = "Cleaning masks"


@dataclass(frozen=True)
class Masks:
    """What a stage makes of all prompts: (H, W) labels or, where masks may overlap, packed ones; and its key."""

    key: str
    labels: LabelArray
    overlaps: LabelArray | None

    @property
    def nbytes(self) -> int:
        """Memory of what is kept; labels beside packed masks are empty and take none."""
        return (self.labels if self.overlaps is None else self.overlaps).nbytes


class Masking:
    """Makes masks from cosines.

    Parameters
    ----------
    cache : Cache
        What is kept of each stage.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def steps(
        self, job: Job, cosines: Cosines
    ) -> Generator[Progress, None, tuple[Scores, LabelArray, LabelArray | None]]:
        """What cosines on the cells make of the image, before anything done by hand.

        Parameters
        ----------
        job : Job
            Image, settings and coordinates.
        cosines : dict of str to (h, w) float32 tensor
            Each phrase's cosines.

        Returns
        -------
        scores : Scores
            The object prompts' scores on the cells.
        labels : (H, W) uint8 array
            0 = nothing, i + 1 = prompt i; not to be written to.
        overlaps : (P, H, ceil(W / 8)) uint8 array or None
            Packed masks where masks may overlap; then `labels` is empty.
        """
        yield Progress(MAKING)
        candidates, scores = self._scores(job, cosines)
        masks = yield from self._masks(job, candidates)
        masks = yield from self._cleaned(job, masks)
        return scores, masks.labels, masks.overlaps

    def _scores(self, job: Job, cosines: Cosines) -> tuple[Candidates, Scores]:
        """All candidates, and the object prompts' scores on the cells."""
        from napari_clearclip.engine.decide import Candidates, score_cells, valid_cells

        deciding = job.settings.deciding
        owners = tuple(owner for owner, _ in job.phrases)
        maps = [cosines[phrase] for _, phrase in job.phrases]
        key = key_of(job.key, owners, len(job.settings.objects), *(part.numpy() for part in maps))
        candidates = Candidates.join(maps, owners, len(job.settings.objects), key)

        def make() -> npt.NDArray[np.float32]:
            values = score_cells(candidates, deciding).numpy()
            return values if job.valid is None else values * valid_cells(job.valid, job.frame.cells)

        values = self._cache.made(("scores", candidates.key, deciding.competitors, deciding.scale), make)
        ids = tuple(prompt.id for prompt in job.settings.objects)
        return candidates, Scores(ids, values, job.frame.cell_size)

    def _masks(self, job: Job, candidates: Candidates) -> Generator[Progress, None, Masks]:
        """What is above the thresholds."""
        from napari_clearclip.engine.decide import overlap_steps, threshold

        deciding, frame = job.settings.deciding, job.frame
        thresholds = tuple(prompt.threshold for prompt in job.settings.objects)
        key = key_of("masks", candidates.key, frame, deciding, thresholds)
        masks: Masks | None = self._cache.get(key)
        if masks is not None:
            return masks
        state = Progress(MAKING)
        if deciding.exclusive:
            assignment = yield from self._assignment(job, candidates, state)
            labels = threshold(assignment, thresholds, deciding.lead, job.valid)
            return self._kept(Masks(key, labels, None))
        steps = overlap_steps(candidates, frame, deciding, thresholds, job.valid)
        overlaps = yield from counted(steps, state)
        # Labels are combined once what is done by hand is known.
        return self._kept(Masks(key, np.broadcast_to(np.uint8(0), frame.image), overlaps))

    def _cleaned(self, job: Job, masks: Masks) -> Generator[Progress, None, Masks]:
        """Masks without specks, gaps and rough outlines; the same ones if nothing is asked for."""
        from napari_clearclip.engine.clean import clean_overlap_steps, clean_steps

        cleaning, pixel = job.settings.cleaning, job.view.pixel
        if cleaning.is_idle:
            return masks
        key = key_of("cleaned", masks.key, cleaning, pixel)
        found: Masks | None = self._cache.get(key)
        if found is not None:
            return found
        state = Progress(CLEANING)
        yield state
        if masks.overlaps is None:
            labels = yield from counted(clean_steps(masks.labels, cleaning, pixel, job.valid), state)
            return self._kept(Masks(key, labels, None))
        steps = clean_overlap_steps(masks.overlaps, job.frame.image[1], cleaning, pixel, job.valid)
        overlaps = yield from counted(steps, state)
        return self._kept(Masks(key, masks.labels, overlaps))

    def _kept(self, masks: Masks) -> Masks:
        """The same, kept and not to be written to: it may be the result's own."""
        masks.labels.flags.writeable = False
        self._cache.put(masks.key, masks, masks.nbytes)
        return masks

    def _assignment(self, job: Job, candidates: Candidates, state: Progress) -> Generator[Progress, None, Assignment]:
        """Who wins each pixel."""
        from napari_clearclip.engine.decide import assign_steps

        deciding = job.settings.deciding
        read = (deciding.competitors, deciding.scale, deciding.area)
        key = key_of("assignment", candidates.key, job.frame, *read)
        assignment: Assignment | None = self._cache.get(key)
        if assignment is None:
            assignment = yield from counted(assign_steps(candidates, job.frame, deciding, job.valid), state)
            self._cache.put(key, assignment, assignment.nbytes)
        return assignment

    def split(self, result: Segmentation, prompt: str | None) -> IdArray:
        """The ids (H, W) of the instances of a prompt's mask, or of all labels, after what was done by hand."""
        from napari_clearclip.engine.instances import split

        ids, splitting = result.scores.prompts, result.settings.splitting
        labels: LabelArray = result.labels
        if prompt is not None:
            ids, labels = (prompt,), result.mask(prompt).view(np.uint8)

        def score_at(value: int, rows: slice, cols: slice) -> npt.NDArray[np.float32]:
            return result.scores.at(ids[value - 1], rows, cols)

        def make() -> IdArray:
            made = split(labels, score_at, splitting)
            made.flags.writeable = False  # it is kept
            return made

        scores = [result.scores.of(id_) for id_ in ids]
        made: IdArray = self._cache.made(("split", labels, *scores, splitting), make)
        return made
