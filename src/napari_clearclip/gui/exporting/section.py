"""The last section: masks into files of other programs."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import GAP, Section, form_layout, hint
from napari_clearclip.io.formats import FORMATS, LOSSES
from napari_clearclip.io.masks import TRAITS

_LEAVE_OUT = "Leave out what the format cannot hold"


class ExportSection(Section):
    """Which format, and the button that asks for a file."""

    export = Signal(str)

    def __init__(self) -> None:
        super().__init__("Export")
        self.formats = Choice()
        for name, form in FORMATS.items():
            self.formats.addItem(form.title, name)
            self.formats.setItemData(self.formats.count() - 1, form.about, Qt.ItemDataRole.ToolTipRole)
        self.about = hint()
        self.leave_out = QCheckBox(_LEAVE_OUT)
        self.leave_out.setToolTip("Without this an export that would lose something is refused, and says what it is.")
        self.button = QPushButton("Export…")
        self.button.setToolTip("Write the masks of all prompts of this image, of every plane that was run")
        form_ = form_layout()
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.formats, 1)
        row.addWidget(self.button)
        form_.addRow("Format", row)
        self.body.addLayout(form_)
        self.body.addWidget(self.about)
        self.body.addWidget(self.leave_out)
        self.formats.currentIndexChanged.connect(self._describe)
        self.button.clicked.connect(lambda: self.export.emit(self.format))
        self._describe()

    @property
    def format(self) -> str:
        """The name of the chosen format."""
        return str(self.formats.currentData())

    def _describe(self) -> None:
        form = FORMATS[self.format]
        missing = [LOSSES[trait] for trait in TRAITS if trait not in form.holds and trait != "many"]
        self.about.setText(f"For {form.about}." + (f" Not for {', '.join(missing)}." if missing else ""))
        self.formats.setToolTip(form.about)

    def show_busy(self, busy: bool) -> None:
        """Show whether a file is being written."""
        self.button.setEnabled(not busy)
        self.button.setText("Writing…" if busy else "Export…")
