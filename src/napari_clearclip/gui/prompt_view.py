"""How the prompt table is drawn, clicked and typed into."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QTableView,
    QWidget,
)

from napari_clearclip.gui.prompts import PROMPT, STEP, Column, PromptModel
from napari_clearclip.settings import Prompt


class PromptDelegate(QStyledItemDelegate):
    """Draws swatches, sliders and flags; everything else is Qt's."""

    def paint(self, painter: QPainter, option: Any, index: QModelIndex) -> None:
        """Draw a cell."""
        column = Column(index.column())
        if column not in (Column.COLOR, Column.THRESHOLD, Column.PHRASE):
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = option.text
        option.text = ""
        option.widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        prompt: Prompt = index.data(PROMPT)
        ink = self._ink(option, index.model().works(prompt))
        if column == Column.COLOR:
            _draw_swatch(painter, option.rect, prompt, ink)
        elif column == Column.THRESHOLD:
            _draw_slider(painter, option.rect, prompt, text, ink)
        else:
            self._draw_phrase(painter, option, index, prompt, text, ink)
        painter.restore()

    def _ink(self, option: Any, works: bool) -> QColor:
        """The colour of text: as in the theme, faint for what is hidden or does not compete."""
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        ink = QColor(option.palette.color(role))
        ink.setAlphaF(1.0 if works else 0.5)
        return ink

    def _draw_phrase(
        self, painter: QPainter, option: Any, index: QModelIndex, prompt: Prompt, text: str, ink: QColor
    ) -> None:
        area = option.rect.adjusted(4, 0, -4, 0)
        font = option.font
        font.setStrikeOut(prompt.muted)
        painter.setFont(font)
        painter.setPen(ink)
        flagged = bool(index.model().unknown(index))
        space = area.adjusted(0, 0, -20 * flagged, 0)
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, space.width())
        painter.drawText(space, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        if flagged:
            _draw_flag(painter, QRect(area.right() - 15, area.center().y() - 7, 15, 15))


def slider_area(rect: QRect) -> QRect:
    """Where the groove of a threshold slider lies in its cell; the number stands right of it."""
    return rect.adjusted(10, 0, -42, 0)


def _draw_swatch(painter: QPainter, rect: QRect, prompt: Prompt, ink: QColor) -> None:
    side = min(rect.width() - 4, rect.height() - 10, 16)
    box = QRect(0, 0, side, side)
    box.moveCenter(rect.center())
    painter.setPen(QPen(ink, 1))
    painter.setBrush(QColor(prompt.color))
    painter.drawRoundedRect(box, 3, 3)


def _draw_slider(painter: QPainter, rect: QRect, prompt: Prompt, text: str, ink: QColor) -> None:
    groove = slider_area(rect)
    middle = groove.center().y() + 1
    at = groove.left() + round(prompt.threshold * groove.width())
    faint = QColor(ink)
    faint.setAlphaF(0.35)
    painter.setPen(QPen(faint, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawLine(groove.left(), middle, groove.right(), middle)
    painter.setPen(QPen(ink, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawLine(groove.left(), middle, at, middle)
    painter.setPen(QPen(ink, 1.5))
    painter.setBrush(QColor(prompt.color))
    painter.drawEllipse(QRect(at - 6, middle - 6, 12, 12))
    painter.setPen(ink)
    number = QRect(groove.right() + 6, rect.top(), rect.right() - groove.right() - 8, rect.height())
    painter.drawText(number, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text)


def _draw_flag(painter: QPainter, mark: QRect) -> None:
    """A round warning sign: form and sign say it, not only the colour."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#E69F00"))
    painter.drawEllipse(mark)
    painter.setPen(QColor("#000000"))
    font = painter.font()
    font.setBold(True)
    font.setStrikeOut(False)
    painter.setFont(font)
    painter.drawText(mark, Qt.AlignmentFlag.AlignCenter, "?")


class PromptView(QTableView):
    """The table: one row a prompt, all of it within reach of the keyboard.

    Delete removes the selected rows, F2 or a double click edits, Left and Right move the threshold of the current row,
    Space shows or hides (mutes) it.
    """

    removed = Signal(list)
    current_changed = Signal(object)

    def __init__(self, model: PromptModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dragged = QModelIndex()
        self.setModel(model)
        self.setItemDelegate(PromptDelegate(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        rows = self.verticalHeader()
        rows.hide()
        rows.setDefaultSectionSize(max(self.fontMetrics().height() + 10, 26))
        columns = self.horizontalHeader()
        columns.setHighlightSections(False)
        columns.setMinimumSectionSize(20)
        columns.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        columns.setSectionResizeMode(Column.PHRASE, QHeaderView.ResizeMode.Stretch)
        self._number = self.fontMetrics().horizontalAdvance("<0.1 %") + 10
        for column, width in ((Column.SHOWN, 26), (Column.COLOR, 24), (Column.COVERAGE, self._number)):
            self.setColumnWidth(column, width)
        if model.kind == "distractor":
            for column in (Column.COLOR, Column.THRESHOLD, Column.COVERAGE):
                self.hideColumn(column)
            columns.hide()
        self.doubleClicked.connect(self._choose_color)
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            signal.connect(self.updateGeometry)
        model.rowsRemoved.connect(lambda: self.selectRow(self.currentIndex().row()))

    def prompt_model(self) -> PromptModel:
        """The model, with its own type."""
        model: PromptModel = self.model()
        return model

    def selected_ids(self) -> list[str]:
        """The ids of the selected rows, from top to bottom."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return [self.prompt_model().prompt(row).id for row in rows]

    def current_id(self) -> str | None:
        """The id of the current row, or None."""
        index = self.currentIndex()
        return self.prompt_model().prompt(index.row()).id if index.isValid() else None

    def select_prompt(self, prompt: str | None) -> None:
        """Make a prompt's row the current one."""
        row = self.prompt_model().row_of(prompt or "")
        if row >= 0:
            self.setCurrentIndex(self.prompt_model().index(row, Column.PHRASE))

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:  # noqa: N802
        """Tell which prompt is the current one."""
        super().currentChanged(current, previous)
        if current.row() != previous.row():
            self.current_changed.emit(self.current_id())

    def sizeHint(self) -> QSize:  # noqa: N802
        """High enough for the rows, from four to eight of them."""
        rows = min(max(self.model().rowCount(), 4), 8)
        header = 0 if self.horizontalHeader().isHidden() else self.horizontalHeader().sizeHint().height()
        return QSize(300, rows * self.verticalHeader().defaultSectionSize() + header + 4)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Share the width between phrase and slider."""
        super().resizeEvent(event)
        self.setColumnWidth(Column.THRESHOLD, max(int(0.42 * (self.viewport().width() - 50 - self._number)), 96))

    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Say what belongs here while there is nothing."""
        super().paintEvent(event)
        if not self.model().rowCount():
            painter = QPainter(self.viewport())
            ink = self.palette().color(QPalette.ColorRole.Text)
            ink.setAlphaF(0.6)
            painter.setPen(ink)
            text = "Nothing to look for yet" if self.prompt_model().kind == "object" else "No distractors"
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, text)

    # Mouse: a press on a slider drags it

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Take hold of a slider."""
        super().mousePressEvent(event)
        index = self.indexAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and index.column() == Column.THRESHOLD:
            self._dragged = index
            self._drag_to(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Move the slider that is held."""
        if self._dragged.isValid():
            self._drag_to(event)
        else:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: N802
        """Let go of the slider."""
        self._dragged = QModelIndex()
        super().mouseReleaseEvent(event)

    def _drag_to(self, event: Any) -> None:
        groove = slider_area(self.visualRect(self._dragged))
        share = (event.position().x() - groove.left()) / max(groove.width(), 1)
        self.model().setData(self._dragged, share)

    # Keyboard

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Delete, edit, show or hide, move the threshold; the rest is Qt's."""
        key, index = event.key(), self.currentIndex()
        if self.state() == QAbstractItemView.State.EditingState:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selected_ids():
            self.removed.emit(self.selected_ids())
        elif key in (Qt.Key.Key_F2, Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self.edit(index.siblingAtColumn(Column.PHRASE))
        elif key == Qt.Key.Key_Space and index.isValid():
            self._toggle(index.siblingAtColumn(Column.SHOWN))
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and index.isValid():
            size = (10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1) * STEP
            self._move_threshold(index, size if key == Qt.Key.Key_Right else -size)
        else:
            super().keyPressEvent(event)

    def _move_threshold(self, index: QModelIndex, by: float) -> None:
        if not self.isColumnHidden(Column.THRESHOLD):
            threshold = self.prompt_model().prompt(index.row()).threshold
            self.model().setData(index.siblingAtColumn(Column.THRESHOLD), threshold + by)

    def _toggle(self, index: QModelIndex) -> None:
        on = Qt.CheckState(index.data(Qt.ItemDataRole.CheckStateRole)) == Qt.CheckState.Checked
        value = Qt.CheckState.Unchecked if on else Qt.CheckState.Checked
        self.model().setData(index, value, Qt.ItemDataRole.CheckStateRole)

    def _choose_color(self, index: QModelIndex) -> None:
        if index.column() == Column.COLOR:
            chosen = QColorDialog.getColor(QColor(index.data(PROMPT).color), self, "Colour of mask and heat map")
            if chosen.isValid():
                self.model().setData(index, chosen.name())
