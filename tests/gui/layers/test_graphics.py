"""Layers that come and go in a real viewer: the canvas outlives it, whatever draws it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEventLoop
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QApplication

from napari_clearclip.gui.panel import Panel

from ..conftest import Bench, CountingPipeline

LINE = np.array([[10, 10], [50, 80]])


class Screen:
    """A viewer on the screen with an image and the panel, which redraws when asked to."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.canvas: Any = viewer.window._qt_viewer.canvas.native
        self.image = viewer.add_image(np.arange(96 * 96, dtype=np.uint16).reshape(96, 96))
        self.bench = Bench()
        self.panel = Panel(viewer, self.bench, lambda _: CountingPipeline())  # type: ignore[arg-type, return-value]
        self.dock = viewer.window.add_dock_widget(self.panel, name="ClearCLIP")
        self.redraw()
        QApplication.processEvents()
        self.bench.waiting.clear()  # the panel's question for the devices, for which torch would be imported

    def redraw(self) -> None:
        """Draw the canvas and put the window together, which leaves the context of the window current."""
        loop = QEventLoop()
        self.canvas.frameSwapped.connect(loop.quit)
        self.canvas.update()
        loop.exec()
        self.canvas.frameSwapped.disconnect(loop.quit)

    def settle(self) -> None:
        """Let the worker and the event loop come to rest, and redraw."""
        self.bench.drain()
        while not self.panel.results.idle:
            QApplication.processEvents()
            self.bench.drain()
        self.redraw()

    def measure(self) -> None:
        """Draw a line across one object, after which its layer goes away."""
        self.panel.ruler.start(self.image)
        self.viewer.layers.selection.active.add_lines(LINE)
        self.redraw()
        self.panel.ruler.stop()
        self.redraw()

    def run_and_undo(self) -> None:
        """Run, and take it back, after which no layer of ours is left."""
        if not self.panel.controller.settings.objects:
            self.panel.prompts.added.emit("road", "object")
        self.panel.run()
        self.settle()
        assert len(self.viewer.layers) == 3
        self.panel.controller.undo()
        self.settle()
        assert len(self.viewer.layers) == 1

    def delete(self) -> None:
        """Remove a layer of the user's."""
        self.viewer.add_shapes(LINE, shape_type="line")
        self.redraw()
        self.viewer.layers.pop()
        self.redraw()

    def clear(self) -> None:
        """Remove all layers together, and look at the image again."""
        self.viewer.add_shapes(LINE, shape_type="line")
        self.redraw()
        self.viewer.layers.clear()
        self.viewer.layers.append(self.image)
        self.redraw()


def repeat(way: str) -> None:
    """Do one of the ways of `Screen` several times in a viewer of its own."""
    import napari

    screen = Screen(napari.Viewer())
    for _ in range(3):
        getattr(screen, way)()
    screen.viewer.close()


@pytest.mark.usefixtures("make_napari_viewer")  # is skipped where no viewer can be opened
@pytest.mark.parametrize("way", ["measure", "run_and_undo", "delete", "clear"])
def test_drawing_goes_on_after_layers_are_removed(way: str, tmp_path: Path) -> None:
    code = f"from gui.layers.test_graphics import repeat; repeat({way!r})"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NAPARI_CONFIG": str(tmp_path / "napari.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("floating", [False, True], ids=["docked", "floating"])
def test_removal_is_in_the_context_of_the_canvas(make_napari_viewer: Callable[..., Any], floating: bool) -> None:
    screen = Screen(make_napari_viewer(show=True))
    screen.dock.setFloating(floating)
    found: list[bool] = []

    def look(_: Any = None) -> None:
        found.append(QOpenGLContext.currentContext() == screen.canvas.context())

    screen.viewer.layers.events.removing.connect(look)
    screen.redraw()
    look()
    screen.viewer.layers.remove(screen.image)
    assert found == [False, True]
    screen.viewer.layers.append(screen.image)
    screen.panel.ruler.start(screen.image)
    screen.redraw()
    screen.dock.title.close_button.click()  # takes the ruler's layer away, and lets go of the viewer
    assert found == [False, True, True]
    screen.redraw()
    screen.viewer.layers.remove(screen.image)
    assert found == [False, True, True, False]
    screen.panel.deleteLater()
