"""Masks of a file or of a layer become the user's own layers on the image, or it is said why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_clearclip.gui.exporting.exporter import NO_IMAGE
from napari_clearclip.gui.exporting.importing import copied
from napari_clearclip.gui.images.channels import set_axis
from napari_clearclip.gui.objects.taking import names_of
from napari_clearclip.io.formats import FORMATS, write
from napari_clearclip.io.masks import Masks

from ..conftest import Bench
from .test_exporter import Opened

LABELS = np.zeros((16, 16), np.uint8)
LABELS[2:6, 3:9], LABELS[9:14, 4:7] = 1, 2
NUMBERS = np.where(LABELS == 2, 40, LABELS * 7)
COLORS = ("#FF0000", "#00FF00")
MASKS = Masks(("дорога", "tree"), LABELS, colors=COLORS, image="photo.tif")


@pytest.fixture
def it(qtbot: Any, bench: Bench) -> Opened:
    opened = Opened(qtbot, bench)
    opened.image.scale, opened.image.translate = (0.5, 2), (3, 4)
    return opened


def brought(it: Opened, path: Path) -> list[Any]:
    """The layers that importing a file adds."""
    before = list(it.viewer.layers)
    it.panel.exporter.import_(path)
    it.settle()
    return [layer for layer in it.viewer.layers if layer not in before]


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.content == "masks"])
def test_every_format_is_imported_where_the_image_lies(name: str, it: Opened, tmp_path: Path) -> None:
    path = tmp_path / FORMATS[name].ending
    objects = "instances" in FORMATS[name].holds
    write(path, [masks(objects)], name)
    *numbered, layer = brought(it, path)
    np.testing.assert_array_equal(layer.data, LABELS)
    assert layer.features["prompt"].tolist() == ["background", *MASKS.names]
    np.testing.assert_allclose(layer.get_color(1), (1, 0, 0, 1))
    assert layer.name == "photo · masks accepted"
    for each in (layer, *numbered):
        np.testing.assert_allclose(each.data_to_world((3, 5)), it.image.data_to_world((3, 5)))
    if objects:
        (each,) = numbered
        np.testing.assert_array_equal(each.data > 0, LABELS > 0)
        assert names_of(each, np.unique(each.data)) == {each.data[2, 3]: "дорога", each.data[9, 4]: "tree"}
    assert "Imported as “photo · " in it.panel.message.label.text()


def masks(objects: bool) -> Masks:
    return Masks(MASKS.names, LABELS, instances=NUMBERS if objects else None, colors=COLORS, image="other.tif")


def test_objects_that_were_imported_are_in_the_table(it: Opened, tmp_path: Path) -> None:
    write(tmp_path / "a.npz", [masks(True)], "npz")
    each, _ = brought(it, tmp_path / "a.npz")
    it.viewer.layers.selection.active = each
    it.panel.census.refresh()
    while not it.panel.census.idle:
        QApplication.processEvents()
        it.settle()
    table = it.panel.objects.objects.table
    assert table is not None
    assert (table["id"].tolist(), table["prompt"].tolist()) == ([7, 40], ["дорога", "tree"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            LABELS[:8],
            "a.npz has masks of 8 × 16 pixels, but “photo” has 16 × 16; look at the image that they belong to",
        ),
        (LABELS[None], "a.npz has masks of 1 × 16 × 16 pixels"),
    ],
)
def test_masks_of_another_image_are_refused(labels: Any, message: str, it: Opened, tmp_path: Path) -> None:
    write(tmp_path / "a.npz", [Masks(MASKS.names, labels, image="photo.tif")], "npz")
    assert brought(it, tmp_path / "a.npz") == []
    assert it.panel.message.label.text().startswith(f"Not imported: {message}")


def test_of_several_images_the_one_of_this_name_is_taken(it: Opened, tmp_path: Path) -> None:
    other = Masks(MASKS.names, LABELS.T.copy(), colors=COLORS, image="b.tif")
    write(tmp_path / "a.json", [other, MASKS], "coco")
    layer = brought(it, tmp_path / "a.json")[-1]
    np.testing.assert_array_equal(layer.data, LABELS)
    it.image.name = "c"
    assert brought(it, tmp_path / "a.json") == []
    assert it.panel.message.label.text() == (
        "Not imported: a.json holds masks of b.tif, photo.tif, and 0 of them are called like “c”."
    )


def test_a_damaged_file_is_said_and_nothing_is_added(it: Opened, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK")
    assert brought(it, tmp_path / "a.npz") == []
    assert "a.npz cannot be read as masks" in it.panel.message.label.text()
    assert it.panel.exports.import_button.isEnabled()


def test_channels_have_masks_in_common(tmp_path: Path, it: Opened) -> None:
    image = it.viewer.add_image(np.zeros((4, 16, 16)), name="bands", rgb=False, scale=(1, 3, 3))
    set_axis(image, 0)
    it.viewer.layers.selection.active = image
    it.panel.images.refresh()
    write(tmp_path / "a.npz", [masks(False)], "npz")
    (layer,) = brought(it, tmp_path / "a.npz")
    np.testing.assert_array_equal(layer.data, LABELS[None])
    np.testing.assert_allclose(layer.data_to_world((0, 3, 5))[1:], image.data_to_world((0, 3, 5))[1:])


def test_a_layer_with_names_keeps_them_and_its_colours() -> None:
    image = Image(np.zeros((16, 16)), name="photo", scale=(2, 2))
    colors = {None: "transparent", 3: "#FF0000", 9: "#0000FF"}
    values = np.where(LABELS == 2, 9, 3 * LABELS)
    (layer,) = copied(Labels(values, features={"index": [3, 9], "name": ["a", "b"]}, colormap=colors), image)
    np.testing.assert_array_equal(layer.data, LABELS)
    assert layer.metadata["classes"] == {1: "a", 2: "b"}
    np.testing.assert_allclose(layer.get_color(2), (0, 0, 1, 1))
    assert tuple(layer.scale) == (2, 2)


def test_a_layer_without_names_holds_objects() -> None:
    image = Image(np.zeros((16, 16)), name="photo")
    each, layer = copied(Labels(NUMBERS, name="cells"), image)
    np.testing.assert_array_equal(each.data, NUMBERS)
    assert names_of(each, [7, 40]) == {7: "cells", 40: "cells"}
    np.testing.assert_array_equal(layer.data, LABELS > 0)
    again, _ = copied(each, image)
    np.testing.assert_array_equal(again.data, NUMBERS)


def test_what_is_no_layer_of_masks_is_said(it: Opened) -> None:
    it.viewer.layers.selection.active = it.image
    actions = {action.text(): action for action in it.panel.exports.import_button.menu().actions()}
    actions["The selected Labels layer"].trigger()
    assert it.panel.message.label.text().startswith("Not imported: no Labels layer is selected; select the one")
    it.run()
    it.viewer.layers.selection.active = it.panel.results.find("labels", str(it.image.unique_id), "road")
    actions["The selected Labels layer"].trigger()
    assert "“photo · road” follows the panel; accept the prompt instead" in it.panel.message.label.text()
    it.viewer.layers.selection.active = it.viewer.add_labels(np.ones((4, 4), int), name="small")
    actions["The selected Labels layer"].trigger()
    assert "the layer “small” has masks of 4 × 4 pixels, but “photo” has 16 × 16" in it.panel.message.label.text()


def test_the_menu_asks_for_files_and_folders(it: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "set", [masks(False)], "yolo")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "set"))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "set" / "data.yaml"), ""))
    file, folder, _ = it.panel.exports.import_button.menu().actions()
    for action in (file, folder):
        action.trigger()
        it.settle()
        np.testing.assert_array_equal(it.viewer.layers[-1].data, LABELS)


def test_without_an_image_there_is_nothing_to_import_to(it: Opened) -> None:
    it.viewer.layers.clear()
    it.panel.exporter.ask_source("file")
    assert it.panel.message.label.text() == NO_IMAGE
