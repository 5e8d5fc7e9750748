"""Where models come from: published open_clip tags, hub repositories, local files and the bundled demo."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import open_clip

from napari_clearclip import domains
from napari_clearclip.engine.download import Progress, fetch
from napari_clearclip.engine.hub_tokenizer import check_library, is_foreign
from napari_clearclip.engine.weights import ModelError
from napari_clearclip.settings import Model

SUPPORTED = (
    "Supported are OpenAI, LAION, DataComp, MetaCLIP and DFN weights of ViT-B, ViT-L, ViT-H, ViT-g and ViT-bigG, "
    "OpenAI's ResNets, EVA01 and EVA02, SigLIP, SigLIP 2 and BiomedCLIP, and fine-tuned files of these"
)
_OF_TIMM = re.compile(r"(eva|eva02|vit)_[a-z0-9]+_patch\d+")  # towers of timm that can be taken apart
_TEXTS = re.compile(r"(?<!o)bert", re.IGNORECASE)  # towers of Hugging Face's: BERT, not RoBERTa
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_CONFIG_FILE = "open_clip_config.json"


@dataclass(frozen=True)
class Source:
    """What is known about a model before its weights are read."""

    config: dict[str, Any]
    weights: Path
    preprocess: dict[str, Any]
    recommended: dict[str, Any]


def find(model: Model, progress: Progress | None) -> Source:
    """Configuration and weights of a model, downloaded if they must be."""
    if model.name == "demo" and not model.pretrained:
        return _find_local(Model(name="", pretrained=str(domains.demo_folder() / "demo.safetensors")))
    if model.name.startswith("hf-hub:"):
        return _find_hub(model.name.removeprefix("hf-hub:").strip("/"), progress)
    if model.pretrained and (not model.name or _looks_like_file(model.pretrained)):
        return _find_local(model)
    return _find_published(model, progress)


def _looks_like_file(text: str) -> bool:
    path = Path(text).expanduser()
    return path.exists() or path.suffix.lower() in {".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".json"}


def _find_local(model: Model) -> Source:
    """A weights file with its configuration beside it, or with the name of its architecture."""
    path = Path(model.pretrained).expanduser()
    if path.suffix.lower() == ".json":
        path = next((p for ext in (".safetensors", ".pt", ".bin") if (p := path.with_suffix(ext)).exists()), path)
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist; check the path")
    beside = [path.with_suffix(".json"), path.parent / _CONFIG_FILE]
    if model.name:
        config, preprocess = _registered(model.name), _usual_preprocess(model.name)
    else:
        config_file = next((file for file in beside if file.is_file()), None)
        if config_file is None:
            raise ModelError(
                f"{path.name} has no configuration beside it; put open_clip's JSON there as {beside[0].name}, "
                f"or name the architecture as in ViT-B-32/{path.name}"
            )
        config, preprocess = _read_config(config_file)
    recommended = domains.recommendations(model)
    return Source(config, path, {**preprocess, **only(recommended, "mean", "std")}, recommended)


def only(mapping: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The entries of a mapping with these keys, as far as they are there."""
    return {key: mapping[key] for key in keys if key in mapping}


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Model and preprocessing configuration from open_clip's JSON, in either of its forms."""
    try:
        content = json.loads(path.read_text("utf-8"))
        config = content.get("model_cfg", content)
        preprocess = content.get("preprocess_cfg", {})
        if not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
            raise KeyError("embed_dim, vision_cfg or text_cfg")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} is not an open_clip model configuration: {error}") from error
    return config, preprocess


def _registered(name: str) -> dict[str, Any]:
    """The configuration that open_clip has for an architecture."""
    config = open_clip.get_model_config(name) if name in open_clip.list_models() else None
    if config is None:
        near = [known for known in open_clip.list_models() if known.casefold() == name.casefold()]
        hint = f"did you mean {near[0]}?" if near else "write it as in ViT-B-16/openai"
        raise ModelError(f"open_clip knows no architecture {name!r}; {hint}")
    return cast(dict[str, Any], config)


def _usual_preprocess(name: str) -> dict[str, Any]:
    """Mean and standard deviation that all published weights of an architecture have in common; else nothing."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    known = [only(open_clip.get_pretrained_cfg(name, tag), "mean", "std") for tag in tags]
    return known[0] if known and all(entry == known[0] for entry in known) else {}


def is_own_text(text: dict[str, Any]) -> bool:
    """Whether a configuration's text tower is CLIP's own: causal, read at a text's end, with CLIP's tokenizer."""
    return not (is_foreign(text) or text.get("no_causal_mask")) and text.get("pool_type", "argmax") == "argmax"


def _find_published(model: Model, progress: Progress | None) -> Source:
    """A tag of open_clip's list."""
    config, published = check_published(model)
    repository, names = hub_files(published)
    return Source(config, fetch(repository, names, progress), only(published, "mean", "std"), {})


def check_published(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `published_config`, of a model that can be used here; nothing is downloaded.

    Raises
    ------
    ModelError
        As `published_config`, or if a library is missing that its words need.
    """
    config, published = published_config(model)
    check_library(config["text_cfg"], str(model))
    return config, published


def published_config(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """The architecture of a published model with the activation of its weights, and what open_clip has for its tag.

    Raises
    ------
    ModelError
        If there is no such model, or it is of a kind that is not supported.
    """
    config = _registered(model.name)
    tags = open_clip.list_pretrained_tags_by_model(model.name)
    if not open_clip.pretrained.is_pretrained_cfg(model.name, model.pretrained):
        given = f"has no weights {model.pretrained!r}" if model.pretrained else "needs the name of its weights"
        raise ModelError(f"{model.name} {given}; published are {', '.join(tags) or 'none'}")
    published = open_clip.get_pretrained_cfg(model.name, model.pretrained)
    check_supported(config, model)
    config["quick_gelu"] = _resolve_quick_gelu(model, config, published)
    return config, published


def hub_files(published: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The hub repository of a tag of open_clip's, and the files in it that will do."""
    repository, _, name = str(published.get("hf_hub", "")).rpartition("/")
    return repository, (name,) if name else HUB_FILES


def _resolve_quick_gelu(model: Model, config: dict[str, Any], published: dict[str, Any]) -> bool:
    """Whether the weights were trained with QuickGELU: the tag's own flag, which a plain architecture takes over."""
    trained = bool(published.get("quick_gelu"))
    if config.get("quick_gelu") and not trained:
        raise ModelError(
            f"{model} does not fit: the architecture has QuickGELU, but these weights were trained with GELU; "
            f"use {model.name.removesuffix('-quickgelu')}/{model.pretrained}"
        )
    return trained


def _find_hub(repository: str, progress: Progress | None) -> Source:
    """A checkpoint of open_clip's form in a hub repository."""
    config, preprocess = _read_config(fetch(repository, (_CONFIG_FILE,), None))
    check_library(config["text_cfg"], f"hf-hub:{repository}")
    for name, tag in open_clip.list_pretrained():
        published = open_clip.get_pretrained_cfg(name, tag)
        if str(published.get("hf_hub", "")).strip("/") == repository:
            trained = bool(published.get("quick_gelu"))
            if trained != bool(config.get("quick_gelu")) and not name.endswith("-quickgelu"):
                raise ModelError(
                    f"hf-hub:{repository} states another activation than it was trained with; use {name}/{tag} instead"
                )
    return Source(config, fetch(repository, HUB_FILES, progress), preprocess, {})


def check_supported(config: dict[str, Any], model: Model) -> None:
    """Refuse towers whose last block or text this engine does not know."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    reasons = {
        "its image tower is no vision transformer with blocks that variants know": "timm_model_name" in vision
        and not _OF_TIMM.match(str(vision["timm_model_name"])),
        "its image tower pools otherwise than by a class token": bool(vision.get("attentional_pool"))
        or vision.get("pool_type", "tok") != "tok"
        or bool(vision.get("final_ln_after_pool")),
        "its blocks are custom": any(vision.get(key) for key in _CUSTOM_BLOCK),
        "its text tower is of a kind that was not tried": bool(text.get("embed_cls"))
        or not _TEXTS.search(str(text.get("hf_model_name") or "bert"))
        or bool(text.get("tokenizer_mode"))
        or not (is_own_text(text) or is_foreign(text)),
        "it also writes captions": "multimodal_cfg" in config,
    }
    for reason, holds in reasons.items():
        if holds:
            raise ModelError(f"{model} is not supported: {reason}. {SUPPORTED}")


_CUSTOM_BLOCK = (
    "block_type",
    "qk_norm",
    "scaled_cosine_attn",
    "scale_heads",
    "scale_attn_inner",
    "scale_attn",
    "scale_fc",
)
