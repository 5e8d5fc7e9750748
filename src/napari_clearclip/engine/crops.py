"""Whole crops of several sizes instead of patches: what CLIP says of each, without looking inside the tower."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from napari_clearclip.engine.encoder import embed_images, prepare
from napari_clearclip.engine.windows import Frame, cut

if TYPE_CHECKING:
    from napari_clearclip.edits import View
    from napari_clearclip.engine.model import Clip

_SIDE = 256  # to which the image is resized, its aspect lost
_CROPS = (256, 128, 64)
_BATCH = 16


def crop_steps(
    clip: Clip, image: Any, view: View, shape: tuple[int, int], antialias: bool = True
) -> Generator[None, None, list[torch.Tensor]]:
    """Embeddings of crops of an image, coarse to fine, yielding after each batch.

    Parameters
    ----------
    clip : Clip
        The model.
    image, view
        As for `cut`.
    shape : tuple of 2 int
        Rows and columns of the image.
    antialias : bool
        Whether the image is smoothed where it is made smaller.

    Returns
    -------
    list of (n, n, D) tensors
        Unit vectors of the 1, 9 and 49 crops with sides of 256, 128 and 64 of an image of 256 x 256, half overlapping.

    References
    ----------
    Wysoczanska et al., CLIP-DIY: CLIP Dense Inference Yields Open-Vocabulary Semantic Segmentation For-Free, WACV 2024.
    """
    size = clip.grid[0] * clip.patch, clip.grid[1] * clip.patch
    found = []
    for side in _CROPS:
        frame, vectors = Frame(shape, (_SIDE, _SIDE), side, side // 2, clip.patch, clip.patch), []
        for start in range(0, frame.count, _BATCH):
            pixels = cut(image, view, frame, frame.boxes[start : start + _BATCH], antialias).permute(0, 3, 1, 2)
            pixels = functional.interpolate(pixels, size=size, mode="bicubic", antialias=True)  # (B, 3, h, w)
            images = prepare(clip, pixels.clamp(0, 1).permute(0, 2, 3, 1))
            vectors.append(embed_images(clip, images).float().cpu())
            yield
        found.append(torch.cat(vectors).reshape(frame.across, frame.across, -1))
    return found
