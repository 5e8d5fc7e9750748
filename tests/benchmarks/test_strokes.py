from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.annotator.strokes import (
    DIRECTIONS,
    LENGTHS,
    Brush,
    Mask,
    brush_for,
    drag,
    iou,
    next_stroke,
    object_diameter,
    strokes_until,
)


def rectangle(rows: slice, cols: slice, shape: tuple[int, int] = (40, 60)) -> Mask:
    mask = np.zeros(shape, bool)
    mask[rows, cols] = True
    return mask


EMPTY = rectangle(slice(0), slice(0))
BAR = rectangle(slice(10, 11), slice(5, 35))
FINE = Brush(1, 9)  # a drag of 9 pixels takes 10


def test_a_drag_is_what_lies_within_half_a_brush_of_its_line() -> None:
    expected = np.array([[0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(drag((4, 6), (1, 1), (1, 4), 2), expected)


def test_a_drag_without_length_is_a_dot() -> None:
    assert np.argwhere(drag((9, 9), (4, 5), (4, 5), 1)).tolist() == [[4, 5]]


def test_the_diameter_is_that_of_the_object_in_which_the_middle_pixel_lies() -> None:
    objects = np.zeros((30, 30), int)
    objects[:20, :20] = 1  # 400 of the 412 pixels
    objects[25, ::2][:12] = np.arange(2, 14)  # twelve splinters
    assert object_diameter(objects) == pytest.approx(2 * np.sqrt(400 / np.pi))


@pytest.mark.parametrize(("side", "diameter"), [(35, 3.949), (3, 1.0)])
def test_the_brush_is_a_tenth_of_the_diameter_and_at_least_a_pixel(side: int, diameter: float) -> None:
    objects = rectangle(slice(side), slice(side)).astype(int)
    assert brush_for(objects) == Brush(pytest.approx(diameter, abs=1e-3), pytest.approx(2 * side / np.sqrt(np.pi)))


@pytest.mark.parametrize(("goal", "strokes"), [(0.33, 1), (0.34, 2), (0.66, 2), (0.67, 3), (1.0, 3)])
def test_a_bar_takes_as_many_strokes_as_it_is_long(goal: float, strokes: int) -> None:
    assert strokes_until(EMPTY, BAR, FINE, goal) == (strokes, True)  # 10 of 30 pixels each


def test_what_is_too_much_is_taken_away() -> None:
    mask = BAR | rectangle(slice(20, 21), slice(5, 15))
    stroke = next_stroke(mask, BAR, FINE)
    assert stroke is not None
    assert not stroke.on
    np.testing.assert_array_equal(stroke.painted(mask), BAR)


@pytest.mark.parametrize(("missing", "on"), [(5, False), (8, True)])
def test_the_largest_error_comes_first(missing: int, on: bool) -> None:
    too_much = rectangle(slice(20, 21), slice(5, 12))  # 7 pixels
    stroke = next_stroke(BAR & ~rectangle(slice(10, 11), slice(5, 5 + missing)) | too_much, BAR, FINE)
    assert stroke is not None
    assert stroke.on == on


def test_an_error_thinner_than_the_brush_is_painted_from_inside() -> None:
    truth = rectangle(slice(10, 20), slice(10, 40))
    mask = rectangle(slice(11, 20), slice(10, 40))  # a row is missing along the edge
    stroke = next_stroke(mask, truth, Brush(4, 26))
    assert stroke is not None
    assert not (stroke.pixels & ~truth).any()
    assert np.count_nonzero(stroke.painted(mask)[10]) >= 26


def test_nothing_is_drawn_where_no_stroke_helps() -> None:
    truth = rectangle(slice(20, 21), slice(20, 21))
    assert next_stroke(EMPTY, truth, Brush(9, 9)) is None
    assert strokes_until(EMPTY, truth, Brush(9, 9)) == (0, False)
    assert next_stroke(truth, truth, Brush(1, 9)) is None
    assert strokes_until(truth, truth, Brush(1, 9)) == (0, True)


@pytest.mark.parametrize("seed", range(6))
def test_the_stroke_is_about_as_good_as_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:30, :30]
    truth = np.zeros((30, 30), bool)
    for row, col in rng.uniform(6, 24, size=(3, 2)):
        truth |= np.hypot(rows - row, cols - col) < rng.uniform(3, 7)
    brush, mask = Brush(3, 14), np.zeros_like(truth)
    best = 0
    for place, direction, length in product(np.argwhere(truth), range(DIRECTIONS), range(LENGTHS + 1)):
        angle = np.pi * direction / DIRECTIONS
        half = np.array([np.sin(angle), np.cos(angle)]) * brush.reach * length / LENGTHS / 2
        pixels = drag(truth.shape, place - half, place + half, brush.diameter)
        best = max(best, np.count_nonzero(pixels & truth) - np.count_nonzero(pixels & ~truth))
    stroke = next_stroke(mask, truth, brush)
    assert stroke is not None
    gain = np.count_nonzero(stroke.pixels & truth) - np.count_nonzero(stroke.pixels & ~truth)
    assert 0.85 * best <= gain <= 1.1 * best  # drags between pixels may be a little better


def test_every_stroke_makes_the_mask_better() -> None:
    rng = np.random.default_rng(0)
    truth = rectangle(slice(8, 30), slice(10, 50))
    mask = truth ^ (rng.random(truth.shape) < 0.2)
    for _ in range(10):
        stroke = next_stroke(mask, truth, Brush(3, 20))
        assert stroke is not None
        better = stroke.painted(mask)
        assert iou(better, truth) > iou(mask, truth)
        mask = better
