"""The panel docked in a real viewer: opened from the plugin, closed while running, run again, and keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from napari.qt.threading import WorkerBase
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clearclip.gui.panel import Panel
from napari_clearclip.progress import Progress

from .conftest import CountingPipeline


class EndlessPipeline(CountingPipeline):
    """Its first run goes on until it is cancelled; the others come to their end."""

    starts = 0

    def steps(self, *arguments: Any, **hints: Any) -> Generator[Progress, None, Any]:
        self.starts += 1
        endless, tick = self.starts == 1, threading.Event()
        steps = super().steps(*arguments, **hints)
        try:
            yield next(steps)
            while endless:
                tick.wait(0.01)  # stands for work
                yield Progress("Reading windows", 1, 3)
            return (yield from steps)
        finally:
            steps.close()


@pytest.fixture
def docked(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Generator[tuple[Any, Any, Panel, EndlessPipeline]]:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((32, 32), np.uint8), name="photo")
    pipeline = EndlessPipeline()
    panel = Panel(viewer, open_pipeline=lambda _: pipeline)
    dock = viewer.window.add_dock_widget(panel, name="ClearCLIP")
    panel.prompts.added.emit("road", "object")
    yield viewer, dock, panel, pipeline
    qtbot.waitUntil(lambda: not WorkerBase._worker_set and pipeline.closed == 1)


def start(panel: Panel, qtbot: Any) -> None:
    """Press Run and wait until the worker reports."""
    with qtbot.waitSignal(panel.segment.run_button.clicked):
        QTest.mouseClick(panel.segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.segment.stage.text().startswith("Reading"))


def test_cancel_and_run_again(docked: tuple[Any, Any, Panel, EndlessPipeline], qtbot: Any) -> None:
    viewer, _, panel, _ = docked
    start(panel, qtbot)
    QTest.mouseClick(panel.segment.cancel_button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(panel.segment.run_button, Qt.MouseButton.LeftButton)  # before the first has stopped
    qtbot.waitUntil(lambda: not panel.controller.busy)
    assert [layer.name for layer in viewer.layers] == ["photo", "photo · road similarity", "photo · road"]
    assert panel.message.label.text() == ""


def test_closing_the_dock_while_running(docked: tuple[Any, Any, Panel, EndlessPipeline], qtbot: Any) -> None:
    viewer, dock, panel, pipeline = docked
    start(panel, qtbot)
    dock.title.close_button.click()
    qtbot.waitUntil(lambda: pipeline.released == 1)
    assert len(viewer.layers) == 1
    panel.deleteLater()


def test_closing_the_viewer_while_running(docked: tuple[Any, Any, Panel, EndlessPipeline], qtbot: Any) -> None:
    viewer, _, panel, _ = docked
    start(panel, qtbot)
    viewer.close()


def test_removing_the_image_while_running(docked: tuple[Any, Any, Panel, EndlessPipeline], qtbot: Any) -> None:
    viewer, _, panel, _ = docked
    start(panel, qtbot)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not panel.controller.busy)
    assert not viewer.layers
    assert panel.message.label.text() == ""


def test_other_keys_still_reach_the_viewer(docked: tuple[Any, Any, Panel, EndlessPipeline], qtbot: Any) -> None:
    viewer, _, panel, _ = docked
    pressed: list[int] = []
    viewer.bind_key("Q", lambda _: pressed.append(1))
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Q)
    assert pressed == [1]
    start(panel, qtbot)
    viewer.close()
