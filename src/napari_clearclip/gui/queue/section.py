"""The row that leads through a folder: where one is, to and fro, and what becomes of the image."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QProgressBar, QPushButton, QSizePolicy, QToolButton, QWidget
from superqt import QElidingLabel

from napari_clearclip.batch.folder import Folder
from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import GAP, Section, show_on
from napari_clearclip.io.queue import MARKS, Mark, Queue
from napari_clearclip.progress import Progress

SIGNS: dict[Mark, str] = {"open": "○", "done": "✓", "skip": "–", "doubtful": "?"}


class QueueSection(Section):
    """Shown while a folder is open."""

    went = Signal(int)
    marked = Signal(str)
    next_open_wanted = Signal()
    list_wanted = Signal()
    open_wanted = Signal()
    export_wanted = Signal()
    batch_wanted = Signal()
    close_wanted = Signal()
    run_wanted = Signal(bool)
    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__("Folder")
        self.name = QElidingLabel()
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.menu_button = QToolButton()
        self.menu_button.setText("…")
        self.menu_button.setToolTip("Segment on opening, export all images, open another folder")
        self.menu_button.setAccessibleName("More for the folder")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.marks = Choice()
        for mark in MARKS:
            self.marks.addItem(f"{SIGNS[mark]}  {mark}", mark)
        self.marks.setAccessibleName("Mark of the image")
        self._fill_menu()
        self.heading.setStretch(0, 0)
        self.heading.addWidget(self.name, 1)
        self.heading.addWidget(self.marks)
        self.heading.addWidget(self.menu_button)
        self.previous, self.next = QPushButton("‹"), QPushButton("›")
        self.place = QPushButton()
        self.place.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        for button, text in ((self.previous, "Previous image"), (self.next, "Next image")):
            button.setAccessibleName(text)
            button.setFixedWidth(40)
        row.addWidget(self.previous)
        row.addWidget(self.place, 1)
        row.addWidget(self.next)
        self.body.addLayout(row)
        self.body.addWidget(self._progress_row())
        self.previous.clicked.connect(lambda: self.went.emit(-1))
        self.next.clicked.connect(lambda: self.went.emit(1))
        self.place.clicked.connect(self.list_wanted)
        self.marks.activated.connect(lambda: self.marked.emit(self.marks.currentData()))
        self.hide()

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Name the shortcuts, by action, at what does the same."""
        self.previous.setToolTip(f"Previous image ({keys['previous_image']})")
        self.next.setToolTip(f"Next image ({keys['next_image']})")
        self.place.setToolTip(f"List the images with their marks; click one to go there ({keys['list_images']})")
        self.next_open_action.setText(f"Go to the next open image\t{keys['next_open_image']}")
        marks = ", ".join(f"{mark} {keys[f'mark_{mark}']}" for mark in MARKS[1:])
        self.marks.setToolTip(f"What becomes of the image ({marks})")

    def _fill_menu(self) -> None:
        menu = QMenu(self.menu_button)
        self.run_action = menu.addAction("Segment images when they are opened")
        self.run_action.setCheckable(True)
        self.run_action.toggled.connect(self.run_wanted)
        menu.addSeparator()
        self.next_open_action = menu.addAction("Go to the next open image", self.next_open_wanted.emit)
        self.export_action = menu.addAction("Export all…", self.export_wanted.emit)
        menu.addAction("Segment all into files…", self.batch_wanted.emit)
        menu.addSeparator()
        menu.addAction("Open another folder…", self.open_wanted.emit)
        menu.addAction("Close the folder", self.close_wanted.emit)
        self.menu_button.setMenu(menu)

    def _progress_row(self) -> QWidget:
        """How far an export of all images is."""
        self.progress, inner = QProgressBar(), QWidget()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.cancelled)
        row = QHBoxLayout(inner)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel_button)
        inner.hide()
        self._progress = inner
        return inner

    def show_folder(self, folder: Folder | None) -> None:
        """Show where one is in a folder; nothing without one."""
        self.setVisible(folder is not None)
        if folder is None:
            return
        queue = folder.queue
        self.name.setText(queue.folder.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or queue.folder)
        self.name.setToolTip(f"{queue.folder}\nSessions are kept in {folder.work}")
        self.place.setText(standing(queue))
        self.marks.setCurrentIndex(self.marks.findData(queue.items[queue.at].mark))
        self.previous.setEnabled(queue.at > 0)
        self.next.setEnabled(queue.at < len(queue.items) - 1)
        self.run_action.blockSignals(True)
        self.run_action.setChecked(queue.run)
        self.run_action.blockSignals(False)

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far an export is; None when it is over."""
        self._progress.setVisible(progress is not None)
        self.export_action.setEnabled(progress is None)
        if progress is not None:
            show_on(self.progress, progress)
            self.progress.setFormat(f"{progress.stage}: {progress.done} of {progress.total}")


def standing(queue: Queue) -> str:
    """Where one is, and how many images are done."""
    return f"{queue.at + 1} of {len(queue.items)} · {queue.counts['done']} done"
