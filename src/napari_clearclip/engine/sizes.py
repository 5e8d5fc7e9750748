"""Patch and recommended windows of a model, known before it is loaded (no torch)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_clearclip import domains
from napari_clearclip.engine.variants import unmet
from napari_clearclip.settings import Attention, Model, Tiling
from napari_clearclip.study import stride_of


@dataclass(frozen=True)
class Sizes:
    """Side of a patch in pixels, and the recommended tiling with every field filled in.

    `depth` is the number of attention blocks that variants can take apart; a student has none. `has_residual` says
    whether the last of them has a residual connection and a feed-forward network, which a ResNet's pool has not;
    `has_class` whether there is a class token, which SigLIP has not; `has_sigmoid` whether there is a score of its own,
    which SigLIP has.
    """

    patch: int
    tiling: Tiling
    depth: int = 0
    has_residual: bool = True
    has_class: bool = True
    has_sigmoid: bool = False

    @property
    def variants(self) -> bool:
        """Whether the model has a last block that variants change."""
        return self.depth > 0

    def lacking(self, row: Attention) -> str:
        """Why the model cannot compute a variant, in a sentence; empty if it can."""
        return unmet(row, self.depth, self.has_class, self.has_residual)

    @classmethod
    def of(cls, config: Mapping[str, Any], recommended: Mapping[str, Any]) -> Sizes:
        """The sizes in a configuration as open_clip writes it.

        The tiling is that of the model's file; else ClearCLIP's 448/448/224, or in proportion where images are small.
        """
        if "teacher_key" in config:
            return cls(stride_of(config["architecture"]), Tiling(**recommended["tiling"]))
        vision = config["vision_cfg"]
        size, (patch, depth, has_residual) = vision["image_size"], _blocks(vision)
        size = int(size if isinstance(size, int) else size[0])
        usual = {"short_side": 448, "window": 448, "stride": 224}
        if size < 128:
            usual = {"short_side": 3 * size, "window": size, "stride": max(size // 2 // patch * patch, 4)}
        tiling = Tiling(**{**usual, **recommended.get("tiling", {})})
        has_class = "siglip" not in str(vision.get("timm_model_name"))
        return cls(patch, tiling, depth, has_residual, has_class, config.get("init_logit_bias") is not None)


# Blocks of timm's vision transformers, by the size in their name.
_DEPTHS = {"tiny": 12, "small": 12, "base": 12, "large": 24, "so400m": 27, "huge": 32}
_DEPTHS |= {"giant": 40, "giantopt": 40, "enormous": 64}


def _blocks(vision: Mapping[str, Any]) -> tuple[int, int, bool]:
    """Side of a patch, number of blocks, and whether the last has a residual connection."""
    name = str(vision.get("timm_model_name") or "")
    if name:
        found = re.search(r"_(" + "|".join(_DEPTHS) + r")_patch(\d+)", name)
        if found is None:
            raise KeyError(name)
        return int(found[2]), _DEPTHS[found[1]], True
    layers = vision.get("layers", 12)  # open_clip's own default
    if isinstance(layers, list | tuple):
        return 32, 1, False
    return int(vision["patch_size"]), int(layers), True


def sizes_of(model: Model) -> Sizes | None:
    """What is known of a model from its configuration on this machine; None where there is none."""
    for path in _configurations(model):
        try:
            content = _read(path, path.stat().st_mtime)
            return Sizes.of(content.get("model_cfg", content), domains.recommendations(model))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


@cache
def _read(path: Path, changed: float) -> dict[str, Any]:
    """A configuration; `changed` makes an edited file be read again."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _configurations(model: Model) -> list[Path]:
    """Where a model's configuration may be: bundled, in the hub's cache, in open_clip, beside its weights."""
    if model.name == "demo":
        return [domains.demo_folder() / "demo.json"]
    if model.name.startswith("hf-hub:"):
        from huggingface_hub import try_to_load_from_cache

        repository = model.name.removeprefix("hf-hub:").strip("/")
        found = try_to_load_from_cache(repository, "open_clip_config.json") if repository.count("/") == 1 else None
        return [Path(found)] if isinstance(found, str) else []
    if model.name:
        spec = find_spec("open_clip")
        folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
        return [folder / "model_configs" / f"{model.name}.json"]
    weights = Path(model.pretrained).expanduser()
    return [weights.with_suffix(".json"), weights.parent / "open_clip_config.json"]
