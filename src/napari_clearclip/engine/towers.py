"""Which adapter takes an image tower apart."""

from __future__ import annotations

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer

from napari_clearclip.engine.resnet_tower import ResNetTower
from napari_clearclip.engine.timm_tower import TimmTower
from napari_clearclip.engine.tower import ClipTower, Tower


def tower_of(visual: torch.nn.Module) -> Tower:
    """The adapter of an image tower.

    Parameters
    ----------
    visual : nn.Module
        CLIP's own vision transformer or ResNet as open_clip builds them, or a vision transformer of timm.

    Raises
    ------
    ValueError
        If it is of another kind.

    Examples
    --------
    >>> import timm
    >>> tower_of(timm.create_model("vit_tiny_patch16_224", num_classes=0)).depth
    12
    """
    if isinstance(visual, VisionTransformer) and visual.transformer.batch_first:
        return ClipTower(visual)
    if isinstance(visual, ModifiedResNet):
        return ResNetTower(visual)
    trunk = getattr(visual, "trunk", visual)
    if hasattr(trunk, "blocks") and hasattr(trunk, "patch_embed") and hasattr(trunk, "num_prefix_tokens"):
        return TimmTower(visual)
    raise ValueError(f"an image tower of the kind {type(trunk).__name__} cannot be taken apart")
