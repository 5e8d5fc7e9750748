"""Cosines to scores, scores to who wins each pixel.

Phrases compete by their cosines: the highest one of all prompts and distractors wins a pixel, and keeps it if its score
reaches its own threshold. What becomes of it beside band expressions is said in `napari_clearclip.engine.labelling`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from napari_clearclip.engine import labelling

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.engine.windows import Frame
    from napari_clearclip.settings import Deciding

# Pixels times phrases that are looked at together: about 8 MB, which stays near the processor.
_STRIP = 2_000_000

# Maps at pixels, some rows at a time: rows, and their (Q, n, W) float32 tensor; or None, where making them takes long
# and the caller may want to stop.
Strip = tuple[slice, torch.Tensor] | None
Strips = Callable[[], Iterator[Strip]]


@dataclass(frozen=True)
class Candidates:
    """Everything that can win a cell.

    Attributes
    ----------
    cosines : (Q, h, w) float32 tensor
        One map a phrase, on cells.
    owner : tuple of int
        For each phrase its prompt: 0 to ``objects - 1`` are object prompts, the rest distractors. A prompt without a
        phrase takes no part.
    objects : int
        Number of object prompts.
    key : str
        Names the contents, for caches.
    sigmoid : tuple of 2 float, or None
        Scale and bias of the model's own score, where that is asked for.
    """

    cosines: torch.Tensor
    owner: tuple[int, ...]
    objects: int
    key: str = ""
    sigmoid: tuple[float, float] | None = None

    @classmethod
    def join(
        cls,
        maps: Sequence[torch.Tensor],
        owner: tuple[int, ...],
        objects: int,
        key: str = "",
        cells: tuple[int, int] = (1, 1),
    ) -> Candidates:
        """Candidates from one (h, w) map a phrase; if there are none, `cells` is their shape."""
        return cls(torch.stack(list(maps)) if maps else torch.zeros(0, *cells), owner, objects, key)

    def of(self, prompt: int, maps: torch.Tensor) -> torch.Tensor:
        """The maps (n, ...) of one prompt's phrases, without a copy where these lie beside each other."""
        return _chosen(maps, [index for index, owner in enumerate(self.owner) if owner == prompt])


@dataclass(frozen=True)
class Assignment:
    """Who wins each pixel.

    Attributes
    ----------
    winner : (H, W) uint8 array
        0 = a distractor, i + 1 = object prompt i.
    score : (H, W) float32 array
        The winner's score; 0 where a distractor wins.
    margin : (H, W) float32 array
        Its lead over the second best prompt or distractor, tanh(scale * difference of cosines / 2): the difference of
        their probabilities in a softmax over these two. 1 where there is no second.
    """

    winner: npt.NDArray[np.uint8]
    score: npt.NDArray[np.float32]
    margin: npt.NDArray[np.float32]

    @staticmethod
    def bytes_of(shape: tuple[int, int]) -> int:
        """Memory of all arrays of an image (H, W) in bytes."""
        return 9 * shape[0] * shape[1]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.winner.nbytes + self.score.nbytes + self.margin.nbytes


def _chosen(maps: torch.Tensor, places: Sequence[int]) -> torch.Tensor:
    """Some of the maps (Q, ...), without a copy where they lie beside each other."""
    if places and places[-1] - places[0] + 1 == len(places):
        return maps[places[0] : places[-1] + 1]
    return maps[list(places)]


def _shared(maps: torch.Tensor, candidates: Candidates, deciding: Deciding) -> torch.Tensor | None:
    """Log-sum-exp of the competitors that are the same for every prompt: distractors, or all phrases; None if none."""
    if candidates.sigmoid is not None:
        return None
    first = 0 if deciding.competitors == "all" else candidates.objects
    rivals = _chosen(maps, [index for index, owner in enumerate(candidates.owner) if owner >= first])
    return torch.logsumexp(deciding.scale * rivals, dim=0) if len(rivals) else None


def _score(own: torch.Tensor, shared: torch.Tensor | None, candidates: Candidates, deciding: Deciding) -> torch.Tensor:
    """Max over own phrases of softmax or sigmoid, see `score_cells`: own (n, ...) -> (...); 0 without any."""
    if not len(own):
        return own.new_zeros(own.shape[1:])
    if candidates.sigmoid is not None:
        scale, bias = candidates.sigmoid
        return torch.sigmoid(scale * own.amax(dim=0) + bias)
    scaled = deciding.scale * own
    best = scaled[0] if len(scaled) == 1 else scaled.amax(dim=0)
    if shared is not None and deciding.competitors == "all":
        return torch.exp(best - shared)
    total = best if len(scaled) == 1 else torch.logsumexp(scaled, dim=0)
    return torch.exp(best - (total if shared is None else torch.logaddexp(total, shared)))


def _lead(difference: torch.Tensor, candidates: Candidates, deciding: Deciding) -> torch.Tensor:
    """The lead of one over another by the difference of their cosines, see `Assignment`."""
    scale = deciding.scale if candidates.sigmoid is None else candidates.sigmoid[0]
    return torch.tanh(scale * difference / 2)


def score_cells(candidates: Candidates, deciding: Deciding) -> torch.Tensor:
    """Scores of the object prompts on the cells.

    Parameters
    ----------
    candidates : Candidates
        All phrases' cosines.
    deciding : Deciding
        `competitors` and `scale` are read.

    Returns
    -------
    (P, h, w) float32 tensor
        ``score = max over own phrases of softmax(scale * cosine)`` in [0, 1]. With ``competitors="distractors"`` the
        softmax is over the own phrases and the distractors, so that a prompt's score does not depend on other prompts;
        with ``"all"`` it is over all phrases of all prompts. Where candidates have a `sigmoid`, it is ``max over own
        phrases of sigmoid(scale * cosine + bias)`` with that scale and bias, whatever else there is.

    References
    ----------
    ClearCLIP and SCLIP, released evaluation: softmax over all queries, the best synonym counts (``"all"``).
    SigLIP (Zhai and others, 2023), Algorithm 1: the probability of a pair.
    """
    shared = _shared(candidates.cosines, candidates, deciding)
    scores = [
        _score(candidates.of(prompt, candidates.cosines), shared, candidates, deciding)
        for prompt in range(candidates.objects)
    ]
    return torch.stack(scores) if scores else candidates.cosines.new_zeros((0, *candidates.cosines.shape[1:]))


def valid_cells(valid: Mask, cells: tuple[int, int]) -> Mask:
    """The cells (h, w) that touch a valid pixel of (H, W)."""
    pixels = torch.from_numpy(valid).float()[None, None]
    return np.asarray(functional.adaptive_max_pool2d(pixels, cells)[0, 0].numpy() > 0)


def strip_rows(phrases: int, shape: tuple[int, int]) -> Iterator[slice]:
    """The rows of an image (H, W), so many at a time that all phrases' maps stay near the processor."""
    height, width = shape
    step = max(_STRIP // (max(phrases, 1) * width), 1)
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def upsample(candidates: Candidates, frame: Frame) -> Iterator[Strip]:
    """The cosines upsampled bilinearly to image pixels, some rows at a time."""
    width = frame.image[1]
    for rows in strip_rows(len(candidates.owner), frame.image):
        if frame.cells == frame.image:
            yield rows, candidates.cosines[:, rows]
            continue
        upper, lower, weight = (torch.from_numpy(part) for part in frame.rows_of(rows))
        maps = candidates.cosines
        maps = torch.lerp(maps[:, upper], maps[:, lower], weight.to(maps)[:, None])  # (Q, n, cw)
        maps = functional.interpolate(maps[None], size=(maps.shape[1], width), mode="bilinear", align_corners=False)[0]
        yield rows, maps  # (Q, n, W)


def _contest(
    maps: torch.Tensor, candidates: Candidates, dropped: frozenset[int], ranked: bool
) -> tuple[torch.Tensor, ...]:
    """Best prompt (n, W), its cosine, and the second best cosine (-2 where there is none, or it is not `ranked`)."""
    best = maps.new_full(maps.shape[1:], -2.0)
    second, winner = best.clone(), torch.full_like(best, -1, dtype=torch.int16)
    for prompt in sorted(set(candidates.owner) - dropped):
        own = candidates.of(prompt, maps)
        cosine = own[0] if len(own) == 1 else own.amax(dim=0)
        wins = cosine > best
        if ranked:
            second = torch.where(wins, best, torch.maximum(second, cosine))
        best = torch.where(wins, cosine, best)
        winner.masked_fill_(wins, prompt)
    return winner, best, second


def _pass(
    candidates: Candidates, deciding: Deciding, dropped: frozenset[int], strips: Strips, ranked: bool = True
) -> Iterator[tuple[slice, Assignment] | None]:
    """One pass over the image, some rows at a time, in which some prompts take no part; margins are 1 unless ranked."""
    several = [prompt for prompt in range(candidates.objects) if candidates.owner.count(prompt) != 1]
    for strip in strips() if candidates.owner else ():
        yield None
        if strip is None:
            continue
        rows, maps = strip
        winner, best, second = _contest(maps, candidates, dropped, ranked)
        shared = _shared(maps, candidates, deciding)
        score = _score(best[None], shared, candidates, deciding)  # right where it has one phrase; all at once
        score.masked_fill_((winner < 0) | (winner >= candidates.objects), 0)
        for prompt in several:
            wins = winner == prompt
            if wins.any():
                rival = None if shared is None else shared[wins]
                score[wins] = _score(candidates.of(prompt, maps)[:, wins], rival, candidates, deciding)
        winner = torch.where(winner < candidates.objects, winner + 1, 0)
        margin = torch.ones_like(best)
        if ranked:
            margin = torch.where(second < -1.5, margin, _lead(best - second, candidates, deciding))
        yield rows, Assignment(winner.to(torch.uint8).cpu().numpy(), score.cpu().numpy(), margin.cpu().numpy())


def _assign_once(
    candidates: Candidates, frame: Frame, deciding: Deciding, dropped: frozenset[int], strips: Strips
) -> Generator[None, None, Assignment]:
    """One pass, put together."""
    result = Assignment(
        np.zeros(frame.image, np.uint8), np.zeros(frame.image, np.float32), np.zeros(frame.image, np.float32)
    )
    for made in _pass(candidates, deciding, dropped, strips):
        if made is None:
            yield
            continue
        rows, part = made
        result.winner[rows], result.score[rows], result.margin[rows] = part.winner, part.score, part.margin
    return result


def label_steps(
    candidates: Candidates,
    frame: Frame,
    deciding: Deciding,
    thresholds: Sequence[float],
    valid: Mask | None,
    strips: Strips | None = None,
    labels: npt.NDArray[np.uint8] | None = None,
) -> Generator[None, None, npt.NDArray[np.uint8]]:
    """The labels of `labelling.threshold`, with no assignment held as a whole; arguments as of `assign_steps`.

    They are written into `labels` (H, W), where such an array of 0 is given.
    """
    strips = strips or partial(upsample, candidates, frame)
    labels = np.zeros(frame.image, np.uint8) if labels is None else labels
    dropped: frozenset[int] = frozenset()
    if deciding.area:
        counts = np.zeros(candidates.objects + 1, np.int64)
        for made in _pass(candidates, deciding, dropped, strips):
            if made is None:
                yield
                continue
            rows, part = made
            counts += np.bincount(
                (part.winner if valid is None else part.winner[valid[rows]]).ravel(), minlength=len(counts)
            )
        dropped = _small(counts, deciding)
    for made in _pass(candidates, deciding, dropped, strips, ranked=deciding.lead > 0):
        if made is None:
            yield
            continue
        rows, part = made
        labels[rows] = labelling.threshold(part, thresholds, deciding.lead, None if valid is None else valid[rows])
    return labels


def _small(counts: npt.NDArray[np.integer], deciding: Deciding) -> frozenset[int]:
    """Prompts whose share of the pixels won by objects is at most `area`; of 0, 1, ... pixels won by each winner."""
    won = counts[1:]
    return frozenset(np.flatnonzero(won <= deciding.area * won.sum()).tolist())


def assign_steps(
    candidates: Candidates, frame: Frame, deciding: Deciding, valid: Mask | None, strips: Strips | None = None
) -> Generator[None, None, Assignment]:
    """Who wins each pixel, computed in strips; yields after each.

    Parameters
    ----------
    candidates : Candidates
        All phrases' cosines on cells.
    frame : Frame
        Coordinates.
    deciding : Deciding
        `competitors`, `scale` and `area` are read.
    valid : (H, W) bool array or None
        Pixels with data, for the area share.
    strips : callable or None
        Gives the maps at pixels anew each time; None = `upsample`, as in the papers: before anything is decided.

    Returns
    -------
    Assignment
        The winner has the highest cosine of all prompts and distractors; of equals, the first. With ``area > 0``
        prompts whose share of the pixels won by objects is at most `area` are taken out, and the rest compete again.

    References
    ----------
    SCLIP, released code: ``area_thd``.
    """
    strips = strips or partial(upsample, candidates, frame)
    result = yield from _assign_once(candidates, frame, deciding, frozenset(), strips)
    if deciding.area:
        won = result.winner if valid is None else result.winner[valid]
        small = _small(np.bincount(won.ravel(), minlength=candidates.objects + 1), deciding)
        if small:
            result = yield from _assign_once(candidates, frame, deciding, small, strips)
    return result


def overlap_steps(
    candidates: Candidates,
    frame: Frame,
    deciding: Deciding,
    thresholds: Sequence[float],
    valid: Mask | None,
    strips: Strips | None = None,
) -> Generator[None, None, npt.NDArray[np.uint8]]:
    """Overlapping masks, each prompt by its own threshold, computed in strips as in `assign_steps`; yields after each.

    Returns
    -------
    (P, H, ceil(W / 8)) uint8 array
        Masks as packed bits (`numpy.packbits` along the rows). A positive ``lead`` is asked for over the best
        distractor.
    """
    bits = np.zeros((candidates.objects, frame.image[0], -(-frame.image[1] // 8)), np.uint8)
    strips = strips or partial(upsample, candidates, frame)
    for strip in strips() if candidates.owner else ():
        yield
        if strip is None:
            continue
        rows, maps = strip
        shared = _shared(maps, candidates, deciding)
        rivals = [index for index, owner in enumerate(candidates.owner) if owner >= candidates.objects]
        for prompt, least in enumerate(thresholds):
            own = candidates.of(prompt, maps)
            if not len(own):
                continue
            keep = _score(own, shared, candidates, deciding) >= least
            if deciding.lead and rivals:
                keep &= _lead(own.amax(0) - maps[rivals].amax(0), candidates, deciding) >= deciding.lead
            mask = keep.cpu().numpy()
            bits[prompt, rows] = np.packbits(mask if valid is None else mask & valid[rows], axis=-1)
    return bits
