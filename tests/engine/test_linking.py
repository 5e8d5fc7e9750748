"""Objects of planes to objects of a stack."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from napari_clearclip.engine.linking import link


def plane(**places: tuple[int, int]) -> np.ndarray:
    """One row of 30 pixels; an object from column a to b has the id a + 1, as if its peak were its first pixel."""
    found = np.zeros((1, 30), np.int32)
    for start, stop in places.values():
        found[0, start:stop] = start + 1
    return found


def chains(linked: np.ndarray) -> list[list[tuple[int, int, int]]]:
    """Of each object, its outlines: plane, first and last column."""
    found = []
    for id_ in np.unique(linked[linked > 0]):
        outlines = []
        for at, row in enumerate(linked[:, 0]):
            cols = np.flatnonzero(row == id_)
            if len(cols):
                outlines.append((at, int(cols[0]), int(cols[-1])))
        found.append(outlines)
    return sorted(found)


def test_what_overlaps_is_one_and_has_the_id_of_its_highest_peak() -> None:
    planes = [plane(a=(2, 10), b=(20, 25)), plane(a=(3, 11)), plane(a=(4, 12), b=(20, 25))]
    peaks = [{3: 0.5, 21: 0.5}, {4: 0.9}, {5: 0.7, 21: 0.5}]
    linked = link(planes, peaks)
    assert linked.dtype == np.int32
    assert linked.shape == (3, 1, 30)
    assert chains(linked) == [[(0, 2, 9), (1, 3, 10), (2, 4, 11)], [(0, 20, 24)], [(2, 20, 24)]]
    assert np.unique(linked[linked > 0]).tolist() == [21, 30 + 4, 60 + 21]
    assert set(np.unique(link(planes)).tolist()) == {0, 3, 21, 60 + 21}  # of equal peaks the first


def test_a_missing_plane_is_bridged_within_reach() -> None:
    planes = [plane(a=(2, 10)), plane(), plane(a=(3, 11))]
    assert len(chains(link(planes, spacing=0.5))) == 2
    assert len(chains(link(planes, spacing=0.5, reach=0.9))) == 2
    assert chains(link(planes, spacing=0.5, reach=1.0)) == [[(0, 2, 9), (2, 3, 10)]]
    assert len(chains(link([planes[0], planes[2]], spacing=0.5, reach=0.4))) == 2  # nothing is near enough


@pytest.mark.parametrize(("overlap", "count"), [(6 / 10, 1), (0.61, 2)])
def test_outlines_must_overlap_enough(overlap: float, count: int) -> None:
    planes = [plane(a=(0, 8)), plane(a=(2, 10))]  # 6 of 10 pixels
    assert len(chains(link(planes, overlap=overlap))) == count


def test_an_outline_has_at_most_one_partner() -> None:
    planes = [plane(a=(0, 20)), plane(a=(0, 9), b=(9, 20))]
    assert chains(link(planes, overlap=0.1)) == [[(0, 0, 19), (1, 9, 19)], [(1, 0, 8)]]


def test_pairs_have_the_largest_sum_of_overlaps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        one, two = rng.integers(0, 5, (2, 1, 60))
        linked = link([one, two], overlap=1e-9)
        paired = 0.0
        ious: Any = np.zeros((4, 4))
        for a in range(1, 5):
            for b in range(1, 5):
                ious[a - 1, b - 1] = ((one == a) & (two == b)).sum() / ((one == a) | (two == b)).sum()
                here, there = linked[0][one == a], linked[1][two == b]
                if len(here) and len(there) and here[0] == there[0]:
                    paired += ious[a - 1, b - 1]
        best = max(sum(ious[a, b] for a, b in enumerate(order)) for order in permutations(range(4)))
        assert paired == pytest.approx(best)


def test_every_outline_keeps_its_pixels() -> None:
    rng = np.random.default_rng(1)
    planes = [rng.integers(0, 6, (8, 9)) * 7 for _ in range(5)]
    linked = link(planes)
    for before, after in zip(planes, linked, strict=True):
        np.testing.assert_array_equal(before > 0, after > 0)
        pairs = set(zip(before.ravel().tolist(), after.ravel().tolist(), strict=True))
        assert len(pairs) == len(np.unique(before)) == len(np.unique(after))


@pytest.mark.parametrize(
    ("planes", "options", "message"),
    [
        ([], {}, r"planes have the shapes \[\]; give at least one, all alike"),
        ([np.zeros((2, 3), int), np.zeros((3, 2), int)], {}, "give at least one, all alike"),
        ([np.zeros((2, 3), int)], {"overlap": 0}, "overlap is 0; it must be above 0 and at most 1"),
        ([np.zeros((2, 3), int)], {"spacing": 0}, "spacing is 0 and reach None; they must be positive"),
        ([np.zeros((2, 3), int)], {"reach": -1}, "reach -1; they must be positive"),
    ],
)
def test_what_cannot_be_linked_is_refused(planes: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        link(planes, **options)
