"""Where models come from: published open_clip tags, hub repositories, local files and the bundled demo."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

import open_clip

from napari_clearclip import domains
from napari_clearclip.engine.weights import ModelError
from napari_clearclip.settings import Model

Progress = Callable[[int, int], None]

SUPPORTED = (
    "Supported are plain ViT models with CLIP's own text tower: OpenAI, LAION, DataComp, MetaCLIP and DFN weights of "
    "ViT-B, ViT-L, ViT-H, ViT-g and ViT-bigG, and fine-tuned files of these"
)
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
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
        config, preprocess = _registered(model.name), dict[str, Any]()
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


def _find_published(model: Model, progress: Progress | None) -> Source:
    """A tag of open_clip's list."""
    config = _registered(model.name)
    tags = open_clip.list_pretrained_tags_by_model(model.name)
    if not open_clip.pretrained.is_pretrained_cfg(model.name, model.pretrained):
        given = f"has no weights {model.pretrained!r}" if model.pretrained else "needs the name of its weights"
        raise ModelError(f"{model.name} {given}; published are {', '.join(tags) or 'none'}")
    published = open_clip.get_pretrained_cfg(model.name, model.pretrained)
    check_supported(config, model)
    config["quick_gelu"] = _resolve_quick_gelu(model, config, published)
    hub, _, filename = str(published.get("hf_hub", "")).rpartition("/")
    weights = _fetch(hub, (filename,) if filename else _HUB_FILES, progress)
    return Source(config, weights, only(published, "mean", "std"), {})


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
    config, preprocess = _read_config(_fetch(repository, (_CONFIG_FILE,), None))
    for name, tag in open_clip.list_pretrained():
        published = open_clip.get_pretrained_cfg(name, tag)
        if str(published.get("hf_hub", "")).strip("/") == repository:
            trained = bool(published.get("quick_gelu"))
            if trained != bool(config.get("quick_gelu")) and not name.endswith("-quickgelu"):
                raise ModelError(
                    f"hf-hub:{repository} states another activation than it was trained with; use {name}/{tag} instead"
                )
    return Source(config, _fetch(repository, _HUB_FILES, progress), preprocess, {})


def _fetch(repository: str, names: tuple[str, ...], progress: Progress | None) -> Path:
    """The first of some files of a hub repository: from the local cache if it is there, else downloaded."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

    try:
        for name in names:
            with suppress(LocalEntryNotFoundError):
                return Path(hf_hub_download(repository, name, local_files_only=True))
        _check_connection(repository)
        for name in names:
            try:
                return Path(hf_hub_download(repository, name, tqdm_class=_reporting(progress)))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
    except ModelError:
        raise
    except HFValidationError as error:
        raise ModelError(f"hf-hub:{repository} is no name of a repository; write hf-hub:ORGANISATION/NAME") from error
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise _unreachable(repository, reason) from error
    raise ModelError(f"{repository} has no {' or '.join(names)}; it is no open_clip checkpoint. {SUPPORTED}")


def _check_connection(repository: str) -> None:
    """Refuse at once where the hub cannot be found: its client would try for half a minute."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE:
        raise _unreachable(repository, "HF_HUB_OFFLINE is set.")
    if getproxies():
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise _unreachable(repository, f"{host} cannot be reached.") from error


def _unreachable(repository: str, reason: str) -> ModelError:
    return ModelError(
        f"{repository} is not on this machine and could not be downloaded: {reason.rstrip('.')}. "
        f"Check the connection and try again, or load a weights file instead"
    )


def _reporting(progress: Progress | None) -> Any:
    """A progress bar class that reports bytes instead of printing."""
    from tqdm.auto import tqdm

    class Reporting(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": False, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> None:
            super().update(n)
            if progress is not None:
                progress(int(self.n), int(self.total or 0))

    return Reporting


def check_supported(config: dict[str, Any], model: Model) -> None:
    """Refuse towers whose last block or text this engine does not know."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    reasons = {
        "its image tower comes from timm": "timm_model_name" in vision,
        "its image tower is a ResNet": isinstance(vision.get("layers"), list | tuple),
        "its image tower pools otherwise than by a class token": bool(vision.get("attentional_pool"))
        or vision.get("pool_type", "tok") != "tok"
        or bool(vision.get("final_ln_after_pool")),
        "its blocks are custom": any(vision.get(key) for key in _CUSTOM_BLOCK),
        "its text tower is not CLIP's own": bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))
        or bool(text.get("embed_cls") or text.get("no_causal_mask"))
        or text.get("pool_type", "argmax") != "argmax",
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


@cache
def published_models() -> tuple[Model, ...]:
    """Every published model that can be loaded, as open_clip lists them."""
    found = []
    for name, tag in open_clip.list_pretrained():
        model = Model(name=name, pretrained=tag)
        try:
            config = _registered(name)
            check_supported(config, model)
            _resolve_quick_gelu(model, config, open_clip.get_pretrained_cfg(name, tag))
        except ModelError:
            continue
        found.append(model)
    return tuple(found)


def cached_models() -> tuple[Model, ...]:
    """The published models whose weights are on this machine; plain names before their ``-quickgelu`` doubles."""
    from huggingface_hub import try_to_load_from_cache

    found: dict[str, Model] = {}
    for model in published_models():
        hub, _, filename = str(open_clip.get_pretrained_cfg(model.name, model.pretrained).get("hf_hub", "")).rpartition(
            "/"
        )
        for name in (filename,) if filename else _HUB_FILES:
            path = try_to_load_from_cache(hub, name) if hub else None
            if isinstance(path, str):
                found.setdefault(path, model)
    return tuple(found.values())
