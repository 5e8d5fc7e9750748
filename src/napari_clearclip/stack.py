"""Bands of one plane that lie in several arrays, read only where and when they are asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import key_of


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
