"""The first section: which image."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import Section, hint


class ImageSection(Section):
    """Which image."""

    image_chosen = Signal(object)
    folder_wanted = Signal()
    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__("Image")
        self.images, self.about_image = Choice(), hint()
        self.images.setAccessibleName("Image layer")
        self.images.setMinimumWidth(90)  # less than its longest name needs, so that the panel fits into a narrow dock
        self.about_image.setWordWrap(False)  # one line, so that nothing moves on the way through a stack
        self.about_image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.folder_button = QToolButton()
        self.folder_button.setText("Folder…")
        self.folder_button.setToolTip("Open a folder of images, and go through them one by one")
        self.help_button = QToolButton()
        self.help_button.setText("?")
        self.help_button.setToolTip("Show the shortcuts (F1)")
        self.help_button.setAccessibleName("Show the shortcuts")
        self.heading.setStretch(0, 0)
        self.heading.addWidget(self.images, 1)
        self.heading.addWidget(self.help_button)
        below = QHBoxLayout()
        below.addWidget(self.about_image, 1)
        below.addWidget(self.folder_button)
        self.body.addLayout(below)
        self.folder_button.clicked.connect(self.folder_wanted)
        self.help_button.clicked.connect(self.help_wanted)
        self.images.activated.connect(lambda: self.image_chosen.emit(self.images.currentData()))

    def set_images(self, names: Iterable[tuple[str, str]], current: str | None) -> None:
        """Offer image layers as (name, key)."""
        self.images.clear()
        for name, key in names:
            self.images.addItem(name, key)
        self.images.setCurrentIndex(self.images.findData(current))
        self.images.setEnabled(self.images.count() > 0)
        self.images.setPlaceholderText("no image is open")
