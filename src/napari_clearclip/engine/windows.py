"""All coordinates of a run (`Frame`), and how windows are cut from an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.engine.view import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from napari_clearclip.edits import View

Box = tuple[int, int, int, int]
Region = tuple[float, float, float, float]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# The papers' Resize(scale=(2048, 448)): the long side is at most this many short sides, or narrow strips explode.
LONGEST_OVER_SHORT = 2048 / 448


def resized_shape(shape: tuple[int, int], short_side: int | str) -> tuple[int, int]:
    """The size (h, w) at which an image of `shape` (H, W) is read.

    The aspect ratio is kept; the short side becomes `short_side` unless the long one would exceed 2048/448 times that.
    ``native`` keeps the size. Sides are rounded half up and at least 1, as in mmcv's rescaling.
    """
    if isinstance(short_side, str):
        return shape
    factor = min(short_side * LONGEST_OVER_SHORT / max(shape), short_side / min(shape))
    return max(int(shape[0] * factor + 0.5), 1), max(int(shape[1] * factor + 0.5), 1)


def _along(length: int, window: int, stride: int) -> int:
    """How many windows there are along one side."""
    return max(length - window + stride - 1, 0) // stride + 1


def _starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side; the last window is pushed back inside."""
    return [max(min(i * stride + window, length) - window, 0) for i in range(_along(length, window, stride))]


@dataclass(frozen=True)
class Frame:
    """The one place for coordinates between image, resized image, windows, patches and cells; order is (row, col).

    Attributes
    ----------
    image : tuple of 2 int
        Shape (H, W) of the image in pixels.
    resized : tuple of 2 int
        Shape (h, w) at which the model reads it.
    window, stride : int
        Side of a window and step between windows, in resized pixels.
    patch : int
        Side of a patch in resized pixels.
    cell : int
        Asked-for side of an output cell in resized pixels; `cells` of them cover the resized image exactly.
    """

    image: tuple[int, int]
    resized: tuple[int, int]
    window: int
    stride: int
    patch: int
    cell: int

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Windows as (y0, x0, y1, x1) in resized pixels, row by row; all of one size, together covering everything."""
        height, width = self.resized
        rows, cols = (_starts(length, self.window, self.stride) for length in self.resized)
        return tuple((y, x, min(y + self.window, height), min(x + self.window, width)) for y in rows for x in cols)

    def box(self, number: int) -> Box:
        """One of the `boxes`, without making the others."""
        place = divmod(number, self.across)
        (y0, y1), (x0, x1) = (
            (max(min(at * self.stride, length - self.window), 0), min(at * self.stride + self.window, length))
            for at, length in zip(place, self.resized, strict=True)
        )
        return y0, x0, y1, x1

    @property
    def across(self) -> int:
        """How many windows lie beside each other in a row."""
        return _along(self.resized[1], self.window, self.stride)

    @property
    def count(self) -> int:
        """The number of `boxes`, without making them."""
        return _along(self.resized[0], self.window, self.stride) * self.across

    def to_resized(self, region: Region) -> Region:
        """A region (y0, x0, y1, x1) of the image, in resized pixels."""
        down, across = (self.resized[axis] / self.image[axis] for axis in (0, 1))
        return region[0] * down, region[1] * across, region[2] * down, region[3] * across

    def windows_at(self, point: tuple[float, float]) -> list[int]:
        """The numbers of the windows that hold a point of the image, that in whose middle it lies most first.

        Parameters
        ----------
        point : tuple of 2 float
            Row and column; pixel centres have whole numbers.

        Raises
        ------
        ValueError
            If the point lies outside the image.
        """
        if not all(-0.5 <= at < side - 0.5 for at, side in zip(point, self.image, strict=True)):
            raise ValueError(f"the point {point} lies outside the image of {self.image} pixels; choose one inside")
        lines = []
        for axis, at in enumerate(self._resized_at(point)):
            starts = _starts(self.resized[axis], self.window, self.stride)
            reach = self.window_shape[axis]
            held = [
                (place, abs(start + reach / 2 - at)) for place, start in enumerate(starts) if 0 <= at - start < reach
            ]
            lines.append(held)
        found = [(down + across, row * self.across + col) for row, down in lines[0] for col, across in lines[1]]
        return [number for _, number in sorted(found)]

    def _resized_at(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point of the image in resized pixels, whose edges have whole numbers."""
        row, col = ((at + 0.5) * self.resized[axis] / self.image[axis] for axis, at in enumerate(point))
        return row, col

    def patch_at(self, number: int, point: tuple[float, float]) -> tuple[int, int]:
        """Row and column of the patch of a window that holds a point of the image."""
        places = zip(self._resized_at(point), self.box(number)[:2], self.padding, self.grid, strict=True)
        row, col = (min(int((at - start + pad) / self.patch), size - 1) for at, start, pad, size in places)
        return row, col

    def patches_of(self, number: int) -> Region:
        """Where a window's grid of patches lies, padding included: (y0, x0, y1, x1) in pixels of the image."""
        edges = [
            (start - pad + side * size * self.patch) * self.image[axis] / self.resized[axis]
            for side in (0, 1)
            for axis, (start, pad, size) in enumerate(zip(self.box(number)[:2], self.padding, self.grid, strict=True))
        ]
        return edges[0], edges[1], edges[2], edges[3]

    @property
    def window_shape(self) -> tuple[int, int]:
        """Shape of every window: the window's side, or less where the image is smaller."""
        return min(self.window, self.resized[0]), min(self.window, self.resized[1])

    @property
    def grid(self) -> tuple[int, int]:
        """Patches along a window, once it is padded to whole patches."""
        return -(-self.window_shape[0] // self.patch), -(-self.window_shape[1] // self.patch)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of padding before a window; an odd rest goes behind it."""
        return (
            (self.grid[0] * self.patch - self.window_shape[0]) // 2,
            (self.grid[1] * self.patch - self.window_shape[1]) // 2,
        )

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of output cells."""
        return -(-self.resized[0] // self.cell), -(-self.resized[1] // self.cell)

    @property
    def cell_size(self) -> tuple[float, float]:
        """Height and width of a cell in image pixels."""
        return self.image[0] / self.cells[0], self.image[1] / self.cells[1]

    def cells_in(self, box: Box) -> tuple[slice, slice]:
        """The cells whose centres lie in a window."""
        return (
            self._cells_between(box[0], box[2], 0),
            self._cells_between(box[1], box[3], 1),
        )

    def _cells_between(self, start: int, stop: int, axis: int) -> slice:
        """The cells along an axis whose centres lie in [start, stop), in resized pixels."""
        count, length = self.cells[axis], self.resized[axis]
        first, last = (math.ceil(edge * count / length - 0.5) for edge in (start, stop))
        return slice(max(first, 0), min(last, count))

    def sampling(self, box: Box) -> tuple[FloatArray, FloatArray]:
        """Bilinear weights from a window's patches to the cells in it.

        Returns
        -------
        (n, gh) and (m, gw) float32 arrays, not to be written to
            Rows sum to 1; ``rows @ map @ cols.T`` samples a (gh, gw) map at the centres of `cells_in` (n by m cells).
        """
        weights = []
        for axis in (0, 1):
            inside = self._cells_between(box[axis], box[axis + 2], axis)
            side, cells = self.resized[axis], self.cells[axis]
            start = box[axis] - self.padding[axis]
            weights.append(_from_patches(inside.start, inside.stop, side, cells, start, self.patch, self.grid[axis]))
        return weights[0], weights[1]

    def rows_of(self, rows: slice) -> tuple[IntArray, IntArray, FloatArray]:
        """Where the image's rows read the cells' rows: see `taps`."""
        return taps((np.arange(rows.start, rows.stop) + 0.5) / self.cell_size[0] - 0.5, self.cells[0])

    def cols_of(self, cols: slice) -> tuple[IntArray, IntArray, FloatArray]:
        """Where the image's columns read the cells' columns: see `taps`."""
        return taps((np.arange(cols.start, cols.stop) + 0.5) / self.cell_size[1] - 0.5, self.cells[1])

    def sample(self, maps: torch.Tensor, rows: slice, cols: slice) -> torch.Tensor:
        """Maps on the cells (C, h, w) at the pixels of a part of the image, bilinearly: (C, n, m)."""
        import torch

        upper, lower, down = (torch.from_numpy(part).to(maps.device) for part in self.rows_of(rows))
        left, right, across = (torch.from_numpy(part).to(maps.device) for part in self.cols_of(cols))
        maps = torch.lerp(maps[:, upper], maps[:, lower], down[:, None])  # (C, n, w)
        return torch.lerp(maps[..., left], maps[..., right], across)  # (C, n, m)


def taps(places: npt.NDArray[np.float64], count: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The two samples between which fractional places lie, and the weight of the second.

    Parameters
    ----------
    places : (n,) float64 array
        Places among `count` samples at 0, 1, ...; beyond the outermost their values stay constant.

    Returns
    -------
    (n,) int64, (n,) int64, (n,) float32 array
        Left and right sample, and the right one's weight.
    """
    places = np.clip(places, 0, count - 1)
    left = np.minimum(places.astype(np.int64), max(count - 2, 0))
    return left, np.minimum(left + 1, count - 1), (places - left).astype(np.float32)


@lru_cache(maxsize=256)  # every row and every column of windows, and every image of a size, asks for the same
def _from_patches(first: int, stop: int, side: int, cells: int, start: int, patch: int, count: int) -> FloatArray:
    """Weights from `count` patches that begin at the pixel `start` to some of the cells of a side."""
    centres = (np.arange(first, stop) + 0.5) * side / cells
    return bilinear((centres - start) / patch - 0.5, count)


def bilinear(places: npt.NDArray[np.float64], count: int) -> FloatArray:
    """The weights of `taps` as a (len(places), count) matrix whose rows sum to 1."""
    left, right, weight = taps(places, count)
    weights = np.zeros((len(places), count), np.float32)
    rows = np.arange(len(places))
    weights[rows, left] = 1 - weight
    weights[rows, right] += weight
    return weights


def resampling(length: int, new: int, start: int, stop: int, antialias: bool = True) -> tuple[slice, FloatArray]:
    """Bilinear weights for some pixels of a side that is resized.

    Parameters
    ----------
    length, new : int
        Pixels of the whole side before and after.
    start, stop : int
        Pixels after resizing that are wanted.
    antialias : bool
        Whether all pixels count that become one; else the two nearest, as in OpenCV.

    Returns
    -------
    slice, (stop - start, n) float32 array
        The n source pixels that are needed, and their weights; rows sum to 1.

    Notes
    -----
    A triangle as wide as the larger of a source and a new pixel, as in Pillow and torch's ``antialias=True``. Weights
    depend on the whole side only, so a window is the same whether it is resized alone or with the whole image.
    """
    scale = length / new
    reach = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(start, stop) + 0.5) * scale
    first = max(int(np.floor(centres[0] - reach)), 0)
    last = min(int(np.ceil(centres[-1] + reach)), length)
    near = np.floor(centres - reach).astype(int)[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)  # all that count
    share = np.maximum(1 - np.abs(near + 0.5 - centres[:, None]) / reach, 0)
    share[(near < first) | (near >= last)] = 0
    weights = np.zeros((stop - start, last - first), np.float32)
    row, tap = np.nonzero(share)
    weights[row, near[row, tap] - first] = (share / share.sum(axis=1, keepdims=True))[row, tap]
    return slice(first, last), weights


def cut(image: Any, view: View, frame: Frame, boxes: Sequence[Box], antialias: bool = True) -> torch.Tensor:
    """Windows of an image at the size that the model reads.

    Parameters
    ----------
    image : array-like
        The stored image; only the pixels that the windows need are read.
    view : View
        A view that `napari_clearclip.engine.view.resolve_view` has filled in.
    frame : Frame
        Coordinates.
    boxes : sequence of B boxes
        Windows of the frame.
    antialias : bool
        See `resampling`.

    Returns
    -------
    (B, h, w, 3) float32 tensor
        Values in [0, 1].
    """
    import torch

    windows = []
    for box in boxes:
        (rows, down), (cols, across) = (
            resampling(frame.image[axis], frame.resized[axis], box[axis], box[axis + 2], antialias) for axis in (0, 1)
        )
        shown = torch.from_numpy(render(image, view, rows, cols)[0])  # (r, c, 3)
        narrowed = torch.from_numpy(down) @ shown.flatten(1)  # (h, c * 3)
        windows.append(torch.einsum("hcd,wc->hwd", narrowed.reshape(len(narrowed), -1, 3), torch.from_numpy(across)))
    return torch.stack(windows)


def resize(map_: torch.Tensor, cells: tuple[int, int]) -> torch.Tensor:
    """A map (h, w) of the whole image on other cells, bilinearly."""
    from torch.nn.functional import interpolate

    return interpolate(map_[None, None], size=cells, mode="bilinear", align_corners=False)[0, 0]
