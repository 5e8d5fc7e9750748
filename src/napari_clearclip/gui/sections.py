"""What the sections of the panel are made of: headings, hints, folds, and the message at the bottom."""

from __future__ import annotations

import re

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_clearclip.progress import Progress

GAP = 6


def title(text: str) -> QLabel:
    """The heading of a section."""
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    font.setPointSizeF(font.pointSizeF() * 1.1)
    label.setFont(font)
    return label


def hint(text: str = "") -> QLabel:
    """A line that explains, smaller than what it explains."""
    label = QLabel(text)
    label.setWordWrap(True)
    font = label.font()
    font.setPointSizeF(font.pointSizeF() * 0.9)
    label.setFont(font)
    return label


def breakable(name: str) -> str:
    """A name as a label of several lines can show it: it may be broken, so that no name widens the panel."""
    return re.sub(r"(?<=[_.-])|(?<=\w{20})", "\u200b", name)


class Fold(QWidget):
    """A part that folds away under a button with an arrow; the arrow has the colour of the text."""

    def __init__(self, text: str, inner: QWidget) -> None:
        super().__init__()
        self.button = QPushButton()
        self.button.setObjectName("clearclip-fold")
        self.button.setCheckable(True)
        self.button.setStyleSheet(
            "#clearclip-fold, #clearclip-fold:checked { border: none; background: transparent; text-align: left;"
            " padding: 3px 0; }"
            "#clearclip-fold:focus, #clearclip-fold:hover { text-decoration: underline; }"
        )
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # no text widens the panel
        self.inner = inner
        self._text = text
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(inner)
        self.button.toggled.connect(self._unfold)
        self._unfold(False)

    def set_text(self, text: str) -> None:
        """Change the words on the button."""
        self._text = text
        self._unfold(self.button.isChecked())

    def _unfold(self, open_: bool) -> None:
        self.button.setText(("▾  " if open_ else "▸  ") + self._text)
        self.inner.setVisible(open_)


class Section(QWidget):
    """A heading and what stands below it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(GAP)
        self.heading = QHBoxLayout()
        self.heading.addWidget(title(text), 1)
        self.body.addLayout(self.heading)


def form_layout() -> QFormLayout:
    """Rows of a label and a widget that takes the rest of the width."""
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def button_row(*buttons: QPushButton) -> QHBoxLayout:
    """Buttons at the right end of a window, none of which Enter presses."""
    row = QHBoxLayout()
    row.addStretch(1)
    for button in buttons:
        button.setAutoDefault(False)
        row.addWidget(button)
    return row


def show_on(bar: QProgressBar, progress: Progress) -> None:
    """Let a bar show how far work is; it stands empty where that is not known.

    It never runs to and fro: each step of that would draw napari's whole window anew, thirty times a second, which
    without a graphics card takes longer than the work itself.
    """
    scale = 1000 if progress.unit == "bytes" else max(progress.total, 1)  # Qt counts in 32 bits
    bar.setUpdatesEnabled(False)  # or it would be drawn at once, and again with the text beside it
    bar.setRange(0, scale)
    bar.setValue(progress.done * scale // progress.total if progress.total else 0)
    bar.setUpdatesEnabled(True)


class Message(QWidget):
    """The one place for what went wrong or is worth knowing; it goes when it is dismissed or answered."""

    def __init__(self, color: str = "#E69F00") -> None:
        super().__init__()
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.close_button = QToolButton()
        self.close_button.setText("×")
        self.close_button.setToolTip("Dismiss")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 4, 4)
        self.body = QVBoxLayout()
        self.body.setSpacing(GAP)
        self.body.addWidget(self.label)
        row.addLayout(self.body, 1)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setObjectName("clearclip-message")
        self.setStyleSheet(f"#clearclip-message {{ border: 1px solid {color}; border-radius: 4px; }}")
        self.close_button.clicked.connect(self.clear)
        self.clear()

    def say(self, text: str) -> None:
        """Show a sentence."""
        self.label.setText(text)
        self.show()

    def clear(self) -> None:
        """Take the sentence away."""
        self.label.clear()
        self.hide()
