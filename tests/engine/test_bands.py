"""Band expressions on stored data, against numpy by hand: values, ranges, scores at pixels and on cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_otsu

from napari_clearclip.edits import View
from napari_clearclip.engine import bands
from napari_clearclip.engine.automatic import BINS, histogram, otsu
from napari_clearclip.engine.bands import (
    FINEST,
    channels_of,
    count_scores,
    level_of,
    mean_cells,
    measure,
    measure_range,
    measure_steps,
    read_values,
    resolve_index,
    scores_of,
)
from napari_clearclip.expression import parse
from napari_clearclip.settings import Index
from napari_clearclip.steps import drain

ALL = slice(None)
NDVI = Index(expression="(nir - red) / (nir + red)")
FOUR = View(channel_axis=-1, channels=(0, 1, 2), bands=("red", "green", "blue", "nir"))
SCENE = np.random.default_rng(5).integers(0, 4000, (30, 41, 4)).astype(np.uint16)


def values(image: Any, view: View, text: str) -> Any:
    return read_values(image, view, parse(text), ALL, ALL)


def levels(image: Any, view: View, index: Index) -> Any:
    filled = resolve_index(index, lambda: measure_range(image, view, index))
    return drain(measure_steps(image, view, filled))[0]


# ----------------------------------------------------------------------------------------------------------------------
# Values


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.uint32, np.float16, np.float32, np.float64])
def test_values_of_any_type(dtype: Any) -> None:
    """In unsigned integers, nir - red would wrap around."""
    image = (SCENE % 2 if dtype is bool else SCENE % 120).astype(dtype)
    red, nir = (image[..., band].astype(np.float32) for band in (0, 3))
    with np.errstate(all="ignore"):
        expected = (nir - red) / (nir + red)
    expected[~np.isfinite(expected)] = np.nan
    np.testing.assert_array_equal(values(image, FOUR, NDVI.expression), expected)


@pytest.mark.parametrize(
    ("image", "view"),
    [
        pytest.param(SCENE, FOUR, id="channels last"),
        pytest.param(SCENE.transpose(2, 0, 1), FOUR.replace(channel_axis=0), id="channels first"),
        pytest.param(SCENE.transpose(0, 2, 1), FOUR.replace(channel_axis=1), id="channels between"),
        pytest.param(np.stack([SCENE[::-1], SCENE]), FOUR.replace(plane=(1,)), id="a stack"),
        pytest.param(SCENE, FOUR.replace(channels=(1,), limits=((0, 1),), gamma=3), id="another look"),
    ],
)
def test_any_layout_gives_the_same(image: Any, view: View) -> None:
    np.testing.assert_array_equal(values(image, view, "nir / red"), values(SCENE, FOUR, "nir / red"))
    assert channels_of(image, view, NDVI) == (3, 0)


def test_a_part_is_a_part_of_the_whole() -> None:
    part = read_values(SCENE, FOUR, parse("b4 - b1"), slice(3, 9), slice(5, 40))
    np.testing.assert_array_equal(part, values(SCENE, FOUR, "b4 - b1")[3:9, 5:40])


def test_a_grey_image_has_one_band() -> None:
    np.testing.assert_array_equal(values(SCENE[..., 2], View(), "2 * b1"), 2 * SCENE[..., 2].astype(np.float32))
    with pytest.raises(ValueError, match="there is no band 'b2'; this image has b1"):
        values(SCENE[..., 2], View(), "b2")


def test_where_there_are_no_data_there_is_no_value() -> None:
    image = np.array([[[5, 0], [0, 5], [7, 7]], [[np.nan, 1], [np.inf, 1], [3, -3]]], np.float32)
    view = View(channel_axis=-1)
    inside = np.isfinite(values(image, view, "(b1 - b2) / (b1 + b2)"))
    assert inside.tolist() == [[True, True, True], [False, False, False]]  # the last divides by zero
    inside = np.isfinite(values(image, view.replace(nodata=0), "(b1 - b2) / (b1 + b2)"))
    assert inside.tolist() == [[False, False, True], [False, False, False]]
    assert np.isfinite(values(image, view.replace(nodata=0), "b1")).tolist() == [
        [True, False, True],
        [False, False, True],
    ]
    assert np.isfinite(values(image, view.replace(alpha=1), "b1")).tolist() == [
        [False, True, True],
        [False, False, True],
    ]


# ----------------------------------------------------------------------------------------------------------------------
# Ranges


def test_a_normalized_difference_goes_from_minus_one_to_one_whatever_the_image() -> None:
    assert resolve_index(NDVI, lambda: (0.2, 0.4)) == NDVI.replace(low=-1, high=1)
    assert resolve_index(NDVI.replace(low=0), lambda: None) == NDVI.replace(low=0, high=1)


def test_other_expressions_take_what_all_but_a_few_pixels_have() -> None:
    nir = Index(expression="nir")
    measured = measure_range(SCENE, FOUR, nir)
    assert measured == tuple(np.percentile(SCENE[..., 3].astype(float), (0.1, 99.9)))
    found = resolve_index(nir, lambda: measured)
    assert (found.low, found.high) == measured
    assert resolve_index(found, lambda: (0, 1)) == found
    assert resolve_index(nir.replace(high=10_000), lambda: measured) == nir.replace(low=found.low, high=10_000)


def test_values_that_are_there_are_measured_whatever_the_scale() -> None:
    red, nir = (SCENE[..., channel].astype(np.float32) for channel in (0, 3))
    with np.errstate(all="ignore"):
        values = ((nir - red) / (nir + red)).astype(float)
    expected = tuple(np.percentile(values[np.isfinite(values)], (0.1, 99.9)))
    assert measure_range(SCENE, FOUR, NDVI.replace(low=0.4, high=0.5)) == expected
    assert measure_range(np.full((3, 4), np.nan), View(), Index(expression="b1")) is None


@pytest.mark.parametrize(
    "index", [Index(expression="b1"), Index(expression="b1", low=9), Index(expression="b1", high=2)]
)
@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_range_rises_also_where_all_is_the_same(index: Index, value: float) -> None:
    found = resolve_index(index, lambda: measure_range(np.full((5, 6), value), View(), index))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.high
    assert index.low in (None, found.low)
    assert index.high in (None, found.high)


@pytest.mark.parametrize("strip", [41, 41 * 4, 10**6])
@pytest.mark.parametrize("sample", [50, 300, 10**6])
def test_a_range_is_measured_along_with_the_scores(monkeypatch: pytest.MonkeyPatch, strip: int, sample: int) -> None:
    monkeypatch.setattr(bands, "_STRIP", strip)
    monkeypatch.setattr("napari_clearclip.engine.view._SAMPLE", sample)
    index = Index(expression="nir / red", low=1, high=2)
    assert drain(measure_steps(SCENE, FOUR, index))[1] == measure_range(SCENE, FOUR, index)


def test_a_large_image_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.engine.view._SAMPLE", 300)
    expected = tuple(np.percentile(SCENE[::2, ::2, 3].astype(float), (0.1, 99.9)))
    assert measure_range(SCENE, FOUR, Index(expression="nir")) == expected


# ----------------------------------------------------------------------------------------------------------------------
# Scores


def test_scores_are_values_scaled() -> None:
    index = Index(expression="b1", low=10, high=20)
    image = np.array([[9, 10, 12.5, 20, 21, np.nan]])
    found = measure(image, View(), index, ALL, ALL)
    assert found.dtype == np.uint16
    assert found.tolist() == [[1, 1, 1 + round(0.25 * FINEST), FINEST + 1, FINEST + 1, 0]]
    np.testing.assert_allclose(scores_of(found), [[0, 0, 0.25, 1, 1, 0]], atol=1e-5)


def test_scores_need_a_range() -> None:
    with pytest.raises(ValueError, match="low and high of an index must be filled in before pixels are scored"):
        measure(SCENE, FOUR, NDVI, ALL, ALL)


def test_strips_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = levels(SCENE, FOUR, NDVI)
    counts, cells = count_scores(whole), mean_cells(whole, (4, 5))
    monkeypatch.setattr(bands, "_STRIP", 41 * 7)
    steps = measure_steps(SCENE, FOUR, resolve_index(NDVI, lambda: None))
    assert len(list(steps)) == 5
    np.testing.assert_array_equal(levels(SCENE, FOUR, NDVI), whole)
    np.testing.assert_array_equal(count_scores(whole), counts)
    np.testing.assert_array_equal(mean_cells(whole, (4, 5)), cells)


@given(value=st.integers(0, 255), least=st.integers(0, 100))
@settings(deadline=None)
def test_a_score_that_equals_a_threshold_reaches_it(value: int, least: int) -> None:
    """In 16 bits as exactly: of values in whole numbers, none is on the wrong side of a threshold."""
    level = measure(np.array([[value]]), View(), Index(expression="b1", low=0, high=255), ALL, ALL)
    assert bool(level[0, 0] >= level_of(least / 100)) is (value * 100 >= least * 255)


@pytest.mark.parametrize("least", [0.001, 0.2, 0.29, 0.5, 0.777, 1.0])
def test_what_is_just_below_a_threshold_stays_out(least: float) -> None:
    image = np.array([[round(least * 1000) - 1e-3, round(least * 1000)]])
    found = measure(image, View(), Index(expression="b1", low=0, high=1000), ALL, ALL) >= level_of(least)
    assert found.tolist() == [[False, True]]


def test_a_lazy_image_gives_the_same_and_only_the_bands_named_are_read() -> None:
    array = pytest.importorskip("dask.array", reason="dask is not installed")
    read = []

    def block(part: Any, block_info: Any = None) -> Any:
        read.append(block_info[0]["chunk-location"])
        return part

    lazy = array.from_array(SCENE.transpose(2, 0, 1), chunks=(1, 10, 41)).map_blocks(block, dtype=np.uint16)
    read.clear()
    view = FOUR.replace(channel_axis=0)
    np.testing.assert_array_equal(levels(lazy, view, NDVI), levels(SCENE, FOUR, NDVI))
    assert {place[0] for place in read} == {0, 3}
    assert len(read) == 6  # each chunk once


# ----------------------------------------------------------------------------------------------------------------------
# Histogram, Otsu and cells


def test_counts_are_those_of_a_histogram_of_pixels() -> None:
    index = Index(expression="b1", low=0, high=3999)
    found = levels(SCENE[..., 0], View(), index)
    scores = (SCENE[..., 0] / 3999).astype(np.float32)
    np.testing.assert_array_equal(count_scores(found), histogram(scores))
    valid = SCENE[..., 1] > 2000
    np.testing.assert_array_equal(count_scores(found, valid), histogram(scores[valid][None]))


def test_a_bin_is_what_a_threshold_lets_in() -> None:
    image = np.arange(256, dtype=np.uint8)[None]  # many scores lie exactly on a border between bins
    found = levels(image, View(), Index(expression="b1", low=0, high=250))
    counts = count_scores(found)
    for place in range(BINS):
        assert counts[place:].sum() == np.count_nonzero(found >= level_of(place / BINS))


def test_pixels_without_a_score_are_not_counted() -> None:
    image = np.array([[0, 0.5, 1, np.nan]])
    assert count_scores(levels(image, View(), Index(expression="b1", low=0, high=1))).sum() == 3


def test_otsu_on_pixels_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(2)
    image = np.where(rng.random((200, 200)) < 0.1, rng.normal(180, 15, (200, 200)), rng.normal(60, 15, (200, 200)))
    found = otsu(count_scores(levels(image, View(), Index(expression="b1", low=0, high=255))))
    assert found is not None
    assert abs(found * 255 - threshold_otsu(image, nbins=256)) < 255 / BINS + 1


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    cells=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    some=st.booleans(),
)
@example(height=1, width=27, cells=(1, 26), some=False)  # a pixel's middle lies on an edge
@settings(deadline=None)
def test_cells_are_means_of_the_pixels_in_them(height: int, width: int, cells: tuple[int, int], some: bool) -> None:
    rng = np.random.default_rng(height * 100 + width)
    found = rng.integers(0, FINEST + 2, (height, width)).astype(np.uint16) * (rng.random((height, width)) < 0.8)
    valid = rng.random((height, width)) < 0.8 if some else None
    means = mean_cells(found.astype(np.uint16), cells, valid)
    assert means.shape == cells
    assert means.dtype == np.float32
    if cells[0] > height or cells[1] > width:
        return
    inside = (found > 0) & (True if valid is None else valid)
    for row, col in np.ndindex(*cells):
        rows = [at for at in range(height) if row <= (at + 0.5) * cells[0] / height < row + 1]
        cols = [at for at in range(width) if col <= (at + 0.5) * cells[1] / width < col + 1]
        own = [(found[y, x] - 1) / FINEST for y in rows for x in cols if inside[y, x]]
        assert means[row, col] == pytest.approx(np.mean(own) if own else 0, abs=1e-5)


def test_a_cell_smaller_than_a_pixel_has_the_pixels_score() -> None:
    found = np.array([[1, 1 + FINEST]], np.uint16)
    np.testing.assert_array_equal(mean_cells(found, (1, 4)), [[0, 0, 1, 1]])
