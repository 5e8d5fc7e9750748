"""Which images of a folder are exported, and as what."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from napari_clearclip.batch.folder import Folder
from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import form_layout, hint
from napari_clearclip.io.formats import FORMATS
from napari_clearclip.io.queue import Item

Chosen = Callable[[tuple[Item, ...], str, bool], None]


class ExportDialog(QDialog):
    """A window that does not block.

    Parameters
    ----------
    parent : QWidget
        Whose window it stays above.
    folder : Folder
        The images.
    chosen : callable
        Takes images, a key of `FORMATS`, and whether to leave out what the format cannot hold.
    """

    def __init__(self, parent: QWidget, folder: Folder, chosen: Chosen) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export the images of the folder")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        worked = tuple(item for item in folder.queue.items if folder.session(item).exists())
        done = tuple(item for item in worked if item.mark == "done")
        kept = tuple(item for item in worked if item.mark != "skip")
        self.images, self.formats, self.about = Choice(), Choice(), hint()
        for text, items in (("marked as done", done), ("all but skipped", kept), ("all", worked)):
            self.images.addItem(f"{text} ({len(items)})", items)
        for name, form in FORMATS.items():
            self.formats.addItem(form.title, name)
        self.formats.setCurrentIndex(self.formats.findData("coco"))
        self.leave_out = QCheckBox("Leave out what the format cannot hold")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.button = self.buttons.addButton("Export…", QDialogButtonBox.ButtonRole.AcceptRole)
        form_ = form_layout()
        form_.addRow("Images", self.images)
        form_.addRow("Format", self.formats)
        column = QVBoxLayout(self)
        column.addLayout(form_)
        column.addWidget(self.about)
        column.addWidget(self.leave_out)
        column.addStretch(1)
        column.addWidget(self.buttons)
        self.resize(400, 220)
        self.images.currentIndexChanged.connect(self._show)
        self.formats.currentIndexChanged.connect(self._show)
        self.buttons.rejected.connect(self.close)
        self.buttons.accepted.connect(lambda: self._accept(chosen))
        self._show()

    def _show(self) -> None:
        form = FORMATS[str(self.formats.currentData())]
        where = "All images in one file or folder" if form.joins else "A file for each image"
        self.about.setText(f"{where}, for {form.about}. Images without a session are not among them.")
        self.button.setEnabled(bool(self.images.currentData()))

    def _accept(self, chosen: Chosen) -> None:
        wanted = self.images.currentData(), str(self.formats.currentData()), self.leave_out.isChecked()
        self.close()
        chosen(*wanted)
