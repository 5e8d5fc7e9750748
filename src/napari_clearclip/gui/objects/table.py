"""The table of objects: a Qt model over what was measured, sorted by any column."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView
from superqt.utils import signals_blocked

from napari_clearclip.result import Column, ObjectTable

ABOUT = {
    "id": "Says where the object scores highest: row × width + column + 1",
    "prompt": "The prompt that it was found for",
    "area": "Size",
    "score": "Mean score of its pixels",
    "peak_score": "Highest score of its pixels",
    "row": "Row of its centroid",
    "col": "Column of its centroid",
    "y0": "First row",
    "x0": "First column",
    "y1": "Row after the last",
    "x1": "Column after the last",
    "elongation": "Longer over shorter axis; 1 for a disc",
    "intensity": "Mean of the image in it",
}
_TITLES = {"peak_score": "Peak", "elongation": "Elong.", "intensity": "Intens."}
_WIDTHS = {"id": 62, "prompt": 72, "area": 72}
_WIDTH = 54


class ObjectModel(QAbstractTableModel):
    """Objects as rows."""

    def __init__(self) -> None:
        super().__init__()
        self._table: ObjectTable | None = None
        self._order = np.zeros(0, np.intp)
        self._sorted = 0, Qt.SortOrder.AscendingOrder

    @property
    def table(self) -> ObjectTable | None:
        """What is shown."""
        return self._table

    def set_table(self, table: ObjectTable | None) -> None:
        """Show other objects, sorted as before."""
        self.beginResetModel()
        self._table = table
        self._arrange()
        self.endResetModel()

    def id_at(self, row: int) -> int:
        """The id of the object in a row."""
        return 0 if self._table is None else int(self._table["id"][self._order[row]])

    def row_of(self, id_: int) -> int:
        """The row of an object, or -1."""
        if self._table is None:
            return -1
        found = np.flatnonzero(self._table["id"][self._order] == id_)
        return int(found[0]) if len(found) else -1

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """How many objects there are."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """How many measures there are."""
        return 0 if parent.isValid() or self._table is None else len(self._table.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The text of a cell."""
        if self._table is None or not index.isValid():
            return None
        column = self._table.columns[index.column()]
        value = column.values[self._order[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return text_of(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and column.name != "prompt":
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Name and unit of a measure, and what it is."""
        if self._table is None or orientation != Qt.Orientation.Horizontal:
            return None
        column = self._table.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return _title(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{ABOUT[column.name]}{f', in {column.unit}' if column.unit else ''}. Click to sort."
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; of equal rows the lower id comes first."""
        self._sorted = column, order
        self.layoutAboutToBeChanged.emit()
        before = {index: self.id_at(index.row()) for index in self.persistentIndexList()}
        self._arrange()
        for index, id_ in before.items():
            self.changePersistentIndex(index, self.index(self.row_of(id_), index.column()))
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        if self._table is None:
            self._order = np.zeros(0, np.intp)
            return
        column, order = self._sorted
        values = self._table.columns[min(column, len(self._table.columns) - 1)].values
        keys = np.unique(values, return_inverse=True)[1]
        self._order = np.argsort(keys if order == Qt.SortOrder.AscendingOrder else -keys, kind="stable")


def text_of(value: Any) -> str:
    """A measure as it is read: four digits, ids and texts whole.

    Examples
    --------
    >>> text_of(np.float64(1234.56)), text_of(np.float64(0.98765)), text_of(np.int64(70123)), text_of("cell")
    ('1235', '0.988', '70123', 'cell')
    """
    if not isinstance(value, (float, np.floating)):
        return str(value)
    number = float(value)
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.4g}" if abs(number) >= 1 else f"{number:.3f}"


def _title(column: Column) -> str:
    name = _TITLES.get(column.name, column.name.capitalize() if len(column.name) > 2 else column.name)
    return f"{name} {column.unit}" if column.unit not in ("", "px") else name


class ObjectView(QTableView):
    """The table; `chosen` tells the ids of the objects that the user has selected."""

    chosen = Signal(list)
    deleted = Signal()
    merged = Signal()
    undone = Signal()

    def __init__(self, model: ObjectModel) -> None:
        super().__init__()
        self._objects = model
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(20)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setMinimumSectionSize(36)
        self.setMinimumHeight(150)
        model.modelReset.connect(self._fit)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit(self.chosen_ids()))

    def chosen_ids(self) -> list[int]:
        """The ids of the selected objects, in the order of the rows."""
        return [self._objects.id_at(index.row()) for index in sorted(self.selectionModel().selectedRows())]

    def choose(self, ids: Collection[int]) -> None:
        """Select objects and show the first of them, without telling it."""
        rows = sorted(row for id_ in ids if (row := self._objects.row_of(id_)) >= 0)
        selection = QItemSelection()
        for row in rows:
            index = self._objects.index(row, 0)
            selection.select(index, index)
        flags = QItemSelectionModel.SelectionFlag
        with signals_blocked(self):
            self.selectionModel().select(selection, flags.ClearAndSelect | flags.Rows)
        if rows:
            self.scrollTo(self._objects.index(rows[0], 0))

    def keyPressEvent(self, event: Any) -> None:
        """Delete, merge and undo by key, with the table at hand."""
        if event.matches(QKeySequence.StandardKey.Delete):
            self.deleted.emit()
        elif event.matches(QKeySequence.StandardKey.Undo):
            self.undone.emit()
        elif event.key() == Qt.Key.Key_M and event.modifiers() == Qt.KeyboardModifier.ControlModifier:
            self.merged.emit()
        else:
            super().keyPressEvent(event)

    def _fit(self) -> None:
        """Widths that show what counts most in a narrow dock."""
        table = self._objects.table
        for at, column in enumerate(() if table is None else table.columns):
            self.setColumnWidth(at, _WIDTHS.get(column.name, _WIDTH))
