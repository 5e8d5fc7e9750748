"""What can be had: the published models that this engine loads, their size, and which are on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import open_clip

from napari_clearclip.engine.download import downloaded
from napari_clearclip.engine.hub_tokenizer import missing_library
from napari_clearclip.engine.sizes import Sizes
from napari_clearclip.engine.sources import HUB_FILES, hub_files, is_own_text, published_config
from napari_clearclip.engine.weights import ModelError
from napari_clearclip.settings import Model

_QUICK = "-quickgelu"
_BYTES = 4  # float32, as published weights are
_BIOMEDCLIP = "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"  # a repository, which open_clip does not list

# Width, and width inside the feed-forward network, of SigLIP's image towers, by the size in their name.
_SIGLIP = re.compile(r"vit_(base|large|so400m|giantopt)_patch\d+_siglip_\d+")
_WIDTHS = {"base": (768, 3072), "large": (1024, 4096), "so400m": (1152, 4304), "giantopt": (1536, 6144)}


@dataclass(frozen=True)
class Published:
    """A published model.

    Attributes
    ----------
    model : Model
        Its name.
    size : int
        Of its weights in bytes, within a few per cent; 0 if that is not known before it is downloaded.
    here : bool
        Whether its weights are on this machine.
    lacking : str
        What must be installed before it can be used, in a sentence; empty if nothing.
    """

    model: Model
    size: int
    here: bool
    lacking: str = ""


@cache
def published_models() -> tuple[Model, ...]:
    """Every published plain ViT and SigLIP, as open_clip lists them; other towers are loaded by their names."""
    found = []
    for name, tag in open_clip.list_pretrained():
        model = Model(name=name, pretrained=tag)
        try:
            config, _ = published_config(model)
        except ModelError:
            continue
        plain = isinstance(config["vision_cfg"].get("patch_size"), int) and is_own_text(config["text_cfg"])
        if plain or _SIGLIP.fullmatch(str(config["vision_cfg"].get("timm_model_name"))):
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
        size, here = _BYTES * parameters(config), downloaded(*hub_files(published)) is not None
        found.append(Published(model, size, here, missing_library(config["text_cfg"])))
    lacking = missing_library({"hf_model_name": _BIOMEDCLIP})
    here = downloaded(_BIOMEDCLIP, HUB_FILES) is not None
    return (*found, Published(Model(name=f"hf-hub:{_BIOMEDCLIP}"), 0, here, lacking))


def cached_models() -> tuple[Model, ...]:
    """The published models whose weights are on this machine and can be used."""
    return tuple(entry.model for entry in catalogue() if entry.here and not entry.lacking)


def parameters(config: dict[str, Any]) -> int:
    """The number of weights that a configuration of a plain CLIP or a SigLIP asks for.

    Parameters
    ----------
    config : dict
        As open_clip writes it, with ``embed_dim``, ``vision_cfg`` and ``text_cfg``.
    """
    vision, text, joint = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    own = "timm_model_name" not in vision
    span, words, letters = text.get("context_length", 77), text.get("vocab_size", 49408), text["width"]
    ratio, scaled = text.get("mlp_ratio", 4.0), text.get("ls_init_value") is not None
    projected = joint if text.get("proj_type", "linear") == "linear" else 0
    sentence = (words + span + 2 + projected) * letters + text["layers"] * _block(letters, int(letters * ratio), scaled)
    sentence += joint * bool(text.get("proj_bias"))
    return int(sentence + (_plain_tower(vision, joint) + 1 if own else _siglip_tower(config) + 2))


def _plain_tower(vision: dict[str, Any], joint: int) -> int:
    """The weights of CLIP's own vision transformer: patches, class token, positions, norms, blocks, projection."""
    size, patch, width = vision["image_size"], vision["patch_size"], vision["width"]
    tokens = 1 + (size // patch) ** 2
    inner, scaled = int(width * vision.get("mlp_ratio", 4.0)), vision.get("ls_init_value") is not None
    return int((3 * patch**2 + 1 + tokens + 4 + joint) * width + vision["layers"] * _block(width, inner, scaled))


def _siglip_tower(config: dict[str, Any]) -> int:
    """The weights of SigLIP's: patches with a bias, positions, blocks, a norm, a pool that is a block and a query."""
    vision, sizes = config["vision_cfg"], Sizes.of(config, {})
    width, inner = _WIDTHS[vision["timm_model_name"].split("_")[1]]
    tokens = (vision["image_size"] // sizes.patch) ** 2
    block = _block(width, inner, False)
    return int((3 * sizes.patch**2 + 1 + tokens + 2) * width + sizes.depth * block + block - 2 * width + width)


def _block(width: int, inner: int, scaled: bool) -> int:
    """The weights of one transformer block: attention, two norms, feed-forward network, layer scale."""
    return 4 * width**2 + 4 * width + 4 * width + 2 * width * inner + inner + width + 2 * width * scaled
