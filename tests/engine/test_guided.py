"""The guided filter: its formulas pixel by pixel, and that gaps have no say."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from napari_clearclip.engine.guided import guided, reach

RNG = np.random.default_rng(0)
GUIDE = RNG.random((3, 9, 11)).astype(np.float32)
MAPS = RNG.random((2, 9, 11)).astype(np.float32)


def filtered(
    maps: np.ndarray = MAPS,
    guide: np.ndarray = GUIDE,
    radius: int = 2,
    eps: float = 0.01,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    mask = None if valid is None else torch.from_numpy(valid)
    return guided(torch.from_numpy(maps), torch.from_numpy(guide), radius, eps, mask).numpy()


def window(array: np.ndarray, row: int, col: int, radius: int) -> np.ndarray:
    """What a window sees, (C, n); beyond the border the outermost pixel."""
    height, width = array.shape[1:]
    places = [
        (min(max(row + down, 0), height - 1), min(max(col + across, 0), width - 1))
        for down in range(-radius, radius + 1)
        for across in range(-radius, radius + 1)
    ]
    return np.stack([array[:, r, c] for r, c in places], axis=1)


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("eps", [0.001, 0.3])
def test_every_pixel_is_the_mean_of_what_the_windows_make_of_its_colour(radius: int, eps: float) -> None:
    guide, maps = GUIDE.astype(float), MAPS.astype(float)
    slopes, offsets = np.empty((2, 3, 9, 11)), np.empty((2, 9, 11))
    for row in range(9):
        for col in range(11):
            colours = window(guide, row, col, radius)
            mean = colours.mean(axis=1)
            covariance = colours @ colours.T / colours.shape[1] - np.outer(mean, mean)
            for number, values in enumerate(window(maps, row, col, radius)):
                joint = (colours * values).mean(axis=1) - mean * values.mean()
                slopes[number, :, row, col] = np.linalg.inv(covariance + eps * np.eye(3)) @ joint
                offsets[number, row, col] = values.mean() - slopes[number, :, row, col] @ mean
    expected = np.empty_like(maps)
    for number in range(2):
        for row in range(9):
            for col in range(11):
                slope = window(slopes[number], row, col, radius).mean(axis=1)
                offset = window(offsets[number : number + 1], row, col, radius).mean()
                expected[number, row, col] = slope @ guide[:, row, col] + offset
    np.testing.assert_allclose(filtered(radius=radius, eps=eps), expected, atol=2e-5)


def test_a_constant_stays_and_maps_do_not_mix() -> None:
    np.testing.assert_allclose(filtered(np.full_like(MAPS, 0.3)), 0.3, atol=1e-5)
    np.testing.assert_allclose(filtered()[1:], filtered(MAPS[1:]), atol=1e-6)


def test_an_edge_of_the_image_stays_sharp() -> None:
    guide, ramp = np.zeros_like(GUIDE), np.linspace(0, 1, 11, dtype=np.float32)
    guide[..., 5:] = 1
    found = filtered(np.broadcast_to(ramp, (1, 9, 11)).copy(), guide, eps=1e-6)[0]
    steps = np.diff(found, axis=1)
    assert (steps[:, 4] > 2 * np.delete(steps, 4, axis=1).max(axis=1)).all()


def test_pixels_without_data_have_no_say_and_keep_their_value() -> None:
    valid = np.ones((9, 11), bool)
    valid[3:6, 2:8] = valid[0, 10] = False
    other_maps, other_guide = MAPS.copy(), GUIDE.copy()
    other_maps[:, ~valid], other_guide[:, ~valid] = 7, 0.5
    one, two = filtered(valid=valid), filtered(other_maps, other_guide, valid=valid)
    np.testing.assert_array_equal(one[:, valid], two[:, valid])
    np.testing.assert_array_equal(two[:, ~valid], 7)
    assert not np.allclose(one[:, valid], filtered()[:, valid], atol=1e-3)


def test_nothing_but_gaps_stays_as_it_is() -> None:
    np.testing.assert_array_equal(filtered(valid=np.zeros((9, 11), bool)), MAPS)


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.9])
def test_a_pixel_depends_on_what_is_within_reach_only(gaps: float) -> None:
    rng = np.random.default_rng(1)
    maps, guide = rng.random((1, 40, 40)).astype(np.float32), rng.random((3, 40, 40)).astype(np.float32)
    valid = rng.random((40, 40)) >= gaps
    halo = reach(2)
    whole = filtered(maps, guide, valid=valid)
    rows, cols = slice(13 - halo, 27 + halo), slice(15 - halo, 25 + halo)
    part = filtered(maps[:, rows, cols].copy(), guide[:, rows, cols].copy(), valid=valid[rows, cols].copy())
    inside = valid[13:27, 15:25]
    np.testing.assert_allclose(part[:, halo:-halo, halo:-halo][:, inside], whole[:, 13:27, 15:25][:, inside], atol=1e-6)


def test_without_kornia_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.filters", None)
    with pytest.raises(ImportError, match=r'needs kornia: pip install "napari-clearclip\[guided\]"'):
        filtered()
