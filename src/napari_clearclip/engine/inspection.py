"""What the last block does with one patch: where it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from napari_clearclip.engine.encoder import Trunk, bias_for, sides_at, tower_for
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
        and what goes to the class token sum to 2.
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
    tokens, earlier = entering(tower, trunk.tokens.to(clip.device, clip.dtype), row)
    sides = sides_at(tower, tower.depth - 1, tokens, row)
    at = tower.prefix + patch[0] * trunk.grid[1] + patch[1]
    weights = weights_of(sides, row, bias_for(tower, trunk.grid, row, tokens), earlier, at)[0].float().cpu()  # (M, L)
    return weights[:, tower.prefix :].reshape(-1, *trunk.grid), weights[:, : tower.prefix].sum(dim=1)


def entering(tower: Tower, tokens: torch.Tensor, row: Attention) -> tuple[torch.Tensor, list[Heads]]:
    """The tokens that enter the last block, and queries and keys of the blocks whose attention is mixed in.

    Parameters
    ----------
    tower : Tower
        The image tower, for the grid of these tokens.
    tokens : (B, L, C) tensor
        What enters the last ``row.entry`` blocks.
    row : Attention
        The variant.
    """
    earlier = list[Heads]()
    for left in range(row.entry, 0, -1):
        index = tower.depth - left
        if row.cross and left in CROSSED:
            earlier.append(tower.project(index, tower.norm(index, tokens), "qk"))
        if left > 1:
            tokens = tower.block(index, tokens)
    return tokens, earlier


def weights_of(
    sides: Mapping[str, Sides], row: Attention, bias: torch.Tensor | None, earlier: Sequence[Heads], at: int
) -> torch.Tensor:
    """One row (B, M, L) of the matrix A that `attend` multiplies the values (B, M, L, d) by, which it never forms."""
    values = sides["v"][0][0]
    scale = values.shape[-1] ** -0.5
    added = 0 if bias is None else bias[at]
    total = values.new_zeros(values.shape[:-1])  # (B, M, L)
    for term in row.terms:
        if term == "identity":
            total[..., at] += 1
        else:
            logits = [_products(left, right, at) * scale / row.temperature + added for left, right in sides[term]]
            total += sum(part.softmax(dim=-1) for part in logits) / len(logits)
    if row.cross:
        own = [(_products(part["q"], part["k"], at) * scale).softmax(dim=-1) for part in earlier]
        total = (1 - row.cross) * total + row.cross * sum(own) / len(own)
    return total * row.gain


def _products(left: torch.Tensor, right: torch.Tensor, at: int) -> torch.Tensor:
    """The inner products (B, M, L) of one row on the left with all on the right."""
    return (right @ left[:, :, at, :, None])[..., 0]
