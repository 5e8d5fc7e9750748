"""A lazy array gives what numpy gives, and reads no more than it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from dask.base import tokenize

from napari_clearclip.io.lazy import Lazy


class Counting:
    """An array that says how much was read."""

    def __init__(self, data):
        self.data, self.shape, self.dtype, self.read = data, data.shape, data.dtype, 0

    def __getitem__(self, index):
        found = self.data[index]
        self.read += found.size
        return found


DATA = np.arange(2 * 1 * 4 * 5 * 3).reshape(2, 1, 4, 5, 3)
INDICES = {
    "all": np.s_[...],
    "one axis": np.s_[1],
    "integers and slices": np.s_[1, 1:3, ::2],
    "behind an ellipsis": np.s_[..., ::2, 1:],
    "in the middle": np.s_[0, ..., 1],
    "everything by integers": np.s_[1, 0, 1, 1],
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 1, 2), (1, 3, 2, 0)], ids=str)
def test_a_part_is_that_of_numpy(index, order):
    lazy = Lazy(DATA, "token").squeeze(1).transpose(order)
    wanted = DATA.squeeze(1).transpose(order)
    assert (lazy.shape, lazy.ndim, lazy.size, lazy.dtype) == (wanted.shape, 4, wanted.size, wanted.dtype)
    np.testing.assert_array_equal(lazy[index], wanted[index])
    np.testing.assert_array_equal(np.asarray(lazy), wanted)


def test_nothing_else_is_read():
    stored = Counting(DATA)
    lazy = Lazy(stored, "token").squeeze(1).transpose((3, 0, 1, 2))
    assert stored.read == 0
    assert lazy[0, 1, 1:3, 2:4].shape == (2, 2)
    assert stored.read == 4


def test_its_token_names_it():
    one, other = Lazy(DATA, "one"), Lazy(DATA, "other")
    assert tokenize(one) == tokenize(Lazy(DATA, "one")) != tokenize(other)
    assert tokenize(one) != tokenize(one.transpose((1, 0, 2, 3, 4)))
