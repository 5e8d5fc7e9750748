"""Loading CLIP models: whatever their source, one builder makes them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

from napari_clearclip import domains
from napari_clearclip.engine.catalogue import cached_models as cached_models
from napari_clearclip.engine.catalogue import published_models as published_models
from napari_clearclip.engine.download import Progress
from napari_clearclip.engine.hub_tokenizer import HubTokenizer, hub_tokenizer, is_foreign
from napari_clearclip.engine.sizes import Sizes
from napari_clearclip.engine.sources import SUPPORTED, Source, check_supported, find, is_own_text, only
from napari_clearclip.engine.student import Student, build_student
from napari_clearclip.engine.text import CompactVocabulary, Tokenizer
from napari_clearclip.engine.tower import Tower
from napari_clearclip.engine.towers import tower_of
from napari_clearclip.engine.weights import ModelError as ModelError
from napari_clearclip.engine.weights import file_hash, fill, read_state
from napari_clearclip.settings import Model, Tiling
from napari_clearclip.study import Card, read_card


@dataclass(frozen=True, eq=False)
class Clip:
    """A loaded model; variants read it and never modify it.

    Attributes
    ----------
    model : open_clip.model.CLIP or CustomTextCLIP
        In evaluation mode, on `device`. Of a student, it is its teacher with the student as image tower.
    tokenizer : Tokenizer or HubTokenizer
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

    model: CLIP | CustomTextCLIP
    tokenizer: Tokenizer | HubTokenizer
    key: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tiling: Tiling
    templates: str | tuple[str, ...]
    device: str
    dtype: torch.dtype

    @cached_property
    def nbytes(self) -> int:
        """Memory of the weights in bytes."""
        return sum(value.nbytes for value in self.model.state_dict().values())

    @property
    def weights(self) -> str:
        """Hash of the weights and activation, whatever the arithmetic."""
        return self.key.rpartition("-")[0]

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return self.model.visual.stride if isinstance(self.model.visual, Student) else self.tower.patch

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches that the model was trained on."""
        return self.model.visual.grid_size if isinstance(self.model.visual, Student) else self.tower.grid

    @cached_property
    def tower(self) -> Tower:
        """The image tower, taken apart; a student has none."""
        return tower_of(self.model.visual)

    @property
    def width(self) -> int:
        """Size of the joint space of image and text."""
        visual: Any = self.model.visual
        return visual.output_dim if isinstance(visual, Student) else self.tower.width

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.tower.depth

    @property
    def has_variants(self) -> bool:
        """Whether there is a last block whose attention can be exchanged; a student has none."""
        return not isinstance(self.model.visual, Student)

    @property
    def sigmoid(self) -> tuple[float, float] | None:
        """Scale and bias of the score that the model was trained with, SigLIP's; other models have none."""
        bias = self.model.logit_bias
        return None if bias is None or not self.has_variants else (float(self.model.logit_scale.exp()), float(bias))

    def work(self, grid: tuple[int, int]) -> float:
        """Floating point operations of a block, or of a student, on one window of a grid of patches, about."""
        if isinstance(self.model.visual, Student):
            return self.model.visual.work(grid)
        tokens, width = 1 + grid[0] * grid[1], self.tower.channels
        return float(24 * tokens * width**2 + 4 * tokens**2 * width)


def load(model: Model, device: str = "cpu", progress: Progress | None = None) -> Clip:
    """The model, ready to compute.

    Parameters
    ----------
    model : Model
        Published (``ViT-B-16`` with a tag, or ``hf-hub:ORGANISATION/NAME``), a local file, a student's file, or
        ``demo``.
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
    card = find_card(model)
    if card is not None:
        return _load_student(model, card, device, progress)
    source = find(model, progress)
    check_supported(source.config, model)
    half = {"float16": torch.float16, "bfloat16": torch.bfloat16}
    dtype = half.get(model.precision, torch.float32) if device != "cpu" else torch.float32
    tokenizer = _tokenizer(source, model)
    clip = _build(source.config, source.weights.parent, model, dtype)
    state = read_state(source.weights)
    if "logit_bias" not in state:
        clip.logit_bias = None  # which some fine-tuned files leave out
    fill(clip, state, source.weights)
    if dtype != torch.float32:
        words = source.config["text_cfg"].get("hf_model_name")  # which stay precise: they are read once
        open_clip.model.convert_weights_to_lp(clip.visual if words else clip, dtype)
    quick = bool(source.config.get("quick_gelu"))
    return Clip(
        model=cast(CLIP | CustomTextCLIP, clip.requires_grad_(False).eval().to(device)),
        tokenizer=tokenizer,
        key=f"{file_hash(source.weights)}-{'quickgelu' if quick else 'gelu'}-{str(dtype).removeprefix('torch.')}",
        mean=tuple(source.preprocess.get("mean") or open_clip.OPENAI_DATASET_MEAN),
        std=tuple(source.preprocess.get("std") or open_clip.OPENAI_DATASET_STD),
        tiling=Sizes.of(source.config, source.recommended).tiling,
        templates=tuple(source.recommended.get("templates", ())) or "imagenet",
        device=device,
        dtype=dtype,
    )


def download(model: Model, progress: Progress | None = None) -> None:
    """Bring all that a model needs onto this machine: its weights, and the tokenizer of its words.

    Raises
    ------
    ModelError
        If they cannot be had.
    """
    _tokenizer(find(model, progress), model)


def find_card(model: Model) -> Card | None:
    """The card of a student; None for any other model."""
    if model.name or not model.pretrained:
        return None
    try:
        return read_card(Path(model.pretrained))
    except ValueError as error:
        raise ModelError(str(error)) from error


def _load_student(model: Model, card: Card, device: str, progress: Progress | None) -> Clip:
    """A student in the place of its teacher's image tower."""
    path = Path(model.pretrained).expanduser().with_suffix(".safetensors")
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist; check the path")
    try:
        teacher = load(card.teacher.replace(precision=model.precision), device, progress)
    except ModelError as error:
        raise ModelError(
            f"{path.name} is a student of {card.teacher}, whose text tower it needs, and that cannot be loaded: {error}"
        ) from error
    if teacher.weights != card.teacher_key:
        raise ModelError(
            f"{path.name} is a student of {card.teacher}, but that model has other weights now; "
            "train the student again, or bring the model back that it was trained with"
        )
    student = build_student(card.architecture, card.width)
    fill(student, read_state(path), path)
    teacher.model.visual = student.requires_grad_(False).eval().to(device, teacher.dtype)
    recommended = domains.recommendations(model)
    return replace(
        teacher, key=f"{file_hash(path)}-of-{teacher.key}", tiling=Sizes.of(card.model_dump(), recommended).tiling
    )


def _tokenizer(source: Source, model: Model) -> Tokenizer | HubTokenizer:
    """What makes token ids of phrases; without it there is no need to read the weights."""
    text = source.config["text_cfg"]
    if is_foreign(text):
        return hub_tokenizer(text, source.weights.parent, str(model))
    token_ids = source.recommended.get("token_ids")
    compact = CompactVocabulary(token_ids) if token_ids else None
    return Tokenizer(text.get("context_length", CLIPTextCfg.context_length), compact)


def _build(config: dict[str, Any], folder: Path, model: Model, dtype: torch.dtype) -> CLIP | CustomTextCLIP:
    """An open_clip model of this configuration, its weights not yet read."""
    try:
        vision = CLIPVisionCfg(**only(config["vision_cfg"], *(field.name for field in fields(CLIPVisionCfg))))
        text = CLIPTextCfg(**only(config["text_cfg"], *(field.name for field in fields(CLIPTextCfg))))
        text.hf_model_pretrained = False
        if text.hf_model_name and (folder / "config.json").is_file():
            text.hf_model_name = str(folder)
        clip = (CLIP if is_own_text(config["text_cfg"]) else CustomTextCLIP)(
            embed_dim=config["embed_dim"],
            vision_cfg=vision,
            text_cfg=text,
            quick_gelu=bool(config.get("quick_gelu")),
            init_logit_bias=config.get("init_logit_bias"),
            cast_dtype=dtype if dtype != torch.float32 else None,
        )
    except OSError as error:
        raise ModelError(
            f"the configuration {text.hf_model_name} of the text tower of {model} is not on this machine and cannot be "
            f"downloaded; connect to the internet once, or put its config.json beside the weights in {folder}"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"the configuration of {model} is not one of open_clip's: {error}") from error
    try:
        tower_of(clip.visual)
    except ValueError as error:
        raise ModelError(f"{model} is not supported: {error}. {SUPPORTED}") from error
    return clip
