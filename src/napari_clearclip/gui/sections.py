"""The sections of the panel: each shows a part of the settings and tells what the user changes."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider
from superqt.utils import qthrottled

from napari_clearclip.engine.attention import VARIANTS, variant_name
from napari_clearclip.gui.forms import Choice, Form, edit
from napari_clearclip.gui.prompt_list import shared_threshold
from napari_clearclip.gui.prompts import PromptModel, PromptView
from napari_clearclip.settings import Attention, Comparing, Deciding, Model, Settings, Tiling

DEVICES = ("auto", "cpu", "cuda", "mps")
CUSTOM = "custom"
LOCAL = "Local file…"
DETAILS = (224, 336, 448, 672, 896)
_GAP = 6


def title(text: str) -> QLabel:
    """The heading of a section."""
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    font.setPointSizeF(font.pointSizeF() * 1.1)
    label.setFont(font)
    return label


def hint(text: str = "") -> QLabel:
    """A line that explains, smaller than what it explains."""
    label = QLabel(text)
    label.setWordWrap(True)
    font = label.font()
    font.setPointSizeF(font.pointSizeF() * 0.9)
    label.setFont(font)
    return label


class Fold(QWidget):
    """A part that folds away under a button with an arrow; the arrow has the colour of the text."""

    def __init__(self, text: str, inner: QWidget) -> None:
        super().__init__()
        self.button = QToolButton()
        self.button.setObjectName("clearclip-fold")
        self.button.setCheckable(True)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.button.setStyleSheet(
            "#clearclip-fold { border: none; background: transparent; text-align: left; padding: 3px 0; }"
            "#clearclip-fold:focus { text-decoration: underline; }"
        )
        self.inner = inner
        self._text = text
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(inner)
        self.button.toggled.connect(self._unfold)
        self._unfold(False)

    def set_text(self, text: str) -> None:
        """Change the words on the button."""
        self._text = text
        self._unfold(self.button.isChecked())

    def _unfold(self, open_: bool) -> None:
        self.button.setText(("▾  " if open_ else "▸  ") + self._text)
        self.inner.setVisible(open_)


class Section(QWidget):
    """A heading and what stands below it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(_GAP)
        self.heading = QHBoxLayout()
        self.heading.addWidget(title(text), 1)
        self.body.addLayout(self.heading)


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
        self.devices.addItems(DEVICES)
        self.devices.setToolTip("Where to compute: auto takes a GPU that torch can use, else the CPU.")
        self.models.setToolTip("demo is bundled and knows a few dozen words; published models know ordinary language.")
        self._models: list[Model] = []
        self.set_models([Model()])
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
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

    def set_models(self, models: Iterable[Model]) -> None:
        """Offer models; a local file can always be chosen."""
        current = self.models.currentData()
        self._models = list(dict.fromkeys(models))
        self.models.clear()
        for model in self._models:
            self.models.addItem(model_name(model), model)
        self.models.addItem(LOCAL, None)
        if current is not None:
            self.show_model(current)

    def add_models(self, models: Iterable[Model]) -> None:
        """Offer more models."""
        self.set_models([*self._models, *models])

    def show_model(self, model: Model) -> None:
        """Show the model that is chosen."""
        if model not in self._models:
            self.set_models([*self._models, model])
        self.models.setCurrentIndex(self._models.index(model))
        self.models.setToolTip(str(model))

    def show_device(self, device: str, reason: str) -> None:
        """Show the device that is used and why."""
        self.about_device.setText(reason if device == "cpu" else f"{device}: {reason}")

    def _choose_model(self) -> None:
        model = self.models.currentData()
        if model is None:
            path, _ = QFileDialog.getOpenFileName(
                self, "Weights of a CLIP", "", "Weights (*.safetensors *.pt *.pth *.bin *.ckpt);;All files (*)"
            )
            model = Model(name="", pretrained=path) if path else None
        self.model_chosen.emit(model)


def model_name(model: Model) -> str:
    """A model as it is called in the list."""
    if model.name == "demo":
        return "demo (bundled)"
    return str(model) if model.name else model.pretrained.replace("\\", "/").rpartition("/")[2]


class PhraseEntry(QWidget):
    """A line to type a phrase into; Enter or the button adds it."""

    entered = Signal(str)

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.button = QPushButton("Add")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.line.returnPressed.connect(self._enter)
        self.button.clicked.connect(self._enter)

    def _enter(self) -> None:
        self.entered.emit(self.line.text())
        self.line.setFocus()


class PromptSection(Section):
    """What to look for, and what to tell it from."""

    added = Signal(str, str)
    edited = Signal(str, dict)
    removed = Signal(list)
    selected = Signal(object)
    undo = Signal()
    redo = Signal()

    def __init__(self) -> None:
        super().__init__("Prompts")
        self.undo_button, self.redo_button = QToolButton(), QToolButton()
        for button, text, tip, signal in (
            (self.undo_button, "↶", "Undo the last change of prompts or settings", self.undo),
            (self.redo_button, "↷", "Redo", self.redo),
        ):
            button.setText(text)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.clicked.connect(signal)
            self.heading.addWidget(button)
        self.entry = PhraseEntry("Type what to look for, press Enter")
        self.entry.line.setToolTip("A phrase; synonyms after commas count as the same: tree, bush")
        self.objects = PromptModel("object", self)
        self.table = PromptView(self.objects)
        self.table.setMinimumHeight(132)
        self.distractors = PromptModel("distractor", self)
        self.others = PromptView(self.distractors)
        self.others.setMinimumHeight(132)
        self.other_entry = PhraseEntry("Add a distractor, press Enter")
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(_GAP)
        column.addWidget(hint("Phrases that compete with the prompts and get no mask; uncheck one to mute it."))
        column.addWidget(self.others)
        column.addWidget(self.other_entry)
        self.fold = Fold("Distractors", inner)
        for widget in (self.entry, self.table, self.fold):
            self.body.addWidget(widget)
        self.entry.entered.connect(lambda text: self.added.emit(text, "object"))
        self.other_entry.entered.connect(lambda text: self.added.emit(text, "distractor"))
        for model, view in ((self.objects, self.table), (self.distractors, self.others)):
            model.edited.connect(self.edited)
            view.removed.connect(self.removed)
        self.table.current_changed.connect(self.selected)

    def show_settings(self, settings: Settings) -> None:
        """Show the prompts."""
        self.objects.set_prompts(settings.prompts)
        self.distractors.set_prompts(settings.prompts)
        all_ = sum(prompt.kind == "distractor" for prompt in settings.prompts)
        self.fold.set_text(f"Distractors: {len(settings.distractors)} of {all_} compete")


class SegmentSection(Section):
    """How to look, and the buttons that start and stop it."""

    changed = Signal(str, dict)
    variant_chosen = Signal(object)
    threshold_moved = Signal(float)
    run = Signal()
    cancel = Signal()

    def __init__(self) -> None:
        super().__init__("Segment")
        self.variants = Choice()
        for name, variant in VARIANTS.items():
            if variant_name(variant.row) == name:  # a second name of a row would never be shown
                self.variants.addItem(name, variant.row)
                tip = f"{variant.summary} {variant.paper}".strip()
                self.variants.setItemData(self.variants.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.variants.addItem(CUSTOM, None)
        self.detail = edit(Tiling.model_fields["short_side"], DETAILS)
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 1)
        self.threshold.setDecimals(2)
        self.threshold.setSingleStep(0.01)  # type: ignore[arg-type]  # superqt says int, takes float
        self.threshold.setToolTip("Sets the threshold of every prompt")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Variant", self.variants)
        form.addRow("Detail", self.detail)
        form.addRow("Threshold", self.threshold)
        self.body.addLayout(form)
        self.forms = {
            "attention": Form(Attention),
            "tiling": Form(Tiling, skip=("short_side",)),
            "comparing": Form(Comparing),
            "deciding": Form(Deciding),
        }
        self.body.addWidget(Fold("Advanced", self._advanced()))
        self._add_buttons()
        self.variants.activated.connect(lambda: self.variant_chosen.emit(self.variants.currentData()))
        self.detail.value_changed.connect(lambda value: self.changed.emit("tiling", {"short_side": value}))
        self._moved = qthrottled(self.threshold_moved.emit, timeout=40)
        self.threshold.valueChanged.connect(lambda value: self._moved(round(value, 2)))

    def _advanced(self) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(_GAP)
        for (part, form), text in zip(
            self.forms.items(), ("Attention in the last block", "Windows", "Words", "Masks"), strict=True
        ):
            column.addWidget(title(text))
            column.addWidget(form)
            form.value_changed.connect(lambda change, part=part: self.changed.emit(part, dict([change])))
        return inner

    def _add_buttons(self) -> None:
        self.run_button, self.cancel_button = QPushButton("Run"), QPushButton("Cancel")
        self.run_button.setObjectName("clearclip-run")
        self.run_button.setMinimumHeight(30)
        self.cancel_button.setMinimumHeight(30)
        row = QHBoxLayout()
        row.addWidget(self.run_button, 2)
        row.addWidget(self.cancel_button, 1)
        self.body.addLayout(row)
        self.stale = hint()
        self.body.addWidget(self.stale)
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.body.addWidget(self.bar)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.cancel)

    def show_settings(self, settings: Settings) -> None:
        """Show variant, detail, thresholds and the folded fields."""
        at = self.variants.findText(variant_name(settings.attention))
        self.variants.setCurrentIndex(at if at >= 0 else self.variants.count() - 1)
        self.detail.set_value(settings.tiling.short_side)
        for part, form in self.forms.items():
            form.set_value(getattr(settings, part))
        before = self.threshold.blockSignals(True)
        self.threshold.setValue(shared_threshold(settings))
        self.threshold.blockSignals(before)
        self.threshold.setEnabled(bool(settings.objects))

    def show_busy(self, busy: bool) -> None:
        """Show whether a job is running."""
        self.cancel_button.setEnabled(busy)
        if busy:
            self.show_progress("Starting", 0, 0)
        else:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
            self.bar.setFormat("")

    def show_progress(self, stage: str, done: int, total: int) -> None:
        """Show how far a job is."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.setFormat(f"{stage}  {done} / {total}" if total else stage)


class Message(QWidget):
    """The one place for what went wrong or is worth knowing; it goes when it is dismissed or answered."""

    def __init__(self) -> None:
        super().__init__()
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.close_button = QToolButton()
        self.close_button.setText("×")
        self.close_button.setToolTip("Dismiss")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 4, 4)
        row.addWidget(self.label, 1)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setObjectName("clearclip-message")
        self.setStyleSheet("#clearclip-message { border: 1px solid #E69F00; border-radius: 4px; }")
        self.close_button.clicked.connect(self.clear)
        self.clear()

    def say(self, text: str) -> None:
        """Show a sentence."""
        self.label.setText(text)
        self.show()

    def clear(self) -> None:
        """Take the sentence away."""
        self.label.clear()
        self.hide()
