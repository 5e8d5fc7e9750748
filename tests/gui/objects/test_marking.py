"""Boxes and points of objects lie on them and say what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels
from napari_builtins.io import napari_write_points

from napari_clearclip.gui.objects.marking import boxes, middles, peaks, points_layer, shapes_layer
from napari_clearclip.measures import measure
from napari_clearclip.settings import Splitting

from ..conftest import Bench
from .conftest import Opened

IDS = np.zeros((12, 16), np.int32)
IDS[2:9, 1:8] = 20
IDS[3:8, 2:8] = 0  # a hook: its centroid lies outside of it
IDS[5:7, 10:15] = 91
TABLE = measure(IDS, IDS.astype(np.float32), None, {20: "hook", 91: "bar"})
TURN = {"scale": (3, 0.5, 2), "translate": (1, 2, 3), "rotate": (0, 0, 30), "units": ("s", "um", "um")}


def test_boxes_run_along_the_borders_of_pixels() -> None:
    hook, bar = boxes(TABLE, (4,))
    assert hook.tolist() == [[4, 1.5, 0.5], [4, 1.5, 7.5], [4, 8.5, 7.5], [4, 8.5, 0.5]]
    np.testing.assert_array_equal(bar.min(axis=0), [4, 4.5, 9.5])
    np.testing.assert_array_equal(bar.max(axis=0), [4, 6.5, 14.5])


def test_points_lie_in_their_objects() -> None:
    places = middles(TABLE, (), IDS)
    assert [IDS[tuple(place.astype(int))] for place in places] == [20, 91]
    assert places[0].tolist() == [2, 1] or IDS[tuple(places[0].astype(int))] == 20
    disk = (np.hypot(*np.mgrid[-9:10, -9:10]) < 8).astype(int)
    assert middles(measure(disk), (2,), disk).tolist() == [[2, 9, 9]]


def test_peaks_are_what_ids_say() -> None:
    assert peaks(TABLE, (5,), 16).tolist() == [[5, 1, 3], [5, 5, 10]]


@pytest.mark.parametrize("make", [lambda layer: shapes_layer(layer, TABLE, (1,), {"hook": "#FF0000"}),
                                  lambda layer: points_layer(layer, peaks(TABLE, (1,), 16), TABLE, {})])  # fmt: skip
def test_marks_lie_where_the_objects_lie(make: Any) -> None:
    layer = Labels(np.stack([IDS, IDS]), **TURN)
    marks = make(layer)
    point = (1, 3.0, 4.0)
    np.testing.assert_allclose(marks.data_to_world(point), layer.data_to_world(point))
    assert marks.units == layer.units
    assert marks.features["class"].tolist() == ["hook", "bar"]
    assert marks.features["id"].tolist() == [20, 91]


def test_an_axis_of_channels_does_not_hide_them() -> None:
    layer = Labels(IDS[None], **TURN)
    marks = shapes_layer(layer, TABLE, (0,), {"hook": "#FF0000"})
    assert marks.ndim == 2
    np.testing.assert_allclose(marks.data_to_world((3.0, 4.0)), layer.data_to_world((0, 3.0, 4.0))[1:])
    np.testing.assert_allclose(marks.edge_color[0], (1, 0, 0, 1))


def test_nothing_makes_empty_layers() -> None:
    none = measure(np.zeros_like(IDS), None, None, {})
    layer = Labels(np.zeros_like(IDS))
    assert shapes_layer(layer, none, (), {}).nshapes == 0
    assert len(points_layer(layer, peaks(none, (), 16), none, {}).data) == 0


def test_the_panel_marks_what_is_in_its_table(counted: Opened, tmp_path: Path) -> None:
    selected = counted.viewer.layers.selection.active
    assert not counted.section.mark_button.isHidden()
    first, second = counted.section.mark_button.menu().actions()
    first.trigger()
    second.trigger()
    shapes, points = counted.viewer.layers[-2:]
    assert counted.viewer.layers.selection.active is selected
    np.testing.assert_array_equal(shapes.data[0], [[-0.5, 7.5], [-0.5, 15.5], [15.5, 15.5], [15.5, 7.5]])
    np.testing.assert_array_equal(shapes.scale, counted.image.scale)
    (id_,) = counted.section.objects.table["id"]
    assert points.data.tolist() == [list(divmod(id_ - 1, 16))]
    assert shapes.features["class"].tolist() == points.features["class"].tolist() == ["road"]
    path = napari_write_points(str(tmp_path / "points.csv"), *points.as_layer_data_tuple()[:2])
    assert pd.read_csv(path)["class"].tolist() == ["road"]


def test_points_of_ones_own_objects_lie_in_them(qtbot: Any, bench: Bench) -> None:
    it = Opened(qtbot, bench)
    own = it.viewer.add_labels(np.kron(np.array([[0, 5], [0, 0]]), np.ones((8, 8), int)))
    it.settle()
    assert it.census.own_layer == own
    it.census.mark("points")
    assert own.data[tuple(it.viewer.layers[-1].data[0].astype(int))] == 5


def test_objects_of_a_plane_are_marked_there(qtbot: Any, bench: Bench) -> None:
    it = Opened(qtbot, bench, (3, 16, 16))
    it.viewer.dims.set_point(0, 0.5)
    it.run()
    it.change(splitting=Splitting(method="components"))
    it.census.mark("boxes")
    assert set(it.viewer.layers[-1].data[0][:, 0]) == {1}
