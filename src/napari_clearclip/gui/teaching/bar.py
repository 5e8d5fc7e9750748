"""The row below the prompts: what the selected one is taught with, and how much its example counts."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QToolButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_clearclip.edits import Edits
from napari_clearclip.gui.sections import GAP, hint
from napari_clearclip.gui.teaching.pen import COLORS, NEGATIVE, POSITIVE, SIMILAR
from napari_clearclip.settings import Prompt

_STEPS = 20  # of the slider
_TEXTS = {
    POSITIVE: ("Teach +", "Draw where the selected prompt is: it learns to find what looks like that"),
    NEGATIVE: ("Teach −", "Draw where the selected prompt is not: it learns to leave out what looks like that"),
    SIMILAR: ("Similar", "Find similar: click or paint an example; the selected prompt also finds what looks like it"),
}


class TeachBar(QWidget):
    """Buttons to teach the selected prompt, and a slider between its words and its example."""

    tool_chosen = Signal(object)
    forgotten = Signal()
    mix_moved = Signal(float)
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(self._buttons())
        self.mix_row = QWidget()
        column.addWidget(self.mix_row)
        self._fill_mix_row()
        self.about = hint()
        column.addWidget(self.about)
        self.show_prompt(None, Edits())

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.buttons: dict[int, QPushButton] = {}
        for tool, (text, tip) in _TEXTS.items():
            button = QPushButton(_swatch(COLORS[tool]), text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setStyleSheet("QPushButton { padding: 3px 2px; }")
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.toggled.connect(lambda on, tool=tool: self._toggle(tool, on))
            self.buttons[tool] = button
            row.addWidget(button)
        self.forget_button = QToolButton()
        self.forget_button.setText("⌫")
        self.forget_button.setAccessibleName("Forget what was taught")
        self.forget_button.setToolTip("Forget all strokes and the example of the selected prompt: back to its words")
        self.forget_button.clicked.connect(lambda: self.forgotten.emit())
        row.addWidget(self.forget_button)
        return row

    def _fill_mix_row(self) -> None:
        field = Prompt.model_fields["mix"]
        self.mix = QSlider(Qt.Orientation.Horizontal)
        self.mix.setRange(0, _STEPS)
        self.mix.setPageStep(_STEPS // 4)
        self.mix.setAccessibleName(str(field.title))
        self.mix_row.setToolTip(str(field.description))
        self.mix.valueChanged.connect(lambda value: self.mix_moved.emit(value / _STEPS))
        self.mix.sliderReleased.connect(self.released)
        row = QHBoxLayout(self.mix_row)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (QLabel("words"), self.mix, QLabel("example")):
            row.addWidget(widget, int(widget is self.mix))

    def _toggle(self, tool: int, on: bool) -> None:
        """Choose a tool, or put it away; two are never chosen at once."""
        others = [button for other, button in self.buttons.items() if other != tool]
        if on or not any(button.isChecked() for button in others):
            self.show_tool(tool if on else None)
            self.tool_chosen.emit(tool if on else None)

    def show_tool(self, tool: int | None) -> None:
        """Show which tool is in use, or that none is."""
        for other, button in self.buttons.items():
            with signals_blocked(button):
                button.setChecked(other == tool)

    def show_prompt(self, prompt: Prompt | None, edits: Edits) -> None:
        """Show what the selected prompt was taught; without one there is nothing to teach."""
        mine = Edits() if prompt is None else edits.of(prompt.id)
        drawn = [
            text
            for text, there in (
                ("+ strokes", any(item.positive.tiles for item in mine.strokes)),
                ("− strokes", any(item.negative.tiles for item in mine.strokes)),
                ("an example", bool(mine.exemplars)),
            )
            if there
        ]
        for button in self.buttons.values():
            button.setEnabled(prompt is not None)
        if prompt is not None and prompt.learned is not None:
            drawn.append("another image")
        self.forget_button.setEnabled(bool(drawn))
        self.mix_row.setVisible(bool(mine.exemplars))
        self.about.setVisible(bool(drawn))
        if prompt is not None:
            self.about.setText(f"“{prompt.phrase}” has learned from {_listed(drawn)}." if drawn else "")
            self.mix_row.setEnabled(not prompt.locked)
            if not self.mix.isSliderDown():
                with signals_blocked(self.mix):
                    self.mix.setValue(round(prompt.mix * _STEPS))


def _listed(parts: list[str]) -> str:
    """Words with commas and an and."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _swatch(color: str) -> QIcon:
    pixmap = QPixmap(10, 10)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)
