"""What can be had: the published models that this engine loads, their size, and which are on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import open_clip

from napari_clearclip.engine.download import downloaded
from napari_clearclip.engine.sources import hub_files, is_own_text, published_config
from napari_clearclip.engine.weights import ModelError
from napari_clearclip.settings import Model

_QUICK = "-quickgelu"
_BYTES = 4  # float32, as published weights are


@dataclass(frozen=True)
class Published:
    """A published model: its size in bytes, within a few per cent, and whether its weights are on this machine."""

    model: Model
    size: int
    here: bool


@cache
def published_models() -> tuple[Model, ...]:
    """Every published plain ViT, as open_clip lists them; those with other towers are loaded by their names."""
    found = []
    for name, tag in open_clip.list_pretrained():
        model = Model(name=name, pretrained=tag)
        try:
            config, _ = published_config(model)
        except ModelError:
            continue
        if isinstance(config["vision_cfg"].get("patch_size"), int) and is_own_text(config["text_cfg"]):
            found.append(model)
    return tuple(found)


def catalogue() -> tuple[Published, ...]:
    """The published models, each once: plain names take over the activation of the tag, so doubles are left out."""
    plain = {str(model) for model in published_models()}
    found = []
    for model in published_models():
        if model.name.endswith(_QUICK) and str(model).replace(_QUICK, "", 1) in plain:
            continue
        config, published = published_config(model)
        found.append(Published(model, _BYTES * parameters(config), downloaded(*hub_files(published)) is not None))
    return tuple(found)


def cached_models() -> tuple[Model, ...]:
    """The published models whose weights are on this machine."""
    return tuple(entry.model for entry in catalogue() if entry.here)


def parameters(config: dict[str, Any]) -> int:
    """The number of weights that a configuration of a plain CLIP asks for.

    Parameters
    ----------
    config : dict
        As open_clip writes it, with ``embed_dim``, ``vision_cfg`` and ``text_cfg``.
    """
    vision, text, joint = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    size, patch, width = vision["image_size"], vision["patch_size"], vision["width"]
    tokens = 1 + (size // patch) ** 2
    ratio = vision.get("mlp_ratio", 4.0)
    scaled = vision.get("ls_init_value") is not None
    image = (3 * patch**2 + 1 + tokens + 4 + joint) * width + vision["layers"] * _block(width, ratio, scaled)
    span, words, letters = text.get("context_length", 77), text.get("vocab_size", 49408), text["width"]
    ratio, scaled = text.get("mlp_ratio", 4.0), text.get("ls_init_value") is not None
    sentence = (words + span + 2 + joint) * letters + text["layers"] * _block(letters, ratio, scaled)
    return int(image + sentence + 1)


def _block(width: int, ratio: float, scaled: bool) -> int:
    """The weights of one transformer block: attention, two norms, feed-forward network, layer scale."""
    inner = int(width * ratio)
    return 4 * width**2 + 4 * width + 4 * width + 2 * width * inner + inner + width + 2 * width * scaled
