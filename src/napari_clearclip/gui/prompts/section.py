"""The second section: what to look for, what to tell it from, and where the thresholds lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_clearclip.engine.automatic import Counts
from napari_clearclip.gui.prompts import indices, listing
from napari_clearclip.gui.prompts.histogram import Thresholds
from napari_clearclip.gui.prompts.indices import START, IndexButton
from napari_clearclip.gui.prompts.phrase_line import PhraseEntry
from napari_clearclip.gui.prompts.ranges import IndexRange, Ranges
from napari_clearclip.gui.prompts.table import PromptModel
from napari_clearclip.gui.prompts.view import PromptView
from napari_clearclip.gui.sections import GAP, Fold, Section, hint
from napari_clearclip.gui.teaching.bar import TeachBar
from napari_clearclip.settings import Prompt, Settings

_JSON, _TEXT = "Prompts with colours and thresholds (*.json)", "Phrases only (*.txt)"


class PromptSection(Section):
    """What to look for, and what to tell it from."""

    added = Signal(str, str)
    index_chosen = Signal(str, object)
    pasted = Signal(str, str)
    edited = Signal(str, dict)
    duplicated = Signal(str, str)
    removed = Signal(list)
    moved = Signal(list, object)
    kind_changed = Signal(str, str)
    lock_toggled = Signal(str, bool)
    automatic = Signal(object)
    ranged = Signal(str, dict)
    clear_edits = Signal(str)
    accept = Signal(str)
    accept_objects = Signal(str)
    accept_all = Signal()
    released = Signal()
    refused = Signal(str)
    opened = Signal(str)
    saved = Signal(str)
    emptied = Signal()
    selected = Signal(object)
    undo = Signal()
    redo = Signal()

    def __init__(self) -> None:
        super().__init__("Prompts")
        self._settings = Settings()
        self.bands: tuple[str, ...] = ()
        self._scores: Mapping[str, Counts] = {}
        self._ranges: Ranges = {}
        self._fill_heading()
        self.entry = PhraseEntry(
            "Type what to look for, press Enter",
            "A phrase; synonyms after commas count as the same: tree, bush. Pasted lines are one prompt each.",
        )
        self.objects = PromptModel("object", self)
        self.table = PromptView(self.objects)
        self.table.setMinimumHeight(self.table.sizeHint().height())
        self.teaching = TeachBar()
        self.range = IndexRange()
        self.thresholds = Thresholds()
        self.distractors = PromptModel("distractor", self)
        self.others = PromptView(self.distractors)
        self.others.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.other_entry = PhraseEntry("Add a distractor, press Enter", "Something that is there but not looked for")
        self.fold = Fold("Distractors", self._fold_inner())
        self.index_button = IndexButton()
        self.entry.layout().addWidget(self.index_button)
        self.about_index = hint("")
        self.about_index.setVisible(False)
        for widget, stretch in (
            (self.entry, 0),
            (self.about_index, 0),
            (self.table, 1),
            (self.teaching, 0),
            (self.range, 0),
            (self.thresholds, 0),
            (self.fold, 0),
        ):
            self.body.addWidget(widget, stretch)
        self._connect()

    def _fill_heading(self) -> None:
        """Buttons beside the heading: undo, redo, and what concerns the whole list."""
        self.undo_button, self.redo_button, self.list_button = QToolButton(), QToolButton(), QToolButton()
        for button, text, tip in (
            (self.undo_button, "↶", "Undo the last change of prompts or settings"),
            (self.redo_button, "↷", "Redo"),
            (self.list_button, "…", "Open, save or empty the list of prompts"),
        ):
            button.setText(text)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            self.heading.addWidget(button)
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        menu = QMenu(self.list_button)
        menu.setToolTipsVisible(True)
        menu.addAction("Open list…", self._ask_open)
        self.save_action = menu.addAction("Save list…", self._ask_save)
        self.accept_action = menu.addAction("Accept all as one layer", self.accept_all.emit)
        self.accept_action.setToolTip(
            "Copy all visible masks into one plain Labels layer, then lock and hide the prompts"
        )
        menu.addSeparator()
        self.empty_action = menu.addAction("Remove all prompts", self.emptied.emit)
        self.list_button.setMenu(menu)
        self.list_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.list_button.setStyleSheet("QToolButton::menu-indicator { image: none; width: 0; }")

    def _fold_inner(self) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(hint("Phrases that compete with the prompts and get no mask; uncheck one to mute it."))
        column.addWidget(self.others)
        column.addWidget(self.other_entry)
        return inner

    def _connect(self) -> None:
        self.index_button.chosen.connect(self.index_chosen)
        self.index_button.begun.connect(self._begin_index)
        self.entry.line.textChanged.connect(self._show_about_index)
        for entry, kind in ((self.entry, "object"), (self.other_entry, "distractor")):
            entry.entered.connect(lambda text, kind=kind: self.added.emit(text, kind))
            entry.pasted.connect(lambda text, kind=kind: self.pasted.emit(text, kind))
        for model, view in ((self.objects, self.table), (self.distractors, self.others)):
            model.check = self._refusal
            for ours, theirs in (
                (self.edited, model.edited),
                (self.duplicated, model.duplicated),
                (self.refused, model.refused),
                (self.removed, view.removed),
                (self.moved, view.moved),
                (self.kind_changed, view.kind_changed),
                (self.lock_toggled, view.lock_toggled),
                (self.automatic, view.automatic),
                (self.clear_edits, view.clear_edits),
                (self.accept, view.accept),
                (self.accept_objects, view.accept_objects),
                (self.released, view.released),
            ):
                theirs.connect(ours)
        self.range.changed.connect(self.ranged)
        self.thresholds.automatic.connect(self.automatic)
        self.thresholds.released.connect(self.released)
        self.thresholds.threshold_moved.connect(lambda id_, value: self.edited.emit(id_, {"threshold": value}))
        self.table.current_changed.connect(self.selected)
        self.table.current_changed.connect(self._show_scores)

    @property
    def shown(self) -> Settings:
        """The settings that are shown; a threshold that each image sets is that of the one looked at."""
        return self._settings

    def show_settings(self, settings: Settings) -> None:
        """Show the prompts."""
        self._settings = settings
        self.objects.set_prompts(settings.prompts)
        self.distractors.set_prompts(settings.prompts)
        listed = [prompt for prompt in settings.prompts if prompt.kind == "distractor"]
        competing = {prompt.id for prompt in settings.distractors}
        self.distractors.set_aside({prompt.id for prompt in listed if not prompt.muted} - competing)
        self.fold.set_text(f"Distractors: {len(competing)} of {len(listed)} compete")
        self.thresholds.show_deciding(settings.deciding)
        self.save_action.setEnabled(bool(settings.prompts))
        self.empty_action.setEnabled(bool(settings.objects))
        self._show_scores()

    def set_scores(self, scores: Mapping[str, Counts], ranges: Ranges) -> None:
        """Show scores, and the values of band expressions, of what is looked at, by prompt; empty before it was run."""
        self._scores, self._ranges = scores, ranges
        self._show_scores()

    def _show_scores(self, *_: object) -> None:
        """Show the scores of the current prompt, or of the first where none is."""
        objects = self._settings.objects
        current = self.table.current_id()
        prompt = next((item for item in objects if item.id == current), objects[0] if objects else None)
        counts = None if prompt is None else self._scores.get(prompt.id)
        some = any(item.id in self._scores and not item.locked for item in objects)
        self.thresholds.show_scores(prompt, counts, some)
        self.range.show_prompt(prompt, self._ranges)

    def _refusal(self, prompt: Prompt, text: str) -> str:
        """Why a prompt cannot have a text, or a copy of it be made with it."""
        settings = self._settings
        if any(item.id == prompt.id for item in settings.prompts):
            reason = listing.refusal(lambda: listing.changed(settings, (prompt.id,), text=text))
        else:
            reason = listing.refusal(lambda: listing.added(settings, text, prompt.kind))
        return reason or indices.refusal(text, self.bands)

    # Band expressions

    def set_bands(self, bands: Sequence[str]) -> None:
        """Take what the channels of the image are called, empty where they have no name; none without an image."""
        self.bands = tuple(bands)
        self.index_button.set_bands(bands)
        self._show_about_index(self.entry.line.text())

    def _begin_index(self, text: str) -> None:
        """Put the beginning of an expression into the line, its name selected where it has none of its own."""
        self.entry.line.setText(text)
        self.entry.line.setFocus()
        if text == START:
            self.entry.line.setSelection(0, len(text.split()[0]))

    def _show_about_index(self, text: str) -> None:
        about = indices.about(text, self.bands)
        self.about_index.setText(about)
        self.about_index.setVisible(bool(about))

    def _ask_open(self) -> None:
        kinds = "Lists of prompts and classes (*.json *.txt *.names *.yaml *.yml)"
        path, _ = QFileDialog.getOpenFileName(self, "Open a list of prompts", "", kinds)
        if path:
            self.opened.emit(path)

    def _ask_save(self) -> None:
        path, chosen = QFileDialog.getSaveFileName(self, "Save the list of prompts", "prompts", f"{_JSON};;{_TEXT}")
        if path:
            has_ending = path.lower().endswith((".json", ".txt"))
            self.saved.emit(path if has_ending else path + (".txt" if chosen == _TEXT else ".json"))
