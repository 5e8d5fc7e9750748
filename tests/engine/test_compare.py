"""Prompt denoising and key smoothing against loops written from MaskCLIP's formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from napari_clearclip.engine.compare import compare, feature_surgery, improbable, smooth_by_keys
from napari_clearclip.engine.encoder import Features, encode, project
from napari_clearclip.settings import Attention

GRID = (3, 4)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def window(channels: int = 6) -> Features:
    return Features(random(1, *GRID, 5), random(1, *GRID), random(1, 5), random(1, *GRID, channels, seed=1))


def likely(maps: torch.Tensor) -> np.ndarray[Any, Any]:
    """Probabilities (Q, N), patch by patch."""
    flat = maps.double().flatten(1).numpy()
    rows = [[math.exp(100 * value) for value in column] for column in flat.T]
    return np.array([[value / sum(row) for value in row] for row in rows]).T


# ----------------------------------------------------------------------------------------------------------------------
# Prompt denoising

# Three cells. By softmax(100 * cosine), the first phrase reaches 0.73, the second 0.5, the third 0.42.
MAPS = [torch.tensor([[a, b, c]]) for a, b, c in ((0.31, 0.30, 0.30), (0.30, 0.30, 0.30), (0.20, 0.20, 0.297))]


@pytest.mark.parametrize(
    ("owner", "least", "dropped"),
    [
        ((0, 1, 2), 0.0, set()),
        ((0, 1, 2), 0.2, set()),
        ((0, 1, 2), 0.3, {2}),
        ((0, 1, 2), 0.6, {1, 2}),
        ((0, 1, 2), 1.0, {0, 1, 2}),
        ((0, 0, 1), 0.6, {1}),  # two phrases of one prompt do not push each other out
    ],
)
def test_prompts_that_are_likely_nowhere(owner: tuple[int, ...], least: float, dropped: set[int]) -> None:
    assert improbable(MAPS, owner, least) == dropped


def test_denoising_is_the_naive_loop() -> None:
    maps = 0.02 * random(5, *GRID)
    probabilities = likely(maps)
    for least in (0.3, 0.5, 0.7, 0.9):
        expected = {phrase for phrase in range(5) if max(probabilities[phrase]) < least}
        assert improbable(list(maps), range(5), least) == expected


def test_cells_without_data_do_not_count() -> None:
    valid = np.array([[False, True, True]])
    assert improbable(MAPS, (0, 1, 2), 0.6, valid) == {0, 1, 2}
    assert improbable(MAPS, (0, 1, 2), 0.6, ~valid) == {1, 2}
    assert improbable(MAPS, (0, 1, 2), 0.6, valid & False) == {0, 1, 2}


# ----------------------------------------------------------------------------------------------------------------------
# Key smoothing


@pytest.mark.parametrize("axis", ["channels", "tokens"])
@pytest.mark.parametrize("least", [0.0, 0.6, 1.0])
def test_smoothing_is_the_naive_loop(least: float, axis: str) -> None:
    maps, features = 0.02 * random(3, *GRID), window()
    assert features.keys is not None
    probabilities, keys = likely(maps), features.keys[0].flatten(0, 1).double().numpy()
    lengths = np.sqrt((keys**2).sum(axis=1 if axis == "channels" else 0))
    unit = keys / (lengths[:, None] if axis == "channels" else lengths)
    expected = probabilities.copy()
    for i in range(len(keys)):
        if probabilities[:, i].max() < least:
            expected[:, i] = sum((unit[i] @ unit[j]) * probabilities[:, j] for j in range(len(keys)))
    actual = smooth_by_keys(list(maps), features, least, axis)
    assert actual.shape == (3, *GRID)
    np.testing.assert_allclose(actual.flatten(1), expected, atol=2e-5)
    assert least < 1 or (actual < 0).any()  # a score: negative weights are kept


def test_the_two_axes_differ() -> None:
    maps, features = list(0.02 * random(3, *GRID)), window()
    paper, code = (smooth_by_keys(maps, features, 1, axis) for axis in ("channels", "tokens"))
    assert (paper - code).abs().max() > 0.1


def test_without_keys_there_is_no_smoothing() -> None:
    features = Features(random(1, *GRID, 5), random(1, *GRID), random(1, 5))
    with pytest.raises(ValueError, match="this model has none; set key smoothing to 0"):
        smooth_by_keys(list(random(2, *GRID)), features, 1)


@pytest.mark.parametrize("name", ["patch8", "patch16", "patch14"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_keys_are_those_of_the_last_block(name: str, blocks: int, clips: Any) -> None:
    clip, model, _ = clips[name]
    row = Attention(blocks=blocks)
    images = random(2, 3, clip.patch * 2, clip.patch * 3)
    features = project(clip, encode(clip, images, blocks), row, keys=True)
    tokens = encode(clip, images, 1).tokens  # what enters the last block
    block = model.visual.transformer.resblocks[-1]
    with torch.no_grad():
        _, keys, _ = torch.nn.functional.linear(
            block.ln_1(tokens), block.attn.in_proj_weight, block.attn.in_proj_bias
        ).chunk(3, dim=-1)
        expected = keys @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
    assert features.keys is not None
    torch.testing.assert_close(features.keys.flatten(1, 2), expected[:, 1:], atol=1e-5, rtol=1e-5)
    plain = project(clip, encode(clip, images, blocks), row)
    assert plain.keys is None
    assert torch.equal(plain.vectors, features.vectors)
    assert features.nbytes == plain.nbytes + features.keys.nbytes
    assert features[1].keys is not None
    assert torch.equal(features[1].keys[0], features.keys[1])
    half = features.stored("float16").keys
    assert half is not None
    assert half.dtype == torch.float16


def test_cosines_do_not_depend_on_the_keys() -> None:
    features = window()
    assert torch.equal(compare(features, random(5)), features.vectors @ random(5))


# ----------------------------------------------------------------------------------------------------------------------
# Feature surgery


def test_surgery_on_one_phrase_needs_an_empty_one() -> None:
    with pytest.raises(ValueError, match="with one alone it needs the cosines of an empty phrase"):
        feature_surgery([torch.zeros(2, 2)], [0.3])


def test_what_is_taken_off_changes_no_winner() -> None:
    maps = list(torch.randn(3, 4, 5))
    scores = torch.stack(feature_surgery(maps, [0.2, 0.2, 0.2]))
    assert torch.equal(scores.argmax(0), torch.stack(maps).argmax(0))
    torch.testing.assert_close(scores.sum(0), torch.zeros(4, 5), atol=1e-6, rtol=0)
    strong = torch.stack(feature_surgery([map_.abs() + 1 for map_ in maps], [5.0, 0.2, 0.2]))
    assert bool((strong.argmax(0) == 0).all())  # what fits the window as a whole counts more
