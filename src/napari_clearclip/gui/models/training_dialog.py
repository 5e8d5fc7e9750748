"""The window in which a student is trained: on what, for how long, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_clearclip.gui.amounts import progress_text
from napari_clearclip.gui.forms import Choice, Integer
from napari_clearclip.gui.sections import GAP, Message, button_row, form_layout, hint, show_on
from napari_clearclip.progress import Progress

ABOUT = (
    "A small network of your own learns from your images what the model finds in them, without any annotation. It "
    "takes many images and much time to come close to the model: compare both before you rely on it."
)
NO_PROMPTS = "There is no prompt: type in the panel what is in the images."
VIEWER, FOLDER = "Images of the viewer", "A folder…"


class TrainingDialog(QDialog):
    """Asks on what and how long to train, and shows how far it is."""

    started = Signal(object, int, str)
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Train a student")
        self.setMinimumWidth(460)
        self._folder: Path | None = None
        self._out = Path.home() / "student.safetensors"
        self._images, self._prompts, self._busy = 0, False, False
        self.images, self.phrases, self.minutes = Choice(), hint(), Integer()
        self.out, self.out_button = QElidingLabel(), QPushButton("Save as…")
        self.bar, self.stage, self.message = QProgressBar(), hint(), Message()
        self.start_button, self.cancel_button, self.close_button = (
            QPushButton(text) for text in ("Train", "Cancel", "Close")
        )
        column = QVBoxLayout(self)
        column.setSpacing(GAP)
        column.addWidget(hint(ABOUT))
        column.addLayout(self._make_form())
        for widget in (self.message, self.stage, self.bar):
            column.addWidget(widget)
        column.addStretch(1)
        column.addLayout(self._make_buttons())
        self.images.activated.connect(self._pick_folder)
        self.out_button.clicked.connect(self._pick_file)
        self.show_busy(False)

    def _make_form(self) -> QVBoxLayout:
        self.images.setAccessibleName("Images")
        self.images.addItems((VIEWER, FOLDER))
        self.minutes.setAccessibleName("Minutes")
        self.minutes.setRange(1, 600)
        self.minutes.setValue(10)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("How long it learns, after the images were labelled; more is better up to a point")
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        where = QHBoxLayout()
        where.addWidget(self.out, 1)
        where.addWidget(self.out_button)
        form, column = form_layout(), QVBoxLayout()
        form.addRow("Images", self.images)
        form.addRow("Prompts", self.phrases)
        form.addRow("Time", self.minutes)
        form.addRow("File", where)
        column.addLayout(form)
        return column

    def _make_buttons(self) -> QHBoxLayout:
        self.start_button.clicked.connect(self._start)
        self.cancel_button.clicked.connect(self.cancelled)
        self.close_button.clicked.connect(self.reject)
        return button_row(self.close_button, self.cancel_button, self.start_button)

    def show_subject(self, images: int, phrases: Sequence[str], others: Sequence[str]) -> None:
        """Show how many images the viewer has, what is looked for, and what competes."""
        self._images, self._prompts = images, bool(phrases)
        self.images.setItemText(0, f"{VIEWER} ({images})")
        if self._folder is not None:
            self.images.setItemText(1, f"{self._folder}")
        competing = f"; competing: {', '.join(others)}" if others else ""
        self.phrases.setText(", ".join(phrases) + competing if phrases else NO_PROMPTS)
        self.out.setText(str(self._out))
        self.out.setToolTip(str(self._out))
        self._show_buttons()

    def show_busy(self, busy: bool) -> None:
        """Show whether a training runs."""
        self._busy = busy
        for widget in (self.bar, self.stage, self.cancel_button):
            widget.setVisible(busy)
        for widget in (self.images, self.minutes, self.out_button):
            widget.setEnabled(not busy)
        if busy:
            self.message.clear()
            self.show_progress(Progress("Starting"))
        self._show_buttons()

    def show_progress(self, progress: Progress) -> None:
        """Show how far the training is."""
        show_on(self.bar, progress)
        self.stage.setText(progress_text(progress))

    def _show_buttons(self) -> None:
        there = self._folder is not None if self.images.currentIndex() else self._images > 0
        self.start_button.setEnabled(not self._busy and there and self._prompts)

    def _pick_folder(self, place: int) -> None:
        if place == 1:
            picked = QFileDialog.getExistingDirectory(self, "Images to learn from")
            if picked:
                self._folder = Path(picked)
                self.images.setItemText(1, picked)
            elif self._folder is None:
                self.images.setCurrentIndex(0)
        self._show_buttons()

    def _pick_file(self) -> None:
        picked = QFileDialog.getSaveFileName(self, "The student", str(self._out), "Students (*.safetensors)")[0]
        if picked:
            self._out = Path(picked).with_suffix(".safetensors")
            self.out.setText(str(self._out))
            self.out.setToolTip(str(self._out))

    def _start(self) -> None:
        folder = self._folder if self.images.currentIndex() else None
        self.started.emit(folder, self.minutes.value(), str(self._out))
