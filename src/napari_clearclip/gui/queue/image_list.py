"""All images of a folder with their marks; a click goes there."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.queue.section import SIGNS
from napari_clearclip.gui.sections import GAP, hint
from napari_clearclip.io.queue import MARKS, Queue

_PLACE = Qt.ItemDataRole.UserRole


class ImageList(QDialog):
    """A window that does not block, and goes once an image is chosen.

    Parameters
    ----------
    parent : QWidget
        Whose window it stays above.
    queue : Queue
        The images.
    go : callable
        Takes the place of the image that was chosen.
    """

    def __init__(self, parent: QWidget, queue: Queue, go: Callable[[int], None]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Images of the folder")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._queue, self._go = queue, go
        self.marks, self.search, self.list = Choice(), QLineEdit(), QListWidget()
        self.marks.addItem(f"all ({len(queue.items)})", None)
        for mark in MARKS:
            self.marks.addItem(f"{SIGNS[mark]}  {mark} ({queue.counts[mark]})", mark)
        self.search.setPlaceholderText("part of a name")
        self.search.setClearButtonEnabled(True)
        for at, item in enumerate(queue.items):
            entry = QListWidgetItem(f"{SIGNS[item.mark]}   {item.file}")
            entry.setData(_PLACE, at)
            entry.setToolTip(f"{item.file}: {item.mark}")
            self.list.addItem(entry)
        self.list.setCurrentRow(queue.at)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.marks)
        row.addWidget(self.search, 1)
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(self.list, 1)
        column.addWidget(hint("Click an image to go there."))
        self.resize(420, 480)
        self.marks.currentIndexChanged.connect(self._filter)
        self.search.textChanged.connect(self._filter)
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)

    def _filter(self) -> None:
        mark, text = self.marks.currentData(), self.search.text().casefold()
        for row, item in enumerate(self._queue.items):
            entry = self.list.item(row)
            if entry is not None:
                entry.setHidden(mark not in (None, item.mark) or text not in item.file.casefold())

    def _choose(self, entry: QListWidgetItem) -> None:
        if self.close():  # a click and Enter may come together
            self.list.blockSignals(True)
            self._go(int(entry.data(_PLACE)))
