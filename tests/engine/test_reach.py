"""Blocks that a moved threshold can change, where scores and thresholds are the same few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_clearclip.engine import reach
from napari_clearclip.engine.decide import Assignment
from napari_clearclip.engine.labelling import move_threshold, threshold
from napari_clearclip.engine.reach import reach_steps
from napari_clearclip.steps import drain
from napari_clearclip.tally import boxes

SIDE, SHAPE, PROMPTS = 4, (10, 13), 3
GRID = [0.0, 0.1, 0.25, 0.5, 0.7, 1.0]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SIDE", SIDE)


def assignment_of(seed: int) -> Assignment:
    rng = np.random.default_rng(seed)
    winner = rng.integers(0, PROMPTS + 1, SHAPE).astype(np.uint8)
    winner[:, :SIDE] = 1  # some blocks with one prompt only
    score = rng.choice(np.array(GRID, np.float32), SHAPE) * (winner > 0)
    return Assignment(winner, score.astype(np.float32), rng.choice(np.array([0.0, 0.5], np.float32), SHAPE))


def naive(assignment: Assignment, thresholds: Any, lead: float, valid: Any) -> Any:
    """Pixel by pixel, in float32 as stored."""
    labels = np.zeros(SHAPE, np.uint8)
    for at in np.ndindex(SHAPE):
        prompt = int(assignment.winner[at]) - 1
        keep = prompt >= 0 and assignment.score[at] >= np.float32(thresholds[prompt])
        keep = keep and (not lead or assignment.margin[at] >= np.float32(lead))
        labels[at] = prompt + 1 if keep and (valid is None or valid[at]) else 0
    return labels


def test_low_and_high_are_those_of_the_pixels_that_a_prompt_wins() -> None:
    assignment = assignment_of(0)
    found = drain(reach_steps(assignment, PROMPTS))
    assert found.low.shape == (PROMPTS, 3, 4)
    for prompt, row, col in np.ndindex(*found.low.shape):
        part = slice(row * SIDE, (row + 1) * SIDE), slice(col * SIDE, (col + 1) * SIDE)
        scores = assignment.score[part][assignment.winner[part] == prompt + 1]
        assert found.low[prompt, row, col] == scores.min(initial=np.inf)
        assert found.high[prompt, row, col] == scores.max(initial=-np.inf)


steps = st.tuples(*[st.sampled_from(GRID)] * PROMPTS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.lists(steps, min_size=2, max_size=6), st.sampled_from([0.0, 0.3]), st.booleans())
def test_labels_made_anew_where_a_threshold_crossed_are_those_of_all_pixels(
    seed: int, sequence: list[tuple[float, ...]], lead: float, masked: bool
) -> None:
    assignment = assignment_of(seed)
    valid = np.random.default_rng(seed).random(SHAPE) < 0.8 if masked else None
    reached = drain(reach_steps(assignment, PROMPTS))
    before = sequence[0]
    labels = threshold(assignment, before, lead, valid)
    np.testing.assert_array_equal(labels, naive(assignment, before, lead, valid))
    for after in sequence[1:]:
        for prompt, blocks in enumerate(reached.crossed(before, after)):
            for box in boxes(blocks, SHAPE, SIDE):
                move_threshold(labels, assignment, prompt, before[prompt], after[prompt], lead, valid, box)
        np.testing.assert_array_equal(labels, naive(assignment, after, lead, valid))
        before = after


def test_nothing_is_crossed_where_nothing_moves_or_the_scores_lie_elsewhere() -> None:
    assignment = Assignment(*(np.full(SHAPE, value, kind) for value, kind in ((1, "u1"), (0.5, "f4"), (1, "f4"))))
    reached = drain(reach_steps(assignment, PROMPTS))
    assert not reached.crossed((0.4, 0.4, 0.4), (0.4, 0.9, 0.9)).any()
    assert not reached.crossed((0.1, 0, 0), (0.5, 0, 0)).any()  # a pixel of 0.5 has reached both
    assert not reached.crossed((0.6, 0, 0), (0.9, 0, 0)).any()
    assert reached.crossed((0.5, 0, 0), (0.6, 0, 0))[0].all()
    assert reached.crossed((0.6, 0, 0), (0.5, 0, 0))[0].all()
