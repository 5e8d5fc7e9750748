"""A field of the settings becomes a widget with its limits and its help, and each value comes back."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QSpinBox

from napari_clearclip.edits import View
from napari_clearclip.gui.forms import EMPTY, Form, Measure, edit
from napari_clearclip.settings import Attention, Cleaning, Comparing, Deciding, Refining, Tiling, Value

PARTS = [Attention, Tiling, Comparing, Refining, Deciding, Cleaning]
OTHERS: dict[tuple[type[Value], str], Any] = {
    (Attention, "terms"): ("kk", "vv"),
    (Attention, "gain"): 2.0,
    (Attention, "temperature"): 0.5,
    (Attention, "residual"): 1.0,
    (Attention, "ffn"): 1.0,
    (Attention, "alpha"): 3.5,
    (Attention, "blocks"): 3,
    (Attention, "bias"): 5.0,
    (Attention, "origin"): "first",
    (Attention, "own_class"): True,
    (Attention, "unit"): True,
    (Attention, "iterations"): 1,
    (Attention, "cross"): 0.4,
    (Attention, "calibrated"): True,
    (Attention, "debias"): 0.3,
    (Attention, "projections"): 4,
    (Attention, "seed"): 7,
    (Tiling, "short_side"): 336,
    (Tiling, "window"): 224,
    (Tiling, "stride"): 112,
    (Tiling, "positions"): "size",
    (Tiling, "antialias"): False,
    (Comparing, "templates"): "single",
    (Comparing, "cell"): 4,
    (Comparing, "surgery"): True,
    (Comparing, "denoise"): 0.5,
    (Comparing, "smooth"): 1.0,
    (Comparing, "smooth_axis"): "tokens",
    (Refining, "pamr"): 10,
    (Refining, "dilations"): (1, 2, 4),
    (Refining, "guided"): 8,
    (Refining, "contrast"): 0.1,
    (Deciding, "score"): "sigmoid",
    (Deciding, "competitors"): "all",
    (Deciding, "scale"): 100.0,
    (Deciding, "exclusive"): False,
    (Deciding, "lead"): 0.1,
    (Deciding, "area"): 0.05,
    (Cleaning, "edges"): "watershed",
    (Cleaning, "superpixel"): 12.0,
    (Cleaning, "compactness"): 10.0,
    (Cleaning, "certainty"): 0.5,
    (Cleaning, "opening"): 1.5,
    (Cleaning, "closing"): 2.5,
    (Cleaning, "smooth"): 0.75,
    (Cleaning, "smallest"): 120.0,
    (Cleaning, "largest"): 3,
    (Cleaning, "hole"): 40.0,
}
HIDDEN = {(Attention, "projection")}  # the name of a file, which no form shows
FIELDS = [(part, name) for part in PARTS for name in part.model_fields if (part, name) not in HIDDEN]


def ids(field: tuple[type[Value], str]) -> str:
    return f"{field[0].__name__}.{field[1]}"


@pytest.mark.parametrize("field", FIELDS, ids=ids)
def test_every_field_shows_values_and_gives_them_back(qtbot: Any, field: tuple[type[Value], str]) -> None:
    part, name = field
    editor = edit(part.model_fields[name], (224, 336))
    qtbot.addWidget(editor)
    told: list[Any] = []
    editor.value_changed.connect(told.append)
    for value in (part.model_fields[name].default, OTHERS[field], part.model_fields[name].default):
        editor.set_value(value)
        assert editor.value == value
    assert not told
    assert editor.inner.toolTip() == part.model_fields[name].description


@pytest.mark.parametrize(
    ("part", "name", "kind", "low", "high"),
    [
        (Attention, "blocks", QSpinBox, 1, 6),
        (Attention, "temperature", QDoubleSpinBox, 0.01, 100),
        (Deciding, "lead", QDoubleSpinBox, 0, 1),
        (Tiling, "window", QSpinBox, 7, 4096),  # one below stands for None
    ],
)
def test_limits_come_from_the_field(
    qtbot: Any, part: type[Value], name: str, kind: type, low: float, high: float
) -> None:
    editor = edit(part.model_fields[name])
    qtbot.addWidget(editor)
    assert isinstance(editor.inner, kind)
    assert (editor.inner.minimum(), editor.inner.maximum()) == pytest.approx((low, high))


def test_empty_numbers_say_that_they_are_recommended(qtbot: Any) -> None:
    editor = edit(Tiling.model_fields["window"])
    qtbot.addWidget(editor)
    editor.set_value(None)
    assert editor.inner.text() == EMPTY
    editor.inner.setValue(64)
    assert editor.value == 64


@pytest.mark.parametrize(
    ("typed", "value"),
    [("448", 448), ("native", "native"), (EMPTY, None), ("", None), ("huge", 336)],
    ids=["number", "word", "recommended", "empty", "no number"],
)
def test_detail_can_be_typed_and_what_is_wrong_is_put_back(qtbot: Any, typed: str, value: Any) -> None:
    editor = edit(Tiling.model_fields["short_side"])
    qtbot.addWidget(editor)
    editor.set_value(336)
    told: list[Any] = []
    editor.value_changed.connect(told.append)
    editor.inner.lineEdit().setText(typed)
    QTest.keyClick(editor.inner.lineEdit(), "\r")
    assert told == ([] if value == 336 else [value])
    assert editor.value == value
    assert editor.inner.currentText() != "huge"


def test_the_last_term_cannot_be_taken_away(qtbot: Any) -> None:
    editor = edit(Attention.model_fields["terms"])
    qtbot.addWidget(editor)
    editor.set_value(("qq",))
    told: list[Any] = []
    editor.value_changed.connect(told.append)
    boxes = {box.text(): box for box in editor.inner.findChildren(QCheckBox)}
    boxes["qq"].click()
    assert boxes["qq"].isChecked()
    boxes["kk"].click()
    assert told[-1] == ("qq", "kk")


@pytest.mark.parametrize(
    ("typed", "value"),
    [("1,2, 4", (1, 2, 4)), ("12", (12,)), ("", (8, 16)), ("1, x", (8, 16)), ("0, 3", (8, 16)), ("8,16", (8, 16))],
    ids=["several", "one", "none", "no number", "out of range", "the same"],
)
def test_numbers_can_be_typed_and_what_is_wrong_is_put_back(qtbot: Any, typed: str, value: Any) -> None:
    editor = edit(Refining.model_fields["dilations"])
    qtbot.addWidget(editor)
    editor.set_value((8, 16))
    told: list[Any] = []
    editor.value_changed.connect(told.append)
    editor.inner.setText(typed)
    QTest.keyClick(editor.inner, "\r")
    assert told == ([] if value == (8, 16) else [value])
    assert editor.inner.text() == ", ".join(map(str, value))


def test_own_templates_are_kept(qtbot: Any) -> None:
    editor = edit(Comparing.model_fields["templates"])
    qtbot.addWidget(editor)
    mine = ("a picture of {}",)
    editor.set_value(mine)
    assert isinstance(editor.inner, QComboBox)
    assert editor.inner.currentText() == "own list"
    assert editor.value == mine


def test_form_tells_one_field_at_a_time(qtbot: Any) -> None:
    form = Form(Deciding)
    qtbot.addWidget(form)
    told: list[Any] = []
    form.value_changed.connect(told.append)
    form.set_value(Deciding())
    assert not told
    form.editors["scale"].inner.setValue(80)
    assert told == [("scale", 80.0)]


def test_a_choice_that_cannot_be_had_is_grey_and_says_why(qtbot: Any) -> None:
    form = Form(Deciding)
    qtbot.addWidget(form)
    box: Any = form.editors["score"].inner
    for lacking in ("It has none.", ""):
        form.set_lacking("score", "sigmoid", lacking)
        assert [box.model().item(at).isEnabled() for at in range(2)] == [True, not lacking]
        assert box.itemData(1, Qt.ItemDataRole.ToolTipRole) == lacking


def test_unknown_type_is_refused() -> None:
    class Other(Value):
        when: complex = Field(0j)

    with pytest.raises(TypeError, match="no widget is known"):
        edit(Other.model_fields["when"])


UNITS = [
    # unit, side of a pixel, length and area as they are shown, and after a step up
    ("px", 1.0, ("2.50 px", "2.50 px²"), ("3.50 px", "12.50 px²")),
    ("µm", 0.25, ("2.50 µm", "2.50 µm²"), ("2.70 µm", "3.10 µm²")),
    ("m", 0.001, ("2.5000 m", "2.500000 m²"), ("2.5010 m", "2.500010 m²")),
    ("m", 30.0, ("2.50 m", "2.50 m²"), ("32.50 m", "9002.50 m²")),
    ("", 2.0, ("2.50", "2.50"), ("4.50", "42.50")),
]


@pytest.mark.parametrize(("unit", "pixel", "before", "after"), UNITS)
def test_lengths_and_areas_have_the_unit_and_steps_of_the_image(
    qtbot: Any, unit: str, pixel: float, before: tuple[str, str], after: tuple[str, str]
) -> None:
    form = Form(Cleaning)
    qtbot.addWidget(form)
    told: list[Any] = []
    form.value_changed.connect(told.append)
    form.set_pixel(View() if unit == "px" else View(scale=(2 * pixel, pixel / 2), unit=unit))
    form.set_value(Cleaning(opening=2.5, smallest=2.5))
    boxes = [form.editors[name].inner for name in ("opening", "smallest")]
    assert all(isinstance(box, Measure) for box in boxes)
    assert tuple(box.text() for box in boxes) == before
    assert not told
    for box in boxes:
        box.stepUp()
    assert tuple(box.text() for box in boxes) == after
    assert [name for name, _ in told] == ["opening", "smallest"]


def test_zero_says_what_it_means(qtbot: Any) -> None:
    form = Form(Cleaning)
    qtbot.addWidget(form)
    form.set_value(Cleaning())
    assert form.editors["opening"].inner.text() == "off"
    assert form.editors["superpixel"].inner.text() == "recommended"
    assert form.editors["largest"].inner.text() == "all"


READ_WITH = {
    "none": set(),
    "slic": {"superpixel", "compactness"},
    "felzenszwalb": {"superpixel"},
    "watershed": {"certainty"},
}


@pytest.mark.parametrize("edges", READ_WITH)
def test_a_field_is_shown_where_it_is_read(qtbot: Any, edges: Any) -> None:
    form = Form(Cleaning)
    qtbot.addWidget(form)
    form.set_value(Cleaning(edges=edges))
    hidden = {name for name, editor in form.editors.items() if editor.isHidden()}
    assert hidden == {"superpixel", "compactness", "certainty"} - READ_WITH[edges]
