"""Band expressions in the prompt section: the menu, the line, the table, and thresholds that an image sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_clearclip.gui.prompts import indices, listing
from napari_clearclip.gui.prompts.menu import menu_for
from napari_clearclip.gui.prompts.phrase_line import PhraseLine
from napari_clearclip.gui.prompts.table import Column
from napari_clearclip.settings import Index, Model, Prompt, Settings

from .test_prompting import Desk

NDVI = "(nir - red) / (nir + red)"
FOUR = ("red", "green", "blue", "NIR")


@pytest.fixture
def desk(qtbot: Any) -> Desk:
    return Desk(qtbot)


def actions(desk: Desk) -> dict[str, Any]:
    """The menu's entries by their text, those of the channels too."""
    desk.section.index_button.fill()
    found = {}
    for action in desk.section.index_button.menu().actions():
        found[action.text()] = action
        for inner in [] if action.menu() is None else action.menu().actions():
            found[inner.text()] = inner
    return found


def texts(desk: Desk) -> list[str]:
    return [prompt.text for prompt in desk.settings.objects]


# ----------------------------------------------------------------------------------------------------------------------
# Adding


def test_what_is_ready_made_is_added_where_the_image_has_its_bands(desk: Desk) -> None:
    desk.section.set_bands(FOUR)
    actions(desk)["NDVI: vegetation"].trigger()
    actions(desk)["NDWI: open water"].trigger()
    assert texts(desk) == [f"NDVI = {NDVI}", "NDWI = (green - nir) / (green + nir)"]
    assert [prompt.threshold for prompt in desk.settings.objects] == [0.6, 0.6]
    assert len({prompt.color for prompt in desk.settings.objects}) == 2
    assert desk.section.table.current_id() == desk.settings.objects[1].id
    actions(desk)["NDVI: vegetation"].trigger()
    assert "“NDVI” is in the list already" in desk.message.label.text()


@pytest.mark.parametrize("bands", [(), ("", "", "", ""), ("red", "green", "blue")])
def test_without_its_bands_it_is_put_into_the_line_to_be_mended(bands: tuple[str, ...], desk: Desk) -> None:
    desk.section.set_bands(bands)
    actions(desk)["NDVI: vegetation"].trigger()
    assert not desk.settings.objects
    assert desk.section.entry.line.text() == f"NDVI = {NDVI}"
    if bands:
        assert "There is no band 'nir'; this image has" in desk.section.about_index.text()
        QTest.keyClick(desk.section.entry.line, Qt.Key.Key_Return)
        assert not desk.settings.objects
        assert "There is no band 'nir'" in desk.section.entry.line.accessibleDescription()
        desk.type("NDVI = (b3 - b1) / (b3 + b1)")
    else:
        QTest.keyClick(desk.section.entry.line, Qt.Key.Key_Return)
    assert len(desk.settings.objects) == 1
    assert not desk.section.entry.line.text()


def test_a_channel_above_otsu(desk: Desk) -> None:
    assert not actions(desk)["Channel above Otsu"].menu().isEnabled()
    desk.section.set_bands(("DAPI", ""))
    assert [name for name in actions(desk) if name in ("dapi", "b1", "b2")] == ["dapi", "b2"]
    actions(desk)["b2"].trigger()
    (prompt,) = desk.settings.objects
    assert (prompt.phrase, prompt.index) == ("b2 above Otsu", Index(expression="b2", otsu=True))


def test_an_expression_of_ones_own_begins_with_its_name(desk: Desk) -> None:
    desk.section.set_bands(FOUR)
    actions(desk)["Expression…"].trigger()
    assert desk.section.entry.line.selectedText() == "name"
    assert desk.section.about_index.text().startswith("Bands: red, green, blue, nir. Besides: numbers")


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("tree, bush", ""),
        ("x = ", "Bands: red, green, blue, nir. Besides: numbers"),
        ("x = nir +", "is not an expression"),
        ("x = (nir", "a parenthesis is not closed. Bands: red, green, blue, nir."),
        ("x = nri", "There is no band 'nri'; this image has red, green, blue, nir"),
        ("x = nir / red", "Reads nir, red. Press Enter to add it."),
        (" = nir", "Press Enter to add it once it has a name."),
    ],
)
def test_what_is_said_while_it_is_typed(text: str, about: str, desk: Desk) -> None:
    desk.section.set_bands(FOUR)
    desk.section.entry.line.setText(text)
    assert about in desk.section.about_index.text()
    assert desk.section.about_index.isVisible() is bool(about)


def test_pasted_lines_may_be_expressions(desk: Desk) -> None:
    desk.prompting.add_lines("tree, bush\nNDVI = (b2 - b1) / (b2 + b1)\nbad = b1[0]", "object")
    assert texts(desk) == ["tree, bush", "NDVI = (b2 - b1) / (b2 + b1)"]
    assert "Added 2 of 3; left out “bad = b1[0]”" in desk.message.label.text()


def test_a_distractor_is_no_expression(desk: Desk) -> None:
    desk.prompting.add("x = b1", "distractor")
    assert not desk.settings.prompts
    assert "'x' is an index" in desk.message.label.text()


# ----------------------------------------------------------------------------------------------------------------------
# In the table


def test_the_table_shows_the_name_and_edits_the_expression(desk: Desk) -> None:
    desk.section.set_bands(FOUR)
    desk.type(f"NDVI = {NDVI}")
    model = desk.section.objects
    cell = model.index(0, Column.PHRASE)
    assert cell.data(Qt.ItemDataRole.DisplayRole) == "NDVI"
    assert cell.data(Qt.ItemDataRole.EditRole) == f"NDVI = {NDVI}"
    assert f"NDVI = {NDVI}" in cell.data(Qt.ItemDataRole.ToolTipRole)
    assert "Values from -1 to 1 are scored 0 to 1" in cell.data(Qt.ItemDataRole.ToolTipRole)
    model.setData(cell, "NDVI = nri - red")
    assert texts(desk) == [f"NDVI = {NDVI}"]
    draft = model.draft(0)
    assert draft is not None
    assert "There is no band 'nri'" in draft.reason
    model.setData(cell, "green = green")
    assert texts(desk) == ["green = green"]
    assert "between the lowest and highest 0.1 % of the image" in cell.data(Qt.ItemDataRole.ToolTipRole)


def test_an_expression_is_edited_across_the_row(desk: Desk) -> None:
    desk.section.set_bands(FOUR)
    desk.type(f"NDVI = {NDVI}")
    desk.type("tree")
    view, widths = desk.section.table, []
    for row in (0, 1):
        view.select_prompt(desk.settings.objects[row].id)
        view.rename()
        (editor,) = (line for line in view.findChildren(PhraseLine) if line.isVisible())
        widths.append(editor.width())
        QTest.keyClick(editor, Qt.Key.Key_End)
        QTest.keyClicks(editor, " + 1" if row == 0 else "s")
        QTest.keyClick(editor, Qt.Key.Key_Return)  # of the row, although its middle lies in another column
        QApplication.processEvents()
    assert widths[0] > view.viewport().width() * 0.7 > widths[1]
    assert texts(desk) == [f"NDVI = {NDVI} + 1", "trees"]


def test_a_new_name_keeps_the_range_and_a_new_expression_does_not() -> None:
    index = Index(expression="b1", low=3, high=9, otsu=True)
    settings = Settings(prompts=(Prompt(id="a", phrase="a", index=index),))
    assert listing.changed(settings, ("a",), text="b = b1").objects[0].index == index
    assert listing.changed(settings, ("a",), text="a = b2").objects[0].index == Index(expression="b2")
    assert listing.changed(settings, ("a",), text="tree").objects[0].index is None
    assert listing.duplicated(settings, "a", "c = b1").objects[1].index == index


def test_bands_that_the_image_does_not_have_are_flagged(desk: Desk) -> None:
    prompt = Prompt(phrase="NDVI", index=Index(expression=NDVI))
    assert indices.missing_bands(prompt, ("red", "green")) == ("nir",)
    assert indices.missing_bands(prompt, FOUR) == indices.missing_bands(prompt, ()) == ()
    assert indices.missing_bands(Prompt(phrase="tree"), ("red",)) == ()
    desk.section.set_bands(FOUR)
    desk.type(f"NDVI = {NDVI}")
    desk.section.objects.set_unknown({desk.settings.objects[0].id: ("nir",)})
    tip = desk.section.objects.index(0, Column.PHRASE).data(Qt.ItemDataRole.ToolTipRole)
    assert "This image has no band nir" in tip


def test_lists_of_words_do_not_ask_for_words_of_an_expression() -> None:
    demo = Settings(model=Model())
    assert listing.with_index(demo, "xyzzy", Index(expression="b1")).objects[0].phrase == "xyzzy"


# ----------------------------------------------------------------------------------------------------------------------
# Thresholds that each image sets


def test_a_threshold_that_is_moved_is_no_longer_set_by_the_image(desk: Desk) -> None:
    desk.section.set_bands(("DAPI",))
    actions(desk)["dapi"].trigger()
    (prompt,) = desk.settings.objects
    shown = listing.as_found(desk.settings, {prompt.id: 0.37})
    desk.section.show_settings(shown)
    assert desk.section.objects.index(0, Column.THRESHOLD).data(Qt.ItemDataRole.DisplayRole) == "0.37"
    assert desk.settings.objects[0].fixed_threshold is None
    desk.section.objects.setData(desk.section.objects.index(0, Column.THRESHOLD), 0.5)
    (prompt,) = desk.settings.objects
    assert (prompt.threshold, prompt.fixed_threshold) == (0.5, 0.5)
    assert listing.as_found(desk.settings, {prompt.id: 0.37}) == desk.settings


def test_it_is_kept_or_set_again_by_the_menu(desk: Desk) -> None:
    desk.section.set_bands(("DAPI",))
    actions(desk)["dapi"].trigger()
    (prompt,) = desk.settings.objects
    desk.section.show_settings(listing.as_found(desk.settings, {prompt.id: 0.37}))
    view = desk.section.table

    def entries() -> dict[str, Any]:
        menu = menu_for(view, view.prompt_model().prompt(0))
        return {action.text().split("\t")[0]: action for action in menu.actions()}

    assert "Automatic threshold" not in entries()
    assert "Make a distractor" not in entries()
    entries()["Keep this threshold"].trigger()
    assert desk.settings.objects[0].fixed_threshold == 0.37
    entries()["Threshold by Otsu for each image"].trigger()
    assert desk.settings.objects[0].fixed_threshold is None


def test_auto_leaves_alone_what_is_automatic(desk: Desk) -> None:
    desk.section.set_bands(("DAPI",))
    actions(desk)["dapi"].trigger()
    (prompt,) = desk.settings.objects
    counts = np.zeros(100, np.int64)
    counts[[10, 80]] = 50
    desk.prompting.set_scores({prompt.id: counts}, {})
    desk.prompting.set_automatically([prompt.id])
    assert desk.settings.objects[0].fixed_threshold is None
    assert "Each image sets this threshold by Otsu's method already." in desk.message.label.text()
