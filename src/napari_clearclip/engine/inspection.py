"""What the last block does with one patch: where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_clearclip.engine.calibration import calibrate
from napari_clearclip.engine.device import sent
from napari_clearclip.engine.encoder import Trunk, among_patches, bias_for, sides_at, tower_for
from napari_clearclip.engine.tower import Heads, Tower
from napari_clearclip.settings.reading import CROSSED

if TYPE_CHECKING:
    from napari_clearclip.engine.attention import Sides
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.settings import Attention


@torch.inference_mode()
def attention_of(clip: Clip, trunk: Trunk, row: Attention, patch: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """How a patch attends in the last block: its row of A, head by head.

    Parameters
    ----------
    clip : Clip
        The model.
    trunk : Trunk
        One window, from `encode` with ``blocks=row.entry``.
    row : Attention
        The variant.
    patch : tuple of 2 int
        Row and column of the patch in the window.

    Returns
    -------
    (M, gh, gw) float32 tensor
        Weights on the patches, as they multiply the values: gain included, the terms summed, so that those of SCLIP
        and what goes to the class token sum to 2. Of a calibrated variant, those of its first pass.
    (M,) float32 tensor
        Weights on the class token; 0 where there is none.

    Raises
    ------
    ValueError
        If the model cannot compute the row, or there is no such patch.

    References
    ----------
    SCLIP, Figs. 2 and 4.
    """
    tower = tower_for(clip, trunk, row)
    if not all(0 <= at < size for at, size in zip(patch, trunk.grid, strict=True)):
        raise ValueError(f"patch is {patch}, but the window has {trunk.grid[0]} rows and {trunk.grid[1]} columns")
    attended = attended_at(tower, sent(trunk.tokens, clip.device, clip.dtype), trunk.grid, row)
    skipped = attended.sides["v"][0][0].shape[2] - trunk.grid[0] * trunk.grid[1]  # tokens before the patches
    weights = weights_of(attended, row, skipped + patch[0] * trunk.grid[1] + patch[1])[0].float().cpu()  # (M, L)
    return weights[:, skipped:].reshape(-1, *trunk.grid), weights[:, :skipped].sum(dim=1)


@dataclass(frozen=True)
class Attended:
    """What `attend` reads in the last block beside the row; without the class token where a row is calibrated."""

    sides: dict[str, Sides]
    bias: torch.Tensor | None
    earlier: Sequence[Heads]
    alike: torch.Tensor | None = None


def attended_at(tower: Tower, tokens: torch.Tensor, grid: tuple[int, int], row: Attention) -> Attended:
    """What attends to what in the last block, of tokens (B, L, C) that enter the last ``row.entry`` blocks."""
    entered, earlier = entering(tower, tokens, row)
    found = calibrate(entered, tower.prefix, grid) if row.calibrated else None
    tokens = entered[-1] if found is None else found.passes[0]
    sides, bias = sides_at(tower, tower.depth - 1, tokens, row), bias_for(tower, grid, row, tokens)
    if found is None:
        return Attended(sides, bias, earlier)
    return Attended(*among_patches(sides, bias, earlier, tower.prefix), found.alike)


def entering(tower: Tower, tokens: torch.Tensor, row: Attention) -> tuple[list[torch.Tensor], list[Heads]]:
    """The tokens that enter each block from ``row.entry`` to the last, and queries and keys of those mixed in.

    Parameters
    ----------
    tower : Tower
        The image tower, for the grid of these tokens.
    tokens : (B, L, C) tensor
        What enters the last ``row.entry`` blocks.
    row : Attention
        The variant.
    """
    earlier, entered = list[Heads](), list[torch.Tensor]()
    for left in range(row.entry, 0, -1):
        index = tower.depth - left
        if row.cross and left in CROSSED:
            earlier.append(tower.project(index, tower.norm(index, tokens), "qk"))
        entered.append(tokens)
        if left > 1:
            tokens = tower.block(index, tokens)
    return entered, earlier


def weights_of(attended: Attended, row: Attention, at: int) -> torch.Tensor:
    """One row (B, M, L) of the matrix A that `attend` multiplies the values (B, M, L, d) by, which it never forms."""
    sides, values = attended.sides, attended.sides["v"][0][0]
    scale = values.shape[-1] ** -0.5
    added = 0 if attended.bias is None else attended.bias[at]
    total = values.new_zeros(values.shape[:-1])  # (B, M, L)
    for term in row.terms:
        if term == "identity":
            total[..., at] += 1
        else:
            logits = [_products(left, right, at) * scale / row.temperature + added for left, right in sides[term]]
            total += sum(part.softmax(dim=-1) for part in logits) / len(logits)
    if attended.alike is not None:
        total += attended.alike[:, None, at]
    if row.cross:
        own = [(_products(part["q"], part["k"], at) * scale).softmax(dim=-1) for part in attended.earlier]
        total = (1 - row.cross) * total + row.cross * sum(own) / len(own)
    return total * row.gain


def _products(left: torch.Tensor, right: torch.Tensor, at: int) -> torch.Tensor:
    """The inner products (B, M, L) of one row on the left with all on the right."""
    return (right @ left[:, :, at, :, None])[..., 0]
