"""What the panel exports is what its layers show, and what it opens is what was exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_clearclip.edits import Edits
from napari_clearclip.gui.exporting.exporter import BUSY, NOTHING
from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.prompts import listing
from napari_clearclip.io.formats import FORMATS, read
from napari_clearclip.settings import Deciding

from ..conftest import Bench, CountingPipeline, looking


class Opened:
    """A panel on a viewer's model with a small image, and what settles it."""

    def __init__(self, qtbot: Any, bench: Bench, image: Any = None, **fields: Any) -> None:
        self.viewer, self.bench = ViewerModel(), bench
        data = np.arange(256).reshape(16, 16).astype(np.uint16) if image is None else image
        self.image = self.viewer.add_image(data, name="photo")
        self.panel = Panel(self.viewer, bench, lambda _: CountingPipeline())
        self.controller = self.panel.controller
        self.controller.update(looking(**fields))
        qtbot.addWidget(self.panel)

    def settle(self) -> None:
        self.bench.drain()
        while not self.panel.results.idle:
            QApplication.processEvents()
            self.bench.drain()

    def run(self, planes: Any = None) -> None:
        self.controller.run(planes)
        self.settle()

    def export(self, path: Path, name: str) -> str:
        self.panel.exporter.export(path, name)
        self.settle()
        return str(self.panel.message.label.text())

    def shown(self, prompt: str) -> Any:
        return self.panel.results.find("labels", key_of(self.image), prompt).data


@pytest.fixture
def opened(qtbot: Any, bench: Bench) -> Callable[..., Opened]:
    return lambda *args, **fields: Opened(qtbot, bench, *args, **fields)


@pytest.mark.parametrize(
    "name", [name for name, form in FORMATS.items() if form.content == "masks" and name not in ("objects", "yolo")]
)
def test_masks_are_written_as_they_are_shown(opened: Callable[..., Opened], name: str, tmp_path: Path) -> None:
    it = opened()
    it.run()
    (prompt,) = it.controller.settings.objects
    layer = it.panel.results.find("labels", key_of(it.image), prompt.id)
    layer.data_setitem((np.array([0, 1]), np.array([0, 0])), 1)
    layer.data[15, 15] = 1 - layer.data[15, 15]  # without napari's tools
    path = tmp_path / FORMATS[name].ending
    said = it.export(path, name)
    if "still being made" in said:  # what was painted is taken in first
        said = it.export(path, name)
    assert said == f"The masks were written to {path}."
    (found,) = read(path)
    assert found.names == (prompt.phrase,)
    np.testing.assert_array_equal(found.mask(0), it.shown(prompt.id) > 0)
    assert found.mask(0)[:2, 0].all()
    assert found.colors == (prompt.color,)


def test_masks_that_overlap_are_written_each(opened: Callable[..., Opened], tmp_path: Path) -> None:
    it = opened(deciding=Deciding(exclusive=False))
    it.controller.update(listing.with_phrases(it.controller.settings, ["nuclei", "vesicle"], ()))
    it.run()
    one, two = it.controller.settings.objects
    edits = Edits()
    for prompt in (one, two):
        edits = edits.paint(prompt.id, (), np.eye(16, dtype=bool), True, exclusive=False)
    it.controller.update(edits=edits)
    it.settle()
    it.export(tmp_path / "a_coco.json", "coco")
    (found,) = read(tmp_path / "a_coco.json")
    for at, prompt in enumerate((one, two)):
        np.testing.assert_array_equal(found.mask(at), it.shown(prompt.id) > 0)
        assert found.mask(at).diagonal().all()


def test_a_stack_has_all_planes_that_were_run(opened: Callable[..., Opened], tmp_path: Path) -> None:
    it = opened(np.arange(3 * 256).reshape(3, 16, 16).astype(np.uint16))
    it.run([(0,), (2,)])
    (prompt,) = it.controller.settings.objects
    it.export(tmp_path / "a.npz", "npz")
    (found,) = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.mask(0), it.shown(prompt.id) > 0)
    assert [bool(plane.any()) for plane in found.mask(0)] == [True, False, True]


def test_a_geotiff_gives_its_place_to_what_is_exported(
    opened: Callable[..., Opened], tmp_path: Path, npe2pm: Any
) -> None:
    source = tmp_path / "land.tif"
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 5000000)
    fields = {"crs": "EPSG:32631", "transform": transform, "count": 1, "dtype": "uint16", "height": 16, "width": 16}
    with rasterio.open(source, "w", **fields) as file:
        file.write(np.arange(256, dtype=np.uint16).reshape(1, 16, 16))
    it = opened()
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_distribution("napari")):
        (it.image,) = it.viewer.open(source, plugin="napari")
    it.run()
    said = it.export(tmp_path / "a.png", "png")
    assert said.startswith("Not exported: Indexed PNG cannot hold a coordinate system. Choose Labels as TIFF, ")
    assert said.endswith(f"; or check “{it.panel.exports.leave_out.text()}”.")
    assert not (tmp_path / "a.png").exists()
    it.panel.exports.leave_out.setChecked(True)
    it.export(tmp_path / "a.png", "png")
    assert (tmp_path / "a.png").exists()
    it.export(tmp_path / "a.tif", "tiff")
    with rasterio.open(tmp_path / "a.tif") as found:
        assert (found.crs.to_epsg(), found.transform) == (32631, transform)


def test_nothing_to_export_is_said(opened: Callable[..., Opened], tmp_path: Path) -> None:
    it = opened()
    assert it.export(tmp_path / "a.npz", "npz") == NOTHING
    it.controller.run()
    assert it.export(tmp_path / "a.npz", "npz") == BUSY
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_said(opened: Callable[..., Opened], tmp_path: Path) -> None:
    it = opened()
    it.run()
    said = it.export(tmp_path / "none" / "a.npz", "npz")
    assert said.startswith("Not exported: ")
    assert "No such file or directory" in said
    assert it.panel.exports.button.isEnabled()


def test_the_button_asks_for_a_file(
    opened: Callable[..., Opened], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = opened()
    it.run()
    asked: list[Any] = []

    def answer(*args: Any) -> tuple[str, str]:
        asked.extend(args[1:])
        return str(tmp_path / "a.json"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    exports = it.panel.exports
    exports.formats.setCurrentIndex(exports.formats.findData("coco"))
    assert "Not for a coordinate system" in exports.about.text()
    exports.button.click()
    it.settle()
    assert asked == ["Export masks", "photo_clearclip_coco.json", "COCO JSON (*.json)"]
    assert (tmp_path / "a.json").exists()


def test_the_image_of_another_size_lends_no_place(opened: Callable[..., Opened], tmp_path: Path) -> None:
    from napari_clearclip.io.images import lies_where

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8), resolution=(2, 2))
    assert lies_where(tmp_path / "a.tif", (4, 5))[0] is not None
    assert lies_where(tmp_path / "a.tif", (5, 4)) == (None, None)
    assert lies_where(tmp_path / "none.tif", (4, 5)) == (None, None)
