"""The first section: which image."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QSizePolicy

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import Section, form_layout, hint


class ImageSection(Section):
    """Which image."""

    image_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Image")
        self.images, self.about_image = Choice(), hint()
        self.images.setAccessibleName("Image layer")
        self.about_image.setWordWrap(False)  # one line, so that nothing moves on the way through a stack
        self.about_image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        form = form_layout()
        form.addRow("Image", self.images)
        form.addRow("", self.about_image)
        self.body.addLayout(form)
        self.images.activated.connect(lambda: self.image_chosen.emit(self.images.currentData()))

    def set_images(self, names: Iterable[tuple[str, str]], current: str | None) -> None:
        """Offer image layers as (name, key)."""
        self.images.clear()
        for name, key in names:
            self.images.addItem(name, key)
        self.images.setCurrentIndex(self.images.findData(current))
        self.images.setEnabled(self.images.count() > 0)
        self.images.setPlaceholderText("no image is open")
