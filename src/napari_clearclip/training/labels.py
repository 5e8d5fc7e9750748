"""Pseudo-labels mended by the teacher's own vectors: what they leave empty, and what they call background too easily.

Both read the cosines between phrases and the vectors of a lesson, bilinearly at its pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from napari_clearclip.engine.decide import strip_rows
from napari_clearclip.engine.windows import Frame
from napari_clearclip.training.lessons import IGNORE, Lesson

Vectors = npt.NDArray[np.float32]

_LEVELS = 2**16  # of cosines between -1 and 1, which are counted and not kept


def filled(
    lesson: Lesson, texts: Vectors, asked: Sequence[int], objects: int, scale: float, confidence: float
) -> Lesson:
    """A lesson whose empty pixels have the best phrase by its vectors, where that is an object's and probable enough.

    Parameters
    ----------
    lesson : Lesson
        With vectors.
    texts : (Q, D) float32 array
        The phrases' unit vectors.
    asked : sequence of int
        The phrases that may be in the image.
    objects : int
        The phrases before this one are those of objects.
    scale : float
        Factor on the cosines before the softmax over what is asked.
    confidence : float
        The least probability.
    """
    numbers = np.array(asked)
    pseudo = lesson.pseudo.copy()
    for rows, cosines in _cosines(lesson, texts[numbers]):
        probability, place = torch.softmax(scale * cosines, dim=0).max(dim=0)
        best = numbers[place.numpy()]
        taken = (pseudo[rows] == IGNORE) & (probability >= confidence).numpy() & (best < objects)
        pseudo[rows][taken] = best[taken]
    return replace(lesson, pseudo=pseudo)


class Likeness:
    """How like some phrases the pixels are that have their labels, counted over lessons.

    Parameters
    ----------
    texts : (Q, D) float32 array
        The unit vectors of all phrases.
    phrases : sequence of int
        Those that are looked at.
    """

    def __init__(self, texts: Vectors, phrases: Sequence[int]) -> None:
        self._texts, self._phrases = texts[list(phrases)], tuple(phrases)
        self._counts = np.zeros((len(phrases), _LEVELS), np.int64)

    def count(self, lesson: Lesson) -> None:
        """Count the labels of a lesson."""
        for _, place, labelled, levels in self._levels(lesson):
            self._counts[place] += np.bincount(levels[labelled], minlength=_LEVELS)

    def without_least(self, lesson: Lesson, share: float) -> Lesson:
        """A lesson that has left out the least like of each phrase's labels, at most this share of all counted ones."""
        pseudo = lesson.pseudo.copy()
        limits = [np.searchsorted(count.cumsum(), share * count.sum(), side="right") for count in self._counts]
        for rows, place, labelled, levels in self._levels(lesson):
            pseudo[rows][labelled & (levels < limits[place])] = IGNORE
        return replace(lesson, pseudo=pseudo)

    def _levels(self, lesson: Lesson) -> Iterator[tuple[slice, int, npt.NDArray[np.bool_], npt.NDArray[np.int64]]]:
        """Some rows, the place of a phrase, where it has the label and the levels of its cosines there (n, W)."""
        for rows, cosines in _cosines(lesson, self._texts):
            levels = ((cosines + 1) * (_LEVELS / 2)).long().clamp_(0, _LEVELS - 1).numpy()
            for place, phrase in enumerate(self._phrases):
                yield rows, place, lesson.pseudo[rows] == phrase, levels[place]


def _cosines(lesson: Lesson, texts: Vectors) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows of an image, and the cosines (Q, n, W) of some phrases (Q, D) at their pixels."""
    if lesson.vectors is None:
        raise ValueError("the lesson has no vectors to compare with; give the teacher's")
    cells = torch.einsum("hwd,qd->qhw", lesson.vectors.float(), torch.from_numpy(texts))
    shape: tuple[int, int] = lesson.pseudo.shape
    frame = Frame(shape, (cells.shape[1], cells.shape[2]), window=1, stride=1, patch=1, cell=1)
    for rows in strip_rows(len(texts), shape):
        yield rows, frame.sample(cells, rows, slice(0, shape[1]))
