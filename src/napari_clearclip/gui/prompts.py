"""The prompt table: a Qt model over the settings' prompts, how it is drawn, and its view."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRect, Qt, Signal
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

from napari_clearclip.gui.prompt_list import as_text
from napari_clearclip.settings import Prompt


class Column(IntEnum):
    """What stands where."""

    SHOWN = 0
    COLOR = 1
    PHRASE = 2
    THRESHOLD = 3
    COVERAGE = 4


_TITLES = {
    Column.SHOWN: ("", "Shown or hidden"),
    Column.COLOR: ("", "Colour of mask and heat map; double-click to change it"),
    Column.PHRASE: ("Look for", "Phrase, then synonyms after commas; double-click to edit, Delete removes"),
    Column.THRESHOLD: ("Threshold", "A pixel belongs to the prompt from this score on; drag, or use Left and Right"),
    Column.COVERAGE: ("Area", "Share of the image that the prompt has"),
}
STEP = 0.01
PROMPT = Qt.ItemDataRole.UserRole


class PromptModel(QAbstractTableModel):
    """Prompts of one kind as rows; what the user changes is told by `edited` and shown once it is accepted."""

    edited = Signal(str, dict)

    def __init__(self, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self._prompts: tuple[Prompt, ...] = ()
        self._coverage: Mapping[str, float] = {}
        self._unknown: Mapping[str, tuple[str, ...]] = {}

    def set_prompts(self, prompts: tuple[Prompt, ...]) -> None:
        """Show these prompts; rows stay where their prompts stay."""
        prompts = tuple(prompt for prompt in prompts if prompt.kind == self.kind)
        old = self._prompts
        if [p.id for p in prompts] == [p.id for p in old]:
            self._prompts = prompts
            self._refresh(old)
        elif prompts[: len(old)] == old:
            self.beginInsertRows(QModelIndex(), len(old), len(prompts) - 1)
            self._prompts = prompts
            self.endInsertRows()
        else:
            self.beginResetModel()
            self._prompts = prompts
            self.endResetModel()

    def _refresh(self, old: tuple[Prompt, ...]) -> None:
        """Redraw the rows that differ."""
        for row, (before, now) in enumerate(zip(old, self._prompts, strict=True)):
            if before != now:
                self._touch(row)

    def _touch(self, row: int) -> None:
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(Column) - 1))

    def set_coverage(self, coverage: Mapping[str, float]) -> None:
        """Show the share of the image that each prompt has; a dash where it is not known."""
        self._coverage = dict(coverage)
        if self._prompts:
            self.dataChanged.emit(self.index(0, Column.COVERAGE), self.index(len(self._prompts) - 1, Column.COVERAGE))

    def set_unknown(self, unknown: Mapping[str, tuple[str, ...]]) -> None:
        """Flag prompts with words that the model does not know, by id."""
        if unknown != self._unknown:
            self._unknown = dict(unknown)
            for row in range(len(self._prompts)):
                self._touch(row)

    def prompt(self, row: int) -> Prompt:
        """The prompt in a row."""
        return self._prompts[row]

    def row_of(self, prompt: str) -> int:
        """The row of a prompt, or -1."""
        return next((row for row, item in enumerate(self._prompts) if item.id == prompt), -1)

    # What Qt asks

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """One row a prompt."""
        return 0 if parent.isValid() else len(self._prompts)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """As many as `Column` has."""
        return 0 if parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802
        """Title and help of a column."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, tip = _TITLES[Column(section)]
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        return tip if role == Qt.ItemDataRole.ToolTipRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """The check box can be checked, the phrase edited."""
        flags = super().flags(index)
        if not index.isValid():
            return flags
        if index.column() == Column.SHOWN:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        if index.column() == Column.PHRASE:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """What a cell shows; the prompt itself under the role `PROMPT`."""
        if not index.isValid():
            return None
        prompt, column = self._prompts[index.row()], Column(index.column())
        if role == PROMPT:
            return prompt
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(prompt, column)
        if role == Qt.ItemDataRole.CheckStateRole and column == Column.SHOWN:
            shown = prompt.visible if self.kind == "object" else not prompt.muted
            return Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.TextAlignmentRole and column == Column.COVERAGE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(prompt, column)
        return None

    def unknown(self, index: QModelIndex) -> tuple[str, ...]:
        """The words of the prompt in a row that the model does not know."""
        return tuple(self._unknown.get(self._prompts[index.row()].id, ()))

    def _text(self, prompt: Prompt, column: Column) -> str | None:
        if column == Column.PHRASE:
            return as_text(prompt)
        if column == Column.THRESHOLD:
            return f"{prompt.threshold:.2f}"
        if column == Column.COVERAGE:
            share = self._coverage.get(prompt.id)
            return "–" if share is None else percent(share)
        return None

    def _tip(self, prompt: Prompt, column: Column) -> str | None:
        words = self._unknown.get(prompt.id, ())
        if column == Column.PHRASE:
            known = f"\nThe model has never seen: {', '.join(words)}" if words else ""
            return as_text(prompt) + known
        return _TITLES[column][1]

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802
        """Tell what the user wants in a cell; it is shown once it is accepted."""
        if not index.isValid():
            return False
        prompt, column = self._prompts[index.row()], Column(index.column())
        if column == Column.SHOWN and role == Qt.ItemDataRole.CheckStateRole:
            on = Qt.CheckState(value) == Qt.CheckState.Checked
            self.edited.emit(prompt.id, {"visible": on} if self.kind == "object" else {"muted": not on})
        elif column == Column.PHRASE:
            if str(value) != as_text(prompt):
                self.edited.emit(prompt.id, {"text": str(value)})
        elif column == Column.THRESHOLD:
            self.edited.emit(prompt.id, {"threshold": min(max(round(float(value), 2), 0.0), 1.0)})
        elif column == Column.COLOR:
            self.edited.emit(prompt.id, {"color": str(value)})
        else:
            return False
        return True


def percent(share: float) -> str:
    """A share for people: 0 %, 0.03 %, 4.2 %, 37 %."""
    hundred = 100 * share
    if hundred == 0 or hundred >= 9.95:
        return f"{hundred:.0f} %"
    return "< 0.01 %" if hundred < 0.01 else f"{hundred:.{1 if hundred >= 0.995 else 2}f} %"


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
        ink = self._ink(option, prompt)
        if column == Column.COLOR:
            _draw_swatch(painter, option.rect, prompt, ink)
        elif column == Column.THRESHOLD:
            _draw_slider(painter, option.rect, prompt, text, ink)
        else:
            self._draw_phrase(painter, option, index, prompt, text, ink)
        painter.restore()

    def _ink(self, option: Any, prompt: Prompt) -> QColor:
        """The colour of text: as in the theme, faint for what is hidden or muted."""
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        ink = QColor(option.palette.color(role))
        shown = prompt.visible if prompt.kind == "object" else not prompt.muted
        ink.setAlphaF(1.0 if shown else 0.5)
        return ink

    def _draw_phrase(
        self, painter: QPainter, option: Any, index: QModelIndex, prompt: Prompt, text: str, ink: QColor
    ) -> None:
        area = option.rect.adjusted(4, 0, -4, 0)
        words = index.model().unknown(index)
        font = option.font
        font.setStrikeOut(prompt.muted)
        painter.setFont(font)
        if words:
            mark = QRect(area.right() - 15, area.center().y() - 7, 15, 15)
            area.setRight(mark.left() - 4)
            _draw_flag(painter, mark)
        painter.setPen(ink)
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


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
        wide = self.fontMetrics().horizontalAdvance
        for column, width in (
            (Column.SHOWN, 26),
            (Column.COLOR, 24),
            (Column.THRESHOLD, wide("0.00") + 86),
            (Column.COVERAGE, wide("< 0.01 %") + 8),
        ):
            self.setColumnWidth(column, width)
        if model.kind == "distractor":
            for column in (Column.COLOR, Column.THRESHOLD, Column.COVERAGE):
                self.hideColumn(column)
            columns.hide()
        self.doubleClicked.connect(self._choose_color)

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
        if key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selected_ids():
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
