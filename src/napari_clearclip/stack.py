"""Images that are read only where and when they are asked for: bands in several arrays, and rows that are held."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import key_of

_SLAB_BYTES = 2**24  # of a channel that are held


@dataclass(frozen=True, eq=False)
class Band:
    """One band of a plane: ``data[(*before, rows, columns, *after)]`` of an array, which may be lazy.

    What is `nodata` there is read as not a number.
    """

    name: str
    data: Any
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    nodata: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.data.shape[len(self.before) : len(self.before) + 2]
        return int(height), int(width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is read."""
        return np.dtype(self.data.dtype if self.nodata is None else np.float32)

    def read(self, rows: slice, cols: slice) -> npt.NDArray[np.generic]:
        """A part of it."""
        stored = np.asarray(self.data[(*self.before, rows, cols, *self.after)])
        if self.nodata is None:
            return stored
        return np.where(stored == self.nodata, np.float32(np.nan), stored.astype(np.float32))

    @cached_property
    def key(self) -> str:
        """Names its content."""
        if isinstance(self.data, np.ndarray):
            return key_of(self.read(slice(None), slice(None)))
        from dask.base import tokenize

        return key_of(tokenize(self.data), self.before, self.after, self.nodata)


class Stack:
    """Bands of one size as an array (C, H, W) of which only what is asked for is read.

    Parameters
    ----------
    bands : collection of Band
        At least one.

    Raises
    ------
    ValueError
        If they are not of one size.
    """

    def __init__(self, bands: Collection[Band]) -> None:
        self.bands = tuple(bands)
        sizes = {band.shape for band in self.bands}
        if len(sizes) != 1:
            raise ValueError(f"bands of the sizes {sorted(sizes)} are not of one image; give bands of one size")
        self.shape = (len(self.bands), *sizes.pop())
        self.dtype = np.result_type(*(band.dtype for band in self.bands))

    @property
    def names(self) -> tuple[str, ...]:
        """What the bands are called, in order."""
        return tuple(band.name for band in self.bands)

    def key(self, channels: Collection[int]) -> str:
        """Names the content of some bands."""
        return key_of(*(self.bands[channel].key for channel in channels))

    def __getitem__(self, index: tuple[int, slice, slice]) -> npt.NDArray[np.generic]:
        channel, rows, cols = index
        return self.bands[channel].read(rows, cols)


class Slab:
    """An image of which the rows that were read last are held as they are stored.

    Windows beside and below each other need parts of the same chunks of a file, which are decoded once this way.
    """

    def __init__(self, image: Any) -> None:
        self._image = image
        self.shape, self.dtype = image.shape, image.dtype
        self._held: dict[tuple[int, ...], tuple[int, npt.NDArray[Any]]] = {}

    def __getitem__(self, index: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        rows, cols = (part for part in index if isinstance(part, slice))
        which = tuple(part for part in index if isinstance(part, int))
        axis = next(axis for axis, part in enumerate(index) if isinstance(part, slice))
        first, held = self._held.get(which, (0, np.zeros((0, 0), self.dtype)))
        if not first <= rows.start <= rows.stop <= first + len(held):
            step = max(_SLAB_BYTES // (self.shape[axis + 1] * self.dtype.itemsize), rows.stop - rows.start)
            more = slice(rows.start, min(rows.start + step, self.shape[axis]))
            wanted = list(index)
            across = next(place for place in range(axis + 1, len(index)) if isinstance(index[place], slice))
            wanted[axis], wanted[across] = more, slice(None)
            first, held = self._held[which] = rows.start, np.asarray(self._image[tuple(wanted)])
        return held[rows.start - first : rows.stop - first, cols]
