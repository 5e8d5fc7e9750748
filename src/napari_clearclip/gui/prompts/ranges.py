"""The values of a band expression that are scored 0 and 1, beside those that the image has."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_clearclip.engine.bands import Range, resolve_index
from napari_clearclip.expression import parse
from napari_clearclip.gui.forms import edit
from napari_clearclip.gui.sections import GAP, hint
from napari_clearclip.settings import Index, Prompt

CONTEST = (
    "Where masks exclude each other, it competes by how far its score is on the way from its own threshold to 1. "
    "A lower upper value gives it more of what others claim too."
)
_RUN_FIRST = "Press Run to see which values this image has."
_ENDS = ("low", "high")

Ranges = Mapping[str, Range | None]


class IndexRange(QWidget):
    """Two lines for the values that are scored 0 and 1; an empty one is automatic and shows in grey what that comes to.

    `changed` carries the id of the prompt and the fields of its index that the user has changed.
    """

    changed = Signal(str, dict)

    def __init__(self) -> None:
        super().__init__()
        self._prompt: Prompt | None = None
        self.editors = {name: edit(Index.model_fields[name]) for name in _ENDS}
        self.auto = QPushButton("Auto")
        self.about = hint()
        self.about.setToolTip(f"<qt>{CONTEST}</qt>")
        self._lay_out()
        for name, editor in self.editors.items():
            editor.value_changed.connect(lambda value, name=name: self._tell({name: value}))
        self.auto.clicked.connect(lambda: self._tell(dict.fromkeys(_ENDS)))

    def _lay_out(self) -> None:
        label = QLabel("Values")
        label.setBuddy(self.editors["low"].inner)
        label.setToolTip("Which values of the expression are scored 0 and 1")
        row, column = QHBoxLayout(), QVBoxLayout(self)
        for widget, stretch in (
            (label, 0),
            (self.editors["low"], 1),
            (QLabel("to"), 0),
            (self.editors["high"], 1),
            (self.auto, 0),
        ):
            row.addWidget(widget, stretch)
        for name, text in (("low", "Value that is scored 0"), ("high", "Value that is scored 1")):
            self.editors[name].inner.setAccessibleName(text)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(row)
        column.addWidget(self.about)

    def show_prompt(self, prompt: Prompt | None, ranges: Ranges) -> None:
        """Show the range of a prompt that is a band expression; of others there is nothing to show.

        Parameters
        ----------
        prompt : Prompt or None
            The selected prompt.
        ranges : mapping of str to tuple of 2 float, or None
            By prompt the values that the image has, once it was run; None where it has none.
        """
        self._prompt = prompt
        self.setVisible(prompt is not None and prompt.index is not None)
        if prompt is None or prompt.index is None:
            return
        index, measured = prompt.index, ranges.get(prompt.id)
        automatic = _automatic(index, measured)
        for name, editor in self.editors.items():
            editor.set_value(getattr(index, name))
            editor.setEnabled(not prompt.locked)
            if isinstance(editor.inner, QLineEdit):
                editor.inner.setPlaceholderText("auto" if automatic is None else written(getattr(automatic, name)))
        given = index.low is not None or index.high is not None
        self.auto.setEnabled(given and not prompt.locked)
        self.auto.setToolTip(_way_back(index, prompt.locked))
        self.about.setText(_about(prompt, automatic, ranges))

    def _tell(self, fields: dict[str, float | None]) -> None:
        if self._prompt is not None:
            self.changed.emit(self._prompt.id, fields)


def written(value: float | None) -> str:
    """A value with as many digits as help."""
    return "" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.6g}"


def _automatic(index: Index, measured: Range | None) -> Index | None:
    """The index as it is computed with; None where only a run can tell."""
    known = parse(index.expression).is_normalized_difference or None not in (index.low, index.high)
    return resolve_index(index, lambda: measured) if known or measured else None


def _way_back(index: Index, locked: bool) -> str:
    """What Auto does, or why it cannot be pressed."""
    if locked:
        return "The prompt is locked; unlock it first"
    if index.low is None and index.high is None:
        return "Both values are automatic"
    if parse(index.expression).is_normalized_difference:
        return "From -1 to 1 again, as for every normalised difference"
    return "Let each image set them again: all but the lowest and highest 0.1 % of its pixels"


def _about(prompt: Prompt, automatic: Index | None, ranges: Ranges) -> str:
    """Which values the image has, and which one the threshold is."""
    if prompt.id not in ranges:
        return _RUN_FIRST
    if (measured := ranges[prompt.id]) is None:
        return "No pixel of this image has a value."
    low, high = measured
    said = f"This image has {written(low)} to {written(high)}, with 0.1\u00a0% beyond either end."
    if automatic is None or automatic.low is None or automatic.high is None:
        return said
    least = automatic.low + prompt.threshold * (automatic.high - automatic.low)
    return f"{said} The threshold is {written(least)}."
