"""Metrics agree with loops written from their definitions."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from napari_clearclip.evaluate.metrics import (
    Matches,
    accuracy,
    boundary_f,
    confusion_matrix,
    iou,
    match_instances,
    mean_iou,
)


def naive_confusion(truth, predicted, classes, ignore):
    counts = [[0] * classes for _ in range(classes)]
    for row in range(truth.shape[0]):
        for col in range(truth.shape[1]):
            if truth[row, col] != ignore:
                counts[truth[row, col]][predicted[row, col]] += 1
    return counts


def naive_iou(truth, predicted, name, ignore):
    both = either = 0
    for true, given in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if true != ignore:
            both += true == name and given == name
            either += true == name or given == name
    return both / either if either else math.nan


@pytest.fixture(params=[0, 1, 2])
def labels(request):
    rng = np.random.default_rng(request.param)
    truth = rng.integers(0, 5, (13, 17)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    return truth, rng.integers(0, 4, (13, 17)).astype(np.uint8)  # class 4 is never given, class 5 never occurs


def test_confusion_matrix_counts_as_the_loop_does(labels):
    assert confusion_matrix(*labels, classes=6, ignore=255).tolist() == naive_confusion(*labels, 6, 255)


def test_iou_is_intersection_over_union(labels):
    values = iou(confusion_matrix(*labels, classes=6, ignore=255))
    np.testing.assert_allclose(values, [naive_iou(*labels, name, 255) for name in range(6)])
    assert math.isnan(values[5])


def test_mean_iou_is_over_classes_that_occur(labels):
    confusion = confusion_matrix(*labels, classes=6, ignore=255)
    expected = [naive_iou(*labels, name, 255) for name in range(5)]
    assert mean_iou(confusion) == pytest.approx(sum(expected) / 5)
    assert mean_iou(confusion, exclude=(0,)) == pytest.approx(sum(expected[1:]) / 4)


def test_mean_iou_of_added_matrices_is_that_of_all_pixels(labels):
    truth, predicted = labels
    parts = sum(confusion_matrix(truth[rows], predicted[rows], 6, 255) for rows in (slice(0, 5), slice(5, None)))
    assert mean_iou(parts) == mean_iou(confusion_matrix(truth, predicted, 6, 255))


def test_accuracy_is_the_share_of_right_pixels():
    confusion = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), classes=3)
    assert accuracy(confusion) == 0.5


def test_perfect_and_empty():
    truth = np.array([[0, 1], [2, 2]])
    assert mean_iou(confusion_matrix(truth, truth, 3)) == 1
    nothing = confusion_matrix(truth, truth, 3, ignore=2) * 0
    assert math.isnan(mean_iou(nothing))
    assert math.isnan(accuracy(nothing))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"truth has shape \(2,\), but predicted has \(3,\)"):
        confusion_matrix(np.zeros(2, int), np.zeros(3, int), 1)


@pytest.mark.parametrize(("truth", "predicted", "name"), [(5, 0, "truth"), (0, 5, "predicted"), (-1, 0, "truth")])
def test_values_must_be_classes(truth, predicted, name):
    with pytest.raises(ValueError, match=rf"{name} has values from .* classes are 0 to 1"):
        confusion_matrix(np.array([truth]), np.array([predicted]), 2)


def row(text: str) -> np.ndarray:
    """Ids of objects, one a letter; a dot is none."""
    return np.array([0 if letter == "." else ord(letter) for letter in text])


@pytest.mark.parametrize(
    ("truth", "predicted", "least", "wanted"),
    [
        ("aabb..", "xxyy..", 0.5, (2, 0, 0, 2.0)),
        ("aabb..", "yyxx..", 0.5, (2, 0, 0, 2.0)),
        ("aabb..", "......", 0.5, (0, 2, 0, 0.0)),
        ("......", "xx.yy.", 0.5, (0, 0, 2, 0.0)),
        ("......", "......", 0.5, (0, 0, 0, 0.0)),
        ("aabb..", "xxxx..", 0.5, (1, 1, 0, 0.5)),  # half of each: one of them, once
        ("aabb..", "xxxx..", 0.51, (0, 2, 1, 0.0)),
        ("aaaa..", "xxyy..", 0.5, (1, 0, 1, 0.5)),  # cut in two
        ("aaaa..", "xxx...", 0.75, (1, 0, 0, 0.75)),
        # The best overlap, a with x (3/6), would leave b alone; a with y (1/4) and b with x (2/5) leave none.
        ("aaaabb", "yxxxxx", 0.2, (2, 0, 0, 1 / 4 + 2 / 5)),
    ],
)
def test_objects_are_paired_so_that_most_have_a_partner(
    truth: str, predicted: str, least: float, wanted: tuple[int, int, int, float]
) -> None:
    found = match_instances(row(truth), row(predicted), least)
    assert (found.found, found.missed, found.invented) == wanted[:3]
    assert found.overlap == pytest.approx(wanted[3])


def test_objects_of_several_images_are_counted_together() -> None:
    one = match_instances(row("aabb"), row("aa.."))
    two = match_instances(row("aab."), row("aaaa"))
    assert one + two == Matches(2, 2, 0, 1.5)
    assert (one + two).f1 == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert (one + two).quality == pytest.approx(1.5 / 3)
    assert np.isnan(Matches(0, 0, 0, 0.0).f1)
    assert np.isnan(Matches(0, 0, 0, 0.0).quality)


def test_objects_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth has shape \(3,\), but predicted has \(4,\)"):
        match_instances(row("aab"), row("aabb"))
    with pytest.raises(ValueError, match="least is 0; it must be above 0 and at most 1"):
        match_instances(row("aab"), row("aab"), 0)


def test_pairs_are_as_many_as_a_search_over_all_pairings_finds() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        truth, predicted = rng.integers(0, 5, (2, 40))
        least = 0.15
        ious = [
            [np.sum((truth == a) & (predicted == b)) / np.sum((truth == a) | (predicted == b)) for b in range(1, 5)]
            for a in range(1, 5)
        ]
        best = max(sum(ious[a][b] >= least for a, b in enumerate(order)) for order in permutations(range(4)))
        assert match_instances(truth, predicted, least).found == best


# ----------------------------------------------------------------------------------------------------------------------
# Outlines

HALVES = np.zeros((10, 20), np.uint8)
HALVES[:, 10:] = 1


@pytest.mark.parametrize(
    ("shift", "tolerance", "value"),
    [(0, 2, 1.0), (1, 2, 1.0), (2, 2, 1.0), (3, 2, 0.0), (3, 3, 1.0), (1, 0.5, 0.0), (0, 0, 1.0)],
)
def test_an_outline_is_right_up_to_the_tolerance(shift: int, tolerance: float, value: float) -> None:
    predicted = np.zeros_like(HALVES)
    predicted[:, 10 + shift :] = 1
    assert boundary_f(HALVES, predicted, 2, tolerance).tolist() == [value, value]


def test_precision_and_recall_of_an_outline() -> None:
    """A mask that ends too early finds half of the outline and gives a side that is none."""
    predicted = np.full_like(HALVES, 2)
    predicted[:5, 10:] = 1
    predicted[:5, :10] = 0
    values = boundary_f(HALVES, predicted, 3, tolerance=0)
    # The true outline is a column of 10 pixels; the given one is 5 of these and 10 of a row, with a corner in common.
    assert values[1] == pytest.approx(2 * (5 / 14) * (5 / 10) / (5 / 14 + 5 / 10))
    assert values[2] == 0


def test_classes_without_outlines() -> None:
    nothing = np.zeros_like(HALVES)
    assert np.isnan(boundary_f(nothing, nothing, 2)).all()
    assert boundary_f(HALVES, nothing, 3)[:2].tolist() == [0, 0]
    assert boundary_f(nothing, HALVES, 3)[:2].tolist() == [0, 0]
    assert np.isnan(boundary_f(HALVES, nothing, 3)[2])


def test_outlines_at_pixels_that_are_ignored_do_not_count() -> None:
    truth = HALVES.copy()
    truth[:, 14:] = 255
    assert boundary_f(truth, HALVES, 2, ignore=255).tolist() == [1, 1]
    wrong = HALVES.copy()
    wrong[:, 17:] = 0
    assert boundary_f(truth, wrong, 2, ignore=255).tolist() == [1, 1]
    assert (boundary_f(HALVES, wrong, 2) < 1).all()


def test_outlines_need_one_shape() -> None:
    with pytest.raises(ValueError, match=r"predicted has \(10, 19\); they must be the same"):
        boundary_f(HALVES, HALVES[:, 1:], 2)
