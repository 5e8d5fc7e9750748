"""What blocks are made of: residual, attention and feed-forward network, how large they are and what they add."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cosine_similarity

from napari_clearclip.engine.attention import attend
from napari_clearclip.engine.device import sent
from napari_clearclip.engine.encoder import Trunk, bias_for, sides_at, tower_for
from napari_clearclip.engine.inspection import entering
from napari_clearclip.engine.tower import Tower, join_heads
from napari_clearclip.settings import Attention

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip

_OWN = Attention(terms=("qk",))


@dataclass(frozen=True)
class Parts:
    """What a block adds up, patches only: (B, N, C) tensors.

    Attributes
    ----------
    residual : tensor
        X_res, the tokens that enter the block.
    attended : tensor
        X_attn, its attention's output through the output projection, layer scale included.
    """

    residual: torch.Tensor
    attended: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """X_sum, the two together."""
        return self.residual + self.attended


@torch.inference_mode()
def blocks_of(tower: Tower, images: torch.Tensor, positions: str = "dino_scale") -> Iterator[Parts]:
    """The parts of each block of a tower, one after the other, as it was trained.

    Parameters
    ----------
    tower : Tower
        Of CLIP or, without words, of any vision transformer that `towers.tower_of` takes apart.
    images : (B, 3, H, W) float32 tensor
        Normalised, H and W multiples of the patch size.
    positions : str
        See `resample_positions`.

    References
    ----------
    ClearCLIP, Eqs. (2) and (3), Figs. 4 and 5.
    """
    grid = images.shape[2] // tower.patch, images.shape[3] // tower.patch
    tokens = tower.enter(images, positions)
    tower = tower.at(grid)
    for index in range(tower.depth):
        heads = attend(sides_at(tower, index, tokens, _OWN), _OWN, None)
        attended = tower.scale(index, tower.output(index, join_heads(heads)))
        yield Parts(tokens[:, tower.prefix :], attended[:, tower.prefix :])
        tokens = tower.block(index, tokens)


def entropy(part: torch.Tensor) -> torch.Tensor:
    """How evenly values are spread over all tokens and channels: 1 evenly, 0 in one entry.

    Parameters
    ----------
    part : (B, N, C) tensor
        Of each image one matrix.

    Returns
    -------
    (B,) float64 tensor
        ``-sum p log p / log(N C)`` with p one softmax over all entries of a matrix.

    Notes
    -----
    By the logarithm of the softmax, since p underflows where entries are as far apart as in the last blocks of CLIP.

    References
    ----------
    ClearCLIP, Eq. (5).
    """
    logs = part.double().flatten(1).log_softmax(dim=1)  # (B, N*C)
    return -(logs.exp() * logs).sum(dim=1) / math.log(logs.shape[1])


@torch.inference_mode()
def last_block(clip: Clip, trunk: Trunk, row: Attention) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens that enter the last block, and what the row's attention makes of them there: both (B, L, C).

    Parameters
    ----------
    clip : Clip
        The model.
    trunk : Trunk
        From `encode` with ``blocks=row.entry``.
    row : Attention
        Of it, all that concerns attention is read: neither residual nor alpha nor ffn.

    Raises
    ------
    ValueError
        If the model cannot compute the row, or the row is calibrated.
    """
    tower = tower_for(clip, trunk, row)
    if row.calibrated:
        raise ValueError("a calibrated variant changes what enters the last block; choose another to take it apart")
    entered, earlier = entering(tower, sent(trunk.tokens, clip.device, clip.dtype), row)
    tokens, last = entered[-1], tower.depth - 1
    heads = attend(sides_at(tower, last, tokens, row), row, bias_for(tower, trunk.grid, row, tokens), earlier)
    return tokens, tower.scale(last, tower.output(last, join_heads(heads)))


def norms_of(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The size of matrices (B, N, C): their Frobenius norms (B,), and the mean length of their tokens (B,).

    References
    ----------
    ClearCLIP, Fig. 2, which does not say which norm it shows.
    """
    lengths = part.float().norm(dim=-1)  # (B, N)
    return lengths.norm(dim=1), lengths.mean(dim=1)


@torch.inference_mode()
def feed_forward_angles(clip: Clip, trunk: Trunk, row: Attention) -> torch.Tensor:
    """The angle between what the last feed-forward network adds and what comes out, patch by patch.

    Parameters
    ----------
    clip, trunk, row
        As for `last_block`.

    Returns
    -------
    (B, gh, gw) float32 tensor
        Degrees between ``F = MLP(LN(z))`` and ``z + F``, with ``z = X_res + X_attn``.

    References
    ----------
    ClearCLIP, in the text: the angle is large, and grows with the model.
    """
    tower = tower_for(clip, trunk, row)
    tokens, attended = last_block(clip, trunk, row)
    mixed = tokens + attended
    fed = tower.feed(tower.depth - 1, mixed)
    cosines = cosine_similarity(fed, mixed + fed, dim=-1)[:, tower.prefix :].float()  # (B, N)
    return torch.rad2deg(torch.acos(cosines.clamp(-1, 1))).reshape(len(cosines), *trunk.grid)


@torch.inference_mode()
def shares_of(clip: Clip, trunk: Trunk, row: Attention) -> dict[str, torch.Tensor]:
    """What each part of the last block adds to the features, exactly: the shares sum to the unit vectors of x_sum.

    Parameters
    ----------
    clip, trunk, row
        As for `last_block`.

    Returns
    -------
    dict of str to (B, gh, gw, D) float32 tensor
        ``x_res`` and ``x_attn``, each through the last norm with mean and spread taken from ``x_sum`` and through the
        projection, divided by the length of the sum; ``bias`` is what the norm's bias adds, the same for all patches
        but for that length. A phrase's cosine with the sum is the sum of its products with these.

    Raises
    ------
    ValueError
        If the model cannot compute the row, or has no residual connection.

    References
    ----------
    ClearCLIP, Eq. (4). Its Fig. 3 shows each part with a norm of its own instead: the rows ``x_res``, ``x_attn`` and
    ``x_sum``.
    """
    tower = tower_for(clip, trunk, row)
    if not tower.has_residual:
        raise ValueError("this model's last block has no residual connection, so that there are no parts to tell apart")
    tokens, attended = last_block(clip, trunk, row)
    total = tokens + attended
    joint = tower.read(total)[:, tower.prefix :].float()
    found = {
        name: tower.share(part, total)[:, tower.prefix :].float()
        for name, part in (("x_res", tokens), ("x_attn", attended))
    }
    found["bias"] = joint - found["x_res"] - found["x_attn"]
    length = joint.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return {name: (part / length).reshape(len(part), *trunk.grid, -1) for name, part in found.items()}
