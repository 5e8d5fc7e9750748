"""What all tests share: small models with random weights, real data, and what happens without a screen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch
    from open_clip.model import CLIP

    from napari_clearclip.engine.model import Clip

HAS_SCREEN = sys.platform != "linux" or bool(os.environ.get("DISPLAY"))

if not HAS_SCREEN:  # widgets without a canvas need no screen
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a screen, skip the tests that open a viewer; in CI, refuse to run without one."""
    viewer_tests = [item for item in items if "make_napari_viewer" in getattr(item, "fixturenames", ())]
    if HAS_SCREEN or not viewer_tests:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError("no screen for the viewer's tests: install the Debian package xvfb and run tox")
    for item in viewer_tests:
        item.add_marker(pytest.mark.skip(reason="no screen: install the Debian package xvfb and run tox"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images, see CONTRIBUTING.md."""
    folder = os.environ.get("CLEARCLIP_TEST_DATA")
    if not folder:
        pytest.skip("the environment variable CLEARCLIP_TEST_DATA does not name a folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of tensors that the ClearCLIP authors' code computed."""
    return Path(__file__).parent / "golden"


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
    import open_clip
    import torch
    from open_clip.model import CLIP

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

    from safetensors.torch import save_file

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
    from napari_clearclip.engine.model import load
    from napari_clearclip.settings import Model

    found = {}
    for name, config in architectures.items():
        model, state = random_weights(config)
        found[name] = (load(Model(name="", pretrained=str(save_model(name, config, state)))), model, state)
    return found


@pytest.fixture(scope="session")
def tiny(architectures: dict[str, dict[str, Any]], save_model: Callable[..., Path]) -> Path:
    """The weights file of the first architecture, its configuration beside it: 32 pixel windows, patches of 8."""
    return save_model("tiny", architectures["patch8"], random_weights(architectures["patch8"])[1])


@pytest.fixture(scope="session")
def golden_clip(golden: Path, save_model: Callable[..., Path]) -> Clip:
    """The tower of the golden tensors, beside a text tower with random weights."""
    from safetensors.torch import load_file

    from napari_clearclip.engine.model import load
    from napari_clearclip.settings import Model

    config = json.loads((golden / "config.json").read_text())
    _, state = random_weights(config)
    inputs = load_file(golden / "vit_tiny_inputs.safetensors")
    state.update({name: value for name, value in inputs.items() if name.startswith("visual.")})
    return load(Model(name="", pretrained=str(save_model("golden", config, state))))
