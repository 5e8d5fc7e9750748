"""What is shown of the last block against loops written from the formulas, on random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from napari_clearclip.engine.attention import attend
from napari_clearclip.engine.encoder import encode, tower_for
from napari_clearclip.engine.inspection import attended_at, attention_of, weights_of
from napari_clearclip.engine.variants import VARIANTS, unmet, variant
from napari_clearclip.settings import Attention

State = dict[str, torch.Tensor]
Letters = dict[str, list[list[torch.Tensor]]]


def images_for(clip: Any, number: int = 1) -> torch.Tensor:
    side = [clip.grid[0] * clip.patch, (clip.grid[1] + 1) * clip.patch]
    return torch.randn(number, 3, *side, generator=torch.Generator().manual_seed(5))


def norm(x: torch.Tensor, state: State, name: str) -> torch.Tensor:
    spread = x - x.mean(-1, keepdim=True)
    unit = spread / torch.sqrt((spread**2).mean(-1, keepdim=True) + 1e-5)
    return unit * state[f"visual.{name}.weight"].double() + state[f"visual.{name}.bias"].double()


def heads_of(x: torch.Tensor, state: State, block: int, count: int) -> dict[str, list[list[torch.Tensor]]]:
    """By letter, head and token: queries, keys and values of one image's tokens x (L, C), one by one."""
    name = f"transformer.resblocks.{block}"
    packed = state[f"visual.{name}.attn.in_proj_weight"].double(), state[f"visual.{name}.attn.in_proj_bias"].double()
    width, normed = x.shape[1], norm(x, state, f"{name}.ln_1")
    found = {}
    for place, letter in enumerate("qkv"):
        part = slice(place * width, (place + 1) * width)
        tokens = [packed[0][part] @ token + packed[1][part] for token in normed]
        found[letter] = [[token.chunk(count)[head] for token in tokens] for head in range(count)]
    return found


def softmax(logits: list[float]) -> list[float]:
    most = max(logits)
    exponents = [math.exp(value - most) for value in logits]
    return [value / sum(exponents) for value in exponents]


LOOPED = {
    "clearclip": ("qq",),
    "sclip": ("qq", "kk"),
    "vanilla": ("qk",),
    "vv": ("vv",),
    "naclip": ("kk",),
}


@pytest.mark.parametrize("name", LOOPED)
@pytest.mark.parametrize("patch", [(0, 0), (2, 1), (3, 4)])
def test_a_patch_attends_as_a_loop_says(name: str, patch: tuple[int, int], clips: dict[str, Any]) -> None:
    clip, _, state = clips["patch8"]
    row, trunk = variant(name), encode(clip, images_for(clip))
    patches, rest = attention_of(clip, trunk, row, patch)
    letters = heads_of(trunk.tokens[0].double(), state, 2, 4)
    at, (_, cols) = 1 + patch[0] * trunk.grid[1] + patch[1], trunk.grid
    for head in range(4):
        expected = [0.0] * trunk.tokens.shape[1]
        for first, second in LOOPED[name]:
            query = letters[first][head][at]
            logits = [float(query @ key) / math.sqrt(len(query)) for key in letters[second][head]]
            for other in range(1, len(logits)) if name == "naclip" else ():
                y, x = divmod(other - 1, cols)
                logits[other] += math.exp(-((y - patch[0]) ** 2 + (x - patch[1]) ** 2) / (2 * 5**2))
            expected = [old + new for old, new in zip(expected, softmax(logits), strict=True)]
        assert rest[head] == pytest.approx(expected[0], abs=1e-5)
        torch.testing.assert_close(patches[head].flatten(), torch.tensor(expected[1:]), atol=1e-5, rtol=0)


def dots(query: torch.Tensor, keys: list[torch.Tensor], factor: float = 1.0) -> list[float]:
    return [factor * float(query @ key) / math.sqrt(len(query)) for key in keys]


def added(parts: list[list[float]], factor: float = 1.0) -> list[float]:
    return [factor * sum(values) for values in zip(*parts, strict=True)]


def gem(letters: Letters, u: torch.Tensor, head: int, at: int) -> list[float]:
    """(vv + kk + qq) / 3 of unit vectors that attended to their like once; sharper where u is long."""
    scale, rows = float(sum(token.norm() for token in u) / len(u)), []
    for letter in "vkq":
        unit = [token / token.norm() for token in letters[letter][head]]
        mixed = [sum(w * other for w, other in zip(softmax(dots(one, unit, scale)), unit, strict=True)) for one in unit]
        mixed = [token / token.norm() for token in mixed]
        rows.append(softmax(dots(mixed[at], mixed, scale)))
    return added(rows, 1 / 3)


def uu(letters: Letters, u: torch.Tensor, head: int, at: int, matrix: torch.Tensor | None = None) -> list[float]:
    """u u^T of a head's channels, as long as the queries on the whole; or u R."""
    queries = [token for tokens in letters["q"] for token in tokens]
    shown = u if matrix is None else torch.stack([matrix.T @ token for token in u])
    power = sum(float(token @ token) for token in queries) / sum(float(token @ token) for token in shown)
    sides = [token.chunk(len(letters["q"]))[head] for token in shown]
    return softmax(dots(sides[at], sides, power))


def random(letters: Letters, u: torch.Tensor, head: int, at: int) -> list[float]:
    """The mean of three random matrices, drawn one after the other."""
    generator, width = torch.Generator().manual_seed(2), u.shape[1]
    matrices = [torch.randn(width, width, generator=generator).double() for _ in range(3)]
    return added([uu(letters, u, head, at, matrix) for matrix in matrices], 1 / 3)


HARDER: dict[str, tuple[Attention, Callable[..., list[float]]]] = {
    "gem": (variant("gem"), gem),
    "clip_surgery": (
        variant("clip_surgery"),
        lambda letters, _, head, at: softmax(dots(letters["v"][head][at], letters["v"][head])),
    ),
    "uu": (variant("sclip_identity"), uu),
    "random": (variant("sclip_random").replace(projections=3, seed=2), random),
}


@pytest.mark.parametrize("name", HARDER)
def test_other_rows_attend_as_loops_say(name: str, clips: dict[str, Any]) -> None:
    """Of each it is the last block's attention, in the main path; earlier blocks are open_clip's own."""
    (clip, model, state), (row, loop) = clips["patch14"], HARDER[name]
    trunk = encode(clip, images_for(clip), row.entry)
    x = entering_blocks(model, trunk)[-1]
    letters, u = heads_of(x, state, 7, 2), norm(x, state, "transformer.resblocks.7.ln_1")
    for patch in ((0, 0), (2, 3)):
        patches, rest = attention_of(clip, trunk, row, patch)
        for head in range(2):
            expected = torch.tensor(loop(letters, u, head, 1 + patch[0] * trunk.grid[1] + patch[1]))
            assert rest[head] == pytest.approx(float(expected[0]), abs=1e-5)
            torch.testing.assert_close(patches[head].flatten(), expected[1:], atol=1e-5, rtol=0)


def entering_blocks(model: Any, trunk: Any) -> list[torch.Tensor]:
    """One image's tokens (L, C) that enter each of the trunk's last blocks, float64."""
    tokens, found = trunk.tokens, []
    with torch.inference_mode():
        for block in model.visual.transformer.resblocks[8 - trunk.blocks :]:
            found.append(tokens[0].double())
            tokens = block(tokens)
    return found


def test_resclip_mixes_in_the_attention_of_middle_blocks(clips: dict[str, Any]) -> None:
    (clip, model, state), row = clips["patch14"], variant("resclip")
    trunk = encode(clip, images_for(clip), row.entry)
    at, (_, cols) = 1 + 2 * trunk.grid[1] + 1, trunk.grid
    patches, rest = attention_of(clip, trunk, row, (2, 1))
    entered = entering_blocks(model, trunk)  # of blocks 1 to 7, counted from 0
    middle = [heads_of(entered[block - 1], state, block, 2) for block in (1, 2, 3, 4)]
    last = heads_of(entered[-1], state, 7, 2)
    for head in range(2):
        crossed = added([softmax(dots(part["q"][head][at], part["k"][head])) for part in middle], 1 / 4)
        logits = dots(last["k"][head][at], last["k"][head])
        for other in range(1, len(logits)):
            y, x = divmod(other - 1, cols)
            logits[other] += math.exp(-((y - 2) ** 2 + (x - 1) ** 2) / (2 * 5**2))
        expected = [2 * (0.6 * one + 0.4 * two) for one, two in zip(softmax(logits), crossed, strict=True)]
        assert rest[head] == pytest.approx(expected[0], abs=1e-5)
        torch.testing.assert_close(patches[head].flatten(), torch.tensor(expected[1:]), atol=1e-5, rtol=0)


CUSTOM = {
    "unit": Attention(terms=("qk", "vv"), unit=True, iterations=2, temperature=0.5),
    "identity": Attention(terms=("qq", "identity"), gain=0.3),
    "random": Attention(terms=("random", "uu"), projections=3, seed=2),
    "cross": Attention(terms=("kk", "identity"), cross=0.4, bias=2, gain=2),
}


@pytest.mark.parametrize("row", [*(entry.row for entry in VARIANTS.values()), *CUSTOM.values()])
def test_the_weights_are_those_that_make_the_features(row: Attention, clips: dict[str, Any]) -> None:
    """Every row of A, times the values, is what `attend` gives; and each sums to what the row of the table says."""
    clip = clips["patch14"][0]
    assert not unmet(row, clip.depth)
    trunk = encode(clip, images_for(clip, 2), row.entry)
    tower = tower_for(clip, trunk, row)
    with torch.inference_mode():
        read = attended_at(tower, trunk.tokens, trunk.grid, row)
        expected, values = attend(read.sides, row, read.bias, read.earlier, read.alike), read.sides["v"][0][0]
        for at in range(values.shape[2]):
            weights = weights_of(read, row, at)
            torch.testing.assert_close((weights[..., None] * values).sum(2), expected[:, :, at], atol=1e-5, rtol=1e-5)
            mass = row.gain * ((1 - row.cross) * (len(row.terms) + row.calibrated) + row.cross)
            torch.testing.assert_close(weights.sum(-1), torch.full(weights.shape[:2], mass), atol=1e-5, rtol=0)


def test_what_is_not_there_is_refused(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    trunk = encode(clip, images_for(clip))
    with pytest.raises(ValueError, match=r"patch is \(4, 0\), but the window has 4 rows and 5 columns"):
        attention_of(clip, trunk, Attention(), (4, 0))
    with pytest.raises(ValueError, match="reads the last 6 blocks, and the model has 3"):
        attention_of(clip, trunk, variant("gem"), (0, 0))
    with pytest.raises(ValueError, match="the trunk ends before the last 1 blocks, but the variant reads 2"):
        attention_of(clip, trunk, Attention(blocks=2), (0, 0))
