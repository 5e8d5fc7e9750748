"""What masks hold, counted tile by tile, so that a small change costs no more than the tiles that it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import TILE

Box = tuple[slice, slice]
Marks = npt.NDArray[np.bool_]  # one for each tile
Names = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

_FEW = 8  # values up to which it is faster to look for each than to count all
_serial = count(1)


def grid(shape: tuple[int, ...], side: int = 0) -> tuple[int, int]:
    """Rows and columns of the tiles that cover (H, W), or of blocks of another side."""
    side = side or TILE
    return -(-shape[0] // side), -(-shape[1] // side)


def boxes(tiles: Marks, shape: tuple[int, ...], side: int = 0) -> list[Box]:
    """The marked tiles of (H, W), or blocks of another side, as boxes, those beside each other as one."""
    side = side or TILE
    padded = np.pad(tiles, ((0, 0), (1, 1)))
    edges = np.argwhere(padded[:, 1:] != padded[:, :-1]).tolist()  # in pairs: where a run begins, and after its end
    return [
        (slice(row * side, min((row + 1) * side, shape[0])), slice(first * side, min(last * side, shape[1])))
        for (row, first), (_, last) in zip(edges[::2], edges[1::2], strict=True)
    ]


def holding(blocks: Marks) -> Marks:
    """The tiles in which any block, of half their side, is marked."""
    even = np.pad(blocks, [(0, size % 2) for size in blocks.shape])
    return np.asarray(even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2])


def whole(shape: tuple[int, ...]) -> list[Box]:
    """All of (H, W), in boxes of a tile's height."""
    return boxes(np.ones(grid(shape), bool), shape)


@dataclass(frozen=True, eq=False)
class Tally:
    """What is known of each tile of some masks: exclusive labels (H, W) or packed bits (P, H, ceil(W / 8)).

    Attributes
    ----------
    names : (h, w) uint64 array
        Two tallies with the same name for a tile are of the same masks there; never 0.
    counts : (P, h, w) int64 array
        How many of its pixels each prompt has.
    """

    names: Names
    counts: Counts

    @classmethod
    def of(cls, masks: npt.NDArray[np.uint8], shape: tuple[int, ...], prompts: int) -> Tally:
        """The tally of masks on a plane of `shape`, counted in full."""
        counts = np.zeros((prompts, *grid(shape)), np.int64)
        every = range(prompts)
        for row, col in np.ndindex(counts.shape[1:]):
            counts[:, row, col] = _counted(_tile(masks, row, col), every)
        size = counts.shape[1] * counts.shape[2]
        return cls(np.fromiter(islice(_serial, size), np.uint64, size).reshape(counts.shape[1:]), counts)

    def followed(self, old: npt.NDArray[np.uint8], new: npt.NDArray[np.uint8]) -> Tally:
        """The tally of masks that were made of `old`, which this is of; only tiles that differ are counted anew."""
        names, counts = self.names.copy(), self.counts.copy()
        every = range(len(counts))
        for row, col in np.ndindex(names.shape):
            part = _tile(new, row, col)
            if not np.array_equal(_tile(old, row, col), part):
                names[row, col] = next(_serial)
                counts[:, row, col] = _counted(part, every)
        return Tally(names, counts)

    def stepped(self, masks: npt.NDArray[np.uint8], tiles: Marks, prompts: Sequence[int]) -> Tally:
        """The tally of masks of which some prompts have only lost or only won pixels, in some tiles.

        Parameters
        ----------
        masks : uint8 array
            The masks after that.
        tiles : (h, w) bool array
            Where they may differ.
        prompts : sequence of int
            Which prompts' pixels may differ.
        """
        names, counts = self.names.copy(), self.counts.copy()
        for row, col in np.argwhere(tiles).tolist():
            found = np.asarray(_counted(_tile(masks, row, col), prompts))
            if (counts[prompts, row, col] != found).any():
                names[row, col] = next(_serial)
                counts[prompts, row, col] = found
        return Tally(names, counts)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.names.nbytes + self.counts.nbytes

    def totals(self) -> list[int]:
        """How many pixels each prompt has."""
        return [int(total) for total in self.counts.sum(axis=(1, 2))]


def _tile(masks: npt.NDArray[np.uint8], row: int, col: int) -> npt.NDArray[np.uint8]:
    """A tile of labels, or of packed masks."""
    rows, step = slice(row * TILE, (row + 1) * TILE), TILE if masks.ndim == 2 else TILE // 8
    part: npt.NDArray[np.uint8] = masks[..., rows, col * step : (col + 1) * step]
    return part


def _counted(tile: npt.NDArray[np.uint8], prompts: Sequence[int]) -> Sequence[int] | Counts:
    """How many pixels of a tile each of some prompts has."""
    if tile.ndim == 3:
        return [int(np.count_nonzero(np.unpackbits(tile[prompt]))) for prompt in prompts]
    if len(prompts) <= _FEW:
        return [int(np.count_nonzero(tile == prompt + 1)) for prompt in prompts]
    return np.bincount(tile.ravel(), minlength=256)[1:][prompts]
