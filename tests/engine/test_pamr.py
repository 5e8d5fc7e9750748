"""PAMR against a loop over pixels written from its formula, and what must hold whatever the image is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clearclip.engine import pamr as module
from napari_clearclip.engine.pamr import Affinities, pamr, pamr_steps, reach
from napari_clearclip.steps import drain

Array = np.ndarray[Any, np.dtype[np.float64]]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def naive(maps: Array, guide: Array, steps: int, dilations: Sequence[int], valid: Any = None) -> Array:
    """Pixel by pixel, in float64: weights as the softmax of mean normalised differences, then their mean, again."""
    height, width = maps.shape[1:]
    valid = np.ones((height, width), bool) if valid is None else valid

    def seen(row: int, col: int) -> list[tuple[int, int]]:
        offsets = [(y * r, x * r) for r in dilations for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
        places = [(min(max(row + y, 0), height - 1), min(max(col + x, 0), width - 1)) for y, x in offsets]
        return [place for place in places if valid[place]]

    for _ in range(steps):
        new = maps.copy()
        for row, col in np.ndindex(height, width):
            places = seen(row, col)
            if not places:
                continue
            samples = np.array([guide[:, y, x] for y, x in places] + [guide[:, row, col]] * len(dilations))
            spread = samples.std(axis=0, ddof=1)
            logits = np.array(
                [np.mean(-np.abs(guide[:, row, col] - guide[:, y, x]) / (1e-8 + 0.1 * spread)) for y, x in places]
            )
            weights = np.exp(logits - logits.max())
            weights /= weights.sum()
            new[:, row, col] = sum(weight * maps[:, y, x] for weight, (y, x) in zip(weights, places, strict=True))
        maps = new
    return maps


@pytest.mark.parametrize("dilations", [(1,), (2, 3), (8, 16)])
@pytest.mark.parametrize("steps", [1, 3])
def test_it_is_the_naive_loop(steps: int, dilations: tuple[int, ...]) -> None:
    maps, guide = random(2, 9, 7), random(3, 9, 7, seed=1)
    expected = naive(maps.double().numpy(), guide.double().numpy(), steps, dilations)
    np.testing.assert_allclose(pamr(maps, guide, steps, dilations), expected, atol=1e-5)


def test_pixels_without_data_have_no_say() -> None:
    maps, guide = random(2, 9, 7), random(3, 9, 7, seed=1)
    valid = torch.ones(9, 7, dtype=torch.bool)
    valid[:4, 2:] = False
    valid[7:, :3] = False
    valid[1, 4] = True  # all of its neighbours are without data: it keeps its value
    actual = pamr(maps, guide, 2, (1, 2), valid)
    expected = naive(maps.double().numpy(), guide.double().numpy(), 2, (1, 2), valid.numpy())
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert torch.equal(actual[:, 1, 4], maps[:, 1, 4])
    changed = torch.where(valid, maps, 100.0), torch.where(valid, guide, -50.0)
    again = pamr(*changed, 2, (1, 2), valid)
    assert torch.equal(again[:, valid], actual[:, valid])
    assert not torch.equal(pamr(*changed, 2, (1, 2))[:, valid], again[:, valid])


def test_where_all_pixels_have_data_the_mask_changes_nothing() -> None:
    maps, guide = random(1, 20, 18), random(3, 20, 18, seed=1)
    everywhere = torch.ones(20, 18, dtype=torch.bool)
    torch.testing.assert_close(
        pamr(maps, guide, 3, (1, 4), everywhere), pamr(maps, guide, 3, (1, 4)), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("flat", [False, True])
def test_weights_sum_to_one(flat: bool) -> None:
    guide = torch.zeros(3, 12, 10) if flat else random(3, 12, 10)
    affinities = Affinities(guide, (1, 3))
    for rows in affinities.strips:
        weights = affinities.of(rows)
        assert weights.shape == (16, 12, 10)
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(dim=0), torch.ones(12, 10))
        if flat:
            torch.testing.assert_close(weights, torch.full_like(weights, 1 / 16))


def test_zero_steps_change_nothing() -> None:
    maps = random(3, 5, 6)
    assert torch.equal(pamr(maps, random(3, 5, 6, seed=1), 0, (1, 2)), maps)


@settings(deadline=None, max_examples=25)
@given(st.floats(-3, 3), st.integers(1, 5), st.integers(0, 1000))
def test_constants_stay_and_it_is_linear_and_keeps_the_range(constant: float, steps: int, seed: int) -> None:
    guide = random(3, 11, 13, seed=seed)
    one, other = random(1, 11, 13, seed=seed + 1), random(1, 11, 13, seed=seed + 2)
    torch.testing.assert_close(
        pamr(torch.full((1, 11, 13), constant), guide, steps, (1, 2)), torch.full((1, 11, 13), constant)
    )
    refined = pamr(one, guide, steps, (1, 2))
    torch.testing.assert_close(
        pamr(constant * one + other, guide, steps, (1, 2)),
        constant * refined + pamr(other, guide, steps, (1, 2)),
        atol=1e-5,
        rtol=1e-5,
    )
    assert one.min() - 1e-6 <= refined.min()
    assert refined.max() <= one.max() + 1e-6


def test_values_do_not_cross_an_edge() -> None:
    """A black and a white half: a map that is off by three pixels comes to lie on the edge between them."""
    guide = torch.zeros(3, 16, 24)
    guide[:, :, 12:] = 1
    maps = torch.zeros(1, 16, 24)
    maps[:, :, 15:] = 1
    refined = pamr(maps, guide, 200, (1, 2))[0]
    assert refined[:, :12].max() < 0.01
    assert refined[:, 12:].min() > 0.3
    assert refined[:, 12:].std() < 0.1


@pytest.mark.parametrize("pixels", [1, 40, 10**6])
@pytest.mark.parametrize("most_bytes", [0, 2**30], ids=["made each time", "kept"])
def test_neither_strips_nor_memory_change_the_result(pixels: int, most_bytes: int, monkeypatch: Any) -> None:
    maps, guide = random(2, 23, 17), random(3, 23, 17, seed=1)
    expected = pamr(maps, guide, 3, (1, 5))
    monkeypatch.setattr(module, "_CACHED", pixels)
    affinities = Affinities(guide, (1, 5), most_bytes=most_bytes)
    torch.testing.assert_close(drain(pamr_steps(maps, affinities, 3)), expected, atol=5e-6, rtol=0)
    strips = -(-23 // max(pixels // 17, 1))
    assert sum(1 for _ in pamr_steps(maps, affinities, 3)) == 3 * strips  # as often as that, the caller may stop
    assert (affinities.of(slice(0, 1)) is affinities.of(slice(0, 1))) == (most_bytes > 0)


def test_a_part_with_its_reach_is_refined_like_the_whole() -> None:
    maps, guide = random(2, 60, 50), random(3, 60, 50, seed=1)
    dilations, steps = (1, 4), 3
    halo = reach(steps, dilations)
    assert halo == 12
    whole = pamr(maps, guide, steps, dilations)
    part = pamr(maps[:, 8:45], guide[:, 8:45], steps, dilations)
    torch.testing.assert_close(part[:, halo : 37 - halo], whole[:, 8 + halo : 45 - halo], atol=1e-6, rtol=0)
    less = halo - 4
    assert (part[:, less : 37 - less] - whole[:, 8 + less : 45 - less]).abs().max() > 1e-4
