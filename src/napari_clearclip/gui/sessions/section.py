"""The section that keeps everything in a file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton

from napari_clearclip.gui.sections import GAP, Section, breakable, hint

_NO_FILE = "Everything in the viewer as one file: prompts, what was painted, accepted layers."


class SessionSection(Section):
    """Save, save as, open, and what else to keep."""

    save = Signal()
    save_as = Signal()
    open = Signal()

    def __init__(self) -> None:
        super().__init__("Session")
        self.about = hint(_NO_FILE)
        self.save_button, self.save_as_button = QPushButton("Save"), QPushButton("Save as…")
        self.open_button = QPushButton("Open…")
        self.results = QCheckBox("Keep masks and scores")
        self.pixels = QCheckBox("Keep the images themselves")
        self.pixels.setToolTip("Otherwise the session names their files. Small images without a file are kept anyway.")
        row = QHBoxLayout()
        row.setSpacing(GAP)
        for button in (self.save_button, self.save_as_button, self.open_button):
            row.addWidget(button, 1)
        self.results.setToolTip("Then nothing has to be computed when the session is opened; the file is larger.")
        self.body.addWidget(self.about)
        self.body.addLayout(row)
        for box in (self.results, self.pixels):
            self.body.addWidget(box)
        self.save_button.clicked.connect(self.save)
        self.save_as_button.clicked.connect(self.save_as)
        self.open_button.clicked.connect(self.open)

    def show_file(self, path: Path | None) -> None:
        """Name the file that Save writes to."""
        self.about.setText(_NO_FILE if path is None else f"In {breakable(path.name)}")
        self.about.setToolTip("" if path is None else str(path))

    def show_busy(self, busy: bool) -> None:
        """Show whether a file is being read or written."""
        for button in (self.save_button, self.save_as_button, self.open_button):
            button.setEnabled(not busy)
