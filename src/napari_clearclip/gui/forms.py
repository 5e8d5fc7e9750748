"""A field of the settings becomes a widget: limits, choices and help come from the field."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_clearclip.edits import View
from napari_clearclip.settings import Value

EMPTY = "recommended"
PIXELS = "px"
_LABEL_WIDTH = 90  # the same for all forms, so that they stand in line


def label_of(name: str, field: FieldInfo) -> str:
    """A field's title, else its name as it is read."""
    return field.title or name.replace("_", " ").capitalize()


def limits_of(field: FieldInfo, type_: type) -> tuple[float, float, bool]:
    """Lowest and highest value of a number, and whether the lowest itself is left out."""
    low, high, open_ = -1e9, 1e9, False
    for item in field.metadata:
        low = next((getattr(item, name) for name in ("ge", "gt") if getattr(item, name, None) is not None), low)
        high = next((getattr(item, name) for name in ("le", "lt") if getattr(item, name, None) is not None), high)
        open_ = open_ or getattr(item, "gt", None) is not None
    return type_(low), type_(high), open_


def _extra(field: FieldInfo) -> dict[str, Any]:
    """What a field says of itself beside limits and texts."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation alone."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


class Editor(QWidget):
    """One field's widget: `value_changed` carries a new value, `set_value` shows one without announcing it."""

    value_changed = Signal(object)

    def __init__(self, inner: QWidget, read: Callable[[], Any], show: Callable[[Any], None]) -> None:
        super().__init__()
        self.inner = inner
        self._read = read
        self._show = show
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(inner, 1)
        self.setFocusProxy(inner)

    @property
    def value(self) -> Any:
        """What the widget holds."""
        return self._read()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        with signals_blocked(self):
            self._show(value)

    def announce(self, *_: object) -> None:
        """Tell the value after the user has changed it."""
        self.value_changed.emit(self._read())


class _Still:
    """A wheel that scrolls the panel must not change a number or a choice on its way."""

    def wheelEvent(self, event: Any) -> None:
        event.ignore() if not self.hasFocus() else super().wheelEvent(event)  # type: ignore[attr-defined,misc]


class Integer(_Still, QSpinBox):
    """A whole number."""


class Number(_Still, QDoubleSpinBox):
    """A decimal number."""


class Measure(Number):
    """A length (power 1) or an area (power 2), in the unit of the image and in steps of its pixels."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self._power = power

    def set_unit(self, unit: str, pixel: float) -> None:
        """Show another unit; `pixel` is the side of a pixel in it."""
        step = pixel**self._power * (10 if self._power > 1 else 1)
        digits = -math.floor(math.log10(step))
        self.setSuffix(f" {unit}{'²' if self._power > 1 else ''}" if unit else "")
        self.setDecimals(min(max(digits + 1, 2), 9))
        self.setSingleStep(round(step, digits))


class Choice(_Still, QComboBox):
    """A choice from a list that may be narrower than its longest entry."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


def _integer(field: FieldInfo, optional: bool) -> Editor:
    box = Integer()
    low, high, _ = limits_of(field, int)
    box.setRange(int(low) - optional, int(high))
    box.setSpecialValueText(EMPTY if optional else _extra(field).get("zero", ""))
    box.setKeyboardTracking(False)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def read() -> int | None:
        return None if optional and box.value() == box.minimum() else box.value()

    editor = Editor(box, read, lambda value: box.setValue(box.minimum() if value is None else value))
    box.valueChanged.connect(editor.announce)
    return editor


def _number(field: FieldInfo) -> Editor:
    power = _extra(field).get("power")
    box = Measure(power) if power else Number()
    low, high, open_ = limits_of(field, float)
    box.setDecimals(3 if high <= 1 else 2)
    step = 10.0 ** -box.decimals()
    box.setRange(low + step * open_, high)
    box.setSingleStep(0.05 if high <= 100 else 1.0)
    box.setSpecialValueText(_extra(field).get("zero", ""))
    if isinstance(box, Measure):
        box.set_unit(PIXELS, 1.0)
    box.setKeyboardTracking(False)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    editor = Editor(box, box.value, box.setValue)
    box.valueChanged.connect(editor.announce)
    return editor


def _switch() -> Editor:
    box = QCheckBox()
    editor = Editor(box, box.isChecked, box.setChecked)
    box.toggled.connect(editor.announce)
    return editor


def _choice(entries: dict[str, Any]) -> Editor:
    """A combo of named values; a value that is not among them is shown as one more."""
    box = Choice()
    for text, value in entries.items():
        box.addItem(text, value)

    def show(value: Any) -> None:
        at = next((i for i in range(box.count()) if box.itemData(i) == value), -1)
        if at < 0:
            box.addItem("own list" if isinstance(value, (tuple, list)) else str(value), value)
            at = box.count() - 1
        box.setCurrentIndex(at)

    editor = Editor(box, box.currentData, show)
    box.activated.connect(editor.announce)
    return editor


def _number_or_word(field: FieldInfo, annotation: Any, words: tuple[str, ...], suggested: tuple[int, ...]) -> Editor:
    """A combo in which a number can be typed as well; what is not allowed is put back."""
    box = Choice()
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    box.addItems([EMPTY, *(str(number) for number in suggested), *words])
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    last: list[Any] = [None]

    def read() -> Any:
        text = box.currentText().strip()
        if text in ("", EMPTY):
            return None
        try:
            return adapter.validate_python(int(text) if text.isdecimal() else text)
        except ValidationError:
            return last[0]

    def show(value: Any) -> None:
        last[0] = value
        box.setCurrentText(EMPTY if value is None else str(value))

    editor = Editor(box, read, show)

    def finish() -> None:
        value = read()
        if value == last[0]:
            show(value)
        else:
            last[0] = value  # told once, though both signals come
            editor.value_changed.emit(value)

    box.activated.connect(finish)
    box.lineEdit().editingFinished.connect(finish)
    return editor


def _numbers(annotation: Any) -> Editor:
    """A line for numbers with commas between them."""

    def parsed(text: str) -> Any:
        return tuple(int(part) for part in text.split(","))

    return _line(annotation, (), parsed, lambda value: ", ".join(str(number) for number in value))


def _number_or_nothing(annotation: Any) -> Editor:
    """A line for any number, empty where it is left to others; a comma is a point."""

    def parsed(text: str) -> Any:
        return float(text.replace(",", ".")) if text.strip() else None

    return _line(annotation, None, parsed, lambda value: "" if value is None else f"{value:.12g}")


def _line(annotation: Any, start: Any, parsed: Callable[[str], Any], written: Callable[[Any], str]) -> Editor:
    """A line of text that stands for a value; what is not allowed is put back."""
    line = QLineEdit()
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    last: list[Any] = [start]

    def read() -> Any:
        if line.text() == written(last[0]):
            return last[0]  # with all its digits
        try:
            return adapter.validate_python(parsed(line.text()))
        except ValueError:
            return last[0]

    def show(value: Any) -> None:
        last[0] = value
        line.setText(written(value))

    editor = Editor(line, read, show)

    def finish() -> None:
        value, before = read(), last[0]
        show(value)
        if value != before:
            editor.value_changed.emit(value)

    line.editingFinished.connect(finish)
    return editor


def _several(words: tuple[str, ...]) -> Editor:
    """One check box a word, at least one of them checked."""
    grid = QWidget()
    layout = QGridLayout(grid)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(2)
    boxes = {word: QCheckBox(word) for word in words}
    for at, box in enumerate(boxes.values()):
        layout.addWidget(box, *divmod(at, 3))
    layout.setColumnStretch(3, 1)

    def read() -> tuple[str, ...]:
        return tuple(word for word, box in boxes.items() if box.isChecked())

    def show(value: tuple[str, ...]) -> None:
        for word, box in boxes.items():
            with signals_blocked(box):
                box.setChecked(word in value)

    editor = Editor(grid, read, show)
    for box in boxes.values():

        def toggled(_: bool, box: QCheckBox = box) -> None:
            if not read():
                box.setChecked(True)
            else:
                editor.announce()

        box.toggled.connect(toggled)
    return editor


def edit(field: FieldInfo, suggested: tuple[int, ...] = ()) -> Editor:
    """A widget for a field.

    Parameters
    ----------
    field : FieldInfo
        A field of one of the settings' models.
    suggested : tuple of int
        Numbers offered where a number or a word can be given.

    Raises
    ------
    TypeError
        If no widget is known for the field's type.
    """
    members = _choices(field.annotation)
    optional = type(None) in members
    words = tuple(word for member in members if get_origin(member) is Literal for word in get_args(member))
    plain = tuple(member for member in members if member in (int, float, bool))
    if get_origin(field.annotation) is tuple and get_origin(get_args(field.annotation)[0]) is not Literal:
        editor = _numbers(Annotated[field.annotation, *field.metadata])
    elif get_origin(field.annotation) is tuple:
        editor = _several(get_args(get_args(field.annotation)[0]))
    elif int in plain and words:
        editor = _number_or_word(field, field.annotation, words, suggested)
    elif words:
        editor = _choice(({EMPTY: None} if optional else {}) | {word.replace("_", " "): word for word in words})
    elif plain == (bool,):
        editor = _switch()
    elif plain == (int,):
        editor = _integer(field, optional)
    elif plain == (float,) and optional:
        editor = _number_or_nothing(Annotated[field.annotation, *field.metadata])
    elif plain == (float,):
        editor = _number(field)
    else:
        raise TypeError(f"no widget is known for a field of type {field.annotation}")
    editor.setToolTip(field.description or "")
    editor.inner.setToolTip(field.description or "")
    return editor


class Form(QWidget):
    """The fields of one settings model, one below the other; `value_changed` carries a whole new value."""

    value_changed = Signal(object)

    def __init__(self, model: type[Value], skip: tuple[str, ...] = (), suggested: tuple[int, ...] = ()) -> None:
        super().__init__()
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(4)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.editors = {name: edit(field, suggested) for name, field in model.model_fields.items() if name not in skip}
        self._value: Value | None = None
        for name, editor in self.editors.items():
            layout.addRow(label_of(name, model.model_fields[name]), editor)
            label = layout.labelForField(editor)
            label.setToolTip(editor.toolTip())
            label.setMinimumWidth(_LABEL_WIDTH)
            editor.value_changed.connect(lambda value, name=name: self._on_changed(name, value))
        self._model, self._layout = model, layout

    def set_value(self, value: Value) -> None:
        """Show a value; fields that only some value of another field reads are shown with that."""
        self._value = value
        for name, editor in self.editors.items():
            editor.set_value(getattr(value, name))
            read = _extra(self._model.model_fields[name]).get("read_with", {})
            shown = all(getattr(value, other) in values for other, values in read.items())
            for widget in (editor, self._layout.labelForField(editor)):
                widget.setVisible(shown)

    def set_lacking(self, name: str, choice: Any, lacking: str) -> None:
        """Grey out a choice of a field that cannot be had, with the reason; an empty one offers it again."""
        box: Any = self.editors[name].inner
        at = box.findData(choice)
        box.model().item(at).setEnabled(not lacking)
        box.setItemData(at, lacking, Qt.ItemDataRole.ToolTipRole)

    def set_pixel(self, view: View | None) -> None:
        """Show lengths and areas in the unit in which a view measures its pixels; without one, in pixels."""
        unit = PIXELS if view is None or not view.scale else view.unit
        side = 1.0 if view is None else math.sqrt(math.prod(view.pixel))
        for editor in self.editors.values():
            if isinstance(editor.inner, Measure):
                with signals_blocked(editor):
                    editor.inner.set_unit(unit, side)

    def _on_changed(self, name: str, value: Any) -> None:
        if self._value is None or getattr(self._value, name) == value:
            return
        self.value_changed.emit((name, value))
