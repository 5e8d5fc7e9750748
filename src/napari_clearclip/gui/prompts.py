"""The prompt table: a Qt model over the settings' prompts."""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import (
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
        self._aside: Set[str] = frozenset()

    def set_prompts(self, prompts: tuple[Prompt, ...]) -> None:
        """Show these prompts; rows stay where their prompts stay, so that the selection does."""
        prompts = tuple(prompt for prompt in prompts if prompt.kind == self.kind)
        wanted = [prompt.id for prompt in prompts]
        for row in reversed(range(len(self._prompts))):
            if self._prompts[row].id not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                self._prompts = self._prompts[:row] + self._prompts[row + 1 :]
                self.endRemoveRows()
        if [prompt.id for prompt in self._prompts] != [id_ for id_ in wanted if self.row_of(id_) >= 0]:
            self.beginResetModel()
            self._prompts = prompts
            self.endResetModel()
        for row, prompt in enumerate(prompts):
            if self.row_of(prompt.id) < 0:
                self.beginInsertRows(QModelIndex(), row, row)
                self._prompts = (*self._prompts[:row], prompt, *self._prompts[row:])
                self.endInsertRows()
            elif self._prompts[row] != prompt:
                self._prompts = (*self._prompts[:row], prompt, *self._prompts[row + 1 :])
                self._touch(row)

    def _touch(self, row: int) -> None:
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(Column) - 1))

    def _touch_all(self) -> None:
        for row in range(len(self._prompts)):
            self._touch(row)

    def set_coverage(self, coverage: Mapping[str, float]) -> None:
        """Show the share of the image that each prompt has; a dash where it is not known."""
        self._coverage = dict(coverage)
        if self._prompts:
            self.dataChanged.emit(self.index(0, Column.COVERAGE), self.index(len(self._prompts) - 1, Column.COVERAGE))

    def set_unknown(self, unknown: Mapping[str, tuple[str, ...]]) -> None:
        """Flag prompts with words that the model does not know, by id."""
        if unknown != self._unknown:
            self._unknown = dict(unknown)
            self._touch_all()

    def set_aside(self, aside: Set[str]) -> None:
        """Show distractors that do not compete because a prompt asks for the same, by id."""
        if aside != self._aside:
            self._aside = frozenset(aside)
            self._touch_all()

    def works(self, prompt: Prompt) -> bool:
        """Whether a prompt is shown, or a distractor competes."""
        return prompt.visible if self.kind == "object" else not prompt.muted and prompt.id not in self._aside

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
        if role == Qt.ItemDataRole.TextAlignmentRole and section == Column.PHRASE:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
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
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{_TITLES[column][1]}: {self._text(prompt, column) or ''}"
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
            lines = [as_text(prompt)]
            if words:
                lines.append(f"The model has never seen: {', '.join(words)}")
            if prompt.id in self._aside:
                lines.append("Steps aside while a prompt asks for the same")
            return "\n".join(lines)
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
    """A share for people: 0 %, <0.1 %, 4.2 %, 37 %."""
    hundred = 100 * share
    if hundred == 0 or hundred >= 9.95:
        return f"{hundred:.0f} %"
    return "<0.1 %" if hundred < 0.05 else f"{hundred:.1f} %"
