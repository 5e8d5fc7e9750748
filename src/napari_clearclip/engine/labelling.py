"""Who wins each pixel to labels, by thresholds; and what band expressions take of them.

A band expression (index) is no opinion but a measurement, and its scores are shares of its own range, which are neither
those of a phrase nor those of another index. What prompts have in common is that their threshold is where a pixel just
belongs to them, and that no score is above 1. So they compete by how much doubt their score leaves: 1 at the own
threshold, 0 at a score of 1, ``(1 - score) / (1 - threshold)`` between. Where masks exclude each other, the phrases
settle among themselves first, as if they were alone. An index then takes each pixel where its score reaches its own
threshold and leaves less doubt than that of the prompt that holds the pixel; a pixel that no prompt holds, since none
reached its threshold or a distractor won, it takes in any case. Of several indices the least doubt wins, of equals the
first. So an index never changes which phrase is preferred to which, and distractors, a lead and a least area concern
phrases only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.engine.bands import level_of, scores_of

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.engine.bands import Levels
    from napari_clearclip.engine.decide import Assignment

_CACHED = 2**17  # pixels of which labels, scores and margins stay in a processor's cache


def threshold(
    assignment: Assignment, thresholds: Sequence[float], lead: float, valid: Mask | None
) -> npt.NDArray[np.uint8]:
    """Exclusive labels.

    Parameters
    ----------
    assignment : Assignment
        Who wins.
    thresholds : sequence of P float
        A winner below its own threshold leaves the pixel empty; the runner-up does not get it.
    lead : float
        Smallest margin.
    valid : (H, W) bool array or None
        Pixels without data stay empty.

    Returns
    -------
    (H, W) uint8 array
        0 = nothing, i + 1 = object prompt i.
    """
    table = np.array([np.inf, *thresholds], np.float32)
    labels = assignment.winner.copy()
    for rows in _strips(labels.shape):
        keep = assignment.score[rows] >= table.take(assignment.winner[rows])
        if lead > 0:
            keep &= assignment.margin[rows] >= np.float32(lead)
        if valid is not None:
            keep &= valid[rows]
        labels[rows] *= keep
    return labels


def move_threshold(
    labels: npt.NDArray[np.uint8],
    assignment: Assignment,
    prompt: int,
    before: float,
    least: float,
    lead: float,
    valid: Mask | None,
    box: tuple[slice, slice],
) -> None:
    """Make exclusive labels right for another threshold of one prompt, in a box and in place.

    Parameters
    ----------
    labels : (H, W) uint8 array
        As from `threshold`.
    assignment, lead, valid
        As for `threshold`.
    prompt : int
        The prompt.
    before, least : float
        The threshold that the labels have, and that they are to have.
    box : tuple of 2 slice
        Rows and columns.
    """
    value, target, known = np.uint8(prompt + 1), labels[box], None if valid is None else valid[box]
    winner, score, margin = assignment.winner[box], assignment.score[box], assignment.margin[box]
    for rows in _strips(winner.shape):
        if least >= before:  # a raised threshold only takes away
            keep = score[rows] >= np.float32(least)
            keep |= target[rows] != value
            target[rows] *= keep
            continue
        keep = winner[rows] == value
        keep &= score[rows] >= np.float32(least)
        if lead > 0:
            keep &= margin[rows] >= np.float32(lead)
        if known is not None:
            keep &= known[rows]
        keep ^= target[rows] == value  # what is won or lost, which turns 0 into the prompt's value or back
        target[rows] ^= np.multiply(keep, value, dtype=np.uint8)


def hold(
    labels: npt.NDArray[np.uint8],
    score: npt.NDArray[np.float32] | None,
    places: Sequence[int],
    thresholds: Sequence[float],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """What the phrases hold before indices take their part.

    Parameters
    ----------
    labels : (H, W) uint8 array
        As from `threshold`, counting phrases only.
    score : (H, W) float32 array or None
        The winners' scores; None where there is no phrase.
    places : sequence of int
        The place of each phrase among all object prompts.
    thresholds : sequence of float
        The threshold of each phrase.

    Returns
    -------
    (H, W) uint8 array
        Labels that count all object prompts.
    (H, W) float32 array
        The doubt that is left about the prompt that holds the pixel, in [0, 1]; infinite where none does.
    """
    table = np.array([0, *(place + 1 for place in places)], np.uint8)
    limits = np.array([0, *thresholds], np.float32)
    doubt = np.full(labels.shape, np.inf, np.float32)
    if score is not None:
        for rows in _strips(labels.shape):
            left = _doubt(score[rows], limits.take(labels[rows]))
            np.copyto(doubt[rows], left, where=labels[rows] > 0)
    return table.take(labels), doubt


def take(
    labels: npt.NDArray[np.uint8],
    doubt: npt.NDArray[np.float32],
    levels: Levels,
    place: int,
    least: float,
    valid: Mask | None,
) -> None:
    """Give an index the pixels that it wins, in place.

    Parameters
    ----------
    labels, doubt : (H, W) arrays
        As from `hold`, or after other indices.
    levels : (H, W) uint16 array
        Its scores, as from `napari_clearclip.engine.bands.measure_steps`.
    place : int
        Its place among all object prompts.
    least : float
        Its threshold.
    valid : (H, W) bool array or None
        Pixels without data stay as they are.
    """
    for rows in _strips(labels.shape):
        left = _doubt(scores_of(levels[rows]), np.float32(least))
        wins = (levels[rows] >= level_of(least)) & (left < doubt[rows])
        if valid is not None:
            wins &= valid[rows]
        labels[rows][wins] = place + 1
        np.copyto(doubt[rows], left, where=wins)


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an image (H, W), so many at a time that they stay in a processor's cache."""
    step = max(_CACHED // shape[1], 1)
    return (slice(top, top + step) for top in range(0, shape[0], step))


def _doubt(score: npt.NDArray[np.float32], least: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    """The doubt that scores leave, (1 - score) / (1 - least): it never rises with the score or falls with `least`."""
    room = np.maximum(1 - least, np.finfo(np.float32).tiny)
    return np.asarray((1 - score) / room, np.float32)


def pack(levels: Levels, least: float, valid: Mask | None) -> npt.NDArray[np.uint8]:
    """The pixels (H, ceil(W / 8)) where an index reaches its threshold, as packed bits; what others do is no matter."""
    mask = levels >= level_of(least)
    return np.packbits(mask if valid is None else mask & valid, axis=-1)
