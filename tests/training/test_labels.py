"""Pseudo-labels mended by the teacher's vectors, against loops over pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from napari_clearclip.engine import decide
from napari_clearclip.training.labels import Likeness, filled
from napari_clearclip.training.lessons import IGNORE, Lesson

TEXTS = torch.nn.functional.normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), dim=1).numpy()


def lesson(seed: int, shape: tuple[int, int] = (12, 15)) -> Lesson:
    """Random labels of four phrases, a third of them empty, and random vectors on fewer cells than pixels."""
    rng = np.random.default_rng(seed)
    pseudo = rng.choice(np.array([0, 1, 2, 3, IGNORE, IGNORE], np.uint8), shape)
    vectors = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(4, 5, 6))), dim=-1).half()
    return Lesson(np.zeros((*shape, 3), np.uint8), pseudo, None, vectors)


def cosine(taught: Lesson, phrase: int, row: int, col: int) -> float:
    """The four cells around a pixel's centre, weighted by how near they are; outside, the outermost count."""
    assert taught.vectors is not None
    cells = taught.vectors.double().numpy() @ TEXTS[phrase].astype(float)
    height, width = cells.shape
    y = min(max((row + 0.5) * height / taught.pseudo.shape[0] - 0.5, 0), height - 1)
    x = min(max((col + 0.5) * width / taught.pseudo.shape[1] - 0.5, 0), width - 1)
    near = [(r, c) for r in range(height) for c in range(width) if abs(y - r) < 1 and abs(x - c) < 1]
    return sum((1 - abs(y - r)) * (1 - abs(x - c)) * cells[r, c] for r, c in near)


@pytest.fixture(autouse=True)
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "_STRIP", 150)


@pytest.mark.parametrize("asked", [(0, 1, 2, 3), (1, 3)])
def test_empty_pixels_take_the_best_object_that_is_probable_enough(asked: tuple[int, ...]) -> None:
    taught = lesson(1)
    expected, changed = taught.pseudo.copy(), set()
    for (row, col), label in np.ndenumerate(taught.pseudo):
        powers = {phrase: math.exp(5 * cosine(taught, phrase, row, col)) for phrase in asked}
        best = max(powers, key=lambda phrase: powers[phrase])
        if label == IGNORE and best < 2 and powers[best] / sum(powers.values()) >= 0.6:
            expected[row, col] = best
            changed.add(best)
    assert changed == set(asked) & {0, 1}
    found = filled(taught, TEXTS, asked, objects=2, scale=5, confidence=0.6)
    np.testing.assert_array_equal(found.pseudo, expected)
    assert found.image is taught.image


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_least_like_labels_of_all_lessons_are_left_out(share: float) -> None:
    lessons = [lesson(1), lesson(2)]
    expected = [taught.pseudo.copy() for taught in lessons]
    for phrase in (2, 3):
        places = [
            (cosine(taught, phrase, row, col), number, row, col)
            for number, taught in enumerate(lessons)
            for (row, col), label in np.ndenumerate(taught.pseudo)
            if label == phrase
        ]
        for _, number, row, col in sorted(places)[: int(share * len(places))]:
            expected[number][row, col] = IGNORE
    likeness = Likeness(TEXTS, [2, 3])
    for taught in lessons:
        likeness.count(taught)
    for taught, wanted in zip(lessons, expected, strict=True):
        np.testing.assert_array_equal(likeness.without_least(taught, share).pseudo, wanted)


def test_nothing_is_left_out_of_what_no_lesson_has() -> None:
    taught = lesson(1)
    assert np.array_equal(Likeness(TEXTS, []).without_least(taught, 0.5).pseudo, taught.pseudo)


def test_a_lesson_must_have_vectors() -> None:
    blind: Any = Lesson(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="the lesson has no vectors to compare with"):
        filled(blind, TEXTS, (0,), 1, 50, 0.5)
