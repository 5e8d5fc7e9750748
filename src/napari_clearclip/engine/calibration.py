"""What SC-CLIP does around the last block: tokens that stand out are mended, and patches that are alike share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from napari_clearclip.settings.reading import CALIBRATED

_NEIGHBOURS, _CONTAMINATION = 30, 0.05  # of the local outlier factor
_LEAST = 0.4  # cosine from which patches share
_SHARPNESS = 3.0  # of the attention by likeness
_MIDDLE = 3  # the block, counted from the last (1), whose tokens say which patches are alike
CLASS_SHARE = 0.3


@dataclass(frozen=True)
class Calibration:
    """What enters the last block, and what is done with it there.

    Attributes
    ----------
    passes : tuple of 2 (B, L, C) tensors
        Tokens that go through the last block's attention one after the other: those that enter it, mended and shared,
        and the sum of those that enter the blocks before.
    alike : (B, N, N) tensor
        Attention of patches to patches by their likeness; rows sum to 1.
    shared : (B, N, N) tensor
        How what comes out is shared; rows sum to 1.
    """

    passes: tuple[torch.Tensor, torch.Tensor]
    alike: torch.Tensor
    shared: torch.Tensor


def calibrate(entered: Sequence[torch.Tensor], prefix: int, grid: tuple[int, int]) -> Calibration:
    """What SC-CLIP makes of the tokens of middle blocks.

    Parameters
    ----------
    entered : sequence of (B, L, C) tensor
        Tokens that enter each of the last `CALIBRATED` blocks, the last block's at the end.
    prefix : int
        Tokens before the patches.
    grid : tuple of 2 int
        Rows and columns of patches.

    Notes
    -----
    Written from the published description, not from code. Patches that stand out are looked for in what enters the last
    block, and the same ones are mended in the middle block.

    References
    ----------
    Bai et al., Self-Calibrated CLIP for Training-Free Open-Vocabulary Segmentation, 2024.
    """
    last = entered[-1]
    patches = last[:, prefix:]
    wrong = outliers(patches)
    middle = likeness(mended(entered[-_MIDDLE][:, prefix:], wrong, grid))
    first = torch.cat([last[:, :prefix], sharing(middle) @ mended(patches, wrong, grid)], dim=1)
    early = likeness(entered[-CALIBRATED][:, prefix:])
    second = torch.stack(list(entered[-CALIBRATED:-1])).sum(dim=0)
    return Calibration((first, second), attention_by(middle), sharing(early))


def outliers(patches: torch.Tensor) -> torch.Tensor:
    """Which patches are unlike those that they are most like.

    Parameters
    ----------
    patches : (B, N, C) tensor
        Tokens.

    Returns
    -------
    (B, N) bool tensor
        Of each image the 5 % with the highest local outlier factor of 30 neighbours.

    References
    ----------
    Breunig et al., LOF: Identifying Density-Based Local Outliers, SIGMOD 2000.
    """
    distances = torch.cdist(patches.double(), patches.double())  # (B, N, N)
    distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    count = max(1, min(_NEIGHBOURS, patches.shape[1] - 1))
    near, which = distances.topk(count, dim=2, largest=False)  # (B, N, k)
    flat = which.flatten(1)  # (B, N*k)
    reach = near[:, :, -1].gather(1, flat).reshape(which.shape).maximum(near)
    density = 1 / (reach.mean(dim=2) + 1e-10)  # (B, N)
    factor = density.gather(1, flat).reshape(which.shape).mean(dim=2) / density
    return factor > factor.quantile(1 - _CONTAMINATION, dim=1, keepdim=True)


def mended(patches: torch.Tensor, wrong: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Patches (B, N, C) with the mean of their up to eight neighbours that are right in the place of wrong ones (B, N).

    One without such a neighbour stays as it is.
    """
    right = (~wrong).to(patches.dtype).reshape(len(patches), 1, *grid)  # (B, 1, gh, gw)
    maps = patches.transpose(1, 2).reshape(len(patches), -1, *grid) * right
    around, share = (functional.avg_pool2d(part, 3, stride=1, padding=1) for part in (maps, right))
    means = (around / share.clamp_min(1e-6)).flatten(2).transpose(1, 2)  # (B, N, C)
    return torch.where((wrong & (share.flatten(1) > 0))[..., None], means, patches)


def likeness(patches: torch.Tensor) -> torch.Tensor:
    """Cosines (B, N, N) of patches (B, N, C) with each other."""
    unit = functional.normalize(patches, dim=-1)
    return unit @ unit.transpose(1, 2)


def sharing(cosines: torch.Tensor) -> torch.Tensor:
    """Weights (B, N, N) by which patches of at least 0.4 likeness share; rows sum to 1."""
    kept = cosines.where(cosines >= _LEAST, 0)
    return kept / kept.sum(dim=2, keepdim=True)


def attention_by(cosines: torch.Tensor) -> torch.Tensor:
    """Softmax (B, N, N) of three times the cosines above their mean, over those that are not below it."""
    logits = _SHARPNESS * (cosines - cosines.mean(dim=(1, 2), keepdim=True))
    return logits.masked_fill(logits < 0, -torch.inf).softmax(dim=2)
