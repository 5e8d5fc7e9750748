"""How much of the disk large images may have: chosen and cleared, and asked for before a long run."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_clearclip.gui.amounts import bytes_text
from napari_clearclip.gui.forms import Number
from napari_clearclip.gui.sections import GAP, Message, hint
from napari_clearclip.progress import Notice
from napari_clearclip.settings import Runtime

_GB = 1e9
_MOST = 100_000.0


class DiskRow(QWidget):
    """A limit in GB, what is kept, and a button that removes it."""

    chosen = Signal(object)
    clear_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.most, self.clear_button, self.kept = Number(), QPushButton("Clear"), hint()
        self.most.setRange(0, _MOST)
        self.most.setDecimals(1)
        self.most.setSingleStep(0.5)
        self.most.setPrefix("at most ")
        self.most.setSuffix(" GB")
        self.most.setSpecialValueText("nothing is kept")
        self.most.setKeyboardTracking(False)
        self.most.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.most.setAccessibleName("Disk for large images")
        self.most.setToolTip(Runtime.model_fields["store_bytes"].description or "")
        self.clear_button.setToolTip("Remove the features of large images; the next run reads their windows again")
        row = QHBoxLayout()
        row.addWidget(self.most, 1)
        row.addWidget(self.clear_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.kept)
        self.most.valueChanged.connect(lambda value: self.chosen.emit(round(value * _GB)))
        self.clear_button.clicked.connect(self.clear_wanted)

    def show_most(self, most: int) -> None:
        """Show the limit in bytes."""
        with signals_blocked(self.most):
            self.most.setValue(most / _GB)

    def show_kept(self, kept: int) -> None:
        """Show how many bytes are kept."""
        self.clear_button.setEnabled(kept > 0)
        self.kept.setText(f"{bytes_text(kept)} kept of large images." if kept else "Nothing is kept of large images.")


class DiskQuestion(Message):
    """What a long run takes, how much of the disk it may have, and whether to go on; its cross cancels the run."""

    agreed = Signal()
    refused = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._notice: Notice | None = None
        self.disk, self.go_button, self.leave_button = DiskRow(), QPushButton("Read the windows"), QPushButton("Cancel")
        self.close_button.setToolTip("Cancel the run")
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.go_button, 2)
        row.addWidget(self.leave_button, 1)
        self.body.addWidget(self.disk)
        self.body.addLayout(row)
        self.go_button.clicked.connect(self.agreed)
        for button in (self.leave_button, self.close_button):
            button.clicked.connect(self.refused)

    def ask(self, notice: Notice | None) -> None:
        """Say what a run takes; None takes the question away."""
        self._notice = notice
        if notice is None:
            self.clear()
        else:
            self.say(notice.text)

    def show_disk(self, most: int, kept: int) -> None:
        """Show how many bytes may be kept, with what that means for the run, and how many are."""
        self.disk.show_most(most)
        self.disk.show_kept(kept)
        if self._notice is not None:
            self.say(self._notice.under(most))
