"""Cosines through refine, decide and threshold to masks, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
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
from napari_clearclip.storing import blank
from napari_clearclip.tally import Tally
from napari_clearclip.tidying import Masks, Tidying

if TYPE_CHECKING:
    from napari_clearclip.engine.decide import Assignment, Candidates, Strips
    from napari_clearclip.settings import Index, Prompt

MAKING = "Making masks"


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
    folder : Path
        Where labels lie that are larger than the cache.
    """

    def __init__(self, cache: Cache, measuring: Measuring, stepping: Stepping, folder: Path) -> None:
        self._cache, self._folder = cache, folder
        self._measuring = measuring
        self._stepping = stepping
        self._tidying = Tidying(cache, stepping)

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
        return scores, (yield from self._tidying.steps(job, masks, partial(self._doubtful, job, candidates)))

    def _candidates(self, job: Job, cosines: Cosines) -> Candidates:
        """The phrases that compete with each other: those that have cosines."""
        from napari_clearclip.engine.decide import Candidates

        taking_part = [(owner, phrase) for owner, phrase in job.phrases if phrase in cosines]
        owners = tuple(owner for owner, _ in taking_part)
        maps = [cosines[phrase] for _, phrase in taking_part]
        key = key_of(job.key, owners, len(job.settings.worded), *(part.numpy() for part in maps))
        candidates = Candidates.join(maps, owners, len(job.settings.worded), key, job.frame.cells)
        own = job.loaded is not None and job.settings.deciding.score == "sigmoid"
        return replace(candidates, sigmoid=job.clip.sigmoid) if own else candidates

    def _scores(self, job: Job, candidates: Candidates) -> Generator[Progress, None, Scores]:
        """The object prompts' scores on the cells."""
        from napari_clearclip.engine.decide import score_cells, valid_cells

        deciding = job.settings.deciding

        def make() -> npt.NDArray[np.float32]:
            values = score_cells(candidates, deciding).numpy()
            return values if job.valid is None else values * valid_cells(job.valid, job.frame.cells)

        worded = self._cache.made(("scores", candidates.key, deciding.scoring), make)
        values, pixels, ranges = list(worded), {}, {}
        for place, prompt, index in _indices(job):
            values.insert(place, (yield from self._measuring.cells(job, index)))
            pixels[prompt.id] = yield from self._measuring.counts(job, index)
            ranges[prompt.id] = self._measuring.range(job.bands, index)
        ids = tuple(prompt.id for prompt in job.settings.objects)
        return Scores(ids, np.stack(values) if pixels else worded, job.frame.cell_size, pixels, ranges)

    def _masks(self, job: Job, candidates: Candidates) -> Generator[Progress, None, Masks]:
        """What is above the thresholds."""
        deciding = job.settings.deciding
        thresholds = tuple(prompt.threshold for prompt in job.settings.objects)
        measured = tuple((place, self._measuring.key(job.bands, index)) for place, _, index in _indices(job))
        key = key_of("masks", candidates.key, job.frame, job.settings.refining.key, deciding, thresholds, measured)
        if deciding.exclusive and not measured:
            labels, tally = yield from self._settled(job, candidates)
            return Masks(key, labels, None, tally)  # which are kept already
        masks: Masks | None = self._cache.get(key)
        if masks is not None:
            return masks
        if deciding.exclusive:
            labels = yield from self._labels(job, candidates)
            return self._tidying.kept(Masks(key, labels, None, self._tally("labels", job, labels)))
        overlaps = yield from self._overlaps(job, candidates)
        labels = np.broadcast_to(np.uint8(0), job.frame.image)  # combined once what is done by hand is known
        return self._tidying.kept(Masks(key, labels, overlaps, self._tally("overlaps", job, overlaps)))

    def _tally(self, stage: str, job: Job, masks: LabelArray) -> Tally:
        """What is known of each tile of what a stage has made."""
        return self._stepping.tally(stage, job.key, masks, job.frame.image, len(job.settings.objects))

    def _settled(self, job: Job, candidates: Candidates) -> Generator[Progress, None, tuple[LabelArray, Tally]]:
        """The exclusive labels of words alone; who wins each pixel is held only where it could be kept, too."""
        from napari_clearclip.engine.decide import Assignment, label_steps

        if Assignment.bytes_of(job.frame.image) <= self._cache.budget:
            _, labels, tally = yield from self._worded(job, candidates)
            return labels, tally
        thresholds = tuple(prompt.threshold for prompt in job.settings.worded)
        strips, state = self._strips(job, candidates)
        labels = blank(job.frame.image, self._cache.budget, self._folder)
        steps = label_steps(candidates, job.frame, job.settings.deciding, thresholds, job.valid, strips, labels)
        labels = yield from counted(steps, state)
        return labels, Tally.of(labels, labels.shape, len(thresholds))

    def _worded(
        self, job: Job, candidates: Candidates
    ) -> Generator[Progress, None, tuple[Assignment, LabelArray, Tally]]:
        """Who wins each pixel of the words, and the exclusive labels of those that reach their threshold."""
        key, assignment = yield from self._assignment(job, candidates)
        thresholds, lead = tuple(prompt.threshold for prompt in job.settings.worded), job.settings.deciding.lead
        labels, tally = yield from self._stepping.threshold(key, assignment, thresholds, lead, job.valid)
        return assignment, labels, tally

    def _labels(self, job: Job, candidates: Candidates) -> Generator[Progress, None, LabelArray]:
        """Exclusive labels: the words settle among themselves, then each index takes what it wins."""
        from napari_clearclip.engine.labelling import hold, take

        labels, score = np.broadcast_to(np.uint8(0), job.frame.image), None
        if job.settings.worded:
            assignment, labels, _ = yield from self._worded(job, candidates)
            score = assignment.score
        places = [place for place, prompt in enumerate(job.settings.objects) if prompt.index is None]
        labels, doubt = hold(labels, score, places, [prompt.threshold for prompt in job.settings.worded])
        for place, prompt, index in _indices(job):
            levels = yield from self._measuring.levels(job.bands, index)
            take(labels, doubt, levels, place, prompt.threshold, job.valid)
        return labels

    def _overlaps(self, job: Job, candidates: Candidates) -> Generator[Progress, None, LabelArray]:
        """Packed masks (P, H, ceil(W / 8)), each prompt by its own threshold."""
        from napari_clearclip.engine.decide import overlap_steps
        from napari_clearclip.engine.labelling import pack

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
            bits[place] = pack((yield from self._measuring.levels(job.bands, index)), prompt.threshold, job.valid)
        return bits

    def _doubtful(self, job: Job, candidates: Candidates) -> Generator[Progress, None, LabelArray]:
        """Pixels that could easily belong to others, packed: (1, H, ceil(W / 8)), or (P, ...) where masks overlap."""
        from napari_clearclip.engine.decide import overlap_steps
        from napari_clearclip.engine.edges import doubtful_pixels, sure_thresholds

        deciding, certainty, worded = job.settings.deciding, job.settings.cleaning.certainty, job.settings.worded
        thresholds = [prompt.threshold for prompt in worded]
        height, width = job.frame.image
        count = 1 if deciding.exclusive else len(job.settings.objects)
        bits = np.zeros((count, height, -(-width // 8)), np.uint8)
        if worded and deciding.exclusive:
            _, assignment = yield from self._assignment(job, candidates)
            bits[0] = np.packbits(doubtful_pixels(assignment, thresholds, deciding.lead, certainty), axis=-1)
        elif worded:
            found = []
            for limits in sure_thresholds(thresholds, certainty):
                strips, state = self._strips(job, candidates)
                steps = overlap_steps(candidates, job.frame, deciding, limits, job.valid, strips)
                found.append((yield from counted(steps, state)))
            places = [place for place, prompt in enumerate(job.settings.objects) if prompt.index is None]
            bits[places] = found[0] & ~found[1]
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
        key = key_of(
            "assignment", candidates.key, job.frame, job.settings.refining.key, deciding.scoring, deciding.area
        )
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
