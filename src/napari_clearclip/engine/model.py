"""Loading CLIP models: published open_clip tags, local files and the bundled demo, all through one builder."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.transformer import VisionTransformer

from napari_clearclip import domains
from napari_clearclip.engine.text import CompactVocabulary, Tokenizer
from napari_clearclip.settings import Model, Tiling

Progress = Callable[[int, int], None]

SUPPORTED = (
    "Supported are plain ViT models with CLIP's own text tower: OpenAI, LAION, DataComp, MetaCLIP and DFN weights of "
    "ViT-B, ViT-L, ViT-H, ViT-g and ViT-bigG, and fine-tuned files of these"
)
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_CONFIG_FILE = "open_clip_config.json"


class ModelError(ValueError):
    """A model that cannot be loaded, with what to do about it."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A loaded model; variants read it and never modify it.

    Attributes
    ----------
    model : open_clip.model.CLIP
        In evaluation mode, on `device`.
    tokenizer : Tokenizer
        Phrases to token ids.
    key : str
        Hash of the weights, activation and arithmetic.
    mean, std : tuple of 3 float
        Normalisation of the input.
    tiling : Tiling
        Recommended, with every field filled in.
    templates : str or tuple of str
        Recommended template set or sentences.
    device, dtype
        Where and in which arithmetic it computes.
    """

    model: CLIP
    tokenizer: Tokenizer
    key: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tiling: Tiling
    templates: str | tuple[str, ...]
    device: str
    dtype: torch.dtype

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self.model.visual.patch_size[0])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches that the model was trained on."""
        rows, cols = self.model.visual.grid_size
        return int(rows), int(cols)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.model.visual.transformer.resblocks)


@dataclass(frozen=True)
class _Source:
    """What is known about a model before its weights are read."""

    config: dict[str, Any]
    weights: Path
    preprocess: dict[str, Any]
    recommended: dict[str, Any]


def load(model: Model, device: str = "cpu", progress: Progress | None = None) -> Clip:
    """The model, ready to compute.

    Parameters
    ----------
    model : Model
        Published (``ViT-B-16`` with a tag, or ``hf-hub:ORGANISATION/NAME``), a local file, or ``demo``.
    device : str
        A torch device.
    progress : callable, optional
        Called with bytes done and total while weights are downloaded; what it raises stops the download.

    Raises
    ------
    ModelError
        If the model is unknown, of a kind that is not supported, does not fit its file, or cannot be downloaded.

    Notes
    -----
    Only a published model that is not in the local cache touches the network. Whether GELU or QuickGELU is used
    follows the published tag or the configuration file, never the architecture's name alone.
    """
    source = _find(model, progress)
    _check_supported(source.config, model)
    half = {"float16": torch.float16, "bfloat16": torch.bfloat16}
    dtype = half.get(model.precision, torch.float32) if device != "cpu" else torch.float32
    clip = _build(source.config, model, dtype)
    state = read_state(source.weights)
    _fill(clip, state, source.weights)
    if dtype != torch.float32:
        open_clip.model.convert_weights_to_lp(clip, dtype)
    quick = bool(source.config.get("quick_gelu"))
    token_ids = source.recommended.get("token_ids")
    return Clip(
        model=cast(CLIP, clip.requires_grad_(False).eval().to(device)),
        tokenizer=Tokenizer(clip.context_length, CompactVocabulary(token_ids) if token_ids else None),
        key=f"{_file_hash(source.weights)}-{'quickgelu' if quick else 'gelu'}-{str(dtype).removeprefix('torch.')}",
        mean=tuple(source.preprocess.get("mean") or open_clip.OPENAI_DATASET_MEAN),
        std=tuple(source.preprocess.get("std") or open_clip.OPENAI_DATASET_STD),
        tiling=_recommended_tiling(source),
        templates=tuple(source.recommended.get("templates", ())) or "imagenet",
        device=device,
        dtype=dtype,
    )


def _recommended_tiling(source: _Source) -> Tiling:
    """The tiling of the model's file; else ClearCLIP's 448/448/224, or in proportion for towers made for small images."""
    size = source.config["vision_cfg"]["image_size"]
    size = int(size if isinstance(size, int) else size[0])
    patch = int(source.config["vision_cfg"]["patch_size"])
    usual = {"short_side": 448, "window": 448, "stride": 224}
    if size < 128:
        usual = {"short_side": 3 * size, "window": size, "stride": max(size // 2 // patch * patch, 4)}
    return Tiling(**{**usual, **source.recommended.get("tiling", {})})


# Where a model comes from


def _find(model: Model, progress: Progress | None) -> _Source:
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


def _find_local(model: Model) -> _Source:
    """A weights file with its configuration beside it, or with the name of its architecture."""
    path = Path(model.pretrained).expanduser()
    if path.suffix.lower() == ".json":
        path = next((p for ext in (".safetensors", ".pt", ".bin") if (p := path.with_suffix(ext)).exists()), path)
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist; check the path")
    beside = [path.with_suffix(".json"), path.parent / _CONFIG_FILE]
    if model.name:
        config, preprocess = _registered(model.name), {}
    else:
        config_file = next((file for file in beside if file.is_file()), None)
        if config_file is None:
            raise ModelError(
                f"{path.name} has no configuration beside it; put open_clip's JSON there as {beside[0].name}, "
                f"or name the architecture as in ViT-B-32/{path.name}"
            )
        config, preprocess = _read_config(config_file)
    recommended = domains.recommendations(model)
    return _Source(config, path, {**preprocess, **_only(recommended, "mean", "std")}, recommended)


def _only(mapping: dict[str, Any], *keys: str) -> dict[str, Any]:
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


def _find_published(model: Model, progress: Progress | None) -> _Source:
    """A tag of open_clip's list."""
    config = _registered(model.name)
    tags = open_clip.list_pretrained_tags_by_model(model.name)
    if not open_clip.pretrained.is_pretrained_cfg(model.name, model.pretrained):
        given = f"has no weights {model.pretrained!r}" if model.pretrained else "needs the name of its weights"
        raise ModelError(f"{model.name} {given}; published are {', '.join(tags) or 'none'}")
    published = open_clip.get_pretrained_cfg(model.name, model.pretrained)
    _check_supported(config, model)
    config["quick_gelu"] = _resolve_quick_gelu(model, config, published)
    hub, _, filename = str(published.get("hf_hub", "")).rpartition("/")
    weights = _fetch(hub, (filename,) if filename else _HUB_FILES, progress)
    return _Source(config, weights, _only(published, "mean", "std"), {})


def _resolve_quick_gelu(model: Model, config: dict[str, Any], published: dict[str, Any]) -> bool:
    """Whether the weights were trained with QuickGELU: the tag's own flag, which a plain architecture takes over."""
    trained = bool(published.get("quick_gelu"))
    if config.get("quick_gelu") and not trained:
        raise ModelError(
            f"{model} does not fit: the architecture has QuickGELU, but these weights were trained with GELU; "
            f"use {model.name.removesuffix('-quickgelu')}/{model.pretrained}"
        )
    return trained


def _find_hub(repository: str, progress: Progress | None) -> _Source:
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
    return _Source(config, _fetch(repository, _HUB_FILES, progress), preprocess, {})


def _fetch(repository: str, names: tuple[str, ...], progress: Progress | None) -> Path:
    """The first of some files of a hub repository: from the local cache if it is there, else downloaded."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

    try:
        for name in names:
            try:
                return Path(hf_hub_download(repository, name, local_files_only=True))
            except LocalEntryNotFoundError:
                continue
        for name in names:
            try:
                return Path(hf_hub_download(repository, name, tqdm_class=_reporting(progress)))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
    except (OSError, ValueError, HFValidationError) as error:
        if isinstance(error, ModelError):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{repository} could not be downloaded: {reason} Check the connection, or load a weights file instead"
        ) from error
    raise ModelError(f"{repository} has no {' or '.join(names)}; it is no open_clip checkpoint. {SUPPORTED}")


def _reporting(progress: Progress | None) -> Any:
    """A progress bar class that reports bytes instead of printing."""
    from tqdm.auto import tqdm

    class Reporting(tqdm):  # type: ignore[type-arg]  # generic in the stubs only
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": False, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if progress is not None:
                progress(int(self.n), int(self.total or 0))
            return shown

    return Reporting


@cache
def published_models() -> tuple[Model, ...]:
    """Every published model that can be loaded, as open_clip lists them."""
    found = []
    for name, tag in open_clip.list_pretrained():
        model = Model(name=name, pretrained=tag)
        try:
            config = _registered(name)
            _check_supported(config, model)
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
        hub, _, filename = str(open_clip.get_pretrained_cfg(model.name, model.pretrained).get("hf_hub", "")).rpartition("/")
        for name in (filename,) if filename else _HUB_FILES:
            path = try_to_load_from_cache(hub, name) if hub else None
            if isinstance(path, str):
                found.setdefault(path, model)
    return tuple(found.values())


# Building and filling


def _check_supported(config: dict[str, Any], model: Model) -> None:
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


_CUSTOM_BLOCK = ("block_type", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")


def _build(config: dict[str, Any], model: Model, dtype: torch.dtype) -> CLIP:
    """An open_clip model of this configuration, its weights not yet read."""
    try:
        vision = CLIPVisionCfg(**_only(config["vision_cfg"], *(field.name for field in fields(CLIPVisionCfg))))
        text = CLIPTextCfg(**_only(config["text_cfg"], *(field.name for field in fields(CLIPTextCfg))))
        clip = CLIP(
            embed_dim=config["embed_dim"],
            vision_cfg=vision,
            text_cfg=text,
            quick_gelu=bool(config.get("quick_gelu")),
            cast_dtype=dtype if dtype != torch.float32 else None,
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"the configuration of {model} is not one of open_clip's: {error}") from error
    if not isinstance(clip.visual, VisionTransformer) or not clip.visual.transformer.batch_first:
        raise ModelError(f"{model} is not supported. {SUPPORTED}")
    return clip


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file, read without running code from it.

    Raises
    ------
    ModelError
        If the file is a TorchScript archive, is damaged, or holds something else than tensors.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            if _is_torchscript(path):
                raise ModelError(
                    f"{path.name} is a TorchScript archive, which holds code. Save its weights once, where you trust it: "
                    f"safetensors.torch.save_file(torch.jit.load('{path.name}').state_dict(), 'weights.safetensors')"
                )
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} cannot be read as weights, it may be damaged: {str(error).splitlines()[0]}") from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):
            raise ModelError(f"{path} cannot be read as weights, it may be damaged: {error}") from error
        raise
    return _clean_state(content, path)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _clean_state(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """A state dict in open_clip's names: wrappers, prefixes and what is no weight taken off."""
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no weights but a {type(content).__name__}")
    state = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    state = {key.removeprefix("text."): value for key, value in state.items()}
    for extra in ("input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask", "logit_bias"):
        state.pop(extra, None)
    if "logit_scale" in state:
        state["logit_scale"] = state["logit_scale"].reshape(())
    return state


def _fill(clip: CLIP, state: dict[str, torch.Tensor], path: Path) -> None:
    """Copy the weights into the model; every one must be there and fit."""
    wanted = clip.state_dict()
    missing = [name for name in wanted if name not in state]
    surplus = [name for name in state if name not in wanted]
    wrong = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    for names, what in ((missing, "lacks"), (surplus, "has besides"), (wrong, "has in another size")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(f"{path.name} does not fit the architecture: it {what} {names[0]}{more}")
    clip.load_state_dict(state)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
