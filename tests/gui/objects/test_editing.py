"""Accepted objects: a layer of the user's own that is changed by buttons and keys, and back by Ctrl+Z."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clearclip.gui.layers.keeping import NOTHING_TO_ACCEPT
from napari_clearclip.gui.objects.editing import LINE, NO_METHOD
from napari_clearclip.settings import Linking, Splitting

from ..conftest import Bench
from .conftest import Opened


@pytest.fixture
def accepted(counted: Opened) -> Any:
    """Two objects, above and below row 6, in a layer of the user's own."""
    counted.paint(slice(6, 7), slice(0, 16))
    counted.section.accept_button.click()
    counted.settle()
    layer = next(layer for layer in counted.viewer.layers if layer.name == "photo · road objects accepted")
    counted.viewer.layers.selection.active = layer
    counted.settle()
    return layer


def rows_of(opened: Opened, *wanted: int) -> None:
    """Choose rows of the table."""
    ids = [opened.section.objects.id_at(row) for row in wanted]
    opened.section.table.choose(ids)
    opened.section.table.chosen.emit(ids)


def test_accepted_objects_are_a_plain_layer_and_their_prompt_is_locked(counted: Opened, accepted: Any) -> None:
    upper, lower = np.unique(accepted.data)[1:]
    np.testing.assert_array_equal(accepted.data[0:6, 8:], upper)
    np.testing.assert_array_equal(accepted.data[7:, 8:], lower)
    assert accepted.editable
    np.testing.assert_array_equal(accepted.scale, counted.image.scale)
    assert counted.census.own_layer == accepted
    assert [row[1] for row in counted.cells()] == ["road", "road"]
    (prompt,) = counted.controller.settings.objects
    assert (prompt.locked, prompt.visible) == (True, False)
    assert counted.controller.state.edits.lock_of("road", ()) is not None
    counted.viewer.layers.selection.active = counted.image
    counted.settle()
    assert counted.cells() == []  # the prompt is hidden, and so are its objects


def test_a_prompt_is_accepted_from_its_menu(counted: Opened) -> None:
    counted.panel.prompts.table.accept_objects.emit("road")
    counted.settle()
    assert "photo · road objects accepted" in [layer.name for layer in counted.viewer.layers]


def test_what_cannot_be_accepted_is_said(opened: Opened) -> None:
    opened.panel.editor.accept()
    assert opened.said == NO_METHOD
    opened.change(splitting=Splitting(method="components"))
    opened.panel.editor.accept()
    assert opened.said == NOTHING_TO_ACCEPT


def test_objects_are_deleted_by_button_and_key_and_come_back(counted: Opened, accepted: Any) -> None:
    before = accepted.data.copy()
    rows_of(counted, 0)
    counted.section.delete_button.click()
    counted.settle()
    np.testing.assert_array_equal(accepted.data[:7], 0)
    np.testing.assert_array_equal(accepted.data[7:], before[7:])
    assert len(counted.cells()) == 1
    rows_of(counted, 0)
    QTest.keyClick(counted.section.table, Qt.Key.Key_Delete)
    counted.settle()
    assert not accepted.data.any()
    assert counted.section.about.text().startswith("0 objects")
    for _ in range(2):
        QTest.keyClick(counted.section.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    counted.settle()
    np.testing.assert_array_equal(accepted.data, before)
    assert [row[1] for row in counted.cells()] == ["road", "road"]


def test_objects_are_merged(counted: Opened, accepted: Any) -> None:
    before = accepted.data.copy()
    rows_of(counted, 0)
    assert not counted.section.merge_button.isEnabled()
    rows_of(counted, 0, 1)
    assert counted.section.merge_button.isEnabled()
    QTest.keyClick(counted.section.table, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    counted.settle()
    assert np.unique(accepted.data).tolist() == [0, before[10, 10]]  # the larger one
    accepted.undo()
    counted.settle()
    np.testing.assert_array_equal(accepted.data, before)


def draw(opened: Opened, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line as the ruler's layer tells it."""
    ruler = opened.panel.editor._knife
    ruler._finish(ruler._layer, start, end)
    opened.settle()


def test_a_line_cuts_objects(counted: Opened, accepted: Any) -> None:
    before = accepted.data.copy()
    counted.section.cut_button.click()
    counted.settle()
    assert LINE in [layer.name for layer in counted.viewer.layers]
    assert len(counted.cells()) == 2  # the table stays while the line is drawn
    draw(counted, (0, 12), (15, 12))
    assert LINE not in [layer.name for layer in counted.viewer.layers]
    assert counted.viewer.layers.selection.active == accepted
    assert not counted.section.cut_button.isChecked()
    assert [row[1] for row in counted.cells()] == ["road"] * 4  # the parts are what the whole was
    np.testing.assert_array_equal(accepted.data > 0, before > 0)
    accepted.undo()
    counted.settle()
    np.testing.assert_array_equal(accepted.data, before)


def test_a_line_beside_all_objects_is_answered(counted: Opened, accepted: Any) -> None:
    before = accepted.data.copy()
    counted.section.cut_button.click()
    draw(counted, (0, 2), (15, 2))
    assert counted.said.startswith("The line cuts no object in two; draw it")
    np.testing.assert_array_equal(accepted.data, before)
    counted.section.cut_button.click()
    counted.section.cut_button.click()  # not after all
    counted.settle()
    assert LINE not in [layer.name for layer in counted.viewer.layers]
    assert len(counted.cells()) == 2


def test_objects_are_numbered_anew_and_keep_their_names_through_undo(counted: Opened, accepted: Any) -> None:
    rows_of(counted, 1)
    counted.panel.editor.name("tree")
    counted.settle()
    assert [row[1] for row in counted.cells()] == ["road", "tree"]
    counted.section.renumber_button.click()
    counted.settle()
    assert [row[:2] for row in counted.cells()] == [["1", "road"], ["2", "tree"]]
    accepted.undo()
    counted.settle()
    assert [row[1] for row in counted.cells()] == ["road", "tree"]
    assert [row[0] for row in counted.cells()] != ["1", "2"]


def test_buttons_are_there_for_layers_that_can_be_changed(counted: Opened) -> None:
    section = counted.section
    assert section.delete_button.isHidden()
    assert not section.accept_button.isHidden()
    counted.viewer.add_labels(np.ones((16, 16), int), name="mine")
    counted.settle()
    assert not section.delete_button.isHidden()
    assert section.accept_button.isHidden()
    assert [action.text() for action in section.name_button.menu().actions()] == ["road"]


@pytest.fixture
def stack(qtbot: Any, bench: Bench) -> Opened:
    """Three planes, of which the first two were run; each has one object, in the second cut in two."""
    opened = Opened(qtbot, bench, (3, 16, 16), splitting=Splitting(method="components"))
    for plane in (0, 1):
        opened.viewer.dims.set_point(0, 0.5 * plane)
        opened.run()
    opened.paint(slice(6, 7), slice(0, 16), plane=(1,))
    return opened


def accept(opened: Opened) -> Any:
    opened.section.accept_button.click()
    opened.settle()
    return next(layer for layer in opened.viewer.layers if layer.name.endswith("accepted"))


def test_planes_share_no_ids_unless_they_are_linked(stack: Opened) -> None:
    layer = accept(stack)
    assert layer.data.shape == (3, 16, 16)
    ids = [set(np.unique(plane[plane > 0]).tolist()) for plane in layer.data]
    assert [len(found) for found in ids] == [1, 2, 0]
    assert not ids[0] & ids[1]
    assert all(256 < id_ <= 512 for id_ in ids[1])


def test_linked_planes_share_the_id_of_what_overlaps(stack: Opened) -> None:
    stack.change(linking=Linking(on=True))
    layer = accept(stack)
    upper, lower = layer.data[1, 0, 10], layer.data[1, 15, 10]
    assert layer.data[0, 3, 10] == lower  # the larger part
    assert upper != lower
    assert not layer.data[2].any()
    assert set(layer.features["index"]) == {upper, lower}


def test_several_axes_of_planes_cannot_be_linked(qtbot: Any, bench: Bench) -> None:
    linking, splitting = Linking(on=True), Splitting(method="components")
    opened = Opened(qtbot, bench, (2, 2, 16, 16), splitting=splitting, linking=linking)
    opened.run()
    opened.section.accept_button.click()
    opened.settle()
    assert opened.said == "The image has 2 axes of planes; linking needs one, so switch “Link planes” off."
