"""The objects of what is looked at: their layer, their table, and how one leads to the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_clearclip.gui.objects.section import NOTHING, WAITING
from napari_clearclip.io.tables import read_objects
from napari_clearclip.settings import Splitting

from ..conftest import Bench
from .conftest import Opened


def test_nothing_is_made_unless_it_is_asked_for(opened: Opened) -> None:
    opened.run()
    assert opened.layer is None
    assert opened.section.about.text() == NOTHING
    assert opened.section.table.isHidden()


def test_it_says_that_a_run_is_needed(opened: Opened) -> None:
    opened.change(splitting=Splitting(method="components"))
    assert opened.section.about.text() == WAITING


def test_objects_have_a_layer_and_rows(counted: Opened) -> None:
    right = np.broadcast_to(np.arange(16) >= 8, (16, 16))
    np.testing.assert_array_equal(counted.layer.data > 0, right)
    assert counted.layer.data.dtype == np.int32
    np.testing.assert_array_equal(counted.layer.scale, counted.image.scale)
    assert counted.layer.name == "photo · objects"
    assert not counted.layer.editable
    ((id_, prompt, area, *_),) = counted.cells()
    assert (prompt, area) == ("road", "128")
    assert counted.layer.data[3, 9] == int(id_)
    assert counted.section.about.text() == "1 object in “photo · objects”"
    assert counted.layer.features.to_dict("list")["prompt"] == ["road"]


def test_sizes_are_in_the_unit_of_the_image(counted: Opened) -> None:
    assert counted.section.objects.headerData(2, Qt.Orientation.Horizontal) == "Area px²"
    counted.image.units = ("um", "um")
    counted.run()
    assert counted.section.objects.headerData(2, Qt.Orientation.Horizontal) == "Area µm²"
    assert counted.cells()[0][2] == "32"  # a pixel is 0.5 x 0.5 µm
    own = counted.viewer.add_labels(np.ones((16, 16), int), scale=(2, 2), units=("um", "um"))
    counted.settle()
    assert counted.census.own_layer == own
    assert counted.cells()[0][1] == "1024"


def test_what_is_painted_is_counted_and_undone(counted: Opened) -> None:
    counted.paint(slice(7, 9), slice(0, 16))
    assert len(counted.cells()) == 2
    np.testing.assert_array_equal(counted.layer.data[7:9], 0)
    counted.controller.undo()
    counted.settle()
    assert len(counted.cells()) == 1


def test_a_threshold_keeps_the_id(counted: Opened) -> None:
    before = counted.cells()[0][0]
    (prompt,) = counted.controller.settings.objects
    counted.change(prompts=(prompt.replace(threshold=0.9),))
    assert counted.cells()[0][0] == before
    assert counted.cells()[0][2] == "64"


def test_while_a_slider_is_dragged_nothing_is_measured(counted: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[float] = []
    from napari_clearclip.gui.objects import taking

    real = taking.take

    def counting(subject: Any) -> Any:
        measured.append(subject.outcome.segmentation.settings.objects[0].threshold)
        return real(subject)

    monkeypatch.setattr("napari_clearclip.gui.objects.census.take", counting)
    (prompt,) = counted.controller.settings.objects
    for threshold in (0.6, 0.7, 0.8):
        counted.controller.update(counted.controller.settings.replace(prompts=(prompt.replace(threshold=threshold),)))
        counted.bench.drain()  # its mask is there
    assert measured == []
    counted.settle()
    assert measured == [0.8]


def test_objects_of_an_older_result_are_dropped(counted: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    show = counted.panel.results.show_objects

    def noting(spot: Any, ids: Any) -> Any:
        written.append(int((ids > 0).sum()))
        return show(spot, ids)

    monkeypatch.setattr(counted.panel.results, "show_objects", noting)
    (prompt,) = counted.controller.settings.objects
    counted.controller.update(counted.controller.settings.replace(prompts=(prompt.replace(threshold=0.7),)))
    counted.bench.drain()
    while not counted.bench.waiting:  # its objects are being made
        QApplication.processEvents()
    counted.controller.update(counted.controller.settings.replace(prompts=(prompt.replace(threshold=0.9),)))
    counted.bench.waiting.reverse()  # the next result comes before they are ready
    counted.settle()
    assert written == [64]
    assert counted.cells()[0][2] == "64"


def test_no_more_objects_takes_the_layer_away_and_deleting_the_layer_wants_none(counted: Opened) -> None:
    counted.change(splitting=Splitting())
    assert counted.layer is None
    assert counted.section.about.text() == NOTHING
    counted.controller.undo()
    counted.settle()
    assert counted.layer is not None
    counted.viewer.layers.remove(counted.layer)
    counted.settle()
    assert counted.controller.settings.splitting.method == "none"
    assert counted.layer is None
    counted.controller.undo()
    counted.settle()
    assert counted.layer is not None
    assert counted.controller.settings.objects[0].visible


def test_hidden_prompts_have_no_objects(qtbot: Any, bench: Bench) -> None:
    opened = Opened(qtbot, bench, phrases="road tree", splitting=Splitting(method="components"))
    road, tree = opened.controller.settings.objects
    opened.controller.update(opened.controller.settings.replace(prompts=(road, tree.replace(threshold=0.9))))
    opened.run()
    assert [row[1] for row in opened.cells()] == ["road", "tree"]
    road, tree = opened.controller.settings.objects
    opened.change(prompts=(road, tree.replace(visible=False)))
    assert [row[1] for row in opened.cells()] == ["road"]
    assert set(np.unique(opened.layer.data)) == {0, int(opened.cells()[0][0])}


def test_where_masks_overlap_the_selected_prompt_is_counted(qtbot: Any, bench: Bench) -> None:
    opened = Opened(qtbot, bench, phrases="road tree", splitting=Splitting(method="components"))
    settings = opened.controller.settings
    tree = settings.objects[1].replace(threshold=0.9)
    overlapping = settings.deciding.replace(exclusive=False)
    opened.controller.update(settings.replace(prompts=(settings.objects[0], tree), deciding=overlapping))
    opened.run()
    opened.panel.prompts.selected.emit("tree")
    opened.settle()
    assert [row[1:3] for row in opened.cells()] == [["tree", "64"]]
    opened.panel.prompts.selected.emit("road")
    opened.settle()
    assert [row[1:3] for row in opened.cells()] == [["road", "128"]]


def test_the_table_follows_the_plane(qtbot: Any, bench: Bench) -> None:
    opened = Opened(qtbot, bench, (3, 16, 16), splitting=Splitting(method="components"))
    opened.viewer.dims.set_point(0, 0)
    opened.run()
    assert len(opened.cells()) == 1
    opened.viewer.dims.set_point(0, 0.5)  # the second plane
    opened.settle()
    assert opened.cells() == []
    opened.run()
    assert opened.layer.data.shape == (3, 16, 16)
    assert [int((plane > 0).sum()) for plane in opened.layer.data] == [128, 128, 0]


def test_a_row_leads_to_its_object_and_a_click_to_its_row(counted: Opened) -> None:
    counted.paint(slice(4, 6), slice(0, 16))
    rows = [int(row[0]) for row in counted.cells()]
    assert len(rows) == 2
    counted.section.table.selectRow(1)
    assert counted.layer.selected_label == rows[1]
    assert counted.layer.show_selected_label
    middle = counted.viewer.scene.camera.center
    inside = counted.layer.data == rows[1]
    wanted = [0.5 * np.nonzero(inside)[axis].mean() for axis in (0, 1)]
    assert middle[-2:] == pytest.approx(wanted)
    deadline = counted.census._look._alone
    deadline.timeout.emit()
    assert not counted.layer.show_selected_label
    (press,) = [each for each in counted.layer.mouse_drag_callbacks if getattr(each, "__name__", "") == "_on_press"]
    event = SimpleNamespace(type="mouse_press", position=(0.5, 6.0), view_direction=None, dims_displayed=[0, 1])
    dragged = press(counted.layer, event)
    next(dragged)
    event.type = "mouse_release"
    assert list(dragged) == []
    assert counted.section.table.chosen_ids() == [int(counted.layer.data[1, 12])]


def test_a_drag_picks_nothing(counted: Opened) -> None:
    (press,) = [each for each in counted.layer.mouse_drag_callbacks if getattr(each, "__name__", "") == "_on_press"]
    event = SimpleNamespace(type="mouse_press", position=(0.5, 6.0), view_direction=None, dims_displayed=[0, 1])
    dragged = press(counted.layer, event)
    next(dragged)
    event.type = "mouse_move"
    assert list(dragged) == []
    assert counted.section.table.chosen_ids() == []


def test_a_layer_of_the_users_own_is_counted_while_it_is_selected(counted: Opened) -> None:
    data = np.zeros((16, 16), np.int64)
    data[2:4, 3:8], data[10:12, 10:12] = 7, 4_000_000_000
    own = counted.viewer.add_labels(data, name="mine", scale=counted.image.scale)
    counted.settle()
    assert [row[0] for row in counted.cells()] == ["7", "4000000000"]
    assert counted.section.about.text() == "2 objects in “mine”"
    assert counted.census.own_layer == own
    own.data_setitem((np.array([10, 10, 11, 11]), np.array([10, 11, 10, 11])), 0)
    counted.settle()
    assert [row[0] for row in counted.cells()] == ["7"]
    own.undo()
    counted.settle()
    assert [row[0] for row in counted.cells()] == ["7", "4000000000"]
    assert float(counted.section.objects.table["intensity"][0]) == counted.image.data[2:4, 3:8].mean()
    counted.viewer.layers.selection.active = counted.image
    counted.settle()
    assert counted.section.about.text() == "1 object in “photo · objects”"


def test_the_table_is_saved_and_reads_back(counted: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(_parent: Any, _title: str, name: str, _kinds: str) -> tuple[str, str]:
        asked.append(name)
        return str(tmp_path / name), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    counted.section.export_button.click()
    assert asked == ["photo_clearclip_objects.csv"]
    found = read_objects(tmp_path / asked[0])
    assert found["id"].tolist() == [int(row[0]) for row in counted.cells()]
    assert "1 rows saved" in counted.section.about.text()
    counted.census.save(tmp_path / "no" / "folder.csv")
    assert "cannot be written" in counted.panel.message.label.text()


def test_a_failure_is_said_and_leaves_the_panel_usable(counted: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr("napari_clearclip.gui.objects.census.take", fail)
    counted.paint(slice(4, 6), slice(0, 16))
    assert counted.panel.message.label.text() == "The objects could not be measured: No room."
    monkeypatch.undo()
    counted.paint(slice(9, 10), slice(0, 16))
    assert len(counted.cells()) == 3


def test_columns_sort_and_what_is_chosen_stays_chosen(counted: Opened) -> None:
    counted.paint(slice(4, 6), slice(0, 16))
    table = counted.section.table
    table.selectRow(0)
    chosen = table.chosen_ids()
    for order, sign in ((Qt.SortOrder.AscendingOrder, 1), (Qt.SortOrder.DescendingOrder, -1)):
        table.sortByColumn(2, order)
        areas = [float(row[2]) for row in counted.cells()]
        assert areas == sorted(areas, key=lambda area: sign * area)
        assert table.chosen_ids() == chosen


def test_a_closed_panel_lets_go(counted: Opened, bench: Bench) -> None:
    layer = counted.layer
    callbacks: list[Callable[..., Any]] = list(layer.mouse_drag_callbacks)
    counted.panel.close_down()
    assert len(layer.mouse_drag_callbacks) == len(callbacks) - 1
    counted.viewer.layers.selection.active = layer
    assert counted.census.idle
