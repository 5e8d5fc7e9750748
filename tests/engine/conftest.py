"""Small models with random weights, as files and loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file

from napari_clearclip.engine.model import Clip, load
from napari_clearclip.settings import Model

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}

# Three architectures of different patch size; the second has QuickGELU, the third layer scale and more depth.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "patch8": {
        "embed_dim": 24,
        "vision_cfg": {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32},
    },
    "patch16": {
        "embed_dim": 40,
        "quick_gelu": True,
        "vision_cfg": {
            "layers": 3,
            "width": 48,
            "head_width": 16,
            "patch_size": 16,
            "image_size": 64,
            "mlp_ratio": 2.0,
        },
    },
    "patch14": {
        "embed_dim": 16,
        "vision_cfg": {
            "layers": 8,
            "width": 32,
            "head_width": 16,
            "patch_size": 14,
            "image_size": 42,
            "ls_init_value": 0.3,
        },
    },
}


def random_weights(config: dict[str, Any], seed: int = 0) -> tuple[CLIP, dict[str, torch.Tensor]]:
    """open_clip's own model of a configuration, with random weights that make attention uneven, and its state dict."""
    torch.manual_seed(seed)
    vision, text = open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**config["text_cfg"])
    model = CLIP(config["embed_dim"], vision, text, quick_gelu=config.get("quick_gelu", False)).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name == "logit_scale":
                continue
            spread = torch.randn_like(value)
            if "ln_" in name and name.endswith("weight"):
                value.copy_(1 + 0.2 * spread)
            elif value.ndim == 1:
                value.copy_(value + 0.2 * spread)
            elif "in_proj" in name or "positional" in name or "embedding" in name:
                value.copy_(0.3 * spread)
    return model, {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="session")
def architectures() -> dict[str, dict[str, Any]]:
    return {name: {**config, "text_cfg": TEXT} for name, config in ARCHITECTURES.items()}


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes a configuration and weights side by side and gives back the weights' path."""

    def save(name: str, config: dict[str, Any], state: dict[str, torch.Tensor]) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.json").write_text(json.dumps(config))
        save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
        return folder / f"{name}.safetensors"

    return save


@pytest.fixture(scope="session")
def clips(
    architectures: dict[str, dict[str, Any]], save_model: Callable[..., Path]
) -> dict[str, tuple[Clip, CLIP, dict[str, torch.Tensor]]]:
    """By architecture: the loaded model, open_clip's own model with the same weights, and the weights."""
    found = {}
    for name, config in architectures.items():
        model, state = random_weights(config)
        found[name] = (load(Model(name="", pretrained=str(save_model(name, config, state)))), model, state)
    return found


@pytest.fixture(scope="session")
def golden_clip(golden: Path, save_model: Callable[..., Path]) -> Clip:
    """The tower of the golden tensors, beside a text tower with random weights."""
    config = json.loads((golden / "config.json").read_text())
    _, state = random_weights(config)
    inputs = load_file(golden / "vit_tiny_inputs.safetensors")
    state.update({name: value for name, value in inputs.items() if name.startswith("visual.")})
    return load(Model(name="", pretrained=str(save_model("golden", config, state))))
