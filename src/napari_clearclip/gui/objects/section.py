"""The section with the objects: how masks are split, the table, and what can be done with its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_clearclip.edits import View
from napari_clearclip.gui.forms import Form, edit, label_of
from napari_clearclip.gui.objects.table import ObjectModel, ObjectView
from napari_clearclip.gui.sections import GAP, Fold, Section, form_layout, hint, title
from napari_clearclip.result import ObjectTable
from napari_clearclip.settings import Linking, Settings, Splitting

NOTHING = "Choose how masks become single objects, or select any Labels layer to see what is in it."
WAITING = "Press Run, and the objects are listed here."
COUNTING = "Measuring…"


class ObjectSection(Section):
    """How masks are split into objects, a table of them, and what can be done with its rows."""

    changed = Signal(str, dict)
    export = Signal()
    mark = Signal(str)
    accept = Signal()
    delete = Signal()
    merge = Signal()
    cut = Signal(bool)
    renumber = Signal()
    named = Signal(str)
    undo = Signal()

    def __init__(self) -> None:
        super().__init__("Objects")
        field = Splitting.model_fields["method"]
        self.method = edit(field)
        form = form_layout()
        form.addRow(label_of("method", field), self.method)
        self.body.addLayout(form)
        self.forms = {"splitting": Form(Splitting, skip=("method",)), "linking": Form(Linking)}
        self.details = Fold("Details", self._details())
        self.body.addWidget(self.details)
        self.about = hint(NOTHING)
        self.objects = ObjectModel()
        self.table = ObjectView(self.objects)
        self.body.addWidget(self.about)
        self.body.addWidget(self.table)
        self._add_buttons()
        self.method.value_changed.connect(lambda value: self.changed.emit("splitting", {"method": value}))
        self.table.deleted.connect(self.delete)
        self.table.merged.connect(self.merge)
        self.table.undone.connect(self.undo)
        self.table.chosen.connect(self._on_chosen)
        self.show_table(None, NOTHING)
        self.show_actions(False, False, ())

    def _details(self) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(GAP)
        for (part, form), text in zip(
            self.forms.items(), ("Where they are cut apart", "From plane to plane"), strict=True
        ):
            column.addWidget(title(text))
            column.addWidget(form)
            form.value_changed.connect(lambda change, part=part: self.changed.emit(part, dict([change])))
        return inner

    def _add_buttons(self) -> None:
        self.delete_button = self._button("Delete", "Delete the chosen objects (Delete)", self.delete)
        self.merge_button = self._button("Merge", "Make one object of the chosen ones (Ctrl+M)", self.merge)
        self.cut_button = self._button("Cut", "Draw a line across objects: what falls apart is cut there", None)
        self.cut_button.setCheckable(True)
        self.cut_button.clicked.connect(self.cut)
        self.renumber_button = self._button("Renumber", "Number all objects of the layer from 1 on", self.renumber)
        self.name_button = self._button("Name", "Say for which prompt the chosen objects are", None)
        self.name_button.setMenu(QMenu(self.name_button))
        self.accept_button = self._button(
            "Accept",
            "Copy the objects into a layer of your own, where they can be changed; their prompts are locked",
            None,
        )
        self.accept_button.clicked.connect(lambda: self.accept.emit())
        self.export_button = self._button("Save table…", "Write all objects with all measures as CSV", self.export)
        self.mark_button = self._button(
            "Mark", "Boxes or points of these objects as a layer of their own: prompts for SAM and its like", None
        )
        self.mark_button.setMenu(QMenu(self.mark_button))
        for text, what in (("Boxes (Shapes layer)", "boxes"), ("Points (Points layer)", "points")):
            self.mark_button.menu().addAction(text, lambda what=what: self.mark.emit(what))
        self._editing = (self.delete_button, self.merge_button, self.cut_button, self.renumber_button, self.name_button)
        for buttons in (self._editing, (self.accept_button, self.mark_button, self.export_button)):
            row = QHBoxLayout()
            row.setSpacing(GAP)
            for button in buttons:
                row.addWidget(button)
            row.addStretch(1)
            self.body.addLayout(row)

    def _button(self, text: str, tip: str, signal: Any) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        if signal is not None:
            button.clicked.connect(lambda: signal.emit())
        return button

    def show_settings(self, settings: Settings) -> None:
        """Show how masks are split."""
        self.method.set_value(settings.splitting.method)
        for part, form in self.forms.items():
            form.set_value(getattr(settings, part))
        self.details.setVisible(settings.splitting.method != "none")

    def show_pixel(self, view: View | None) -> None:
        """Show lengths in the unit of the image that is looked at, or in pixels."""
        for form in self.forms.values():
            form.set_pixel(view)

    def show_table(self, table: ObjectTable | None, about: str) -> None:
        """Show objects and a line about them; selected ones stay selected."""
        chosen = self.table.chosen_ids()
        self.objects.set_table(table)
        self.table.choose(chosen)
        self.about.setText(about)
        for widget in (self.table, self.mark_button, self.export_button):
            widget.setVisible(table is not None)
        self._on_chosen(self.table.chosen_ids())

    def show_actions(self, own: bool, found: bool, phrases: Sequence[str]) -> None:
        """Offer changes to a layer of the user's own, and accepting of what was found."""
        for button in self._editing:
            button.setVisible(own)
        self.accept_button.setVisible(found and not own)
        menu = self.name_button.menu()
        menu.clear()
        for phrase in phrases:
            menu.addAction(phrase, lambda phrase=phrase: self.named.emit(phrase))

    def show_drawing(self, drawing: bool) -> None:
        """Show whether a line is being waited for."""
        self.cut_button.setChecked(drawing)

    def say(self, text: str) -> None:
        """Say what is going on without taking the table away."""
        self.about.setText(text)

    def _on_chosen(self, ids: Sequence[int]) -> None:
        for button, least in ((self.delete_button, 1), (self.merge_button, 2), (self.name_button, 1)):
            button.setEnabled(len(ids) >= least)
