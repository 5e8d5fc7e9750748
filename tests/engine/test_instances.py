"""Masks to instances: what is cut, and ids that say where an object scores highest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_clearclip.engine.instances import id_type, position_of, split
from napari_clearclip.evaluate.metrics import match_instances
from napari_clearclip.result import Scores
from napari_clearclip.settings import Splitting

COMPONENTS = Splitting(method="components")
SHAPE = Splitting(method="shape")
SCORE = Splitting(method="score", smooth=0)


def of(scores: Any) -> Any:
    """Scores (P, H, W) as `split` asks for them."""
    return lambda value, rows, cols: np.asarray(scores, np.float32)[value - 1, rows, cols]


def discs(shape: tuple[int, int], *places: tuple[float, float, float]) -> np.ndarray:
    """Where a pixel lies in any of some discs (row, column, radius)."""
    rows, cols = np.indices(shape)
    return np.any([np.hypot(rows - row, cols - col) <= radius for row, col, radius in places], axis=0)


def blobs(seed: int, shape: tuple[int, int] = (60, 70), values: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels of random blobs, and smooth random scores of their values."""
    rng = np.random.default_rng(seed)
    scores = ndimage.gaussian_filter(rng.random((values, *shape)), (0, 3, 3)).astype(np.float32)
    scores = (scores - scores.min()) / np.ptp(scores)
    labels = np.where(scores.max(axis=0) > 0.55, scores.argmax(axis=0) + 1, 0).astype(np.uint8)
    return labels, scores


@pytest.mark.parametrize("splitting", [COMPONENTS, SHAPE, SCORE], ids=lambda s: s.method)
@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_is_in_one_instance_of_its_own_prompt(splitting: Splitting, seed: int) -> None:
    labels, scores = blobs(seed)
    ids = split(labels, of(scores), splitting)
    np.testing.assert_array_equal(ids > 0, labels > 0)
    for id_ in np.unique(ids[ids > 0]):
        inside = ids == id_
        assert len(np.unique(labels[inside])) == 1
        assert ndimage.label(inside)[1] == 1  # it hangs together


@pytest.mark.parametrize("splitting", [COMPONENTS, SHAPE, SCORE], ids=lambda s: s.method)
@pytest.mark.parametrize("seed", range(4))
def test_an_id_is_the_place_of_the_highest_score(splitting: Splitting, seed: int) -> None:
    labels, scores = blobs(seed)
    ids = split(labels, of(scores), splitting)
    found = np.unique(ids[ids > 0])
    assert len(found) > 3
    for id_, (row, col) in zip(found, position_of(found, labels.shape[1]), strict=True):
        inside, score = ids == id_, scores[labels[row, col] - 1]
        assert inside[row, col]
        assert score[row, col] == score[inside].max()
        assert id_ == row * labels.shape[1] + col + 1


def test_of_equal_scores_the_deepest_counts_then_the_first() -> None:
    labels = np.zeros((9, 20), np.uint8)
    labels[1:8, 1:8] = 1  # deepest at (4, 4)
    labels[2:4, 10:18] = 1  # all pixels equally deep
    scores = np.ones((1, *labels.shape))
    assert set(np.unique(split(labels, of(scores), COMPONENTS))) == {0, 4 * 20 + 4 + 1, 2 * 20 + 10 + 1}
    scores[0, 6, 6] = 2
    assert 6 * 20 + 6 + 1 in split(labels, of(scores), COMPONENTS)


def naive_components(labels: np.ndarray, scores: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    """Ids pixel by pixel: what hangs together, its highest score, and among equals the distance to anything lower."""
    ids = np.zeros(labels.shape, int)
    height, width = labels.shape
    for start in np.argwhere(labels):
        if ids[tuple(start)]:
            continue
        value, found, waiting = labels[tuple(start)], set(), [tuple(start.tolist())]
        while waiting:
            row, col = waiting.pop()
            if 0 <= row < height and 0 <= col < width and labels[row, col] == value and (row, col) not in found:
                found.add((row, col))
                waiting += [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
        highest = max(scores[value - 1][place] for place in found)
        top = sorted(place for place in found if scores[value - 1][place] == highest)
        others = [place for place in np.ndindex(labels.shape) if place not in set(top)]

        def depth(place: tuple[int, int], others: Any = others) -> float:
            row, col = place
            return min((np.hypot((row - r) * pixel[0], (col - c) * pixel[1]) for r, c in others), default=1)

        row, col = max(top, key=lambda place: (round(depth(place), 4), -top.index(place)))
        for place in found:
            ids[place] = row * width + col + 1
    return ids


def coarse(seed: int, steps: int = 8, shape: tuple[int, int] = (18, 21)) -> np.ndarray:
    """Smooth random scores of one prompt that are often equal, in [0, 1]."""
    score = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)
    score = (score - score.min()) / np.ptp(score)
    return np.asarray(np.round(score * steps) / steps, np.float32)[None]


@given(seed=st.integers(0, 2**16), least=st.floats(0, 1), tall=st.sampled_from([1.0, 2.5]))
@settings(deadline=None, max_examples=40)
def test_ids_equal_those_of_a_naive_loop(seed: int, least: float, tall: float) -> None:
    scores = coarse(seed)
    labels = (scores[0] >= least).astype(np.uint8)
    ids = split(labels, of(scores), COMPONENTS, pixel=(tall, 1))
    np.testing.assert_array_equal(ids, naive_components(labels, scores, (tall, 1)))


@given(seed=st.integers(0, 2**16), least=st.floats(0, 1), more=st.floats(0, 1))
@settings(deadline=None)
def test_what_keeps_its_peak_keeps_its_id_however_many_scores_are_equal(seed: int, least: float, more: float) -> None:
    scores = coarse(seed, shape=(40, 50))
    before = split((scores[0] >= min(least, more)).astype(np.uint8), of(scores), COMPONENTS)
    after = split((scores[0] >= max(least, more)).astype(np.uint8), of(scores), COMPONENTS)
    for id_ in np.unique(before[before > 0]):
        row, col = position_of(np.array([id_]), 50)[0]
        assert after[row, col] in (0, id_)


@pytest.mark.parametrize("splitting", [COMPONENTS, SHAPE, SCORE], ids=lambda s: s.method)
@given(seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=25)
def test_many_objects_within_a_cell_have_ids_of_their_own(splitting: Splitting, seed: int) -> None:
    """Scores come from cells of 16 pixels; what peaks in a cell's middle need not have that pixel."""
    rng = np.random.default_rng(seed)
    scores = Scores(("it",), rng.random((1, 3, 4)).astype(np.float32), (16, 16))
    labels = (ndimage.gaussian_filter(rng.random((48, 64)), 1) > 0.56).astype(np.uint8)

    def score_at(value: int, rows: slice, cols: slice) -> np.ndarray:
        return scores.at("it", rows, cols)

    ids = split(labels, score_at, splitting)
    found = np.unique(ids[ids > 0])
    assert len(found) > 12  # more than cells
    assert len(found) >= ndimage.label(labels)[1]
    score = scores.at("it", slice(0, 48), slice(0, 64))
    for id_ in found:
        row, col = position_of(np.array([id_]), 64)[0]
        assert ids[row, col] == id_
        assert score[row, col] == score[ids == id_].max()
    components = ndimage.label(labels)[0]
    for number, (rows, cols) in enumerate(ndimage.find_objects(components), 1):
        box = slice(max(rows.start - 1, 0), rows.stop + 1), slice(max(cols.start - 1, 0), cols.stop + 1)
        alone = np.where(components[box] == number, labels[box], 0)

        def there(value: int, rows: slice, cols: slice, box: Any = box) -> np.ndarray:
            shift = [
                slice(part.start + at.start, part.stop + at.start) for part, at in zip((rows, cols), box, strict=True)
            ]
            return scores.at("it", *shift)

        part = split(alone, there, splitting, corner=(box[0].start, box[1].start), whole=labels.shape)
        inside = components[box] == number
        np.testing.assert_array_equal(part[inside], ids[box][inside])


def test_components_equal_scipys_with_pixels_joined_by_their_sides() -> None:
    labels, scores = blobs(7, values=1)
    labels[0:2, 0:2] = [[1, 0], [0, 1]]  # a corner does not join
    ids = split(labels, of(scores), COMPONENTS)
    truth, count = ndimage.label(labels)
    assert len(np.unique(ids)) == count + 1
    assert len(set(zip(ids.ravel().tolist(), truth.ravel().tolist(), strict=True))) == count + 1


def test_no_method_parts_nothing() -> None:
    labels, scores = blobs(5)
    np.testing.assert_array_equal(split(labels, of(scores), Splitting()), split(labels, of(scores), COMPONENTS))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_objects_that_touch_are_cut_at_the_neck_whatever_their_size(size: int) -> None:
    pair = discs((30 * size, 50 * size), (15 * size, 15 * size, 10 * size), (15 * size, 33 * size, 10 * size))
    bean = discs((30 * size, 50 * size), (15 * size, 20 * size, 10 * size), (15 * size, 23 * size, 10 * size))
    flat = of(np.ones((1, *pair.shape)))
    ids = split(pair.astype(np.uint8), flat, SHAPE)
    left, right = ids[15 * size, 15 * size], ids[15 * size, 33 * size]
    assert left != right
    assert set(np.unique(ids)) == {0, left, right}
    np.testing.assert_array_equal(ids == left, pair & (np.indices(pair.shape)[1] <= 24 * size) & (ids != right))
    assert abs(int((ids == left).sum()) - int((ids == right).sum())) <= 30 * size  # the cut runs through the neck
    assert len(np.unique(split(bean.astype(np.uint8), flat, SHAPE))) == 2
    assert len(np.unique(split(pair.astype(np.uint8), flat, COMPONENTS))) == 2


def ridge(dip: float) -> np.ndarray:
    """Scores along a bar with two summits, 0.8 and 0.9, and a pass between them."""
    return np.interp(np.arange(21), [0, 5, 10, 15, 20], [0.5, 0.8, dip, 0.9, 0.5])[None, None].repeat(5, axis=1)


@pytest.mark.parametrize(("dip", "parts"), [(0.7, 2), (0.719, 2), (0.721, 1), (0.79, 1)])
def test_the_score_parts_what_it_dips_between(dip: float, parts: int) -> None:
    splitting = SCORE.replace(neck=0.9)  # 0.9 x 0.8 = 0.72
    ids = split(np.ones((5, 21), np.uint8), of(ridge(dip)), splitting)
    assert len(np.unique(ids)) == parts
    assert 15 + 1 in ids  # the higher summit is a peak in any case


def test_a_low_part_between_two_high_ones_joins_the_one_behind_the_higher_pass() -> None:
    line = np.array([0.2, 0.9, 0.5, 0.6, 0.55, 1.0, 0.2])
    ids = split(np.ones((1, 7), np.uint8), of(line[None, None]), SCORE.replace(neck=0.9))
    np.testing.assert_array_equal(ids, [[2, 2, 2, 6, 6, 6, 6]])


@pytest.mark.parametrize(("distance", "parts"), [(17.9, 2), (18.1, 1)])
def test_parts_whose_middles_are_near_stay_one(distance: float, parts: int) -> None:
    pair = discs((30, 50), (15, 15, 10), (15, 33, 10)).astype(np.uint8)
    ids = split(pair, of(np.ones((1, 30, 50))), SHAPE.replace(distance=distance, smooth=0))
    assert len(np.unique(ids)) == parts + 1
    ids = split(pair, of(np.ones((1, 30, 50))), SHAPE.replace(distance=2 * distance, smooth=0), pixel=(2, 2))
    assert len(np.unique(ids)) == parts + 1


def test_depth_is_measured_in_the_world() -> None:
    bar = np.zeros((9, 31), np.uint8)
    bar[1:8, 1:30] = 1
    scores = np.ones((1, *bar.shape))
    tall = split(bar, of(scores), COMPONENTS, pixel=(10, 1))  # now it is narrower than it is high
    assert set(np.unique(tall)) == {0, 2 * 31 + 15 + 1}  # rows 2 to 6 are equally deep
    assert set(np.unique(split(bar, of(scores), COMPONENTS))) == {0, 4 * 31 + 4 + 1}


@pytest.mark.parametrize("splitting", [COMPONENTS, SHAPE, SCORE], ids=lambda s: s.method)
def test_a_moved_threshold_keeps_the_ids_of_what_keeps_its_peak(splitting: Splitting) -> None:
    _, scores = blobs(11, (90, 110), values=1)
    kept = 0
    before = split((scores[0] > 0.5).astype(np.uint8), of(scores), splitting)
    for threshold in (0.55, 0.6, 0.65):
        after = split((scores[0] > threshold).astype(np.uint8), of(scores), splitting)
        for id_ in np.unique(before[before > 0]):
            row, col = position_of(np.array([id_]), 110)[0]
            if scores[0, row, col] > threshold:
                higher = scores[0][after == after[row, col]].max() > scores[0, row, col]
                assert after[row, col] == id_ or (splitting.method == "shape" and higher)  # it may be cut elsewhere
                kept += after[row, col] == id_
    assert kept > 5


@pytest.mark.parametrize("splitting", [COMPONENTS, SHAPE, SCORE], ids=lambda s: s.method)
@pytest.mark.parametrize("block", [(45, 40), (30, 60), (90, 37)])
def test_ids_do_not_depend_on_how_the_image_is_cut(splitting: Splitting, block: tuple[int, int]) -> None:
    labels, scores = blobs(3, (90, 110))
    whole = split(labels, of(scores), splitting)
    seen = 0
    for top in range(0, 90, block[0]):
        for left in range(0, 110, block[1]):
            box = slice(top, min(top + block[0], 90)), slice(left, min(left + block[1], 110))
            part = split(labels[box], of(scores[:, *box]), splitting, corner=(top, left), whole=(90, 110))
            components = ndimage.label(labels > 0)[0]
            inner = components[box][1:-1, 1:-1]
            cut = np.setdiff1d(np.unique(components[box]), np.unique(inner))
            rim = np.unique(np.concatenate([components[box][[0, -1]].ravel(), components[box][:, [0, -1]].ravel()]))
            inside = ~np.isin(components[box], np.union1d(cut, rim))
            np.testing.assert_array_equal(part[inside], whole[box][inside])
            seen += len(np.unique(part[inside])) - 1
    assert seen > 3


def test_ids_of_huge_images_need_more_bits() -> None:
    assert id_type((46340, 46340)) is np.int32
    assert id_type((46341, 46341)) is np.int64
    ids = split(
        np.ones((1, 1), np.uint8), of(np.ones((1, 1, 1))), COMPONENTS, corner=(99999, 7), whole=(100000, 100000)
    )
    assert ids.tolist() == [[99999 * 100000 + 7 + 1]]
    np.testing.assert_array_equal(position_of(ids.ravel(), 100000), [[99999, 7]])


def test_nothing_has_no_instances() -> None:
    ids = split(np.zeros((4, 5), np.uint8), of(np.zeros((1, 4, 5))), SHAPE)
    assert ids.dtype == np.int32
    assert not ids.any()


def test_nuclei_that_touch_are_told_apart(test_data: Path) -> None:
    truth = tifffile.imread(test_data / "microscopy" / "nuclei_2d_labels.tif")
    flat = of(np.ones((1, *truth.shape)))
    by_shape = match_instances(truth, split((truth > 0).astype(np.uint8), flat, SHAPE)).f1
    assert by_shape > 0.97
    assert by_shape > match_instances(truth, split((truth > 0).astype(np.uint8), flat, COMPONENTS)).f1 + 0.05
