"""Maps of a frame's windows to maps on its cells: sampled bilinearly at the cells' centres, and averaged.

With a cell of one pixel that is the published order: upsample each window, then average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_clearclip.engine.windows import Box, Frame

FloatArray = npt.NDArray[np.float32]


class Stitching:
    """Collects the maps of windows, which may come in any order.

    Parameters
    ----------
    frame : Frame
        Coordinates.

    Notes
    -----
    Windows are added in their own order, so that the sums are the same to the last bit; what comes early waits. If they
    come in order, nothing waits, and memory does not grow with the number of windows.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._next = 0
        self._waiting: dict[int, Mapping[str, torch.Tensor]] = {}
        self._totals: dict[str, torch.Tensor] = {}
        self._count = torch.zeros(frame.cells)

    def add(self, number: int, maps: Mapping[str, torch.Tensor]) -> None:
        """Add the maps (gh, gw) of a window by its number; each window has the same ones."""
        self._waiting[number] = maps
        while self._next in self._waiting:
            self._put(self._totals, self._count, self._next, self._waiting.pop(self._next))
            self._next += 1

    def _put(
        self, totals: dict[str, torch.Tensor], count: torch.Tensor, number: int, maps: Mapping[str, torch.Tensor]
    ) -> None:
        box = self._frame.box(number)
        rows, cols = (torch.from_numpy(weights) for weights in self._frame.sampling(box))
        inside = self._frame.cells_in(box)
        for name, map_ in maps.items():
            if name not in totals:
                totals[name] = torch.zeros(self._frame.cells)
            totals[name][inside] += rows @ map_.cpu() @ cols.T  # (n, m)
        count[inside] += 1

    def maps(self) -> dict[str, torch.Tensor]:
        """The means over the windows that were added: (h, w) float32 tensors, NaN where no window was."""
        totals, count = self._totals, self._count
        if self._waiting:
            totals, count = {name: total.clone() for name, total in totals.items()}, count.clone()
            for number in sorted(self._waiting):
                self._put(totals, count, number, self._waiting[number])
        return {name: total / count for name, total in totals.items()}


def stitch(frame: Frame, parts: Mapping[int, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Maps on a frame's cells from those of its windows, by their numbers; see `Stitching`."""
    stitching = Stitching(frame)
    for number, maps in parts.items():
        stitching.add(number, maps)
    return stitching.maps()


class RowStitching:
    """Stitches vectors of windows, and gives out rows of cells as soon as no window is left that has a part in them.

    Parameters
    ----------
    frame : Frame
        Coordinates.
    width : int
        D, the length of a vector.
    first : int
        The first row of cells that is wanted; only windows with a part in it or in later ones are to be added.

    Notes
    -----
    Cosines are linear in unit vectors, and so are sampling and averaging: the mean vector of a cell times a phrase's
    vector is the mean of the cosines. So a phrase that comes later needs the mean vectors and no windows: with a stride
    of half a window they are a quarter of what the windows have.
    """

    def __init__(self, frame: Frame, width: int, first: int = 0) -> None:
        self._frame, self._width, self._top = frame, width, first
        self._total = torch.zeros(0, frame.cells[1], width)
        self._count = torch.zeros(0, frame.cells[1], 1)

    def add(self, box: Box, vectors: torch.Tensor) -> None:
        """Add the vectors (gh, gw, D) of a window."""
        inside = self._frame.cells_in(box)
        down, across = (torch.from_numpy(weights) for weights in self._frame.sampling(box))
        down = down[max(self._top - inside[0].start, 0) :]
        rows = slice(max(inside[0].start - self._top, 0), inside[0].stop - self._top)
        missing = rows.stop - len(self._total)
        if missing > 0:
            self._total = torch.cat([self._total, torch.zeros(missing, *self._total.shape[1:])])
            self._count = torch.cat([self._count, torch.zeros(missing, *self._count.shape[1:])])
        sampled = torch.einsum("ia,abd->ibd", down, vectors.float().cpu())  # (n, gw, D)
        self._total[rows, inside[1]] += torch.einsum("jb,ibd->ijd", across, sampled)  # (n, m, D)
        self._count[rows, inside[1]] += 1

    def finished(self, last: Box) -> FloatArray:
        """The rows of cells (n, w, D) float32 in which no row of windows after that of `last` has a part."""
        rows = self._frame.resized[0]
        after = min(last[0] + self._frame.stride, max(rows - self._frame.window, 0))
        is_last = last[2] >= rows
        stop = self._frame.cells[0] if is_last else self._frame.cells_in((after, 0, rows, 1))[0].start
        stop = max(stop, self._top)
        count = stop - self._top
        found = self._total[:count] / self._count[:count]
        self._total, self._count, self._top = self._total[count:].clone(), self._count[count:].clone(), stop
        return found.numpy()


class RowComparing:
    """Cosines of phrases, from rows of cells as they come.

    Parameters
    ----------
    rows : range
        The rows of cells that are wanted.
    width : int
        Cells beside each other.
    vectors : mapping of str to (D,) float32 array
        Each phrase's unit vector.
    """

    def __init__(self, rows: range, width: int, vectors: Mapping[str, FloatArray]) -> None:
        self._top = rows.start
        self._units = {phrase: torch.from_numpy(vector) for phrase, vector in vectors.items()}
        self.maps = {phrase: torch.full((len(rows), width), torch.nan) for phrase in vectors}

    def add(self, at: int, rows: npt.NDArray[np.floating[Any]]) -> None:
        """Compare rows (n, w, D), of which the first is the row `at`."""
        for place, row in enumerate(torch.from_numpy(rows)):  # so that bits are the same however many come together
            vectors = row.float()  # (w, D), which stays near the processor
            for phrase, unit in self._units.items():
                self.maps[phrase][at - self._top + place] = vectors @ unit  # (w,)


def join_blocks(blocks: Sequence[Mapping[str, FloatArray]]) -> dict[str, torch.Tensor]:
    """Each phrase's map on the cells (h, w) float32 from those of blocks of rows, one below the other."""
    return {phrase: torch.from_numpy(np.concatenate([block[phrase] for block in blocks])) for phrase in blocks[0]}
