"""Learning from strokes against loops and a general solver, and what it must never do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from napari_clearclip.edits import Region
from napari_clearclip.engine import correct
from napari_clearclip.engine.compare import compare
from napari_clearclip.engine.correct import SCALE, Evidence, Gathering, Surroundings, learn, liken, spots, windows_with
from napari_clearclip.engine.encoder import Features
from napari_clearclip.engine.stitching import stitch
from napari_clearclip.engine.windows import Frame

Array = Any
FRAME = Frame((60, 90), (40, 60), 16, 8, 4, 4)  # 10 x 15 cells of 6 pixels
SHAPE = FRAME.image


def unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def features_of(frame: Frame, width: int = 5, seed: int = 0) -> list[Features]:
    """Random features of each window."""
    rng = np.random.default_rng(seed)
    vectors = [torch.from_numpy(unit(rng.normal(size=(1, *frame.grid, width))).astype(np.float32)) for _ in frame.boxes]
    return [Features(vector, torch.ones(vector.shape[:-1]), vector[:, 0, 0]) for vector in vectors]


def drawn(*boxes: tuple[int, int, int, int]) -> Region:
    mask = np.zeros(SHAPE, bool)
    for y0, x0, y1, x1 in boxes:
        mask[y0:y1, x0:x1] = True
    return Region.of(mask)


# ----------------------------------------------------------------------------------------------------------------------
# Cells under strokes


def test_cells_and_their_weights_are_those_of_a_loop() -> None:
    region = drawn((0, 0, 4, 14), (30, 40, 31, 41))
    found = spots(region, FRAME)
    counts: dict[tuple[int, int], int] = {}
    for row, col in np.argwhere(region.mask(SHAPE)):
        counts[row // 6, col // 6] = counts.get((row // 6, col // 6), 0) + 1
    assert counts == {(0, 0): 24, (0, 1): 24, (0, 2): 8, (5, 6): 1}
    assert list(zip(found.rows.tolist(), found.cols.tolist(), strict=True)) == list(counts)
    np.testing.assert_allclose(found.weights, [24 / 56, 24 / 56, 8 / 56, 1])


def test_a_long_stroke_is_thinned_and_a_short_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correct, "MOST_CELLS", 4)
    found = spots(drawn((0, 0, 1, 90), (40, 40, 41, 41)), FRAME)
    assert found.rows.tolist() == [0, 0, 0, 0, 6]
    assert found.cols.tolist() == [0, 4, 8, 12, 6]
    np.testing.assert_allclose(found.weights, [0.25] * 4 + [1])


def test_strokes_outside_the_image_are_nowhere() -> None:
    found = spots(Region.of(np.ones((5, 5), bool), (600, 900)), FRAME)
    assert len(found.weights) == 0
    assert windows_with(found, FRAME) == []


@pytest.mark.parametrize("frame", [FRAME, Frame((60, 90), (12, 18), 16, 8, 4, 4)], ids=["windows", "one window"])
def test_a_product_with_gathered_features_is_the_stitched_cosine(frame: Frame) -> None:
    where, features = spots(drawn((1, 1, 50, 3), (20, 70, 24, 88)), frame), features_of(frame)
    gathering = Gathering(where, frame, 5)
    for number in windows_with(where, frame):
        gathering.add(number, features[number])
    vector = unit(np.arange(1.0, 6)).astype(np.float32)
    maps = stitch(frame, {number: {"": compare(item, vector)[0]} for number, item in enumerate(features)})[""]
    expected = maps.numpy()[where.rows, where.cols]
    np.testing.assert_allclose(gathering.evidence().features @ vector, expected, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------------
# Learning

RNG = np.random.default_rng(7)
PATCHES = unit(RNG.normal(size=(40, 6)) + 2).astype(np.float32)  # much in common, as features of images have
AROUND = Surroundings(PATCHES)
WORDS = unit(RNG.normal(size=(5, 6)))
OWN, RIVALS = WORDS[:2], WORDS[2:]


def evidence(places: list[int], signs: list[int], weights: list[float] | None = None) -> Evidence:
    return Evidence(PATCHES[places], np.array(signs, float), np.array(weights or [1.0] * len(places)))


def logits(features: Array, delta: Array = 0.0) -> Array:
    """What the best phrase has over all that competes, in a loop."""
    found = []
    for feature in np.asarray(features, float):
        own = max(SCALE * feature @ (word + delta) for word in OWN)
        found.append(own - np.log(sum(np.exp(SCALE * feature @ word) for word in RIVALS)))
    return np.array(found)


def lost(of: Evidence, delta: Array = 0.0) -> float:
    rows = zip(of.weights, of.signs, logits(of.features, delta), strict=True)
    return float(sum(w * np.log1p(np.exp(-s * z)) for w, s, z in rows))


def forgotten(delta: Array) -> float:
    """Mean divergence of the scores of the surroundings, each phrase's patches together weighing the same."""
    winners = [int(np.argmax([word @ patch for word in WORDS])) for patch in PATCHES]
    total = 0.0
    for winner, b, z in zip(winners, logits(PATCHES), logits(PATCHES, delta), strict=True):
        p = 1 / (1 + np.exp(-b))
        divergence = p * (np.log1p(np.exp(-z)) - np.log1p(np.exp(-b)))
        divergence += (1 - p) * (np.log1p(np.exp(z)) - np.log1p(np.exp(b)))
        total += divergence / winners.count(winner) / len(set(winners))
    return total


def test_it_is_what_a_general_solver_finds_for_the_formula() -> None:
    of = evidence([3, 8, 20], [1, -1, 1], [1, 0.5, 0.5])
    second = sum(np.outer(p, p) for p in PATCHES.astype(float)) / len(PATCHES)
    metric = 0.97 * second + 0.03 * np.trace(second) / 6 * np.eye(6)
    spread = np.mean([p @ np.linalg.inv(metric) @ p for p in PATCHES.astype(float)])

    def loss(delta: Array) -> float:
        distance = spread * (SCALE * delta) @ metric @ (SCALE * delta)
        return lost(of, delta) + correct.MEMORY * forgotten(delta) + correct.PRIOR / 2 * distance

    found = learn(OWN, RIVALS, of, AROUND)
    expected = minimize(loss, np.zeros(6), method="Powell", options={"xtol": 1e-9, "ftol": 1e-14, "maxiter": 10000}).x
    assert loss(found) <= loss(expected) + 1e-6
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_stroke_moves_the_score_there_and_at_similar_patches(sign: int) -> None:
    place = int(np.argmin(sign * logits(PATCHES)))  # where the words are most wrong
    delta = learn(OWN, RIVALS, evidence([place], [sign]), AROUND)
    similar = unit(PATCHES[place] + 0.05 * RNG.normal(size=(20, 6)))
    wrong = sign * logits(PATCHES)[place]
    assert sign * logits(PATCHES, delta)[place] > 0.2 * wrong
    assert wrong < 0
    assert (sign * (logits(similar, delta) - logits(similar)) > 0).all()


@pytest.mark.parametrize("places", [[5], [1, 9], [0, 11, 17, 30]])
def test_words_are_never_forgotten(places: list[int]) -> None:
    of = evidence(places, [-1 if logit > 0 else 1 for logit in logits(PATCHES[places])])
    delta = learn(OWN, RIVALS, of, AROUND)
    assert lost(of, delta) < lost(of)
    assert 0 < forgotten(delta) <= lost(of) / correct.MEMORY


def test_strokes_that_say_what_the_words_say_change_next_to_nothing() -> None:
    place = int(np.argmax(logits(PATCHES)))
    delta = learn(OWN, RIVALS, evidence([place], [1]), AROUND)
    assert forgotten(delta) <= lost(evidence([place], [1])) / correct.MEMORY < 1e-3


def test_the_order_of_strokes_does_not_matter() -> None:
    one, two = evidence([3], [1]), evidence([8, 9], [-1, -1], [0.5, 0.5])
    forth, back = (learn(OWN, RIVALS, Evidence.join(parts), AROUND) for parts in ([one, two], [two, one]))
    np.testing.assert_allclose(forth, back, atol=1e-7)


def test_a_long_stroke_counts_as_much_as_a_short_one() -> None:
    short = learn(OWN, RIVALS, evidence([3, 8], [1, -1]), AROUND)
    long = learn(OWN, RIVALS, evidence([3] * 50 + [8], [1] * 50 + [-1], [0.02] * 50 + [1]), AROUND)
    np.testing.assert_allclose(long, short, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------------
# Finding what is similar


def test_without_a_mix_words_stay_the_same_bits() -> None:
    assert liken(OWN, RIVALS, PATCHES[:1], AROUND, 0) is OWN


def test_an_example_leads_and_what_is_like_it_follows() -> None:
    centres = unit(RNG.normal(size=(4, 24)) + 1)
    kinds = np.arange(200) % 4
    patches = unit(centres[kinds] + 0.02 * RNG.normal(size=(200, 24))).astype(np.float32)
    words = unit(RNG.normal(size=(4, 24)))
    alone = liken(words[:1], words[1:], patches[:1], Surroundings(patches), 1.0)
    lead = SCALE * patches @ alone[0] - np.log(np.exp(SCALE * patches @ words[1:].T).sum(axis=1))
    assert lead[0] == pytest.approx(correct.CERTAINTY, abs=1.5)
    assert lead[kinds == 0].min() > 2
    assert lead[kinds != 0].max() < -2
    half = liken(words[:1], words[1:], patches[:1], Surroundings(patches), 0.5)
    np.testing.assert_allclose(half, (words[:1] + alone) / 2)


def test_an_example_of_everything_is_no_error() -> None:
    same = np.repeat(PATCHES[:1], 9, axis=0)
    assert np.isfinite(liken(OWN, RIVALS, same, Surroundings(same), 1.0)).all()
