"""The section that shows the model, what it is downloaded at, and what it computes with."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_clearclip.gui.amounts import bytes_text, progress_text
from napari_clearclip.gui.forms import Choice, Integer
from napari_clearclip.gui.models.choices import Entry, state_text
from napari_clearclip.gui.models.disk import DiskRow
from napari_clearclip.gui.sections import GAP, Fold, Message, Section, form_layout, hint, show_on
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Runtime

DEVICES = ("auto", "cpu", "cuda", "mps")
OFFER = (
    "The demo knows a few dozen words. For real images press Choose…: a model is downloaded once, or read from a file."
)
MACHINE = "Device and memory"


class ModelSection(Section):
    """Which model, on which device, and how much memory it takes."""

    list_wanted = Signal()
    training_wanted = Signal()
    offer_dismissed = Signal()
    download_cancelled = Signal()
    device_chosen = Signal(str)
    threads_chosen = Signal(object)
    release_wanted = Signal()

    def __init__(self) -> None:
        super().__init__("Model")
        self.name, self.state = QElidingLabel(), hint()
        self.name.setAccessibleName("Model")
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.choose_button = QPushButton("Choose…")
        self.choose_button.setToolTip("Models for photographs and aerial images, downloaded or from a file")
        self.heading.setStretch(0, 0)
        self.heading.addWidget(self.name, 1)
        self.heading.addWidget(self.choose_button)
        self.train_button = QPushButton("Train a student…")
        self.train_button.setToolTip("Teach a small network what this model finds in your images (MaskCLIP+)")
        about = QHBoxLayout()
        about.addWidget(self.state, 1)
        about.addWidget(self.train_button)
        self.body.addLayout(about)
        self.body.addWidget(self._make_download())
        self.body.addWidget(self._make_offer())
        self.machine = Fold(MACHINE, self._make_machine())
        self.body.addWidget(self.machine)
        self.choose_button.clicked.connect(self.list_wanted)
        self.train_button.clicked.connect(self.training_wanted)

    def _make_download(self) -> QWidget:
        self.download, self.bar, self.bytes = QWidget(), QProgressBar(), hint()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop the download; the model of before stays")
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        grid = QVBoxLayout(self.download)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        grid.addWidget(self.bytes)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        grid.addLayout(row)
        self.download.hide()
        self.cancel_button.clicked.connect(self.download_cancelled)
        return self.download

    def _make_offer(self) -> Message:
        self.offer = Message("#56B4E9")
        self.offer.close_button.setToolTip("Do not offer this again")
        self.offer.close_button.clicked.connect(self.offer_dismissed)
        return self.offer

    def _make_machine(self) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(GAP)
        self.devices, self.about_device = Choice(), hint("Looking for a GPU …")
        self.devices.setAccessibleName("Device")
        self.devices.addItems(DEVICES)
        self.devices.setToolTip("Where to compute: auto takes a GPU that torch can use, else the CPU.")
        self.threads = Integer()
        self.threads.setAccessibleName("CPU cores")
        self.threads.setRange(0, 1024)
        self.threads.setSpecialValueText("all")
        self.threads.setKeyboardTracking(False)
        self.threads.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.threads.setToolTip(Runtime.model_fields["threads"].description or "")
        self.release_button, self.held = QPushButton("Release memory"), hint()
        self.release_button.setToolTip("Forget the model and what was computed; the next Run reads it again")
        form = form_layout()
        form.addRow("Device", self.devices)
        form.addRow("", self.about_device)
        form.addRow("CPU cores", self.threads)
        form.addRow("Memory", self.release_button)
        form.addRow("", self.held)
        self.disk = DiskRow()
        form.addRow("Disk", self.disk)
        column.addLayout(form)
        self.devices.textActivated.connect(self.device_chosen)
        self.threads.valueChanged.connect(lambda value: self.threads_chosen.emit(value or None))
        self.release_button.clicked.connect(self.release_wanted)
        return inner

    def show_model(self, entry: Entry) -> None:
        """Show the model that is chosen."""
        self.name.setText(entry.title)
        self.name.setToolTip("\n".join(filter(None, (entry.title, entry.about, entry.lacking))))
        later = ", downloaded by the next Run" if entry.state == "not downloaded" else ""
        self.state.setText(state_text(entry) + later)

    def show_offer(self, wanted: bool) -> None:
        """Show or take away what is said on first use."""
        if wanted:
            self.offer.say(OFFER)
        else:
            self.offer.clear()

    def show_download(self, title: str, progress: Progress | None) -> None:
        """Show how far the download of a model is, or that there is none."""
        self.download.setVisible(progress is not None)
        if progress is not None:
            show_on(self.bar, progress)
            self.bytes.setText(progress_text(replace(progress, stage=title)))

    def show_runtime(self, runtime: Runtime, usual: int) -> None:
        """Show what was chosen to compute with; `usual` is the number of cores that are taken without a choice."""
        with signals_blocked(self.threads):
            self.threads.setSpecialValueText(f"all ({usual})" if usual else "all")
            self.threads.setValue(runtime.threads or 0)
        self.devices.setCurrentText(runtime.device)

    def show_device(self, device: str, reason: str) -> None:
        """Show the device that is used and why."""
        self.about_device.setText(reason if device == "cpu" else f"{device}: {reason}")
        self.machine.set_text(f"{MACHINE}: {device}")

    def show_held(self, held: int) -> None:
        """Show how much memory can be released."""
        self.release_button.setEnabled(held > 0)
        self.held.setText(f"{bytes_text(held)} held." if held else "Nothing is held.")
