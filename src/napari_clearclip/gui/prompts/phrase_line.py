"""A line to type a phrase into, which can be marked as refused."""

from __future__ import annotations

from html import escape
from typing import Any

from qtpy.QtCore import QEvent, QPoint, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QToolTip, QWidget

REFUSED = "#D55E00"  # told from the theme's own colours with every common colour blindness


class PhraseLine(QLineEdit):
    """A line that shows in place why what was typed is refused."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._help = ""
        self.setObjectName("clearclip-phrase")

    def set_help(self, text: str) -> None:
        """The tooltip while nothing is refused."""
        self._help = text
        self.refuse("")

    def refuse(self, reason: str) -> None:
        """Outline the line and say why; an empty reason takes it back."""
        style = f"#clearclip-phrase {{ border: 2px solid {REFUSED}; }}" if reason else ""
        if style != self.styleSheet():
            self.setStyleSheet(style)
        self.setToolTip(f"<qt>{escape(reason)}</qt>" if reason else self._help)  # rich text is wrapped
        self.setAccessibleDescription(reason)
        if reason and self.isVisible():
            self._show_reason()
        elif not reason and self.hasFocus():
            QToolTip.hideText()

    def showEvent(self, event: Any) -> None:
        """Say what was refused before there was a line to say it."""
        super().showEvent(event)
        if self.accessibleDescription():
            self._show_reason()

    def _show_reason(self) -> None:
        QToolTip.showText(self.mapToGlobal(QPoint(0, self.height())), self.toolTip(), self)


class PhraseEntry(QWidget):
    """A line to type phrases into: Enter or the button adds one, pasted lines are added at once."""

    entered = Signal(str)
    pasted = Signal(str)

    def __init__(self, placeholder: str, help_: str) -> None:
        super().__init__()
        self.line = PhraseLine()
        self.line.setPlaceholderText(placeholder)
        self.line.setAccessibleName(placeholder)
        self.line.set_help(help_)
        self.line.setClearButtonEnabled(True)
        self.line.installEventFilter(self)
        self.button = QPushButton("Add")
        self.button.setToolTip("Add what is typed")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.line.returnPressed.connect(self._enter)
        self.line.textChanged.connect(self._on_text)
        self.button.clicked.connect(self._enter)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Escape empties the line."""
        if event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape and self.line.text():
            self.line.clear()
            return True
        return bool(super().eventFilter(watched, event))

    def _enter(self) -> None:
        self.entered.emit(self.line.text())
        self.line.setFocus()

    def _on_text(self, text: str) -> None:
        """What is typed on may be allowed; several lines are added at once, however they came here."""
        self.line.refuse("")
        lines = text.splitlines()
        if len(lines) > 1 and len([line for line in lines if line.strip()]) > 1:
            self.line.clear()
            self.pasted.emit(text)
        elif len(lines) > 1 or text != "".join(lines):
            self.line.setText("".join(lines).strip())
