"""The manifest is valid, lies where npe2 looks for it, and each command in it resolves without loading torch."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_clearclip.domains import unknown_words
from napari_clearclip.gui.actions import ACTIONS
from napari_clearclip.gui.images.sources import KEY
from napari_clearclip.scenes import KINDS
from napari_clearclip.settings import Model

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(ROOT / "src/napari_clearclip/napari.yaml")


def test_top_level_file_is_the_one_in_the_package() -> None:
    assert (ROOT / "napari.yaml").read_text() == (ROOT / "src/napari_clearclip/napari.yaml").read_text()


def test_installed_distribution_names_it(manifest: PluginManifest) -> None:
    (entry,) = entry_points(group="napari.manifest", name="napari-clearclip")
    assert entry.value == "napari_clearclip:napari.yaml"
    assert PluginManifest.from_distribution("napari-clearclip").contributions == manifest.contributions


def test_each_command_resolves(manifest: PluginManifest) -> None:
    commands = manifest.contributions.commands or []
    for command in commands:
        assert callable(import_python_name(command.python_name))
    named = {command.id for command in commands}
    given = manifest.contributions
    used = [part for kind in (given.widgets, given.sample_data, given.readers, given.writers) for part in kind or ()]
    assert {item.command for item in used} == named - {f"napari-clearclip.{name}" for name in ACTIONS}


def test_each_action_of_the_panel_is_a_command_with_its_text(manifest: PluginManifest) -> None:
    titles = {command.id: command.title for command in manifest.contributions.commands or []}
    for name, action in ACTIONS.items():
        assert titles[f"napari-clearclip.{name}"] == action.text


def test_panel_is_offered_where_it_belongs(manifest: PluginManifest) -> None:
    menus = manifest.contributions.menus
    assert set(menus) == {"napari/layers/segment", "napari/layers/annotate"}
    assert [widget.display_name for widget in manifest.contributions.widgets or []] == ["Words to masks"]


@pytest.mark.parametrize("kind", KINDS)
def test_samples_bring_their_prompts(manifest: PluginManifest, kind: str) -> None:
    (sample,) = (sample for sample in manifest.contributions.sample_data or [] if sample.key == kind)
    command = next(command for command in manifest.contributions.commands or [] if command.id == sample.command)
    ((data, options, layer_type),) = import_python_name(command.python_name)()
    assert layer_type == "image"
    assert data.shape == (384, 384, 3)
    assert data.dtype == np.uint8
    carried = options["metadata"][KEY]
    assert len(carried["prompts"]) >= 2
    assert set(carried["prompts"]).isdisjoint(carried["distractors"])
    for phrase in (*carried["prompts"], *carried["distractors"]):
        assert not unknown_words(Model(), phrase)


def test_plugin_module_and_panel_import_without_torch() -> None:
    code = "import sys, napari_clearclip.gui.plugin, napari_clearclip.gui.panel; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
