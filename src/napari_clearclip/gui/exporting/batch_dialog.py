"""The window in which a folder is segmented: which images, what is written where, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDialog, QFileDialog, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import GAP, Message, button_row, form_layout, hint, show_on
from napari_clearclip.io.formats import FORMATS, LOSSES
from napari_clearclip.io.masks import TRAITS
from napari_clearclip.progress import Progress

ABOUT = (
    "Every image of the folder, and of those inside it, is segmented as this one is set, from model and prompts to "
    "refinement. Channels and contrast are those that its file declares. What is done already is skipped, so that it "
    "can be stopped and gone on with at any time."
)
NO_PROMPTS = "There is no prompt: type in the panel what is in the images."
NO_FOLDER = "choose a folder"
OUT = "clearclip_masks"  # in the folder of the images


class BatchDialog(QDialog):
    """Asks for a folder, a format and where to; shows how far it is and how it went.

    Parameters
    ----------
    parent : QWidget
        Whose window it stays above; it blocks nothing.
    """

    started = Signal(object, object, str, bool)
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Segment a folder")
        self.setMinimumWidth(460)
        self.resize(520, 380)
        self.folder: Path | None = None
        self.out: Path | None = None
        self._out_chosen = self._prompts = self._busy = False
        self.phrases, self.formats, self.about = hint(), Choice(), hint()
        self.images_name, self.images_button = QElidingLabel(), QPushButton("Choose…")
        self.out_name, self.out_button = QElidingLabel(), QPushButton("Choose…")
        self.leave_out = QCheckBox("Leave out what the format cannot hold")
        self.bar, self.stage, self.message = QProgressBar(), QElidingLabel(), Message()
        self.start_button, self.cancel_button, self.close_button = (
            QPushButton(text) for text in ("Segment", "Stop", "Close")
        )
        column = QVBoxLayout(self)
        column.setSpacing(GAP)
        column.addWidget(hint(ABOUT))
        column.addLayout(self._make_form())
        for widget in (self.about, self.leave_out, self.message, self.stage, self.bar):
            column.addWidget(widget)
        column.addStretch(1)
        column.addLayout(self._make_buttons())
        self.formats.currentIndexChanged.connect(self._describe)
        self._describe()
        self.show_busy(False)

    def _make_form(self) -> QVBoxLayout:
        for name, form in FORMATS.items():
            self.formats.addItem(form.title, name)
        self.formats.setCurrentIndex(self.formats.findData("tiff"))
        self.formats.setAccessibleName("Format")
        self.images_button.setAccessibleName("Choose the folder of images")
        self.out_button.setAccessibleName("Choose the folder of masks")
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        rows = []
        for name, button in ((self.images_name, self.images_button), (self.out_name, self.out_button)):
            rows.append(QHBoxLayout())
            rows[-1].addWidget(name, 1)
            rows[-1].addWidget(button)
        form, column = form_layout(), QVBoxLayout()
        form.addRow("Images", rows[0])
        form.addRow("Prompts", self.phrases)
        form.addRow("Format", self.formats)
        form.addRow("Write to", rows[1])
        column.addLayout(form)
        self.images_button.clicked.connect(self._pick_folder)
        self.out_button.clicked.connect(self._pick_out)
        return column

    def _make_buttons(self) -> QHBoxLayout:
        self.start_button.clicked.connect(self._start)
        self.cancel_button.clicked.connect(self.cancelled)
        self.close_button.clicked.connect(self.reject)
        return button_row(self.close_button, self.cancel_button, self.start_button)

    def show_subject(self, phrases: Sequence[str], folder: Path | None) -> None:
        """Show what is looked for; offer a folder where none was chosen yet."""
        self._prompts = bool(phrases)
        self.phrases.setText(", ".join(phrases) or NO_PROMPTS)
        if folder is not None and self.folder is None:
            self.choose(folder)
        self._show()
        self._fit()

    def choose(self, folder: Path) -> None:
        """Take the images of a folder."""
        self.folder = folder
        if not self._out_chosen:
            self.out = folder / OUT
        self._show()

    def show_busy(self, busy: bool) -> None:
        """Show whether a folder is being worked on."""
        self._busy = busy
        for widget in (self.bar, self.stage, self.cancel_button):
            widget.setVisible(busy)
        for button in (self.images_button, self.out_button, self.formats, self.leave_out):
            button.setEnabled(not busy)
        if busy:
            self.message.clear()
            self.stage.setText("Starting …")
        self._show()
        self._fit()

    def tell(self, text: str) -> None:
        """Say how it went."""
        self.message.say(text)
        self._fit()

    def _fit(self) -> None:
        """Become as high as texts of several lines need, which Qt's layouts do not do by themselves."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def show_progress(self, text: str, progress: Progress) -> None:
        """Show how far it is, in words and on the bar."""
        self.stage.setText(text)
        show_on(self.bar, progress)

    def _describe(self) -> None:
        form = FORMATS[str(self.formats.currentData())]
        missing = [LOSSES[trait] for trait in TRAITS if trait not in form.holds and trait != "many"]
        where = "All images in one file or folder" if form.joins else "A file for each image"
        self.about.setText(f"{where}, for {form.about}." + (f" Not for {', '.join(missing)}." if missing else ""))

    def _show(self) -> None:
        for label, path in ((self.images_name, self.folder), (self.out_name, self.out)):
            label.setText(NO_FOLDER if path is None else str(path))
            label.setToolTip("" if path is None else str(path))
        self.start_button.setEnabled(not self._busy and self.folder is not None and self._prompts)

    def _pick_folder(self) -> None:
        start = "" if self.folder is None else str(self.folder)
        if picked := QFileDialog.getExistingDirectory(self, "Images to segment", start):
            self.choose(Path(picked))

    def _pick_out(self) -> None:
        start = "" if self.out is None else str(self.out.parent)
        if picked := QFileDialog.getExistingDirectory(self, "Write masks to", start):
            self.out, self._out_chosen = Path(picked), True
            self._show()

    def _start(self) -> None:
        self.started.emit(self.folder, self.out, str(self.formats.currentData()), self.leave_out.isChecked())
