"""The prompt table: a Qt model over the settings' prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from enum import IntEnum
from html import escape
from typing import Any, NamedTuple

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_clearclip.expression import parse
from napari_clearclip.gui.prompts.ranges import CONTEST
from napari_clearclip.settings import Index, Prompt


class Column(IntEnum):
    """What stands where."""

    SHOWN = 0
    COLOR = 1
    PHRASE = 2
    THRESHOLD = 3
    COVERAGE = 4
    LOCK = 5


class Draft(NamedTuple):
    """What was typed and refused, and why."""

    text: str
    reason: str


_TITLES = {
    Column.SHOWN: ("", "Shown or hidden (Space)"),
    Column.COLOR: ("", "Colour of mask and heat map; double-click to change it"),
    Column.PHRASE: (
        "Look for",
        "Phrase, then synonyms after commas, or NAME = band expression (fx); double-click to edit, drag to reorder "
        "(Alt+Up, Alt+Down), Delete removes",
    ),
    Column.THRESHOLD: ("Threshold", "A pixel belongs to the prompt from this score on; drag, or use Left and Right"),
    Column.COVERAGE: ("Area", "Share of the image that the prompt has"),
    Column.LOCK: ("", "Locked: the mask stays as it is whatever the model says (Ctrl+L)"),
}
_MUTE = "Competes or is muted (Space)"
_COPY = "copy of "
STEP = 0.01
PROMPT = Qt.ItemDataRole.UserRole


class PromptModel(QAbstractTableModel):
    """Prompts of one kind as rows; what the user changes is told by `edited` and shown once it is accepted.

    Text that is refused stays in its row as a draft, and so does a copy until it has words of its own.
    """

    edited = Signal(str, dict)
    duplicated = Signal(str, str)
    refused = Signal(str)

    def __init__(self, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self.check: Callable[[Prompt, str], str] = lambda _prompt, _text: ""
        self._prompts: tuple[Prompt, ...] = ()
        self._copied: tuple[str, Prompt] | None = None
        self._drafts: dict[str, Draft] = {}
        self._coverage: Mapping[str, float] = {}
        self._unknown: Mapping[str, tuple[str, ...]] = {}
        self._aside: Set[str] = frozenset()

    def set_prompts(self, prompts: tuple[Prompt, ...]) -> None:
        """Show these prompts; rows stay where their prompts stay, so that the selection does."""
        prompts = self._with_copy(tuple(prompt for prompt in prompts if prompt.kind == self.kind))
        wanted = [prompt.id for prompt in prompts]
        for row in reversed(range(len(self._prompts))):
            if self._prompts[row].id not in wanted:
                self._drafts.pop(self._prompts[row].id, None)
                self.beginRemoveRows(QModelIndex(), row, row)
                self._prompts = self._prompts[:row] + self._prompts[row + 1 :]
                self.endRemoveRows()
        self._arrange(wanted)
        for row, prompt in enumerate(prompts):
            if self.row_of(prompt.id) < 0:
                self.beginInsertRows(QModelIndex(), row, row)
                self._prompts = (*self._prompts[:row], prompt, *self._prompts[row:])
                self.endInsertRows()
            elif self._prompts[row] != prompt:
                if self._prompts[row].text != prompt.text:
                    self._drafts.pop(prompt.id, None)
                self._prompts = (*self._prompts[:row], prompt, *self._prompts[row + 1 :])
                self._touch(row)

    def _arrange(self, wanted: list[str]) -> None:
        """Bring the rows that are there into the order that is wanted; current row and selection go with them."""
        arranged = tuple(sorted(self._prompts, key=lambda prompt: wanted.index(prompt.id)))
        if arranged == self._prompts:
            return
        self.layoutAboutToBeChanged.emit()
        old = self.persistentIndexList()
        ids = [self._prompts[index.row()].id for index in old]
        self._prompts = arranged
        moved = [self.index(self.row_of(id_), index.column()) for id_, index in zip(ids, old, strict=True)]
        self.changePersistentIndexList(old, moved)
        self.layoutChanged.emit()

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

    # Copies and drafts

    def _with_copy(self, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        """Prompts with the copy that waits for words of its own below the one it was made from."""
        if self._copied is None:
            return prompts
        source, copy = self._copied
        at = next((row for row, prompt in enumerate(prompts, 1) if prompt.id == source), len(prompts))
        return (*prompts[:at], copy, *prompts[at:])

    def start_copy(self, prompt: Prompt) -> QModelIndex:
        """A row below a prompt with the same words, which becomes a prompt once they are changed; its phrase cell."""
        self.drop_copy()
        self._copied = prompt.id, prompt.replace(id=_COPY + prompt.id)
        self.set_prompts(self._prompts)
        return self.index(self.row_of(_COPY + prompt.id), Column.PHRASE)

    def is_copy(self, prompt: Prompt) -> bool:
        """Whether a row is a copy that is no prompt yet."""
        return self._copied is not None and self._copied[1].id == prompt.id

    def source_of(self, row: int) -> Prompt:
        """The prompt in a row, or the one that the copy in it was made from."""
        prompt = self._prompts[row]
        made_from = self.row_of(self._copied[0]) if self._copied is not None and self.is_copy(prompt) else row
        return self._prompts[made_from] if made_from >= 0 else prompt

    def drop_copy(self) -> None:
        """Take the copy away."""
        if self._copied is not None:
            rest = tuple(prompt for prompt in self._prompts if not self.is_copy(prompt))
            self._copied = None
            self.set_prompts(rest)

    def give_up(self, row: int) -> None:
        """Forget what was typed into a row and refused, and a copy altogether."""
        prompt = self._prompts[row]
        if self._drop_draft(row):
            self.refused.emit("")
        if self.is_copy(prompt):
            self.drop_copy()

    def _drop_draft(self, row: int) -> bool:
        """Forget what was refused in a row; whether there was something."""
        draft = self._drafts.pop(self._prompts[row].id, None)
        if draft is not None:
            self._touch(row)
        return draft is not None

    def draft(self, row: int) -> Draft | None:
        """What was typed into a row and refused."""
        return self._drafts.get(self._prompts[row].id)

    def refusal(self, row: int, text: str) -> str:
        """Why a text is refused in a row; empty if it is not."""
        prompt = self._prompts[row]
        return "" if text == prompt.text and not self.is_copy(prompt) else self.check(prompt, text)

    def _set_text(self, index: QModelIndex, text: str) -> None:
        """Tell of another text, or keep it as a draft."""
        prompt = self._prompts[index.row()]
        reason = self.refusal(index.row(), text)
        if self.is_copy(prompt) and text == prompt.text:
            QTimer.singleShot(0, self.drop_copy)  # the editor is still open
        elif reason:
            self._drafts[prompt.id] = Draft(text, reason)
            self._touch(index.row())
            self.refused.emit(reason)
        elif self.is_copy(prompt) and self._copied is not None:
            source = self._copied[0]
            self._copied = None
            QTimer.singleShot(0, lambda: self.duplicated.emit(source, text))
        else:
            if self._drop_draft(index.row()):
                self.refused.emit("")
            if text != prompt.text:
                self.edited.emit(prompt.id, {"text": text})

    # What Qt asks

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """One row a prompt."""
        return 0 if parent.isValid() else len(self._prompts)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """As many as `Column` has."""
        return 0 if parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
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
        if role == Qt.ItemDataRole.EditRole and column == Column.PHRASE:
            return self._typed(prompt)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(prompt, column)
        if role == Qt.ItemDataRole.CheckStateRole and column == Column.SHOWN:
            shown = prompt.visible if self.kind == "object" else not prompt.muted
            return Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(prompt, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column == Column.COVERAGE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(prompt, column)
        return None

    def unknown(self, index: QModelIndex) -> tuple[str, ...]:
        """The words of the prompt in a row that the model does not know."""
        return tuple(self._unknown.get(self._prompts[index.row()].id, ()))

    def _typed(self, prompt: Prompt) -> str:
        """What was typed for a prompt."""
        return self._drafts[prompt.id].text if prompt.id in self._drafts else prompt.text

    def _text(self, prompt: Prompt, column: Column) -> str | None:
        if column == Column.PHRASE:
            return prompt.phrase if prompt.index and prompt.id not in self._drafts else self._typed(prompt)
        if column == Column.THRESHOLD:
            return f"{prompt.threshold:.2f}"
        if column == Column.COVERAGE:
            share = self._coverage.get(prompt.id)
            return "–" if share is None else percent(share)
        return None

    def _spoken(self, prompt: Prompt, column: Column) -> str:
        """What a screen reader says of a cell."""
        if column == Column.PHRASE:
            return "; ".join(self._about(prompt))
        if column == Column.LOCK:
            return "Locked" if prompt.locked else "Not locked"
        if column == Column.COLOR:
            return f"Colour {prompt.color}"
        if column == Column.SHOWN:
            return "Works" if self.works(prompt) else "Hidden" if self.kind == "object" else "Does not compete"
        return f"{_TITLES[column][0]} {self._text(prompt, column)}"

    def _tip(self, prompt: Prompt, column: Column) -> str:
        if column == Column.SHOWN and self.kind == "distractor":
            return _MUTE
        if column != Column.PHRASE:
            return _TITLES[column][1]
        return "<qt>" + "<br>".join(escape(line) for line in self._about(prompt)) + "</qt>"  # rich text is wrapped

    def _about(self, prompt: Prompt) -> list[str]:
        """What there is to say about a phrase."""
        lines = [prompt.text]
        if draft := self._drafts.get(prompt.id):
            kept = "no prompt yet" if self.is_copy(prompt) else f"still looking for “{lines[0]}”"
            lines = [draft.text or "(empty)", draft.reason, f"Press F2 to mend it, Escape there to give it up; {kept}"]
        elif prompt.index is not None:
            lines += [_about_index(prompt.index), CONTEST]
        if words := self._unknown.get(prompt.id, ()):
            unknown = "This image has no band" if prompt.index else "The model has never seen:"
            lines.append(f"{unknown} {', '.join(words)}")
        if prompt.id in self._aside:
            lines.append("Steps aside while a prompt asks for the same")
        return lines

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Tell what the user wants in a cell; it is shown once it is accepted."""
        if not index.isValid():
            return False
        prompt, column = self._prompts[index.row()], Column(index.column())
        if column == Column.PHRASE:
            self._set_text(index, str(value))
        elif self.is_copy(prompt) or column in (Column.COVERAGE, Column.LOCK):
            return False
        elif column == Column.SHOWN and role == Qt.ItemDataRole.CheckStateRole:
            on = Qt.CheckState(value) == Qt.CheckState.Checked
            self.edited.emit(prompt.id, {"visible": on} if self.kind == "object" else {"muted": not on})
        elif column == Column.THRESHOLD and not prompt.locked:
            self.edited.emit(prompt.id, {"threshold": min(max(round(float(value), 2), 0.0), 1.0)})
        elif column == Column.COLOR:
            self.edited.emit(prompt.id, {"color": str(value)})
        else:
            return False
        return True


def _about_index(index: Index) -> str:
    """How values of a band expression become scores, in a sentence."""
    if index.low is not None and index.high is not None:
        scaled = f"Values from {index.low:g} to {index.high:g} are scored 0 to 1"
    elif parse(index.expression).is_normalized_difference:
        scaled = "Values from -1 to 1 are scored 0 to 1"
    else:
        scaled = "Values are scored 0 to 1 between the lowest and highest 0.1 % of the image"
    return f"{scaled}; each image sets the threshold (Otsu's method)" if index.otsu else scaled


def percent(share: float) -> str:
    """A share for people: 0 %, <0.1 %, 4.2 %, 37 %."""
    hundred = 100 * share
    if hundred == 0 or hundred >= 9.95:
        return f"{hundred:.0f} %"
    return "<0.1 %" if hundred < 0.05 else f"{hundred:.1f} %"
