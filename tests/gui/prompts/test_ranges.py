"""Which values of a band expression are scored 0 and 1: shown, typed, refused and left to the image again."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clearclip.gui.prompts.ranges import CONTEST, written
from napari_clearclip.gui.prompts.table import Column
from napari_clearclip.settings import Index

from .test_prompting import Desk

NDVI = "(nir - red) / (nir + red)"


@pytest.fixture
def desk(qtbot: Any) -> Desk:
    made = Desk(qtbot)
    made.type("tree")
    made.type("heat = nir")
    made.type(f"NDVI = {NDVI}")
    return made


def ends(desk: Desk) -> Any:
    return {name: editor.inner for name, editor in desk.section.range.editors.items()}


def shown(desk: Desk, phrase: str, ranges: dict[str, Any] | None = None) -> list[str]:
    """What stands in grey where nothing is typed, and below, of a prompt."""
    prompt = next(prompt for prompt in desk.settings.objects if prompt.phrase == phrase)
    desk.section.set_scores({}, {} if ranges is None else {prompt.id: ranges[phrase]})
    desk.select(phrase)
    return [*(line.placeholderText() for line in ends(desk).values()), desk.section.range.about.text()]


def put(desk: Desk, end: str, text: str) -> None:
    line = ends(desk)[end]
    line.clear()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


def index(desk: Desk, phrase: str = "heat") -> Index:
    found = next(prompt.index for prompt in desk.settings.objects if prompt.phrase == phrase)
    assert found is not None
    return found


def test_words_have_no_values(desk: Desk) -> None:
    desk.select("tree")
    assert not desk.section.range.isVisible()
    desk.select("heat")
    assert desk.section.range.isVisible()


def test_what_the_image_has_is_shown_beside_what_is_automatic(desk: Desk) -> None:
    run = "Press Run to see which values this image has."
    assert shown(desk, "heat") == ["auto", "auto", run]
    assert shown(desk, "NDVI") == ["-1", "1", run]
    has = "This image has 12.5 to 4012.5, with 0.1\u00a0% beyond either end. The threshold is 812.5."
    assert shown(desk, "heat", {"heat": (12.5, 4012.5)}) == ["12.5", "4012.5", has]
    has = "This image has -0.1235 to 0.5, with 0.1\u00a0% beyond either end. The threshold is 0.2."
    assert shown(desk, "NDVI", {"NDVI": (-0.123456, 0.5)}) == ["-1", "1", has]
    assert shown(desk, "heat", {"heat": None})[2] == "No pixel of this image has a value."


def test_typed_values_are_one_step_of_the_history_each(desk: Desk) -> None:
    desk.select("heat")
    before = len(desk.tags)
    put(desk, "low", "-1,5e2")  # a comma is a point
    put(desk, "high", "1234567.25")
    assert index(desk) == Index(expression="nir", low=-150, high=1234567.25)
    assert desk.tags[before:] == ["", ""]  # no tag: nothing is joined with what comes before
    assert ends(desk)["low"].text() == "-150"
    assert ends(desk)["high"].text() == "1234567.25"
    assert "The threshold is 246793." in shown(desk, "heat", {"heat": (0, 1)})[2]
    put(desk, "low", "")
    assert index(desk) == Index(expression="nir", high=1234567.25)


@pytest.mark.parametrize("typed", ["x", "nan", "inf", "1 2"])
def test_what_is_no_number_is_put_back(desk: Desk, typed: str) -> None:
    desk.select("heat")
    put(desk, "low", "5")
    put(desk, "low", typed)
    assert index(desk).low == 5
    assert ends(desk)["low"].text() == "5"


def test_values_that_do_not_rise_are_refused_in_a_sentence(desk: Desk) -> None:
    desk.select("heat")
    put(desk, "low", "5")
    put(desk, "high", "4")
    assert desk.message.label.text() == "Low 5 of an index must be below high 4."
    assert index(desk) == Index(expression="nir", low=5)


def test_auto_leaves_both_to_the_image_again(desk: Desk) -> None:
    auto = desk.section.range.auto
    desk.select("heat")
    assert not auto.isEnabled()
    put(desk, "high", "9")
    assert auto.isEnabled()
    assert "0.1 %" in auto.toolTip()
    auto.click()
    assert index(desk) == Index(expression="nir")
    assert not auto.isEnabled()
    assert ends(desk)["high"].text() == ""
    desk.select("NDVI")
    put(desk, "low", "0")
    assert "From -1 to 1" in auto.toolTip()


def test_locked_prompts_keep_theirs(desk: Desk) -> None:
    desk.select("heat")
    put(desk, "low", "5")
    desk.prompting.edit(desk.select("heat"), {"locked": True})
    assert not any(line.isEnabled() for line in ends(desk).values())
    assert not desk.section.range.auto.isEnabled()
    assert desk.section.range.auto.toolTip() == "The prompt is locked; unlock it first"


def test_how_it_competes_is_said_where_the_values_are_and_in_the_list(desk: Desk) -> None:
    desk.select("heat")
    assert CONTEST in desk.section.range.about.toolTip()
    tips = [desk.section.objects.index(row, Column.PHRASE).data(Qt.ItemDataRole.ToolTipRole) for row in range(3)]
    assert [CONTEST in tip for tip in tips] == [False, True, True]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.123456, "-0.1235"), (65535.0, "65535"), (4012.5, "4012.5"), (1e9, "1e+09")]
)
def test_values_are_written_with_the_digits_that_help(value: float, text: str) -> None:
    assert written(value) == text
