"""Masks after any sequence of steps are those that are made from scratch, and what is known of their tiles is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from napari_clearclip import tally
from napari_clearclip.cache import Cache
from napari_clearclip.edits import Edits, View
from napari_clearclip.engine import labelling, reach
from napari_clearclip.engine.windows import Frame
from napari_clearclip.job import Bands, Job, Picture
from napari_clearclip.masking import Masking, Masks
from napari_clearclip.measuring import Measuring
from napari_clearclip.settings import Cleaning, Deciding, Index, Prompt, Settings
from napari_clearclip.stepping import Stepping
from napari_clearclip.steps import drain

SIDE = 16
FRAME = Frame(image=(50, 70), resized=(20, 28), window=20, stride=10, patch=2, cell=2)
WORDS = ("cat", "dog", "horse")
COSINES = {
    word: 0.15 + 0.04 * torch.randn(FRAME.cells, generator=torch.Generator().manual_seed(seed))
    for seed, word in enumerate((*WORDS, "sky"))
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles so small that an image of 50 x 70 has 4 x 5 of them."""
    monkeypatch.setattr(tally, "TILE", SIDE)
    monkeypatch.setattr(reach, "SIDE", SIDE // 2)


BANDS = np.random.default_rng(5).integers(0, 256, (50, 70)).astype(np.uint8)


def job_of(
    thresholds: tuple[float, ...],
    deciding: Deciding | None = None,
    masked: bool = False,
    smallest: float = 0,
    measured: bool = False,
) -> Job:
    """A job; if `masked`, a corner of its image has no data, and if `measured`, its dogs are a band expression."""
    prompts = [Prompt(id=word, phrase=word, threshold=value) for word, value in zip(WORDS, thresholds, strict=True)]
    if measured:
        prompts[1] = prompts[1].replace(index=Index(expression="b1", low=0, high=255))
    wanted = Settings(
        prompts=(*prompts, Prompt(phrase="sky", kind="distractor")),
        deciding=deciding or Deciding(),
        cleaning=Cleaning(smallest=smallest),
    )
    valid = np.add.outer(np.arange(50), np.arange(70)) > 40 if masked else None
    picture = Picture(BANDS, View())
    key, bands = f"image {masked}", Bands(picture, View())
    return Job(picture, View(), wanted, Edits(), None, FRAME, valid, key, bands)


def masking_with(budget: int) -> Masking:
    cache = Cache(budget)
    return Masking(cache, Measuring(cache), Stepping(cache), Path())


def masks_of(masking: Masking, job: Job) -> Masks:
    masks: Masks = drain(masking.steps(job, COSINES))[1]
    return masks


def tiles_of(masks: Masks) -> dict[tuple[int, int], Any]:
    """The masks in each tile, unpacked: (P, h, w) bool."""
    if masks.overlaps is None:
        each = np.stack([masks.labels == at for at in range(1, len(WORDS) + 1)])
    else:
        each = np.unpackbits(masks.overlaps, axis=-1, count=70).view(bool)
    rows, cols = masks.tally.names.shape
    assert (rows, cols) == (4, 5)
    cut = {
        at: (slice(at[0] * SIDE, (at[0] + 1) * SIDE), slice(at[1] * SIDE, (at[1] + 1) * SIDE))
        for at in np.ndindex(rows, cols)
    }
    return {at: each[:, *box] for at, box in cut.items()}


values = st.sampled_from([0.0, 0.2, 0.3, 0.31, 0.5, 0.8, 1.0])
questions = st.builds(
    job_of,
    st.tuples(values, values, values),
    st.builds(Deciding, exclusive=st.booleans(), lead=st.sampled_from([0.0, 0.3]), scale=st.sampled_from([20.0, 50.0])),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 60.0]),
    st.booleans(),
)


@trying(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(questions, min_size=2, max_size=8), st.sampled_from([10**8, 20_000]))
def test_masks_are_the_same_whatever_was_asked_before(jobs: list[Job], budget: int) -> None:
    masking, seen = masking_with(budget), {}
    for job in jobs:
        masks, truth = masks_of(masking, job), masks_of(masking_with(0), job)
        np.testing.assert_array_equal(masks.labels, truth.labels)
        if truth.overlaps is None:
            assert masks.overlaps is None
        else:
            np.testing.assert_array_equal(masks.overlaps, truth.overlaps)
        for at, tile in tiles_of(masks).items():
            np.testing.assert_array_equal(masks.tally.counts[:, *at], tile.sum(axis=(1, 2)))
            np.testing.assert_array_equal(seen.setdefault(masks.tally.names[at], tile), tile)


def test_a_step_makes_only_tiles_that_the_threshold_crosses(monkeypatch: pytest.MonkeyPatch) -> None:
    masking = masking_with(10**8)
    before = masks_of(masking, job_of((0.5, 0.3, 0.3)))
    made = np.zeros((50, 70), bool)
    original = labelling.move_threshold

    def noted(*arguments: Any) -> None:
        made[arguments[-1]] = True
        original(*arguments)

    monkeypatch.setattr(labelling, "move_threshold", noted)
    after = masks_of(masking, job_of((0.52, 0.3, 0.3)))
    changed = before.labels != after.labels
    assert changed.any()
    assert not (changed & ~made).any()
    assert made.mean() < 0.6
    differ = {(row // SIDE, col // SIDE) for row, col in np.argwhere(changed).tolist()}
    assert {at for at in np.ndindex(4, 5) if before.tally.names[at] != after.tally.names[at]} == differ
    assert after.tally.totals()[0] == before.tally.totals()[0] - changed.sum()
    assert after.tally.totals()[1:] == before.tally.totals()[1:]


def test_what_was_kept_before_is_left_as_it_is() -> None:
    masking = masking_with(10**8)
    before = masks_of(masking, job_of((0.3, 0.3, 0.3)))
    copy, names = before.labels.copy(), before.tally.names.copy()
    masks_of(masking, job_of((0.9, 0.1, 0.3)))
    np.testing.assert_array_equal(before.labels, copy)
    np.testing.assert_array_equal(before.tally.names, names)
    assert masks_of(masking, job_of((0.3, 0.3, 0.3))).labels is before.labels
    with pytest.raises(ValueError, match="read-only"):
        before.labels[0, 0] = 1


def test_many_prompts_are_counted_like_few() -> None:
    rng = np.random.default_rng(0)
    old = rng.integers(0, 13, (50, 70)).astype(np.uint8)
    new = np.where(rng.random((50, 70)) < 0.001, 5, old).astype(np.uint8)
    first = tally.Tally.of(old, (50, 70), 12)
    found = first.followed(old, new)
    assert found.totals() == [int((new == at).sum()) for at in range(1, 13)]
    assert 0 < (found.names != first.names).sum() < 20


def test_labels_that_somebody_holds_are_never_written_over() -> None:
    masking, values = masking_with(10**8), [at / 20 for at in range(1, 20)]
    held = [masks_of(masking, job_of((value, 0.3, 0.3))) for value in values]
    views = [masks_of(masking, job_of((value, 0.5, 0.3))).labels[10:20, ::2] for value in values]
    for masks, view, value in zip(held, views, values, strict=True):
        np.testing.assert_array_equal(masks.labels, masks_of(masking_with(0), job_of((value, 0.3, 0.3))).labels)
        truth = masks_of(masking_with(0), job_of((value, 0.5, 0.3))).labels
        np.testing.assert_array_equal(view, truth[10:20, ::2])


def test_labels_that_nobody_holds_are_written_over() -> None:
    masking = masking_with(10**8)
    places = {masks_of(masking, job_of((at / 20, 0.3, 0.3))).labels.ctypes.data for at in range(1, 20)}
    assert len(places) <= 5
