"""The last section: masks into files of other programs, and back."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QMenu, QPushButton

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import GAP, Section, form_layout, hint
from napari_clearclip.io.formats import FORMATS, LOSSES
from napari_clearclip.io.masks import TRAITS

_SOURCES = {
    "Masks from a file…": "file",
    "Masks from a folder (YOLO, PNG, OME-Zarr)…": "folder",
    "The selected Labels layer": "layer",
}
LEAVE_OUT = "Leave out what the format cannot hold"


class ExportSection(Section):
    """Which format, and the buttons that ask for a file."""

    export = Signal(str)
    import_ = Signal(str)
    folder_wanted = Signal()

    def __init__(self) -> None:
        super().__init__("Export and import")
        self.formats = Choice()
        for name, form in FORMATS.items():
            self.formats.addItem(form.title, name)
            self.formats.setItemData(self.formats.count() - 1, form.about, Qt.ItemDataRole.ToolTipRole)
        self.about = hint()
        self.leave_out = QCheckBox(LEAVE_OUT)
        self.leave_out.setToolTip("Without this an export that would lose something is refused, and says what it is.")
        self.button = QPushButton("Export…")
        self.button.setToolTip("Write the masks of all prompts of this image, of every plane that was run")
        self.import_button = QPushButton("Import")
        self.import_button.setToolTip("Masks that are there already become layers of your own on this image")
        self.import_button.setMenu(QMenu(self.import_button))
        for text, what in _SOURCES.items():
            self.import_button.menu().addAction(text, lambda what=what: self.import_.emit(what))
        self.folder_button = QPushButton("Segment a folder…")
        self.folder_button.setToolTip("Segment all images of a folder as this one is set, and write their masks")
        form_ = form_layout()
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.formats, 1)
        row.addWidget(self.button)
        form_.addRow("Format", row)
        self.body.addLayout(form_)
        self.body.addWidget(self.about)
        self.body.addWidget(self.leave_out)
        below = QHBoxLayout()
        below.setSpacing(GAP)
        below.addWidget(self.import_button)
        below.addWidget(self.folder_button)
        below.addStretch(1)
        self.body.addLayout(below)
        self.formats.currentIndexChanged.connect(self._describe)
        self.button.clicked.connect(lambda: self.export.emit(self.format))
        self.folder_button.clicked.connect(self.folder_wanted)
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
        """Show whether a file is being written or read."""
        self.button.setEnabled(not busy)
        self.import_button.setEnabled(not busy)
