"""Arrays on disk of which only what is asked for is read, with their axes in any order."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

Index = int | slice | EllipsisType


class Lazy:
    """An array that is stored elsewhere.

    Parameters
    ----------
    stored : array-like
        Has `shape`, `dtype` and is read by ``stored[...]`` with integers and slices, as zarr's and dask's arrays.
    token : hashable
        Names its content.
    order : sequence of int, optional
        For each axis the one of `stored` that it is; by default the same. Axes of `stored` that are left out have the
        length 1.
    """

    def __init__(self, stored: Any, token: object, order: Sequence[int] | None = None) -> None:
        self._stored, self._token = stored, token
        self._order = tuple(range(len(stored.shape)) if order is None else order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(int(self._stored.shape[axis]) for axis in self._order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        dtype: np.dtype[Any] = np.dtype(self._stored.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._order)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=object))

    def transpose(self, order: Sequence[int]) -> Lazy:
        """The same with its axes in another order; nothing is read."""
        return Lazy(self._stored, self._token, [self._order[axis] for axis in order])

    def squeeze(self, axis: int) -> Lazy:
        """The same without an axis of length 1; nothing is read."""
        return self.transpose([place for place in range(self.ndim) if place != axis])

    def __getitem__(self, index: Index | tuple[Index, ...]) -> npt.NDArray[Any]:
        wanted = self._full(index)
        asked: list[Index] = [0] * len(self._stored.shape)
        for axis, part in zip(self._order, wanted, strict=True):
            asked[axis] = part
        found = np.asarray(self._stored[tuple(asked)])
        kept = [axis for axis, part in zip(self._order, wanted, strict=True) if isinstance(part, slice)]
        return found.transpose([sorted(kept).index(axis) for axis in kept])

    def _full(self, index: Index | tuple[Index, ...]) -> list[int | slice]:
        """An integer or a slice for each axis."""
        given = list(index) if isinstance(index, tuple) else [index]
        missing = [slice(None)] * (self.ndim - sum(part is not Ellipsis for part in given))
        at = given.index(Ellipsis) if Ellipsis in given else len(given)
        given[at : at + 1] = missing
        return [part if isinstance(part, slice) else int(part) for part in given if part is not Ellipsis]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (type(self).__name__, self._token, self._order)
