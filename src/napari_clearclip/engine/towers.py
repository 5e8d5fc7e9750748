"""Which adapter takes an image tower apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer

from napari_clearclip.engine.download import Progress, fetch
from napari_clearclip.engine.resnet_tower import ResNetTower
from napari_clearclip.engine.timm_tower import TimmTower
from napari_clearclip.engine.tower import ClipTower, Tower

_FILES = ("model.safetensors", "pytorch_model.bin")  # of timm's repositories


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


@dataclass(frozen=True)
class Plain:
    """An image tower without words, to look at beside a CLIP: how it is taken apart, and what it reads.

    Attributes
    ----------
    tower : Tower
        The tower.
    mean, std : tuple of 3 float
        Normalisation of its input.
    patch : int
        Side of a patch in pixels.
    """

    tower: Tower
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    patch: int


def plain_tower(
    name: str, weights: Path | None = None, pretrained: bool = False, progress: Progress | None = None
) -> Plain:
    """A vision transformer of timm.

    Parameters
    ----------
    name : str
        Such as ``vit_base_patch16_224.dino``.
    weights : Path, optional
        A local file of its weights.
    pretrained : bool
        Whether to take the weights that timm has under this name, downloaded once; without either, weights are random.
    progress : callable, optional
        Called with bytes done and total while weights are downloaded; what it raises stops the download.

    Raises
    ------
    ValueError
        If timm has no such model, it cannot be taken apart, or its weights cannot be read or downloaded.
    """
    import timm

    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}; see timm.list_models('vit_*')")
    if weights is not None and not weights.is_file():
        raise ValueError(f"the weights {weights} of {name} do not exist; check the path")
    published = pretrained and weights is None
    source = {"file": str(_fetched(name, progress)), "custom_load": False} if published else None
    try:
        visual: Any = timm.create_model(
            name, pretrained=published, pretrained_cfg_overlay=source, checkpoint_path=weights, num_classes=0
        )
    except (OSError, RuntimeError) as error:  # damaged, or of another model
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"the weights of {name} cannot be had ({reason}); give a local file of them") from error
    tower = tower_of(visual.eval().requires_grad_(False))
    config = visual.pretrained_cfg
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (config["mean"], config["std"]))
    return Plain(tower, mean, std, tower.patch)


def _fetched(name: str, progress: Progress | None) -> Path:
    """The file of the weights that timm has under a name, downloaded if it must be."""
    import timm

    published = timm.get_pretrained_cfg(name)
    repository = str(getattr(published, "hf_hub_id", None) or "")
    if not repository:
        raise ValueError(f"the hub has no weights of {name}; give a local file of them")
    named = getattr(published, "hf_hub_filename", None)
    return fetch(repository, (named,) if named else _FILES, progress)
