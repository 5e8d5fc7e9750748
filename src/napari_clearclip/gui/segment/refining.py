"""The fourth section: what refines and tidies masks, one click for all of it, and each part folded below."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_clearclip.chains import CHAINS, Chain, chain_name
from napari_clearclip.edits import View
from napari_clearclip.gui.forms import Choice, Form
from napari_clearclip.gui.sections import GAP, Fold, Section, form_layout, hint, title
from napari_clearclip.gui.segment.section import LABEL_WIDTH, NOISE
from napari_clearclip.settings import Cleaning, Comparing, Refining, Settings

CUSTOM = "Custom"
ABOUT_CUSTOM = "Your own combination, set below. Choose a name to go back to one."


class RefineSection(Section):
    """What refines and tidies masks: a choice of chains, and the forms of the settings it sets."""

    changed = Signal(str, dict)
    chain_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Refine")
        self._name = ""
        self.chains, self.about = Choice(), hint()
        for name, chain in CHAINS.items():
            self.chains.addItem(chain.title, name)
            self.chains.setItemData(self.chains.count() - 1, chain.summary, Qt.ItemDataRole.ToolTipRole)
        self.chains.addItem(CUSTOM, "")
        row, label = form_layout(), QLabel("Preset")
        label.setMinimumWidth(LABEL_WIDTH)
        row.addRow(label, self.chains)
        self.body.addLayout(row)
        self.body.addWidget(self.about)
        self.forms = {
            "comparing": Form(Comparing, skip=tuple(name for name in Comparing.model_fields if name not in NOISE)),
            "refining": Form(Refining),
            "cleaning": Form(Cleaning),
        }
        self.details = Fold("Details", self._details())
        self.body.addWidget(self.details)
        self.chains.activated.connect(self._choose)

    def _details(self) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(GAP)
        for (part, form), text in zip(
            self.forms.items(), ("Noise of patches", "Edges of the image", "Masks"), strict=True
        ):
            column.addWidget(title(text))
            column.addWidget(form)
            form.value_changed.connect(lambda change, part=part: self.changed.emit(part, dict([change])))
        return inner

    def _choose(self) -> None:
        chain: Chain | None = CHAINS.get(self.chains.currentData())
        if chain is None:
            self.details.button.setChecked(True)  # where one's own is set
            self._show_name()
        else:
            self.chain_chosen.emit(chain)

    def show_settings(self, settings: Settings) -> None:
        """Show the chain and the folded fields."""
        self._name = chain_name(settings)
        self._show_name()
        for part, form in self.forms.items():
            form.set_value(getattr(settings, part))

    def show_pixel(self, view: View | None) -> None:
        """Show lengths and areas in the unit of the image that is looked at, or in pixels."""
        for form in self.forms.values():
            form.set_pixel(view)

    def _show_name(self) -> None:
        chain = CHAINS.get(self._name)
        self.chains.setCurrentText(CUSTOM if chain is None else chain.title)
        self.about.setText(ABOUT_CUSTOM if chain is None else chain.summary)
