"""An image in several windows, and a pipeline that keeps nothing outside the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Model, Prompt, Runtime, Settings, Tiling

IMAGE = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path / "cache")))


@pytest.fixture
def settings(tiny: Path) -> Settings:
    """The image is read at 40 x 60, in 2 x 3 windows of 32 with patches of 8."""
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=tuple(Prompt(id=name, phrase=name, threshold=0.3) for name in ("cat", "dog")),
        tiling=Tiling(short_side=40, window=32, stride=16),
        comparing=Comparing(templates="single"),
    )
