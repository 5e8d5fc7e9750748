"""Cosines through refine, decide, threshold and clean to masks, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.encoding import Cosines
from napari_clearclip.job import Job
from napari_clearclip.measuring import Measuring
from napari_clearclip.progress import Progress, counted
from napari_clearclip.refining import Refinement
from napari_clearclip.result import LabelArray, Scores
from napari_clearclip.stepping import Stepping
from napari_clearclip.tally import Tally

if TYPE_CHECKING:
    from napari_clearclip.engine.decide import Assignment, Candidates, Strips
    from napari_clearclip.settings import Index, Prompt

MAKING = "Making masks"
CLEANING = "Cleaning masks"


@dataclass(frozen=True, eq=False)
class Masks:
    """What a stage makes of all prompts, not to be written to.

    Attributes
    ----------
    key : str
        Names it.
    labels : (H, W) uint8 array
        0 = nothing, i + 1 = prompt i; empty where masks may overlap.
    overlaps : (P, H, ceil(W / 8)) uint8 array or None
        Packed masks where they may overlap.
    tally : Tally
        What is known of each tile.
    """

    key: str
    labels: LabelArray
    overlaps: LabelArray | None
    tally: Tally

    @property
    def nbytes(self) -> int:
        """Memory of what is kept; labels beside packed masks are empty and take none."""
        return (self.labels if self.overlaps is None else self.overlaps).nbytes + self.tally.nbytes


class Masking:
    """Makes masks from cosines and from band expressions.

    Parameters
    ----------
    cache : Cache
        What is kept of each stage.
    measuring : Measuring
        Computes band expressions.
    stepping : Stepping
        Knows what was made last.
    """

    def __init__(self, cache: Cache, measuring: Measuring, stepping: Stepping) -> None:
        self._cache = cache
        self._measuring = measuring
        self._stepping = stepping

    def steps(self, job: Job, cosines: Cosines) -> Generator[Progress, None, tuple[Scores, Masks]]:
        """What cosines on the cells make of the image, before anything done by hand.

        Parameters
        ----------
        job : Job
            Image, settings and coordinates.
        cosines : dict of str to (h, w) float32 tensor
            Each phrase's cosines; a phrase without takes no part.

        Returns
        -------
        Scores, Masks
            The object prompts' scores on the cells, and their masks.
        """
        yield Progress(MAKING)
        candidates = self._candidates(job, cosines)
        scores = yield from self._scores(job, candidates)
        masks = yield from self._masks(job, candidates)
        return scores, (yield from self._cleaned(job, masks))

    def _candidates(self, job: Job, cosines: Cosines) -> Candidates:
        """The phrases that compete with each other: those that have cosines."""
        from napari_clearclip.engine.decide import Candidates

        taking_part = [(owner, phrase) for owner, phrase in job.phrases if phrase in cosines]
        owners = tuple(owner for owner, _ in taking_part)
        maps = [cosines[phrase] for _, phrase in taking_part]
        key = key_of(job.key, owners, len(job.settings.worded), *(part.numpy() for part in maps))
        return Candidates.join(maps, owners, len(job.settings.worded), key, job.frame.cells)

    def _scores(self, job: Job, candidates: Candidates) -> Generator[Progress, None, Scores]:
        """The object prompts' scores on the cells."""
        from napari_clearclip.engine.decide import score_cells, valid_cells

        deciding = job.settings.deciding

        def make() -> npt.NDArray[np.float32]:
            values = score_cells(candidates, deciding).numpy()
            return values if job.valid is None else values * valid_cells(job.valid, job.frame.cells)

        worded = self._cache.made(("scores", candidates.key, deciding.competitors, deciding.scale), make)
        values, pixels = list(worded), {}
        for place, prompt, index in _indices(job):
            values.insert(place, (yield from self._measuring.cells(job, index)))
            pixels[prompt.id] = yield from self._measuring.counts(job, index)
        ids = tuple(prompt.id for prompt in job.settings.objects)
        return Scores(ids, np.stack(values) if pixels else worded, job.frame.cell_size, pixels)

    def _masks(self, job: Job, candidates: Candidates) -> Generator[Progress, None, Masks]:
        """What is above the thresholds."""
        deciding = job.settings.deciding
        thresholds = tuple(prompt.threshold for prompt in job.settings.objects)
        measured = tuple((place, self._measuring.key(job, index)) for place, _, index in _indices(job))
        key = key_of("masks", candidates.key, job.frame, job.settings.refining.key, deciding, thresholds, measured)
        masks: Masks | None = self._cache.get(key)
        if masks is not None:
            return masks
        if deciding.exclusive:
            labels, tally = yield from self._labels(job, candidates)
            return self._kept(Masks(key, labels, None, tally))
        overlaps = yield from self._overlaps(job, candidates)
        labels = np.broadcast_to(np.uint8(0), job.frame.image)  # combined once what is done by hand is known
        return self._kept(Masks(key, labels, overlaps, self._tally("overlaps", job, overlaps)))

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
            return self._kept(Masks(key, labels, None, self._tally("cleaned", job, labels)))
        steps = clean_overlap_steps(masks.overlaps, job.frame.image[1], cleaning, pixel, job.valid)
        overlaps = yield from counted(steps, state)
        return self._kept(Masks(key, masks.labels, overlaps, self._tally("cleaned", job, overlaps)))

    def _tally(self, stage: str, job: Job, masks: LabelArray) -> Tally:
        """What is known of each tile of what a stage has made."""
        return self._stepping.tally(stage, job.key, masks, job.frame.image, len(job.settings.objects))

    def _kept(self, masks: Masks) -> Masks:
        """The same, kept."""
        self._cache.put(masks.key, masks, masks.nbytes)
        return masks

    def _labels(self, job: Job, candidates: Candidates) -> Generator[Progress, None, tuple[LabelArray, Tally]]:
        """Exclusive labels: the words settle among themselves, then each index takes what it wins."""
        from napari_clearclip.engine.decide import hold, take

        labels, held = np.zeros(job.frame.image, np.uint8), None
        worded, indices = job.settings.worded, _indices(job)
        if worded:
            key, assignment = yield from self._assignment(job, candidates)
            thresholds, lead = [prompt.threshold for prompt in worded], job.settings.deciding.lead
            labels, tally = yield from self._stepping.threshold(key, assignment, thresholds, lead, job.valid)
            if not indices:
                return labels, tally
            held = assignment.score
        places = [place for place, prompt in enumerate(job.settings.objects) if prompt.index is None]
        labels, held = hold(labels, held, places)
        for place, prompt, index in indices:
            levels = yield from self._measuring.levels(job, index)
            take(labels, held, levels, place, prompt.threshold, job.valid)
        return labels, self._tally("labels", job, labels)

    def _overlaps(self, job: Job, candidates: Candidates) -> Generator[Progress, None, LabelArray]:
        """Packed masks (P, H, ceil(W / 8)), each prompt by its own threshold."""
        from napari_clearclip.engine.decide import overlap_steps, pack

        height, width = job.frame.image
        bits = np.zeros((len(job.settings.objects), height, -(-width // 8)), np.uint8)
        worded = job.settings.worded
        if worded:
            thresholds = tuple(prompt.threshold for prompt in worded)
            strips, state = self._strips(job, candidates)
            steps = overlap_steps(candidates, job.frame, job.settings.deciding, thresholds, job.valid, strips)
            found = yield from counted(steps, state)
            places = [place for place, prompt in enumerate(job.settings.objects) if prompt.index is None]
            bits[places] = found
        for place, prompt, index in _indices(job):
            bits[place] = pack((yield from self._measuring.levels(job, index)), prompt.threshold, job.valid)
        return bits

    def _strips(self, job: Job, candidates: Candidates) -> tuple[Strips, Progress | Callable[[], Progress]]:
        """What gives the maps at pixels, and how far it is."""
        from napari_clearclip.engine.decide import upsample

        if job.settings.refining.is_idle:
            return partial(upsample, candidates, job.frame), Progress(MAKING)
        refinement = Refinement(self._cache, job, candidates)
        return refinement, lambda: refinement.state

    def _assignment(self, job: Job, candidates: Candidates) -> Generator[Progress, None, tuple[str, Assignment]]:
        """Who wins each pixel, and what names that."""
        from napari_clearclip.engine.decide import assign_steps

        deciding = job.settings.deciding
        read = (job.settings.refining.key, deciding.competitors, deciding.scale, deciding.area)
        key = key_of("assignment", candidates.key, job.frame, *read)
        assignment: Assignment | None = self._cache.get(key)
        if assignment is None:
            strips, state = self._strips(job, candidates)
            steps = assign_steps(candidates, job.frame, deciding, job.valid, strips)
            assignment = yield from counted(steps, state)
            self._cache.put(key, assignment, assignment.nbytes)
        return key, assignment


def _indices(job: Job) -> list[tuple[int, Prompt, Index]]:
    """The object prompts that are band expressions, with their place among all."""
    objects = enumerate(job.settings.objects)
    return [(place, prompt, prompt.index) for place, prompt in objects if prompt.index is not None]
