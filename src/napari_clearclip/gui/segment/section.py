"""The third section: how to look, and the buttons that start and stop it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_clearclip.engine.sizes import Sizes, sizes_of
from napari_clearclip.engine.variants import VARIANTS, Variant, variant_name
from napari_clearclip.gui.amounts import progress_text
from napari_clearclip.gui.forms import Choice, Form, edit
from napari_clearclip.gui.images.planes import PlaneRow
from napari_clearclip.gui.models.disk import DiskQuestion
from napari_clearclip.gui.sections import GAP, Fold, Message, Section, form_layout, hint, show_on, title
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Attention, Comparing, Deciding, Settings, Tiling

CUSTOM, MORE = "Custom", "More methods"
PATIENCE = 200  # milliseconds after which it is worth saying that something is computed
LABEL_WIDTH = 58  # the same for all rows, so that they stand in line
ABOUT_STUDENT = "A student (MaskCLIP+) has no attention that variants could change: it sees as it was trained to."
ABOUT_CUSTOM = "Your own combination, set under Advanced. Choose a name to go back to a published method."
_DRAWING = "Drag from one edge of a typical object to the other, or press Escape."
NOISE = ("surgery", "denoise", "smooth", "smooth_axis")  # fields of `Comparing` that stand with what refines masks
NO_SIGMOID = "Only a SigLIP has learned the scale and bias for it."
DETAILS = (224, 336, 448, 672, 896)


def _about(variant: Variant) -> str:
    """What a variant does, and the paper it comes from on a line of its own."""
    return f"{variant.summary}\n{variant.paper}".strip()


class SegmentSection(Section):
    """How to look, and the buttons that start and stop it."""

    changed = Signal(str, dict)
    variant_chosen = Signal(object)
    line = Signal(bool)
    run = Signal()
    cancel = Signal()

    def __init__(self) -> None:
        super().__init__("Segment")
        self.variants = Choice()
        self._offer_variants()
        self.detail = edit(Tiling.model_fields["short_side"], DETAILS)
        self.about_variant, self.about_line = hint(), hint(_DRAWING)
        self.planes, self.line_button = PlaneRow(), QPushButton("Measure")
        self.line_button.setCheckable(True)
        self.line_button.setToolTip(
            "Draw a line across one object, from one edge to the other: the detail is chosen so that about five of the "
            "model's patches lie across it. Press again, or Escape, to leave it."
        )
        detail = QHBoxLayout()
        detail.setSpacing(GAP)
        detail.addWidget(self.detail, 1)
        detail.addWidget(self.line_button)
        self._add_row("Variant", self.variants)
        self.body.addWidget(self.about_variant)
        self._add_row("Detail", detail)
        self.body.addWidget(self.about_line)
        self.about_line.hide()
        self._planes_label = self._add_row("Planes", self.planes)
        self.forms = {
            "attention": Form(Attention, skip=Attention.RARE),
            "tiling": Form(Tiling, skip=("short_side",)),
            "comparing": Form(Comparing, skip=tuple(NOISE)),
            "deciding": Form(Deciding, skip=("exclusive", "lead")),  # these stand with the thresholds
        }
        self.body.addWidget(Fold("Advanced", self._advanced()))
        self.footer = self._make_footer()
        self.variants.activated.connect(lambda: self.variant_chosen.emit(self.variants.currentData()))
        self.detail.value_changed.connect(lambda value: self.changed.emit("tiling", {"short_side": value}))
        self.line_button.clicked.connect(self.line)

    def _offer_variants(self) -> None:
        """Fill the list: those that people choose, one's own, then those for comparison under a heading."""
        shown = [entry for name, entry in VARIANTS.items() if variant_name(entry.row) == name]  # one name a row
        for rare in (False, True):
            for entry in shown:
                if entry.rare == rare:
                    self.variants.addItem(entry.title, entry.row)
                    self.variants.setItemData(self.variants.count() - 1, _about(entry), Qt.ItemDataRole.ToolTipRole)
            if not rare:
                self.variants.addItem(CUSTOM, None)
                self.variants.insertSeparator(self.variants.count())
                self.variants.addItem(MORE)
                self._set_enabled(self.variants.count() - 1, False)

    def _set_enabled(self, index: int, enabled: bool) -> None:
        model: Any = self.variants.model()
        model.item(index).setEnabled(enabled)

    def _show_unmet(self, sizes: Sizes | None) -> None:
        """Grey out what a model cannot compute, and say why."""
        for index in range(self.variants.count()):
            row = self.variants.itemData(index)
            if isinstance(row, Attention):
                lacking = "" if sizes is None else sizes.lacking(row)
                self._set_enabled(index, not lacking)
                about = _about(VARIANTS[variant_name(row)])
                self.variants.setItemData(index, f"{lacking}\n{about}".strip(), Qt.ItemDataRole.ToolTipRole)

    def _add_row(self, text: str, widget: Any) -> QLabel:
        """A row by itself: in one form with lines that wrap, Qt takes the rows to be lower than they are."""
        form, label = form_layout(), QLabel(text)
        label.setMinimumWidth(LABEL_WIDTH)
        form.addRow(label, widget)
        self.body.addLayout(form)
        return label

    def _advanced(self) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(GAP)
        for (part, form), text in zip(
            self.forms.items(), ("Attention in the last block", "Windows", "Words", "Masks"), strict=True
        ):
            column.addWidget(title(text))
            column.addWidget(form)
            form.value_changed.connect(lambda change, part=part: self.changed.emit(part, dict([change])))
        return inner

    def _make_footer(self) -> QWidget:
        """Messages, progress and buttons, which the panel keeps in sight however long the sections are."""
        footer = QWidget()
        column = QVBoxLayout(footer)
        column.setContentsMargins(8, 2, 8, 8)
        column.setSpacing(GAP)
        self.run_button, self.cancel_button = QPushButton("Run"), QPushButton("Cancel")
        self.stale = hint(
            "Model, detail or contrast have changed since the last run, or the variant reads more or fewer blocks: "
            "press Run to look again."
        )
        self.bar, self.stage, self.cost = QProgressBar(), hint(), hint()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        row = QHBoxLayout()
        for button, stretch in ((self.run_button, 2), (self.cancel_button, 1)):
            button.setMinimumHeight(30)
            row.addWidget(button, stretch)
        self.message, self.question = Message(), DiskQuestion()
        for widget in (self.message, self.question, self.stale, self.stage, self.cost, self.bar):
            column.addWidget(widget)
        column.addLayout(row)  # at the bottom, so that the buttons stay where they are whatever is said above
        self.patience = QTimer(footer)
        self.patience.setSingleShot(True)
        self.patience.setInterval(PATIENCE)
        self.patience.timeout.connect(lambda: self._show_busy(True))
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.cancel)
        return footer

    def show_settings(self, settings: Settings) -> None:
        """Show variant, detail and the folded fields."""
        name = variant_name(settings.attention)
        entry = VARIANTS.get(name)
        self.variants.setCurrentText(CUSTOM if entry is None else entry.title)
        self.about_variant.setText(ABOUT_CUSTOM if entry is None else entry.summary)
        for widget in (self.variants, self.about_variant):
            widget.setToolTip(ABOUT_CUSTOM if entry is None else _about(entry))
        sizes = sizes_of(settings.model)
        self._show_unmet(sizes)
        self.forms["deciding"].set_lacking("score", "sigmoid", "" if sizes is None or sizes.has_sigmoid else NO_SIGMOID)
        has_variants = sizes is None or sizes.variants
        for widget in (self.variants, self.forms["attention"]):
            widget.setEnabled(has_variants)
        if not has_variants:
            self.about_variant.setText(ABOUT_STUDENT)
        elif sizes is not None and (lacking := sizes.lacking(settings.attention)):
            self.about_variant.setText(f"{lacking} Choose another variant.")
        self.detail.set_value(settings.tiling.short_side)
        for part, form in self.forms.items():
            form.set_value(getattr(settings, part))

    def show_busy(self, busy: bool, at_once: bool = True) -> None:
        """Show whether a job is running; unless it is to be shown at once, only if it lasts."""
        self.patience.stop()
        if busy and self.bar.isHidden():
            self.show_progress(Progress("Starting"))
        if busy and not at_once and self.bar.isHidden():
            self.patience.start()
        else:
            self._show_busy(busy)

    def _show_busy(self, busy: bool) -> None:
        self.cancel_button.setEnabled(busy)
        self.bar.setVisible(busy)
        self.stage.setVisible(busy)
        self.cost.setVisible(not busy and bool(self.cost.text()))

    def show_progress(self, progress: Progress, more: int = 0) -> None:
        """Show how far a job is; `more` planes follow."""
        text = progress_text(progress, more)
        if text != self.stage.text():  # a new text lays the window out anew
            show_on(self.bar, progress)
            self.stage.setText(text)

    def show_cost(self, text: str) -> None:
        """Say what a run would cost."""
        self.cost.setText(text)
        self.cost.setVisible(bool(text) and self.bar.isHidden())

    def show_stack(self, sizes: Sequence[int], names: Sequence[str]) -> None:
        """Offer the planes of a stack with these leading axes."""
        self.planes.set_stack(sizes, names)
        for widget in (self.planes, self._planes_label):
            widget.setVisible(self.planes.is_stack)

    def show_drawing(self, drawing: bool) -> None:
        """Show whether a line is being waited for."""
        self.line_button.setChecked(drawing)
        self.about_line.setVisible(drawing)
