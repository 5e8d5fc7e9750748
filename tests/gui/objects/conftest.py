"""A panel with objects, and what settles it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.settings import Splitting

from ..conftest import Bench, CountingPipeline, looking


class Opened:
    """A panel on a viewer's model with a small image."""

    def __init__(self, qtbot: Any, bench: Bench, shape: tuple[int, ...] = (16, 16), **fields: Any) -> None:
        self.viewer, self.bench, self.pipeline = ViewerModel(), bench, CountingPipeline()
        data = np.arange(np.prod(shape)).reshape(shape).astype(np.uint16)
        self.image = self.viewer.add_image(data, name="photo", scale=(0.5,) * len(shape))
        self.panel = Panel(self.viewer, bench, lambda _: self.pipeline)
        self.controller, self.census = self.panel.controller, self.panel.census
        self.section = self.panel.objects
        self.controller.update(looking(**fields))
        qtbot.addWidget(self.panel)

    def settle(self) -> None:
        self.bench.drain()
        while not (self.panel.results.idle and self.census.idle):
            QApplication.processEvents()
            self.bench.drain()

    def run(self) -> None:
        self.panel.run()
        self.settle()

    def change(self, **fields: Any) -> None:
        self.controller.update(self.controller.settings.replace(**fields))
        self.settle()

    def paint(self, rows: slice, cols: slice, on: bool = False, plane: tuple[int, ...] = ()) -> None:
        stroke = np.zeros((16, 16), bool)
        stroke[rows, cols] = True
        self.controller.update(edits=self.controller.state.edits.paint("road", plane, stroke, on))
        self.settle()

    @property
    def layer(self) -> Any:
        return self.panel.results.find("instances", key_of(self.image), "")

    @property
    def said(self) -> str:
        return self.panel.message.label.text()

    def cells(self) -> list[list[str]]:
        model = self.section.objects
        rows, columns = range(model.rowCount()), range(model.columnCount())
        return [[model.data(model.index(row, column)) for column in columns] for row in rows]


@pytest.fixture
def opened(qtbot: Any, bench: Bench) -> Opened:
    return Opened(qtbot, bench)


@pytest.fixture
def counted(opened: Opened) -> Opened:
    opened.run()
    opened.change(splitting=Splitting(method="components"))
    return opened
