"""How the prompt table is worked by mouse and keyboard."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QItemSelectionModel, QModelIndex, QPoint, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QAbstractItemView, QApplication, QColorDialog, QHeaderView, QMenu, QTableView, QWidget

from napari_clearclip.gui.prompts.cells import PromptDelegate, slider_area, slider_width
from napari_clearclip.gui.prompts.menu import menu_for
from napari_clearclip.gui.prompts.table import PROMPT, STEP, Column, PromptModel
from napari_clearclip.settings import COLORS

_CTRL, _ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier


class PromptView(QTableView):
    """The table: one row a prompt, all of it within reach of the keyboard.

    Delete removes the selected rows, F2 or a double click edits, Left and Right move the threshold of the current row,
    Space shows or hides (mutes) it, Ctrl+D copies it, Ctrl+L locks it, Alt+Up and Alt+Down or a drag move it.
    """

    removed = Signal(list)
    moved = Signal(list, object)
    current_changed = Signal(object)
    lock_toggled = Signal(str, bool)
    kind_changed = Signal(str, str)
    automatic = Signal(object)
    clear_edits = Signal(str)
    accept = Signal(str)
    accept_objects = Signal(str)
    released = Signal()

    def __init__(self, model: PromptModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slid: str | None = None
        self._pressed: tuple[str, QPoint] | None = None
        self._target: int | None = None
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
        number = self.fontMetrics().horizontalAdvance("<0.1 %") + 10
        self._fixed = {Column.SHOWN: 26, Column.COLOR: 24, Column.COVERAGE: number, Column.LOCK: 24}
        for column, width in self._fixed.items():
            self.setColumnWidth(column, width)
        if model.kind == "distractor":
            for column in (Column.COLOR, Column.THRESHOLD, Column.COVERAGE, Column.LOCK):
                self.hideColumn(column)
            columns.hide()
        self.setAccessibleName("Prompts" if model.kind == "object" else "Distractors")
        self.doubleClicked.connect(self._on_double_click)
        for signal in (model.rowsInserted, model.rowsRemoved, model.modelReset):
            signal.connect(self.updateGeometry)
        model.rowsRemoved.connect(lambda: self._select(self.currentIndex()))

    def prompt_model(self) -> PromptModel:
        """The model, with its own type."""
        model: PromptModel = self.model()
        return model

    def selected_ids(self) -> list[str]:
        """The ids of the selected rows, from top to bottom."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return [self.prompt_model().prompt(row).id for row in rows]

    def current_id(self) -> str | None:
        """The id of the prompt in the current row, of a copy that of the prompt it was made from, or None."""
        index = self.currentIndex()
        return self.prompt_model().source_of(index.row()).id if index.isValid() else None

    def select_prompt(self, prompt: str | None) -> None:
        """Make a prompt's row the current one."""
        row = self.prompt_model().row_of(prompt or "")
        if row >= 0:
            self._select(self.prompt_model().index(row, Column.PHRASE))

    def _select(self, index: QModelIndex) -> None:
        """Make a row the current and the only selected one, whatever keys are held."""
        kind = QItemSelectionModel.SelectionFlag
        if index.isValid():
            self.selectionModel().setCurrentIndex(index, kind.ClearAndSelect | kind.Rows)

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Tell which prompt is the current one."""
        super().currentChanged(current, previous)
        if current.row() != previous.row():
            self.current_changed.emit(self.current_id())

    # Size and looks

    def sizeHint(self) -> QSize:
        """High enough for the rows, from four to eight of them."""
        rows = min(max(self.model().rowCount(), 4), 8)
        header = 0 if self.horizontalHeader().isHidden() else self.horizontalHeader().sizeHint().height()
        return QSize(300, rows * self.verticalHeader().defaultSectionSize() + header + 4)

    def resizeEvent(self, event: Any) -> None:
        """Share the width between phrase and slider; where it is short, the slider gives way."""
        super().resizeEvent(event)
        free = self.viewport().width() - sum(self._fixed.values())
        phrase = self.fontMetrics().averageCharWidth() * 9 + 28  # eight characters or so, and a sign
        self.setColumnWidth(Column.THRESHOLD, slider_width(int(0.42 * free), free - phrase))

    def paintEvent(self, event: Any) -> None:
        """Say what belongs here while there is nothing; show where a dragged row would go."""
        super().paintEvent(event)
        painter = QPainter(self.viewport())
        ink = self.palette().color(QPalette.ColorRole.Text)
        if self._target is not None:
            painter.setPen(QPen(ink, 3))
            painter.drawLine(0, self._border(self._target), self.viewport().width(), self._border(self._target))
        if not self.model().rowCount():
            ink.setAlphaF(0.6)
            painter.setPen(ink)
            nothing = "Nothing to look for yet:\ntype a phrase above, press Enter"
            text = nothing if self.prompt_model().kind == "object" else "No distractors"
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, text)

    def _border(self, row: int) -> int:
        """The height at which a row starts, or the last one ends."""
        rows = self.verticalHeader()
        at = rows.sectionViewportPosition(row) if row < rows.count() else rows.length() - rows.offset()
        return min(max(at, 1), self.viewport().height() - 2)

    # Mouse: a press on a slider drags it, a press on a phrase drags the row, a click on the lock closes or opens it

    def mousePressEvent(self, event: Any) -> None:
        """Take hold of a slider or a row."""
        super().mousePressEvent(event)
        index = self.indexAt(event.position().toPoint())
        if event.button() != Qt.MouseButton.LeftButton or not index.isValid():
            return
        prompt = index.data(PROMPT)
        groove = slider_area(self.visualRect(index))
        if index.column() == Column.THRESHOLD and not groove.isEmpty():
            self._slid = prompt.id
            self._slide_to(event)
        elif index.column() == Column.LOCK and not self.prompt_model().is_copy(prompt):
            self.lock_toggled.emit(prompt.id, not prompt.locked)
        elif index.column() == Column.PHRASE and not event.modifiers():
            self._pressed = prompt.id, event.position().toPoint()

    def mouseMoveEvent(self, event: Any) -> None:
        """Move the slider or the row that is held."""
        if self._slid is not None:
            self._slide_to(event)
        elif self._pressed is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._drag_to(event.position().toPoint())
        else:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: Any) -> None:
        """Let go of the slider or the row."""
        if self._slid is not None:
            self._slid = None
            self.released.emit()
        pressed, target = self._pressed, self._target
        self._let_go()
        super().mouseReleaseEvent(event)
        if pressed is not None and target is not None:
            self._move([pressed[0]], target)

    def _slide_to(self, event: Any) -> None:
        index = self.model().index(self.prompt_model().row_of(self._slid or ""), Column.THRESHOLD)
        groove = slider_area(self.visualRect(index))
        self.model().setData(index, (event.position().x() - groove.left()) / max(groove.width(), 1))

    def _drag_to(self, at: QPoint) -> None:
        """Show where the held row would go, and scroll where the list goes on."""
        if self._pressed is None:
            return
        if self._target is None and (at - self._pressed[1]).manhattanLength() < QApplication.startDragDistance():
            return
        bar, height = self.verticalScrollBar(), self.verticalHeader().defaultSectionSize()
        beyond = (at.y() > self.viewport().height()) - (at.y() < 0)
        bar.setValue(bar.value() + beyond * height // 2)
        rows = self.model().rowCount()
        self._target = min(max(round((at.y() + self.verticalHeader().offset()) / height), 0), rows)
        self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        self.viewport().update()

    def _let_go(self) -> None:
        """End a drag of a row."""
        self._pressed = self._target = None
        self.viewport().unsetCursor()
        self.viewport().update()

    def _move(self, ids: list[str], target: int) -> None:
        """Tell that rows are to stand where a row starts, if they do not already."""
        model = self.prompt_model()
        after = [model.prompt(row) for row in range(target, model.rowCount())]
        before = next((item.id for item in after if item.id not in ids and not model.is_copy(item)), None)
        rows = sorted(model.row_of(id_) for id_ in ids)
        together = len(rows) == rows[-1] - rows[0] + 1
        if not (together and rows[0] <= target <= rows[-1] + 1):
            self.moved.emit(ids, before)

    # Keyboard

    def event(self, event: QEvent) -> bool:
        """Keep the table's keys from shortcuts of the window."""
        if event.type() == QEvent.Type.ShortcutOverride and self._act_of(event) is not None:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: Any) -> None:
        """Do what the table's keys stand for; the rest is Qt's."""
        if event.key() == Qt.Key.Key_Escape and self._target is not None:
            self._let_go()
        elif self.state() != QAbstractItemView.State.EditingState and (act := self._act_of(event)) is not None:
            act()
        else:
            super().keyPressEvent(event)

    def _act_of(self, event: Any) -> Any:
        """What a key does to the current or the selected rows, or None."""
        key, held = event.key(), event.modifiers()
        if key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selected_ids():
            return self.remove_selected
        if not self.currentIndex().isValid():
            return None
        coarse = 10 if held & Qt.KeyboardModifier.ShiftModifier else 1
        if held & _ALT:
            acts = {Qt.Key.Key_Up: lambda: self.step(-1), Qt.Key.Key_Down: lambda: self.step(1)}
        elif held & _CTRL:
            acts = {Qt.Key.Key_D: self.copy_current, Qt.Key.Key_L: self.toggle_lock}
        else:
            acts = {
                Qt.Key.Key_F2: self.rename,
                Qt.Key.Key_Return: self.rename,
                Qt.Key.Key_Enter: self.rename,
                Qt.Key.Key_Space: self._toggle,
                Qt.Key.Key_Left: lambda: self._move_threshold(-coarse * STEP),
                Qt.Key.Key_Right: lambda: self._move_threshold(coarse * STEP),
            }
        return acts.get(key)

    def contextMenuEvent(self, event: Any) -> None:
        """What can be done with the row under the mouse, or with the current one by the menu key."""
        menu = self.menu()
        if menu is not None:
            by_key = event.reason() == event.Reason.Keyboard
            below = self.visualRect(self.currentIndex()).bottomLeft()
            menu.exec(self.viewport().mapToGlobal(below) if by_key else event.globalPos())
            menu.deleteLater()

    def menu(self) -> QMenu | None:
        """The menu of the current row, or None where there is no prompt."""
        prompt = self.currentIndex().data(PROMPT)
        return None if prompt is None or self.prompt_model().is_copy(prompt) else menu_for(self, prompt)

    # What keys and menu do

    def rename(self) -> None:
        """Edit the phrase of the current row."""
        self.edit(self.currentIndex().siblingAtColumn(Column.PHRASE))

    def remove_selected(self) -> None:
        """Tell that the selected rows are to go."""
        model, ids = self.prompt_model(), self.selected_ids()
        if any(model.is_copy(model.prompt(model.row_of(id_))) for id_ in ids):
            model.drop_copy()
        elif ids:
            self.removed.emit(ids)

    def copy_current(self) -> None:
        """Open a copy of the current row for other words."""
        prompt = self.currentIndex().data(PROMPT)
        if not self.prompt_model().is_copy(prompt):
            index = self.prompt_model().start_copy(prompt)
            self._select(index)
            self.edit(index)

    def toggle_lock(self) -> None:
        """Tell that the current prompt is to be locked or unlocked."""
        prompt = self.currentIndex().data(PROMPT)
        if prompt.kind == "object" and not self.prompt_model().is_copy(prompt):
            self.lock_toggled.emit(prompt.id, not prompt.locked)

    def toggle_otsu(self) -> None:
        """Tell that each image is to set the threshold of the current band expression, or that it stays as it is."""
        prompt = self.currentIndex().data(PROMPT)
        if prompt.index is not None:
            fields = (
                {"threshold": prompt.threshold} if prompt.index.otsu else {"index": prompt.index.replace(otsu=True)}
            )
            self.prompt_model().edited.emit(prompt.id, fields)

    def step(self, by: int) -> None:
        """Tell that the selected rows are to go up or down by one."""
        if ids := self.selected_ids():
            rows = [self.prompt_model().row_of(id_) for id_ in ids]
            target = rows[0] - 1 if by < 0 else rows[-1] + 2
            if 0 <= target <= self.model().rowCount():
                self._move(ids, target)

    def choose_color(self) -> None:
        """Ask for another colour; those that everyone can tell apart are offered."""
        for at, color in enumerate(COLORS):
            QColorDialog.setCustomColor(at, QColor(color))
        index = self.currentIndex().siblingAtColumn(Column.COLOR)
        chosen = QColorDialog.getColor(QColor(index.data(PROMPT).color), self, "Colour of mask and heat map")
        if chosen.isValid():
            self.model().setData(index, chosen.name())

    def _on_double_click(self, index: QModelIndex) -> None:
        if index.column() == Column.COLOR:
            self.choose_color()

    def _move_threshold(self, by: float) -> None:
        index = self.currentIndex().siblingAtColumn(Column.THRESHOLD)
        if not self.isColumnHidden(Column.THRESHOLD):
            self.model().setData(index, index.data(PROMPT).threshold + by)

    def _toggle(self) -> None:
        index = self.currentIndex().siblingAtColumn(Column.SHOWN)
        on = Qt.CheckState(index.data(Qt.ItemDataRole.CheckStateRole)) == Qt.CheckState.Checked
        value = Qt.CheckState.Unchecked if on else Qt.CheckState.Checked
        self.model().setData(index, value, Qt.ItemDataRole.CheckStateRole)
