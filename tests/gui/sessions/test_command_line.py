"""What the command line makes of a session of a GeoTIFF with bands is what the panel makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from typer.testing import CliRunner

from napari_clearclip.cli import app
from napari_clearclip.gui.images.channels import axis_of
from napari_clearclip.gui.images.sources import is_source
from napari_clearclip.gui.panel import Panel
from napari_clearclip.io.raster import read_labels
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Model, Prompt

from ..conftest import in_line
from ..images.test_rasters import MANIFEST, land


@pytest.fixture(autouse=True)
def plugin(npe2pm: Any) -> Iterator[None]:
    """napari with this plugin alone."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        yield


def test_bands_painted_on_and_taught(tmp_path: Path, tiny: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari.components import ViewerModel

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, viewer = land(tmp_path / "land.tif"), ViewerModel()
    panel = Panel(viewer, executor=in_line, open_pipeline=Pipeline)
    qtbot.addWidget(panel)
    layer = next(layer for layer in viewer.open(path, plugin="napari-clearclip") if is_source(layer))
    layer.contrast_limits, layer.gamma = (200, 3000), 0.8
    model, settings = Model.parse(str(tiny)), panel.controller.settings
    prompts = (Prompt(id="a", phrase="road", threshold=0.5), Prompt(id="b", phrase="tree", threshold=0.4))
    panel.controller.update(settings.replace(model=model, prompts=prompts))
    panel.run()
    rows, cols = np.mgrid[:20, :30]
    edits = panel.controller.state.edits.paint("a", (0,), (rows < 6) & (cols > 10), True)
    panel.controller.update(edits=edits.teach("b", (0,), rows > 15, True))
    outcome = panel.results.outcome(panel.controller.source.spot)  # type: ignore[union-attr]
    assert axis_of(layer) == 0
    assert outcome is not None
    panel.sessions.write(tmp_path / "a.clearclip")
    panel.close_down()

    arguments = ["segment", str(path), "--session", str(tmp_path / "a.clearclip"), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    labels, names = read_labels(tmp_path / "land_clearclip_labels.tif")
    assert names == ("road", "tree")
    assert (labels[:6, 11:] == 1).any()
    np.testing.assert_array_equal(labels, outcome.segmentation.labels)
