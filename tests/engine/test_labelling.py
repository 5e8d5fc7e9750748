"""Labels with band expressions among the phrases, rule by rule; thresholds of phrases alone are in `test_decide`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clearclip.engine.bands import FINEST, level_of
from napari_clearclip.engine.labelling import hold, pack, take


def levels_of(scores: Any) -> Any:
    """Levels of scores; none where they are not a number."""
    scores = np.asarray(scores, float)
    return np.where(np.isnan(scores), 0, np.rint(np.nan_to_num(scores) * FINEST) + 1).astype(np.uint16)


def test_which_pixels_an_index_wins() -> None:
    """One row a rule: what the phrase holds with which score, the index's score, and who gets the pixel."""
    rules = [
        (1, 0.4, 0.8, 2, "farther above its threshold than the phrase: 0.3 of 0.5, and 0.2 of 0.8"),
        (1, 0.6, 0.8, 2, "0.3 of 0.5, and 0.4 of 0.8"),
        (1, 0.7, 0.8, 1, "less far above its threshold than the phrase, 0.5 of 0.8, though its score is higher"),
        (1, 0.3, 0.4, 1, "above the phrase's score but below its own threshold"),
        (1, 0.2, 0.5, 1, "both are just at their threshold"),
        (1, 1.0, 1.0, 1, "both are as high as they can be"),
        (0, 0.9, 0.6, 2, "the phrase did not reach its own threshold, so that it holds nothing"),
        (0, 0.0, 0.6, 2, "a distractor won"),
        (0, 0.0, 0.5, 2, "just its threshold"),
        (0, 0.0, 0.4, 0, "nobody reached a threshold"),
        (0, 0.0, np.nan, 0, "no value"),
        (1, 0.2, np.nan, 1, "no value where a phrase holds"),
    ]
    labels = np.array([[rule[0] for rule in rules]], np.uint8)
    score = np.array([[rule[1] for rule in rules]], np.float32)
    labels, doubt = hold(labels, score, [0], [0.2])
    take(labels, doubt, levels_of([[rule[2] for rule in rules]]), 1, 0.5, None)
    for found, rule in zip(labels[0], rules, strict=True):
        assert found == rule[3], rule[4]


def test_of_several_indices_the_one_farthest_above_its_threshold_wins_and_of_equals_the_first() -> None:
    labels, doubt = hold(np.zeros((1, 4), np.uint8), None, [], [])
    take(labels, doubt, levels_of([[0.6, 0.75, 0.75, 0.9]]), 0, 0.5, None)
    take(labels, doubt, levels_of([[0.9, 0.90, 0.85, np.nan]]), 1, 0.8, None)
    assert labels.tolist() == [[2, 1, 1, 1]]


def naive(prompts: list[tuple[float, np.ndarray]], labels: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The contest pixel by pixel: prompts 1 and 2 are phrases that hold `labels`, the others are indices."""
    found = labels.copy()
    for row, col in np.ndindex(labels.shape):
        best = -1.0
        if labels[row, col]:
            least = prompts[labels[row, col] - 1][0]
            best = (score[row, col] - least) / (1 - least)
        for place, (least, scores) in enumerate(prompts[2:], 3):
            above = (scores[row, col] - least) / (1 - least)
            if above >= 0 and above > best:
                found[row, col], best = place, above
    return found


@given(seed=st.integers(0, 2**16), limits=st.lists(st.integers(0, 90), min_size=4, max_size=4))
@settings(deadline=None)
def test_the_contest_equals_a_naive_one(seed: int, limits: list[int]) -> None:
    rng = np.random.default_rng(seed)
    least = [limit / 100 for limit in limits]
    measured = rng.integers(0, FINEST + 1, (2, 8, 9)) / FINEST
    phrases = rng.integers(0, 3, (8, 9)).astype(np.uint8)
    score = np.where(phrases > 0, rng.uniform(np.array([0, *least[:2]])[phrases], 1), 0).astype(np.float32)
    labels, doubt = hold(phrases, score, [0, 1], least[:2])
    for place in (2, 3):
        take(labels, doubt, levels_of(measured[place - 2]), place, least[place], None)
    expected = naive(
        [(least[0], score), (least[1], score), (least[2], measured[0]), (least[3], measured[1])], phrases, score
    )
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("low", [-50.0, 0.0, 40.0])
def test_the_low_end_of_a_range_changes_no_contest(low: float) -> None:
    """Where the threshold is the same value: what lies below it is no matter to what lies above."""
    values, least, high = np.linspace(0, 100, 101)[None], 60.0, 100.0
    taken = []
    for start in (0.0, low):
        labels, doubt = hold(np.ones((1, 101), np.uint8), np.full((1, 101), 0.55, np.float32), [0], [0.1])
        share = np.clip((values - start) / (high - start), 0, 1)
        take(labels, doubt, levels_of(share), 1, (least - start) / (high - start), None)
        taken.append(labels == 2)
    assert taken[0].sum() == 20  # from 81 on: above the half of what lies between 60 and 100
    np.testing.assert_array_equal(taken[0], taken[1])


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_pixels_without_data_or_value_are_nobodys(least: float) -> None:
    levels, valid = levels_of([[1, 1, np.nan, 0]]), np.array([[True, False, True, True]])
    labels, doubt = hold(np.zeros((1, 4), np.uint8), None, [], [])
    take(labels, doubt, levels, 0, least, valid)
    assert labels.tolist() == [[1, 0, 0, int(least == 0)]]
    assert np.unpackbits(pack(levels, least, valid), count=4).tolist() == labels[0].tolist()


def test_labels_count_all_prompts_wherever_the_indices_stand() -> None:
    score = np.array([[0.9, 0.3, 0.5]], np.float32)
    labels, doubt = hold(np.array([[0, 1, 2]], np.uint8), score, [1, 3], [0.3, 0.2])
    assert labels.tolist() == [[0, 2, 4]]
    np.testing.assert_allclose(doubt, [[np.inf, 1, 0.5 / 0.8]])


@given(seed=st.integers(0, 2**16), least=st.floats(0, 1), more=st.floats(0, 1))
@settings(deadline=None)
def test_an_index_leaves_the_phrases_among_themselves(seed: int, least: float, more: float) -> None:
    """It only takes pixels away, and the fewer the higher its threshold is."""
    rng = np.random.default_rng(seed)
    phrases, score = rng.integers(0, 3, (8, 9)).astype(np.uint8), rng.random((8, 9)).astype(np.float32)
    levels, found = levels_of(rng.random((8, 9))), []
    for threshold_ in (least, max(least, more)):
        labels, doubt = hold(phrases, score, [0, 1], [0.0, 0.0])
        take(labels, doubt, levels, 2, threshold_, None)
        assert np.array_equal(labels[labels != 3], phrases[labels != 3])
        assert (levels[labels == 3] >= level_of(threshold_)).all()
        found.append(labels == 3)
    assert not (found[1] & ~found[0]).any()
