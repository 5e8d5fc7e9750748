"""The first section: which image, which model, which device."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QSizePolicy

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import Section, form_layout, hint
from napari_clearclip.settings import Model

DEVICES = ("auto", "cpu", "cuda", "mps")
LOCAL = "Local file…"
FILES = "Weights (*.safetensors *.pt *.pth *.bin *.ckpt);;All files (*)"


class ImageSection(Section):
    """Which image, which model, which device."""

    image_chosen = Signal(object)
    model_chosen = Signal(object)
    device_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__("Image and model")
        self.images, self.models, self.devices = Choice(), Choice(), Choice()
        self.images.setAccessibleName("Image layer")
        self.models.setAccessibleName("Model")
        self.devices.setAccessibleName("Device")
        self.about_image, self.about_device = hint(), hint("The device is shown once it is known.")
        self.about_image.setWordWrap(False)  # one line, so that nothing moves on the way through a stack
        self.about_image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.devices.addItems(DEVICES)
        self.devices.setToolTip("Where to compute: auto takes a GPU that torch can use, else the CPU.")
        self._models: list[Model] = []
        self.models.addItem(LOCAL, None)
        self.add_models([Model()])
        form = form_layout()
        form.addRow("Image", self.images)
        form.addRow("", self.about_image)
        form.addRow("Model", self.models)
        form.addRow("Device", self.devices)
        form.addRow("", self.about_device)
        self.body.addLayout(form)
        self.images.activated.connect(lambda: self.image_chosen.emit(self.images.currentData()))
        self.models.activated.connect(self._choose_model)
        self.devices.textActivated.connect(self.device_chosen)

    def set_images(self, names: Iterable[tuple[str, str]], current: str | None) -> None:
        """Offer image layers as (name, key)."""
        self.images.clear()
        for name, key in names:
            self.images.addItem(name, key)
        self.images.setCurrentIndex(self.images.findData(current))
        self.images.setEnabled(self.images.count() > 0)
        self.images.setPlaceholderText("no image is open")

    def add_models(self, models: Iterable[Model]) -> None:
        """Offer more models; they go before the last entry, so that an open list stays as it is."""
        for model in models:
            if model not in self._models:
                self.models.insertItem(len(self._models), model_name(model), model)
                self._models.append(model)

    def show_model(self, model: Model) -> None:
        """Show the model that is chosen."""
        self.add_models([model])
        self.models.setCurrentIndex(self._models.index(model))
        self.models.setToolTip(f"{model}: demo is bundled and knows a few dozen words, published models most.")

    def show_device(self, device: str, reason: str) -> None:
        """Show the device that is used and why."""
        self.about_device.setText(reason if device == "cpu" else f"{device}: {reason}")

    def _choose_model(self) -> None:
        model = self.models.currentData()
        if model is None:
            path, _ = QFileDialog.getOpenFileName(self, "Weights of a CLIP", "", FILES)
            model = Model(name="", pretrained=path) if path else None
        self.model_chosen.emit(model)


def model_name(model: Model) -> str:
    """A model as it is called in the list."""
    if model.name == "demo":
        return "demo (bundled)"
    return str(model) if model.name else model.pretrained.replace("\\", "/").rpartition("/")[2]
