"""Scores, winners and masks against a naive softmax, and what must hold whatever the numbers are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from napari_clearclip.engine import decide
from napari_clearclip.engine.apply import combine
from napari_clearclip.engine.decide import (
    Candidates,
    assign_steps,
    label_steps,
    overlap_steps,
    score_cells,
    valid_cells,
)
from napari_clearclip.engine.labelling import threshold
from napari_clearclip.engine.windows import Frame
from napari_clearclip.settings import Deciding
from napari_clearclip.steps import drain

Mask = np.ndarray[Any, np.dtype[np.bool_]]
FRAME = Frame(image=(24, 20), resized=(12, 10), window=12, stride=6, patch=2, cell=2)  # 6 x 5 cells

# Two objects, the first with two phrases, and two distractors, the second with two phrases.
OWNER, OBJECTS = (0, 0, 1, 2, 3, 3), 2


def cosines(number: int = len(OWNER), seed: int = 0) -> torch.Tensor:
    return 0.15 + 0.05 * torch.randn(number, *FRAME.cells, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def candidates() -> Candidates:
    return Candidates.join(list(cosines()), OWNER, OBJECTS)


def naive_scores(candidates: Candidates, deciding: Deciding) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The formula, cell by cell in float64: the best own phrase of a softmax over the competitors."""
    maps = candidates.cosines.double().numpy()
    scores = np.zeros((candidates.objects, *maps.shape[1:]))
    for prompt in range(candidates.objects):
        own = [q for q, owner in enumerate(candidates.owner) if owner == prompt]
        rivals = [q for q, owner in enumerate(candidates.owner) if owner >= candidates.objects]
        taking_part = list(range(len(maps))) if deciding.competitors == "all" else own + rivals
        if candidates.sigmoid is not None:
            scale, bias = candidates.sigmoid
            scores[prompt] = np.max([1 / (1 + np.exp(-scale * maps[q] - bias)) for q in own], axis=0)
            continue
        for row, col in np.ndindex(*maps.shape[1:]):
            exponents = {q: np.exp(deciding.scale * maps[q, row, col]) for q in taking_part}
            scores[prompt, row, col] = max(exponents[q] for q in own) / sum(exponents.values())
    return scores


def upsampled(candidates: Candidates, shape: tuple[int, int] = FRAME.image) -> torch.Tensor:
    return F.interpolate(candidates.cosines[None], size=shape, mode="bilinear", align_corners=False)[0]


def assign(candidates: Candidates, deciding: Deciding, valid: Mask | None = None, frame: Frame = FRAME) -> Any:
    return drain(assign_steps(candidates, frame, deciding, valid))


def labels_of(
    candidates: Candidates, deciding: Deciding, thresholds: Sequence[float], valid: Mask | None = None
) -> np.ndarray[Any, Any]:
    labels = threshold(assign(candidates, deciding, valid), thresholds, deciding.lead, valid)
    assert np.array_equal(drain(label_steps(candidates, FRAME, deciding, thresholds, valid)), labels)
    return labels


# ----------------------------------------------------------------------------------------------------------------------
# Scores


@pytest.mark.parametrize("scale", [1, 50, 1000])
@pytest.mark.parametrize("competitors", ["distractors", "all"])
def test_scores_are_the_naive_softmax(competitors: Any, scale: float, candidates: Candidates) -> None:
    deciding = Deciding(competitors=competitors, scale=scale)
    actual = score_cells(candidates, deciding).numpy()
    np.testing.assert_allclose(actual, naive_scores(candidates, deciding), atol=2e-5)
    assert actual.min() >= 0
    assert actual.max() <= 1


def test_the_two_settings_differ(candidates: Candidates) -> None:
    narrow, wide = (score_cells(candidates, Deciding(competitors=c)) for c in ("distractors", "all"))
    assert (narrow > wide).all()


@pytest.mark.parametrize("competitors", ["distractors", "all"])
def test_without_distractors_the_own_phrases_compete(competitors: Any) -> None:
    candidates = Candidates.join(list(cosines(3)), (0, 0, 1), 2)
    deciding = Deciding(competitors=competitors)
    np.testing.assert_allclose(score_cells(candidates, deciding), naive_scores(candidates, deciding), atol=2e-5)


def test_sigmoids_are_each_phrase_by_itself(candidates: Candidates) -> None:
    own = dataclasses.replace(candidates, sigmoid=(30.0, -5.0))
    scores = score_cells(own, Deciding())
    np.testing.assert_allclose(scores, naive_scores(own, Deciding()), atol=1e-6)
    alone = Candidates.join([own.cosines[2]], (0,), 1)
    assert torch.equal(score_cells(dataclasses.replace(alone, sigmoid=(30.0, -5.0)), Deciding())[0], scores[1])
    for least in (0.3, 0.45):
        bits = drain(overlap_steps(own, FRAME, Deciding(exclusive=False), [least, least], None))
        masks = np.unpackbits(bits, axis=-1, count=FRAME.image[1]).astype(bool)
        fine = dataclasses.replace(own, cosines=upsampled(own))
        assert np.array_equal(masks, naive_scores(fine, Deciding()) >= least)
        assert masks.any()
        assert not masks.all()


def test_adding_a_prompt_leaves_the_other_scores_bit_identical() -> None:
    maps = cosines(5)
    few = Candidates.join([maps[0], maps[3], maps[4]], (0, 1, 2), 1)
    more = Candidates.join([maps[0], maps[1], maps[2], maps[3], maps[4]], (0, 1, 1, 2, 3), 2)
    assert torch.equal(score_cells(few, Deciding())[0], score_cells(more, Deciding())[0])
    assert not torch.equal(
        score_cells(few, Deciding(competitors="all"))[0], score_cells(more, Deciding(competitors="all"))[0]
    )


def test_one_prompt_with_distractors_is_not_everywhere() -> None:
    candidates = Candidates.join(list(cosines(4)), (0, 1, 2, 3), 1)
    labels = labels_of(candidates, Deciding(), [0.2])
    assert 0 < (labels == 1).mean() < 0.9
    alone = Candidates.join(list(cosines(1)), (0,), 1)
    assert (
        labels_of(alone, Deciding(), [0.2]) == 1
    ).all()  # nothing competes: a setting for those who label every pixel


def test_no_objects_give_no_scores() -> None:
    assert score_cells(Candidates.join(list(cosines(2)), (0, 1), 0), Deciding()).shape == (0, *FRAME.cells)


# ----------------------------------------------------------------------------------------------------------------------
# Winners


def naive_labels(
    candidates: Candidates, deciding: Deciding, thresholds: Sequence[float], valid: Mask | None = None
) -> np.ndarray[Any, Any]:
    """Pixel by pixel: arg max over prompts and distractors, own threshold, lead over the second."""
    fine = dataclasses.replace(candidates, cosines=upsampled(candidates))
    maps, scores = fine.cosines.double().numpy(), naive_scores(fine, deciding)
    best = np.stack([maps[[q for q, o in enumerate(fine.owner) if o == p]].max(0) for p in range(max(fine.owner) + 1)])
    labels = np.zeros(maps.shape[1:], np.uint8)
    for row, col in np.ndindex(*labels.shape):
        order = np.argsort(-best[:, row, col], kind="stable")
        winner = order[0]
        scale = deciding.scale if fine.sigmoid is None else fine.sigmoid[0]
        first, second = (np.exp(scale * best[i, row, col]) for i in order[:2])
        if (
            winner < fine.objects
            and scores[winner, row, col] >= thresholds[winner]
            and (first - second) / (first + second) >= deciding.lead
            and (valid is None or valid[row, col])
        ):
            labels[row, col] = winner + 1
    return labels


@pytest.mark.parametrize("lead", [0.0, 0.3])
@pytest.mark.parametrize("competitors", ["distractors", "all"])
@pytest.mark.parametrize("sigmoid", [None, (20.0, -4.0)], ids=["softmax", "sigmoid"])
def test_labels_are_the_naive_ones(
    sigmoid: tuple[float, float] | None, competitors: Any, lead: float, candidates: Candidates
) -> None:
    deciding = Deciding(competitors=competitors, scale=20, lead=lead)
    candidates = dataclasses.replace(candidates, sigmoid=sigmoid)
    valid = np.ones(FRAME.image, bool)
    valid[:7, 3:] = False
    actual = labels_of(candidates, deciding, [0.3, 0.35], valid)
    assert np.array_equal(actual, naive_labels(candidates, deciding, [0.3, 0.35], valid))
    assert set(np.unique(actual)) == {0, 1, 2}


def test_a_winner_below_its_threshold_leaves_the_pixel_empty() -> None:
    """The runner-up does not get it, though it would pass its own threshold."""
    maps = [torch.full((6, 5), value) for value in (0.30, 0.29, 0.28)]
    candidates = Candidates.join(maps, (0, 1, 2), 2)
    scores = score_cells(candidates, Deciding())
    assert scores[0].min() < 0.9
    assert scores[1].min() > 0.1
    assert not labels_of(candidates, Deciding(), [0.9, 0.1]).any()
    assert (labels_of(candidates, Deciding(), [0.5, 0.1]) == 1).all()


def test_a_distractor_that_wins_leaves_the_pixel_empty() -> None:
    maps = [torch.full((6, 5), value) for value in (0.28, 0.30)]
    assert not labels_of(Candidates.join(maps, (0, 1), 1), Deciding(), [0.0]).any()


def test_of_equals_the_first_wins() -> None:
    maps = [torch.full((6, 5), 0.3)] * 3
    assignment = assign(Candidates.join(maps, (0, 1, 2), 2), Deciding())
    assert (assignment.winner == 1).all()
    assert not assignment.margin.any()
    assert (labels_of(Candidates.join(maps, (0, 1, 2), 2), Deciding(lead=0.01), [0, 0]) == 0).all()


def test_score_and_margin_of_the_winner(candidates: Candidates) -> None:
    assignment = assign(candidates, Deciding(scale=20))
    fine = dataclasses.replace(candidates, cosines=upsampled(candidates))
    scores = naive_scores(fine, Deciding(scale=20))
    for index in range(OBJECTS):
        won = assignment.winner == index + 1
        np.testing.assert_allclose(assignment.score[won], scores[index][won], atol=2e-5)
    assert not assignment.score[assignment.winner == 0].any()
    best = torch.stack([candidates.of(p, fine.cosines).amax(0) for p in range(4)]).topk(2, dim=0).values
    pair = torch.softmax(20 * best.double(), dim=0)
    np.testing.assert_allclose(assignment.margin, pair[0] - pair[1], atol=1e-5)
    assert assignment.nbytes == 24 * 20 * (1 + 4 + 4)


def test_without_a_second_the_margin_is_one() -> None:
    assert (assign(Candidates.join(list(cosines(1)), (0,), 1), Deciding()).margin == 1).all()


def test_permuting_prompts_permutes_labels() -> None:
    maps = list(cosines(5))
    before = labels_of(Candidates.join(maps, (0, 1, 2, 3, 4), 3), Deciding(), [0.1, 0.2, 0.3])
    order = [2, 0, 1]
    moved = Candidates.join([*(maps[index] for index in order), *maps[3:]], (0, 1, 2, 3, 4), 3)
    after = labels_of(moved, Deciding(), [[0.1, 0.2, 0.3][index] for index in order])
    assert set(np.unique(before)) == {0, 1, 2, 3}
    assert np.array_equal(np.array([0, 3, 1, 2])[after], before)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["distractors", "all"]), st.booleans())
def test_raising_a_threshold_only_removes_pixels(one: float, other: float, competitors: Any, exclusive: bool) -> None:
    candidates = Candidates.join(list(cosines()), OWNER, OBJECTS)
    deciding, thresholds = Deciding(competitors=competitors, exclusive=exclusive), sorted((one, other))
    masks = []
    for least in thresholds:
        if exclusive:
            masks.append(labels_of(candidates, deciding, [least, 0.2]) == 1)
        else:
            bits = drain(overlap_steps(candidates, FRAME, deciding, [least, 0.2], None))
            masks.append(np.unpackbits(bits[0], axis=-1, count=20).view(bool))
    assert not (masks[1] & ~masks[0]).any()


def test_cosines_are_upsampled_before_the_softmax(candidates: Candidates) -> None:
    """The papers' order: a softmax of upsampled cosines, not an upsampled softmax."""
    assignment = assign(candidates, Deciding())
    coarse = F.interpolate(score_cells(candidates, Deciding())[None], size=FRAME.image, mode="bilinear")[0].numpy()
    won = assignment.winner == 1
    assert np.abs(assignment.score[won] - coarse[0][won]).max() > 0.01


@pytest.mark.parametrize("image", [(24, 20), (7, 31), (6, 5), (1, 1), (3, 200)])
def test_strips_are_the_whole_image(image: tuple[int, int], candidates: Candidates, monkeypatch: Any) -> None:
    frame = dataclasses.replace(FRAME, image=image)
    whole = assign(candidates, Deciding(), frame=frame)
    best = torch.stack([candidates.of(p, upsampled(candidates, image)).amax(0) for p in range(4)]).argmax(0)
    winner = np.where(best < OBJECTS, best + 1, 0)
    assert (whole.winner == winner).mean() > 0.999
    monkeypatch.setattr(decide, "_STRIP", 3 * image[1] * len(OWNER))
    steps = assign_steps(candidates, frame, Deciding(), None)
    assert sum(1 for _ in steps) == -(-image[0] // 3)
    parts = assign(candidates, Deciding(), frame=frame)
    assert np.array_equal(parts.winner, whole.winner)
    np.testing.assert_allclose(parts.score, whole.score, atol=1e-6)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("competitors", ["distractors", "all"])
def test_a_prompt_without_a_phrase_takes_no_part(competitors: Any, exclusive: bool) -> None:
    """As if it were not there, but it keeps its place."""
    maps = cosines(3)
    with_gap = Candidates.join(list(maps), (0, 2, 3), 3)  # the second of three prompts has no phrase
    alone = Candidates.join(list(maps), (0, 1, 2), 2)
    deciding = Deciding(competitors=competitors, exclusive=exclusive, lead=0.1)
    scores = score_cells(with_gap, deciding)
    assert not scores[1].any()
    assert torch.equal(scores[[0, 2]], score_cells(alone, deciding))
    if exclusive:
        labels = labels_of(with_gap, deciding, [0, 0, 0])
        assert np.array_equal(np.array([0, 1, 1, 2])[labels], labels_of(alone, deciding, [0, 0]))
        assert set(np.unique(labels)) == {0, 1, 3}
    else:
        bits = drain(overlap_steps(with_gap, FRAME, deciding, [0, 0, 0], None))
        assert not bits[1].any()
        assert np.array_equal(bits[[0, 2]], drain(overlap_steps(alone, FRAME, deciding, [0, 0], None)))


def test_without_any_phrase_nothing_is_found() -> None:
    none = Candidates.join([], (), 2, cells=FRAME.cells)
    assert score_cells(none, Deciding()).shape == (2, *FRAME.cells)
    assert not score_cells(none, Deciding()).any()
    assert not labels_of(none, Deciding(), [0, 0]).any()
    assert not drain(overlap_steps(none, FRAME, Deciding(exclusive=False), [0, 0], None)).any()


# ----------------------------------------------------------------------------------------------------------------------
# Area and validity


def test_small_shares_are_dropped_and_the_rest_competes_again() -> None:
    """Three prompts win 18, 10 and 2 of 30 cells; where the third won, the second is the next best."""
    maps = torch.zeros(4, 6, 5)
    maps[0, :, :3] = 0.5
    maps[1, :, 3:] = 0.4
    maps[2, :2, 4] = 0.6
    maps[3] = -0.5
    frame = Frame((6, 5), (6, 5), window=8, stride=8, patch=1, cell=1)
    candidates = Candidates.join(list(maps), (0, 1, 2, 3), 3)
    plain = assign(candidates, Deciding(), frame=frame).winner
    assert [int((plain == value).sum()) for value in (0, 1, 2, 3)] == [0, 18, 10, 2]
    dropped = assign(candidates, Deciding(area=0.1), frame=frame).winner
    assert [int((dropped == value).sum()) for value in (0, 1, 2, 3)] == [0, 18, 12, 0]
    kept = assign(candidates, Deciding(area=0.05), frame=frame).winner
    assert np.array_equal(kept, plain)
    exactly = assign(candidates, Deciding(area=2 / 30), frame=frame).winner
    assert np.array_equal(exactly, dropped)  # at most this share

    valid = np.zeros((6, 5), bool)
    valid[:2] = True  # there the third has 2 of 10
    assert np.array_equal(assign(candidates, Deciding(area=0.1), valid, frame).winner, plain)
    assert not (assign(candidates, Deciding(area=0.3), valid, frame).winner == 3).any()


def test_dropping_every_prompt_leaves_nothing() -> None:
    maps = [torch.full((6, 5), 0.3), torch.full((6, 5), 0.2)]
    winner = assign(Candidates.join(maps, (0, 1), 1), Deciding()).winner
    assert (winner == 1).all()
    valid = np.zeros(FRAME.image, bool)
    assert not labels_of(Candidates.join(maps, (0, 1), 1), Deciding(area=0.5), [0.0], valid).any()


def test_pixels_without_data_stay_empty(candidates: Candidates) -> None:
    valid = np.zeros(FRAME.image, bool)
    valid[5:9, 2:11] = True
    labels = labels_of(candidates, Deciding(), [0, 0], valid)
    assert labels.any()
    assert not labels[~valid].any()
    bits = drain(overlap_steps(candidates, FRAME, Deciding(exclusive=False), [0, 0], valid))
    for mask in np.unpackbits(bits, axis=-1, count=20).view(bool):
        assert np.array_equal(mask, valid)


def test_a_cell_is_valid_if_it_touches_a_valid_pixel() -> None:
    valid = np.zeros((6, 4), bool)
    valid[0, 0] = valid[5, 1] = True
    assert valid_cells(valid, (3, 2)).tolist() == [[True, False], [False, False], [True, False]]


# ----------------------------------------------------------------------------------------------------------------------
# Overlapping masks


@pytest.mark.parametrize("competitors", ["distractors", "all"])
def test_overlapping_masks_have_their_own_thresholds(competitors: Any, candidates: Candidates) -> None:
    deciding = Deciding(competitors=competitors, scale=20, exclusive=False)
    fine = dataclasses.replace(candidates, cosines=upsampled(candidates))
    expected = naive_scores(fine, deciding)
    bits = drain(overlap_steps(candidates, FRAME, deciding, [0.15, 0.2], None))
    assert bits.shape == (2, 24, 3)
    masks = np.unpackbits(bits, axis=-1, count=20).view(bool)
    for index, least in enumerate([0.15, 0.2]):
        sure = np.abs(expected[index] - least) > 1e-4
        assert np.array_equal(masks[index][sure], (expected[index] >= least)[sure])
        assert 0 < masks[index].mean() < 1
    assert (masks[0] & masks[1]).any()


def test_lead_of_overlapping_masks_is_over_the_distractors(candidates: Candidates) -> None:
    deciding = Deciding(exclusive=False, lead=0.5)
    fine = upsampled(candidates).double()
    masks = np.unpackbits(drain(overlap_steps(candidates, FRAME, deciding, [0, 0], None)), axis=-1, count=20).view(bool)
    for prompt in range(OBJECTS):
        own, rival = candidates.of(prompt, fine).amax(0), fine[3:].amax(0)
        pair = torch.softmax(50 * torch.stack([own, rival]), dim=0)
        lead = (pair[0] - pair[1]).numpy()
        sure = np.abs(lead - 0.5) > 1e-4
        assert np.array_equal(masks[prompt][sure], (lead >= 0.5)[sure])


def test_the_combined_map_shows_the_first_of_several() -> None:
    masks = np.array([[[0, 1, 1, 0, 0, 0, 0, 0, 0]], [[0, 0, 1, 1, 0, 0, 0, 0, 1]]], bool)
    assert combine(np.packbits(masks, axis=-1), 9).tolist() == [[0, 1, 1, 2, 0, 0, 0, 0, 2]]
