from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.annotator.arms import actions_left, best_mask, first_strokes, otsu_masks, taught
from benchmarks.annotator.forest import Forest
from benchmarks.annotator.strokes import Brush, Mask, Stroke

LEFT, RIGHT = np.zeros((2, 30, 40), bool)
LEFT[:, :15] = True
RIGHT[:, 25:] = True
NONE = np.zeros_like(LEFT)
BRUSH = Brush(4, 20)


def test_the_best_mask_is_the_one_with_the_largest_share_in_common() -> None:
    wide = LEFT.copy()
    wide[:, :20] = True
    assert best_mask([NONE, wide, LEFT & ~RIGHT, RIGHT], LEFT) is not wide
    assert best_mask([NONE, wide, RIGHT], LEFT) is wide


def test_otsu_parts_each_channel_both_ways() -> None:
    image = np.stack([np.where(LEFT, 200, 10), np.where(RIGHT, 7, 5)], axis=-1).astype(np.uint8)
    masks = otsu_masks(image)
    np.testing.assert_array_equal(masks, [LEFT, RIGHT, ~LEFT, ~RIGHT])


def test_a_mask_that_no_stroke_makes_better_is_not_counted() -> None:
    dot = np.zeros_like(LEFT)
    dot[3, 3] = True
    with pytest.raises(RuntimeError, match="no stroke of a brush of 4.0 pixels"):
        actions_left([NONE], [dot], [BRUSH])


def test_a_good_learner_needs_a_stroke_a_prompt() -> None:
    def learn(strokes: Sequence[tuple[int, Stroke]]) -> list[Mask]:
        known = {prompt for prompt, _ in strokes}
        return [truth if prompt in known else NONE for prompt, truth in enumerate((LEFT, RIGHT))]

    actions, masks = taught([NONE, NONE], [LEFT, RIGHT], [BRUSH, BRUSH], learn)
    assert actions == [1, 1]
    np.testing.assert_array_equal(masks, [LEFT, RIGHT])


def test_a_stroke_that_teaches_nothing_is_taken_back() -> None:
    actions, masks = taught([NONE, RIGHT], [LEFT, RIGHT], [BRUSH, BRUSH], lambda strokes: [NONE, RIGHT])
    assert actions == [2, 0]  # the stroke, and taking it back; what is good needs no stroke
    np.testing.assert_array_equal(masks, [NONE, RIGHT])


def test_a_slow_learner_is_given_so_many_strokes_and_no_more() -> None:
    def learn(strokes: Sequence[tuple[int, Stroke]]) -> list[Mask]:
        return [LEFT & (np.arange(40) < 4 * len(strokes))]

    actions, masks = taught([NONE], [LEFT], [BRUSH], learn, most=3)
    assert actions == [3]
    assert np.count_nonzero(masks[0]) == 12 * 30


def test_what_belongs_to_another_prompt_is_drawn_with_that_one() -> None:
    seen: list[tuple[int, Stroke]] = []

    def learn(strokes: Sequence[tuple[int, Stroke]]) -> list[Mask]:
        seen[:] = strokes
        return [LEFT, RIGHT]

    taught([LEFT | RIGHT, NONE], [LEFT, RIGHT], [BRUSH, BRUSH], learn)
    ((prompt, stroke),) = seen
    assert (prompt, stroke.on) == (1, True)
    assert not (stroke.pixels & ~RIGHT).any()


def test_the_first_strokes_are_one_a_prompt_and_one_beside_them() -> None:
    strokes = first_strokes([LEFT, RIGHT], [BRUSH, BRUSH])
    assert [prompt for prompt, _ in strokes] == [0, 1, -1]
    for (_, stroke), area in zip(strokes, (LEFT, RIGHT, ~(LEFT | RIGHT)), strict=True):
        assert stroke.on
        assert not (stroke.pixels & ~area).any()


def test_no_stroke_is_drawn_beside_prompts_that_cover_everything() -> None:
    assert [prompt for prompt, _ in first_strokes([LEFT, ~LEFT], [BRUSH, BRUSH])] == [0, 1]


def test_a_forest_learns_colours_from_a_stroke_each() -> None:
    rng = np.random.default_rng(0)
    truths = [np.kron(mask, np.ones((4, 4), bool)) for mask in (LEFT, RIGHT)]  # large beside the widest filter
    image = np.where(truths[0][..., None], (200, 20, 20), np.where(truths[1][..., None], (20, 200, 20), (20, 20, 20)))
    image = (image + rng.integers(0, 20, image.shape)).astype(np.uint8)
    found = Forest(image, 2).learn(first_strokes(truths, [BRUSH, BRUSH]))
    for mask, truth in zip(found, truths, strict=True):
        assert np.mean(mask == truth) > 0.95


def test_a_forest_takes_a_stroke_that_takes_away_as_having_no_name() -> None:
    image = np.where(LEFT[..., None], 200, 20).astype(np.uint8)
    strokes = [(0, Stroke(LEFT, True)), (0, Stroke(~LEFT, False))]
    (mask,) = Forest(image, 1).learn(strokes)
    np.testing.assert_array_equal(mask, LEFT)
