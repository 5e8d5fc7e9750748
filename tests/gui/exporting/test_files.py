"""Masks through napari's File menu: opened as layers, saved from any labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManifest

from napari_clearclip.io.formats import FORMATS, read, write
from napari_clearclip.io.masks import Masks

MANIFEST = Path(__file__).parents[3] / "napari.yaml"
LABELS = np.array([[0, 1, 1, 0], [2, 2, 1, 0], [2, 2, 0, 0]], np.uint8)
MASKS = Masks(("road", "tree"), LABELS, colors=("#FF0000", "#00FF00"), image="a.png")


@pytest.fixture(autouse=True)
def plugin(npe2pm: Any) -> Iterator[None]:
    """napari with this plugin alone."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        yield


@pytest.mark.parametrize(
    "name", [name for name, form in FORMATS.items() if form.content == "masks" and name != "objects"]
)
def test_what_is_exported_is_opened_by_napari(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a_clearclip_{FORMATS[name].ending}"
    write(path, [MASKS], name)
    viewer = ViewerModel()
    (layer,) = viewer.open(path, plugin="napari-clearclip")
    np.testing.assert_array_equal(layer.data, LABELS)
    assert list(layer.features["prompt"]) == ["background", "road", "tree"]
    np.testing.assert_allclose(layer.get_color(1), (1, 0, 0, 1))


def test_objects_and_sizes_are_opened(tmp_path: Path) -> None:
    masks = Masks(("a",), LABELS // 2, instances=LABELS // 2 * 7, image="x", spacing=(0.5, 0.25), unit="um")
    write(tmp_path / "a.npz", [masks], "npz")
    objects, layer = ViewerModel().open(tmp_path / "a.npz", plugin="napari-clearclip")
    np.testing.assert_array_equal(objects.data, LABELS // 2 * 7)
    assert tuple(layer.scale) == tuple(objects.scale) == (0.5, 0.25)
    assert str(layer.units[0]) == "micrometer"


def test_masks_that_overlap_are_layers_each(tmp_path: Path) -> None:
    both = Masks.from_each(("a", "b"), [LABELS > 0, LABELS == 2], image="x")
    write(tmp_path / "a.npz", [both], "npz")
    one, two = ViewerModel().open(tmp_path / "a.npz", plugin="napari-clearclip")
    np.testing.assert_array_equal(one.data, LABELS > 0)
    np.testing.assert_array_equal(two.data, LABELS == 2)


@pytest.mark.parametrize("ending", ["json", "geojson", "zip", "npz"])
def test_any_labels_are_saved(ending: str, tmp_path: Path) -> None:
    viewer = ViewerModel()
    viewer.add_labels(LABELS, name="land", features={"index": [1, 2], "name": ["road", "tree"]})
    path = tmp_path / f"a.{ending}"
    assert viewer.layers.save(str(path), plugin="napari-clearclip")
    (found,) = read(path)
    assert found.names == ("road", "tree")
    np.testing.assert_array_equal(found.labels, LABELS)


def test_layers_of_several_classes_are_one_file(tmp_path: Path) -> None:
    viewer = ViewerModel()
    viewer.add_labels((LABELS == 1).astype(int), name="road", scale=(2, 2))
    viewer.add_labels(LABELS // 2 * 5, name="tree", scale=(2, 2))
    assert viewer.layers.save(str(tmp_path / "a.npz"), plugin="napari-clearclip")
    (found,) = read(tmp_path / "a.npz")
    assert found.names == ("road", "tree 5")
    assert found.spacing == (2.0, 2.0)
    np.testing.assert_array_equal(found.labels, LABELS)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([np.zeros((2, 2), int)], "the layers are empty"),
        ([np.ones((2, 2), int), np.ones((3, 2), int)], r"the layers have the sizes .*select layers of one image"),
    ],
)
def test_what_cannot_be_saved_is_said(layers: list[Any], message: str, tmp_path: Path) -> None:
    from napari_clearclip.gui.exporting.files import save_masks

    with pytest.raises(ValueError, match=message):
        save_masks(str(tmp_path / "a.npz"), [(data, {"name": "x"}, "labels") for data in layers])
    assert not list(tmp_path.iterdir())


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    from napari_clearclip.gui.opening import open_file

    assert open_file(str(tmp_path / "a.docx")) is None
    assert open_file(["a.npz", "b.npz"]) is None
