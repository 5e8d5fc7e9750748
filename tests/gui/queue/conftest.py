"""A folder of three images, and panels whose engine only counts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imageio.v3 import imwrite
from napari.components import ViewerModel
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication

from napari_clearclip.gui.panel import Panel

from ..conftest import CountingPipeline, in_line

NAMES = ("a.png", "b.png", "c.png")
Open = Callable[[], Panel]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images that differ, of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for at, name in enumerate(NAMES):
        imwrite(folder / name, np.random.default_rng(at).integers(0, 255, (16, 24 + 4 * at), np.uint8))
    return folder


@pytest.fixture
def readers(npe2pm: Any) -> Iterator[None]:
    """napari's own readers, and ours."""
    with (
        npe2pm.tmp_plugin(manifest=PluginManifest.from_distribution("napari")),
        npe2pm.tmp_plugin(manifest=PluginManifest.from_distribution("napari-clearclip")),
    ):
        yield


@pytest.fixture
def opened(qtbot: Any, readers: None) -> Generator[Open]:
    """Panels on viewers of their own."""
    panels = []

    def open_panel() -> Panel:
        panel = Panel(ViewerModel(), executor=in_line, open_pipeline=lambda _: CountingPipeline())  # type: ignore[arg-type]
        qtbot.addWidget(panel)
        panels.append(panel)
        return panel

    yield open_panel
    for panel in panels:
        panel.close_down()


def settle(panel: Panel) -> None:
    while not (panel.results.idle and panel.walk.idle):
        QApplication.processEvents()
