"""The second section: what to look for, and what to tell it from."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_clearclip.gui.prompt_view import PromptView
from napari_clearclip.gui.prompts import PromptModel
from napari_clearclip.gui.sections import GAP, Fold, Section, hint
from napari_clearclip.settings import Settings


class PhraseEntry(QWidget):
    """A line to type a phrase into; Enter or the button adds it."""

    entered = Signal(str)

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.button = QPushButton("Add")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.line.returnPressed.connect(self._enter)
        self.button.clicked.connect(self._enter)

    def _enter(self) -> None:
        self.entered.emit(self.line.text())
        self.line.setFocus()


class PromptSection(Section):
    """What to look for, and what to tell it from."""

    added = Signal(str, str)
    edited = Signal(str, dict)
    removed = Signal(list)
    selected = Signal(object)
    undo = Signal()
    redo = Signal()

    def __init__(self) -> None:
        super().__init__("Prompts")
        self.undo_button, self.redo_button = QToolButton(), QToolButton()
        for button, text, tip, signal in (
            (self.undo_button, "↶", "Undo the last change of prompts or settings", self.undo),
            (self.redo_button, "↷", "Redo", self.redo),
        ):
            button.setText(text)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.clicked.connect(signal)
            self.heading.addWidget(button)
        self.entry = PhraseEntry("Type what to look for, press Enter")
        self.entry.line.setToolTip("A phrase; synonyms after commas count as the same: tree, bush")
        self.objects = PromptModel("object", self)
        self.table = PromptView(self.objects)
        self.table.setMinimumHeight(self.table.sizeHint().height())
        self.distractors = PromptModel("distractor", self)
        self.others = PromptView(self.distractors)
        self.others.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.other_entry = PhraseEntry("Add a distractor, press Enter")
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(hint("Phrases that compete with the prompts and get no mask; uncheck one to mute it."))
        column.addWidget(self.others)
        column.addWidget(self.other_entry)
        self.fold = Fold("Distractors", inner)
        for widget, stretch in ((self.entry, 0), (self.table, 1), (self.fold, 0)):
            self.body.addWidget(widget, stretch)
        self.entry.entered.connect(lambda text: self.added.emit(text, "object"))
        self.other_entry.entered.connect(lambda text: self.added.emit(text, "distractor"))
        for model, view in ((self.objects, self.table), (self.distractors, self.others)):
            model.edited.connect(self.edited)
            view.removed.connect(self.removed)
        self.table.current_changed.connect(self.selected)

    def show_settings(self, settings: Settings) -> None:
        """Show the prompts."""
        self.objects.set_prompts(settings.prompts)
        self.distractors.set_prompts(settings.prompts)
        listed = [prompt for prompt in settings.prompts if prompt.kind == "distractor"]
        competing = {prompt.id for prompt in settings.distractors}
        self.distractors.set_aside({prompt.id for prompt in listed if not prompt.muted} - competing)
        self.fold.set_text(f"Distractors: {len(competing)} of {len(listed)} compete")
