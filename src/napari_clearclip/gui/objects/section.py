"""The section with the objects: how masks are split, the table, and what can be done with its rows."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_clearclip.edits import View
from napari_clearclip.gui.forms import Form, edit, label_of
from napari_clearclip.gui.objects.table import ObjectModel, ObjectView
from napari_clearclip.gui.sections import GAP, Fold, Section, form_layout, hint
from napari_clearclip.result import ObjectTable
from napari_clearclip.settings import Settings, Splitting

NOTHING = "Choose how masks become single objects, or select any Labels layer to see what is in it."
WAITING = "Press Run, and the objects are listed here."
COUNTING = "Measuring…"


class ObjectSection(Section):
    """How masks are split into objects, and a table of them."""

    changed = Signal(str, dict)
    export = Signal()

    def __init__(self) -> None:
        super().__init__("Objects")
        field = Splitting.model_fields["method"]
        self.method = edit(field)
        form = form_layout()
        form.addRow(label_of("method", field), self.method)
        self.body.addLayout(form)
        self.form = Form(Splitting, skip=("method",))
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.addWidget(self.form)
        self.details = Fold("How they are cut apart", inner)
        self.body.addWidget(self.details)
        self.about = hint(NOTHING)
        self.objects = ObjectModel()
        self.table = ObjectView(self.objects)
        self.export_button = QPushButton("Save table…")
        self.export_button.setToolTip("Write all objects with all measures as comma-separated values (CSV)")
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(GAP)
        self.buttons.addWidget(self.export_button)
        self.buttons.addStretch(1)
        self.body.addWidget(self.about)
        self.body.addWidget(self.table)
        self.body.addLayout(self.buttons)
        self.method.value_changed.connect(lambda value: self.changed.emit("splitting", {"method": value}))
        self.form.value_changed.connect(lambda change: self.changed.emit("splitting", dict([change])))
        self.export_button.clicked.connect(self.export)
        self.show_table(None, NOTHING)

    def show_settings(self, settings: Settings) -> None:
        """Show how masks are split."""
        self.method.set_value(settings.splitting.method)
        self.form.set_value(settings.splitting)
        self.details.setVisible(settings.splitting.method in ("shape", "score"))

    def show_pixel(self, view: View | None) -> None:
        """Show lengths in the unit of the image that is looked at, or in pixels."""
        self.form.set_pixel(view)

    def show_table(self, table: ObjectTable | None, about: str) -> None:
        """Show objects and a line about them; selected ones stay selected."""
        chosen = self.table.chosen_ids()
        self.objects.set_table(table)
        self.table.choose(chosen)
        self.about.setText(about)
        for widget in (self.table, self.export_button):
            widget.setVisible(table is not None)

    def say(self, text: Any) -> None:
        """Say what is going on without taking the table away."""
        self.about.setText(str(text))
