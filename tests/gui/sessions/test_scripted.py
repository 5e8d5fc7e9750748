"""A user saves a session by its key, and drops the file on another napari: everything is there again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_clearclip.gui.layers.styles import tag_of
from napari_clearclip.gui.panel import Panel

from ..test_scripted_user import CONTROL, STROKE, User


def test_saved_by_key_and_dropped_on_another_napari(
    make_napari_viewer: Callable[..., Any], qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User(make_napari_viewer(show=True), qtbot)
    user.panel.prompts.empty_action.trigger()
    first, second = user.scene.names[:2]
    for phrase in (first, second):
        user.type(phrase)
    user.click(user.segment.run_button)
    user.wait()
    user.slide(1, 0.7)
    user.paint(user.layer("labels", second), STROKE)
    user.wait()
    user.panel.results.accept(user.panel.controller.settings.objects[0].id)
    user.wait()
    user.image.contrast_limits = (10, 240)
    user.image.scale = (0.5, 0.5)
    user.viewer.scene.camera.zoom = 3.5
    file = tmp_path / "work.clearclip"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "work"), ""))
    user.press(Qt.Key.Key_S, CONTROL | Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(file.exists)
    user.panel.autosave.flush()
    state = user.panel.controller.state
    shown = seen(user.viewer)
    assert f"shapes scene · {first} accepted" in shown

    viewer = make_napari_viewer(show=True)
    viewer.window._qt_viewer._qt_open([str(file)], stack=False)  # what napari does with what is dropped
    (panel,) = viewer.window._qt_window.findChildren(Panel)
    qtbot.waitUntil(lambda: panel.message.label.text() == "work.clearclip was opened.", timeout=60_000)
    qtbot.waitUntil(lambda: not panel.controller.busy and panel.results.idle, timeout=60_000)
    again = seen(viewer)
    assert list(again) == list(shown)
    for name, (data, *rest) in shown.items():
        found, *others = again[name]
        np.testing.assert_allclose(found, data, atol=1e-5, err_msg=name)
        np.testing.assert_equal(others, rest, err_msg=name)
    assert panel.controller.state == state
    assert panel.sessions.path == file
    assert viewer.scene.camera.zoom == pytest.approx(3.5)


def seen(viewer: Any) -> dict[str, list[Any]]:
    """What is shown, and layers of the user's own: pixels, place and look."""
    found = {}
    for layer in viewer.layers:
        if layer.visible or not tag_of(layer)[0]:
            _, state, kind = layer.as_layer_data_tuple()
            names = ("scale", "translate", "affine", "opacity", "visible", "blending", "contrast_limits", "gamma")
            found[layer.name] = [np.array(layer.data), kind, *(state.get(name) for name in names)]
    return found
