"""The command line in a folder of its own, with small models that are files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_clearclip import domains
from napari_clearclip.cli import app
from napari_clearclip.scenes import DISTRACTORS, KINDS, make_scene, vocabulary


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder; caches lie beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("napari_clearclip.engine.model.cached_models", lambda: ())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def run():
    """Runs the command line with some arguments."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def photo(folder):
    """A small photograph in the current folder."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3)).repeat(12, axis=0).repeat(12, axis=1).astype(np.uint8)
    imageio.imwrite(folder / "photo.png", image)
    return Path("photo.png")


@pytest.fixture
def bundled(tiny, tmp_path, monkeypatch):
    """A model with random weights in the place of the bundled one, with its vocabulary."""
    config = json.loads(tiny.with_suffix(".json").read_text())
    phrases = [phrase for kind in KINDS for phrase in (*vocabulary(kind), *DISTRACTORS[kind])]
    config["clearclip"] = {
        "vocabulary": sorted({word for phrase in phrases for word in phrase.split()}),
        "templates": ["a photo of {}"],
        "distractors": ["plain background"],
    }
    (tmp_path / "demo").mkdir()
    shutil.copy(tiny, tmp_path / "demo/demo.safetensors")
    (tmp_path / "demo/demo.json").write_text(json.dumps(config))
    monkeypatch.setattr(domains, "demo_folder", lambda: tmp_path / "demo")


@pytest.fixture
def root(tmp_path):
    """A folder of two scenes with their truth as label maps."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("plain background\nred circle\nblue square\n")
    for seed in range(2):
        scene = make_scene("shapes", seed, size=96)
        Image.fromarray(scene.image).save(folder / f"images/{seed}.png")
        Image.fromarray((scene.truth % 3).astype(np.uint8)).save(folder / f"labels/{seed}.png")
    return folder
