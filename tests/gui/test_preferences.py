"""The plugin's page in napari's preferences, and what of it arrives in a new panel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from npe2 import PluginManifest

from napari_clearclip.domains import distractors_for
from napari_clearclip.gui import preferences
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.preferences import PLUGIN, Preferences, read_preferences, stop_offering_models
from napari_clearclip.settings import Comparing, Model, Runtime

from .conftest import Bench

settings = pytest.importorskip("napari.settings")
pytestmark = pytest.mark.skipif(
    not hasattr(settings, "get_plugin_settings"), reason="napari has no pages for plugins before 0.9"
)
MANIFEST = Path(preferences.__file__).parents[1] / "napari.yaml"


@pytest.fixture(autouse=True)
def default_preferences() -> None:
    """The real page, unlike in the other tests."""


@pytest.fixture
def page(plugin_settings: Any, npe2pm: Any) -> Iterator[Path]:
    """The file of the page in a fresh folder, of a napari that knows the plugin."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        yield settings.get_plugin_settings(PLUGIN).config_path


def written(page: Path, text: str) -> Preferences:
    """What is read when the file holds a text."""
    page.write_text(text)
    settings._clear_plugin_settings_cache()
    return read_preferences()


def test_each_property_says_what_it_is_for() -> None:
    (start,) = PluginManifest.from_file(MANIFEST).contributions.configurations.values()
    wanted = {"model", "device", "threads", "cache_megabytes", "disk_gigabytes", "templates", "offer_models"}
    assert set(start.properties) == wanted
    for shown in start.properties.values():
        assert shown.title
        assert len(shown.description) > 20


def test_defaults_are_those_of_the_fields(page: Path) -> None:
    assert read_preferences() == Preferences()
    assert Preferences().settings.model == Model()
    assert Preferences().runtime == Runtime()


def test_without_a_page_the_defaults_are_taken(plugin_settings: Any) -> None:
    assert read_preferences() == Preferences()
    stop_offering_models()


def test_values_arrive_in_a_new_panel(page: Path, qtbot: Any, bench: Bench) -> None:
    page.write_text(
        "start: {model: ViT-B-16/openai, device: cpu, threads: 2, cache_megabytes: 100, templates: aerial}\n"
    )
    settings._clear_plugin_settings_cache()
    panel = Panel(ViewerModel(), bench)
    qtbot.addWidget(panel)
    wanted = panel.controller.settings
    assert wanted.model == Model.parse("ViT-B-16/openai")
    assert wanted.comparing == Comparing(templates="aerial")
    assert [prompt.phrase for prompt in wanted.prompts] == list(distractors_for(wanted.model))
    assert panel.controller.runtime == Runtime(device="cpu", threads=2, cache_bytes=100 * 2**20)
    assert panel.model.name.text() == "ViT-B-16/openai"
    assert panel.model.devices.currentText() == "cpu"
    assert panel.model.threads.value() == 2
    assert panel.message.label.text() == ""


def test_a_value_that_was_changed_in_the_dialog_is_read(page: Path) -> None:
    settings.get_plugin_settings(PLUGIN).start.threads = 3
    assert read_preferences().runtime.threads == 3


@pytest.mark.parametrize(
    "text",
    ["start: {device: tpu}", "start: {threads: -1}", "start: {cache_megabytes: much}", "start: {templates: x}", "x: ["],
)
def test_values_outside_their_range_are_the_defaults(text: str, page: Path) -> None:
    assert written(page, text) == Preferences()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("''", "The preferences name no model, so the demo is used."),
        ("/nowhere/weights.pt", "There is no file /nowhere/weights.pt, which the preferences name"),
    ],
)
def test_a_model_that_cannot_be_is_told_and_the_demo_taken(
    model: str, problem: str, page: Path, qtbot: Any, bench: Bench
) -> None:
    assert written(page, f"start: {{model: {model}}}").problem.startswith(problem)
    panel = Panel(ViewerModel(), bench)
    qtbot.addWidget(panel)
    assert panel.controller.settings.model == Model()
    assert panel.message.label.text().startswith(problem)


def test_a_weights_file_as_model(page: Path, tiny_weights: Path) -> None:
    found = written(page, f"start: {{model: {tiny_weights}}}")
    assert found.model == Model(name="", pretrained=str(tiny_weights))
    assert found.problem == ""


def test_the_disk_that_was_chosen_in_a_panel_is_that_of_the_next(page: Path, qtbot: Any, bench: Bench) -> None:
    panels = [Panel(ViewerModel(), bench)]
    qtbot.addWidget(panels[0])
    panels[0].segment.question.disk.most.setValue(3.5)
    assert read_preferences().runtime.store_bytes == 35 * 10**8
    panels.append(Panel(ViewerModel(), bench))
    qtbot.addWidget(panels[1])
    assert panels[1].controller.runtime.store_bytes == 35 * 10**8
    panels[1].model.disk.most.setValue(0)
    assert read_preferences().runtime.store_bytes == 0


def test_what_is_not_offered_again_is_remembered(page: Path) -> None:
    assert read_preferences().offer_models
    stop_offering_models()
    settings._clear_plugin_settings_cache()
    assert not read_preferences().offer_models
    assert "offer_models: false" in page.read_text()
