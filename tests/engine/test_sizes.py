"""What is known of a model before it is loaded is what it turns out to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_clearclip.engine.model import load
from napari_clearclip.engine.sizes import Sizes, sizes_of
from napari_clearclip.engine.variants import variant
from napari_clearclip.settings import Model, Tiling


def test_the_bundled_model() -> None:
    clip, known = load(Model()), sizes_of(Model())
    assert known == Sizes(clip.patch, clip.tiling, clip.depth)


def test_a_local_model(tiny: Path) -> None:
    model = Model(name="", pretrained=str(tiny))
    clip, known = load(model), sizes_of(model)
    assert known == Sizes(clip.patch, clip.tiling, clip.depth)
    assert known is not None
    assert known.tiling.window == 32


@pytest.mark.parametrize(
    ("name", "patch", "depth", "has_residual"),
    [
        ("ViT-B-16", 16, 12, True),
        ("ViT-L-14-336", 14, 24, True),
        ("ViT-B-32-quickgelu", 32, 12, True),
        ("EVA02-L-14", 14, 24, True),
        ("RN50", 32, 1, False),
    ],
)
def test_a_published_model(name: str, patch: int, depth: int, has_residual: bool) -> None:
    known = sizes_of(Model(name=name, pretrained="openai"))
    assert known == Sizes(patch, Tiling(short_side=448, window=448, stride=224), depth, has_residual)
    assert bool(known.lacking(variant("vanilla"))) != has_residual
    assert known.lacking(variant("maskclip")) == ""


@pytest.mark.parametrize(
    "model",
    [Model(name="hf-hub:somebody/something"), Model(name="ViT-X-99"), Model(name="", pretrained="/no/such/file.pt")],
    ids=["hub", "unknown", "missing"],
)
def test_what_is_not_on_this_machine_is_unknown(model: Model) -> None:
    assert sizes_of(model) is None


@pytest.mark.parametrize("content", ["not json", "[]", "{}", '{"vision_cfg": {"image_size": 224}}'])
def test_a_broken_configuration_is_unknown(content: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(content)
    assert sizes_of(Model(name="", pretrained=str(tmp_path / "broken.pt"))) is None


def test_a_configuration_in_a_hub_folder(tmp_path: Path) -> None:
    config: dict[str, Any] = {"model_cfg": {"vision_cfg": {"image_size": [96, 96], "patch_size": 12}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    sizes = sizes_of(Model(name="", pretrained=str(tmp_path / "weights.bin")))
    assert sizes == Sizes(12, Tiling(short_side=288, window=96, stride=48), 12)
