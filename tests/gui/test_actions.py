"""Each shortcut does what it says, from the viewer and from the panel, and goes with the panel."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_model.types import KeyBinding
from napari.components import ViewerModel
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_clearclip.gui.actions import ACTIONS, Help
from napari_clearclip.gui.panel import Panel

from .conftest import CountingPipeline, in_line


@pytest.fixture
def viewer(qtbot: Any) -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def panel(viewer: ViewerModel, qtbot: Any) -> Generator[Panel]:
    viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    panel = Panel(viewer, executor=in_line, open_pipeline=lambda _: CountingPipeline())  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    for phrase in ("red star", "water"):
        panel.prompts.added.emit(phrase, "object")
    yield panel
    panel.close_down()


def press(viewer: ViewerModel, name: str) -> None:
    viewer.keymap[KeyBinding.from_str(ACTIONS[name].napari_keys.replace("-", "+").replace("Control", "Ctrl"))](viewer)


def test_run_then_thresholds_of_the_selected_prompt(viewer: ViewerModel, panel: Panel) -> None:
    press(viewer, "run")
    assert panel.controller.has_run
    press(viewer, "next_prompt")
    press(viewer, "raise_threshold")
    first, second = panel.controller.settings.objects
    assert first.threshold == pytest.approx(second.threshold + 0.01)
    press(viewer, "previous_prompt")
    press(viewer, "lower_threshold")
    assert panel.controller.settings.objects[1].threshold == pytest.approx(first.threshold - 0.02)


def test_masks_and_heat_map_are_hidden_and_shown(viewer: ViewerModel, panel: Panel, qtbot: Any) -> None:
    press(viewer, "run")
    qtbot.waitUntil(lambda: len(viewer.layers) == 5)

    def visible() -> list[str]:
        return [layer.name for layer in viewer.layers if layer.visible]

    before = visible()
    press(viewer, "toggle_heat_maps")
    assert [name for name in before if name not in visible()] == ["photo · water similarity"]
    press(viewer, "toggle_heat_maps")
    press(viewer, "toggle_masks")
    assert visible() == ["photo"]
    press(viewer, "toggle_masks")
    assert visible() == before


def test_no_key_is_one_of_napari(viewer: ViewerModel) -> None:
    taken = {str(key) for keys in default_shortcuts.values() for key in keys}
    assert not taken & {str(KeyBinding.from_str(action.keys)) for action in ACTIONS.values()}


def test_the_keys_go_with_the_panel(viewer: ViewerModel, panel: Panel) -> None:
    bound = len(viewer.keymap)
    panel.close_down()
    panel.close_down()
    assert bound > len(ACTIONS)
    assert not viewer.keymap


def test_help_lists_every_action(qtbot: Any) -> None:
    dialog = Help()
    qtbot.addWidget(dialog)
    texts = {label.text() for label in dialog.findChildren(QLabel)}
    for action in ACTIONS.values():
        assert {action.text, action.shown_keys} <= texts


def test_the_question_mark_opens_the_help(panel: Panel) -> None:
    assert not panel.findChildren(Help)
    QTest.mouseClick(panel.image.help_button, Qt.MouseButton.LeftButton)
    (dialog,) = panel.findChildren(Help)
    assert dialog.isVisible()
    dialog.close()


def test_the_readme_names_the_keys() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [action.keys for action in ACTIONS.values() if action.keys not in text] == []
