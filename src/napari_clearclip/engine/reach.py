"""Which blocks a moved threshold can change: how low and how high each prompt's scores are in each."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import TILE
from napari_clearclip.tally import Marks, grid

if TYPE_CHECKING:
    from napari_clearclip.engine.decide import Assignment

Extremes = npt.NDArray[np.float32]

SIDE = TILE // 2  # of a block: it takes more blocks than tiles to follow a line, but they have fewer pixels


@dataclass(frozen=True)
class Reach:
    """The lowest and the highest score of each prompt in each block, of the pixels that it can have.

    Attributes
    ----------
    low, high : (P, h, w) float32 array
        Infinite and negative infinite where it can have none.
    """

    low: Extremes
    high: Extremes

    @classmethod
    def empty(cls, prompts: int, shape: tuple[int, int]) -> Reach:
        """Nothing can be had on a plane of `shape` (H, W)."""
        size = prompts, *grid(shape, SIDE)
        return cls(np.full(size, np.inf, np.float32), np.full(size, -np.inf, np.float32))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.low.nbytes + self.high.nbytes

    def crossed(self, old: Sequence[float], new: Sequence[float]) -> Marks:
        """Where each prompt's pixels may be others once its threshold has moved, (P, h, w) bool.

        A pixel of score s changes if ``lower <= s < upper``, with the lower and the upper of the two thresholds.
        """
        before, after = (np.array(values, np.float32)[:, None, None] for values in (old, new))
        crossed = (self.low < np.maximum(before, after)) & (self.high >= np.minimum(before, after))
        return np.asarray(crossed & (before != after))


def reach_steps(assignment: Assignment, prompts: int) -> Generator[None, None, Reach]:
    """What the winners' scores reach; yields after each row of blocks."""
    height, width = assignment.winner.shape
    reach = Reach.empty(prompts, (height, width))
    for row, top in enumerate(range(0, height, SIDE)):
        for col, left in enumerate(range(0, width, SIDE)):
            part = slice(top, top + SIDE), slice(left, left + SIDE)
            winner, score = assignment.winner[part], assignment.score[part]
            for prompt in np.flatnonzero(np.bincount(winner.ravel())[1:]):
                won = score[winner == prompt + 1]
                reach.low[prompt, row, col], reach.high[prompt, row, col] = won.min(), won.max()
        yield
    return reach
