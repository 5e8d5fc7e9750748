"""What is done to objects by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_clearclip.engine.corrections import cut, delete, merge, renumber


def ids() -> np.ndarray:
    found = np.zeros((12, 20), np.int32)
    found[1:6, 1:9] = 700
    found[1:6, 9:12] = 30
    found[8:11, 2:18] = 5
    return found


def test_deleting_takes_objects_away() -> None:
    before = ids()
    after = delete(before, [30, 5, 999])
    assert np.unique(after).tolist() == [0, 700]
    np.testing.assert_array_equal(after == 700, before == 700)
    np.testing.assert_array_equal(before, ids())  # the argument stays as it is
    assert after.dtype == before.dtype


def test_merged_objects_have_the_id_of_the_largest() -> None:
    after = merge(ids(), [30, 700])
    np.testing.assert_array_equal(after == 700, np.isin(ids(), [30, 700]))
    np.testing.assert_array_equal(after == 5, ids() == 5)
    equal = np.array([[9, 9, 4, 4, 0]])
    assert merge(equal, [9, 4]).tolist() == [[4, 4, 4, 4, 0]]


@pytest.mark.parametrize(("chosen", "count"), [([], 0), ([30], 1), ([30, 31], 1), ([0, 30], 1)])
def test_merging_needs_two_objects(chosen: list[int], count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} of the chosen objects is there; choose at least two to merge"):
        merge(ids(), chosen)


def test_a_line_cuts_what_falls_apart_and_loses_no_pixel() -> None:
    after = cut(ids(), (0, 3), (7, 3))
    np.testing.assert_array_equal(after > 0, ids() > 0)
    assert np.unique(after).tolist() == [0, 5, 30, 700, 701]
    assert (after == 701).sum() in (10, 15)  # the line's own pixels are as near to one as to the other
    np.testing.assert_array_equal(after[:, 4:] == 700, ids()[:, 4:] == 700)
    for id_ in (700, 701):
        assert ndimage.label(after == id_)[1] == 1


def test_a_line_cuts_several_objects_and_slants() -> None:
    after = cut(ids(), (-3, 2), (14, 13))
    np.testing.assert_array_equal(after > 0, ids() > 0)
    assert np.unique(after).tolist() == [0, 5, 30, 700, 701, 702]
    sizes = {id_: int((after == id_).sum()) for id_ in (5, 700, 701, 702)}
    assert sizes[5] > sizes[701]
    assert sizes[5] + sizes[701] == 48
    assert sizes[700] + sizes[702] == 40


def test_a_part_that_was_apart_before_is_no_cut() -> None:
    apart = np.array([[3, 3, 0, 3, 3, 3]])
    with pytest.raises(ValueError, match="the line cuts no object in two; draw it from one side"):
        cut(apart, (0, 3), (0, 3))


@pytest.mark.parametrize("line", [((0, 0), (0, 19)), ((3, 0), (3, 4)), ((40, 0), (50, 9))])
def test_a_line_that_cuts_nothing_is_refused(line: tuple[tuple[float, float], tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="the line cuts no object in two"):
        cut(ids(), *line)


def test_numbers_without_gaps_in_the_old_order() -> None:
    after, new = renumber(ids())
    assert new == {5: 1, 30: 2, 700: 3}
    for old, number in new.items():
        np.testing.assert_array_equal(after == number, ids() == old)
    assert after.dtype == np.int32
    again, same = renumber(after)
    np.testing.assert_array_equal(again, after)
    assert same == {1: 1, 2: 2, 3: 3}
    assert renumber(np.zeros((2, 2), int))[1] == {}
