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
        (1, 0.4, 0.6, 2, "above its threshold and above the phrase"),
        (1, 0.7, 0.6, 1, "below the phrase's score"),
        (1, 0.3, 0.4, 1, "above the phrase's score but below its own threshold"),
        (0, 0.9, 0.6, 2, "the phrase did not reach its own threshold, so that it holds nothing"),
        (0, 0.0, 0.6, 2, "a distractor won"),
        (0, 0.0, 0.5, 2, "just its threshold"),
        (0, 0.0, 0.4, 0, "nobody reached a threshold"),
        (0, 0.0, np.nan, 0, "no value"),
        (1, 0.2, np.nan, 1, "no value where a phrase holds"),
    ]
    labels = np.array([[rule[0] for rule in rules]], np.uint8)
    score = np.array([[rule[1] for rule in rules]], np.float32)
    labels, held = hold(labels, score, [0])
    take(labels, held, levels_of([[rule[2] for rule in rules]]), 1, 0.5, None)
    for found, rule in zip(labels[0], rules, strict=True):
        assert found == rule[3], rule[4]


def test_of_several_indices_the_highest_wins_and_of_equals_the_first() -> None:
    labels, held = hold(np.zeros((1, 4), np.uint8), None, [])
    take(labels, held, levels_of([[0.6, 0.7, 0.7, 0.9]]), 0, 0.5, None)
    take(labels, held, levels_of([[0.8, 0.7, 0.6, np.nan]]), 1, 0.5, None)
    assert labels.tolist() == [[2, 1, 1, 1]]


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_pixels_without_data_or_value_are_nobodys(least: float) -> None:
    levels, valid = levels_of([[1, 1, np.nan, 0]]), np.array([[True, False, True, True]])
    labels, held = hold(np.zeros((1, 4), np.uint8), None, [])
    take(labels, held, levels, 0, least, valid)
    assert labels.tolist() == [[1, 0, 0, int(least == 0)]]
    assert np.unpackbits(pack(levels, least, valid), count=4).tolist() == labels[0].tolist()


def test_labels_count_all_prompts_wherever_the_indices_stand() -> None:
    labels, held = hold(np.array([[0, 1, 2]], np.uint8), np.array([[0.9, 0.3, 0.5]], np.float32), [1, 3])
    assert labels.tolist() == [[0, 2, 4]]
    np.testing.assert_allclose(held, [[-1, 0.3, 0.5]])


@given(seed=st.integers(0, 2**16), least=st.floats(0, 1), more=st.floats(0, 1))
@settings(deadline=None)
def test_an_index_leaves_the_phrases_among_themselves(seed: int, least: float, more: float) -> None:
    """It only takes pixels away, and the fewer the higher its threshold is."""
    rng = np.random.default_rng(seed)
    phrases, score = rng.integers(0, 3, (8, 9)).astype(np.uint8), rng.random((8, 9)).astype(np.float32)
    levels, found = levels_of(rng.random((8, 9))), []
    for threshold_ in (least, max(least, more)):
        labels, held = hold(phrases, score, [0, 1])
        take(labels, held, levels, 2, threshold_, None)
        assert np.array_equal(labels[labels != 3], phrases[labels != 3])
        assert (levels[labels == 3] >= level_of(threshold_)).all()
        found.append(labels == 3)
    assert not (found[1] & ~found[0]).any()
