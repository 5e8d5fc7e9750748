"""The section that looks inside the model: a point to click, the words it is like, and maps of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_clearclip.engine.sizes import Sizes
from napari_clearclip.engine.variants import VARIANTS, variant_name
from napari_clearclip.gui.amounts import progress_text
from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.sections import GAP, Fold, form_layout, hint, show_on
from napari_clearclip.inspection.points import Likeness
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Attention

ABOUT = "What the model does with the image. Nothing here changes masks or enters the session."
CLICKING = "Click on the image; drag to move it. Escape puts the tool away."
SHOWN = "The variant above"
NO_BLOCKS = "A student (MaskCLIP+) has no attention to look at; choose the model that it learned from."
NO_RESIDUAL = "The model's last block has no residual connection, so that there are no parts to tell apart."
POOLED = "This model pools by an attention of its own after its last block, which cannot be split into parts."
CALIBRATED = "The variant above changes what enters the last block, so that it cannot be taken apart; choose another."
_ROWS = 6  # words that are seen without scrolling


class InspectSection(QWidget):
    """Folded until it is wanted."""

    click_wanted = Signal(bool)
    compared = Signal(object)
    head_chosen = Signal(object)
    vocabulary_changed = Signal(str)
    parts_wanted = Signal()
    variants_wanted = Signal()
    blocks_wanted = Signal()
    last_block_wanted = Signal()
    cancelled = Signal()
    clear_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        inner = QWidget()
        self.body = QVBoxLayout(inner)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(GAP)
        self.fold = Fold("Inspect", inner)
        font = self.fold.button.font()
        font.setBold(True)
        self.fold.button.setFont(font)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        self.body.addWidget(hint(ABOUT))
        self._add_point()
        self._add_words()
        self._add_maps()
        self._add_footer()
        self.show_progress(None)
        self.show_words(())
        self.say("")

    def _add_point(self) -> None:
        self.click_button, self.variants, self.heads = QPushButton("Click a point"), Choice(), Choice()
        self.click_button.setCheckable(True)
        self.click_button.setToolTip("Click on the image: where its patch looks in the last block, and what it is like")
        self.click_button.toggled.connect(self.click_wanted)
        self.variants.setAccessibleName("Variant whose attention is shown")
        self.variants.addItem(SHOWN, None)
        for name, entry in VARIANTS.items():
            if variant_name(entry.row) == name:
                self.variants.addItem(entry.title, entry.row)
        self.variants.setToolTip("Whose attention is shown; CLIP's own (q-k) comes as a layer beside it")
        self.variants.activated.connect(lambda: self.compared.emit(self.variants.currentData()))
        self.heads.setAccessibleName("Head whose attention is shown")
        self.heads.activated.connect(lambda: self.head_chosen.emit(self.heads.currentData()))
        self.show_heads(0)
        for choice in (self.variants, self.heads):
            choice.setMinimumWidth(80)
        form = form_layout()
        form.addRow("Attention of", self.variants)
        form.addRow("Head", self.heads)
        self.body.addWidget(self.click_button)
        self.body.addLayout(form)
        self.about = hint()
        self.body.addWidget(self.about)

    def _add_words(self) -> None:
        self.words = QTableWidget(0, 3)
        self.words.setHorizontalHeaderLabels(("What is this?", "Cosine", "Share"))
        self.words.horizontalHeaderItem(2).setToolTip("Of a softmax over all words of the list")
        header = self.words.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.words.verticalHeader().hide()
        self.words.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.words.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.words.setAccessibleName("Words that the point is like, the likest first")
        self.more = QLineEdit()
        self.more.setPlaceholderText("other words to rank, with commas")
        self.more.setToolTip(
            "Which words the point is compared with; empty: those of the prompts and those that the model knows"
        )
        self.more.editingFinished.connect(lambda: self.vocabulary_changed.emit(self.more.text()))
        self.body.addWidget(self.words)
        self.body.addWidget(self.more)

    def _add_maps(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(GAP)
        self.parts_button, self.variants_button, self.blocks_button, self.last_block_button = (
            QPushButton(text) for text in ("Parts", "Variants", "Blocks", "Last block")
        )
        choices = (
            (self.parts_button, self.parts_wanted, "What residual and attention of the last block find of the prompt"),
            (self.variants_button, self.variants_wanted, "What variants find side by side, and where they disagree"),
            (self.blocks_button, self.blocks_wanted, "Entropy, maximum and channel means of every block"),
            (
                self.last_block_button,
                self.last_block_wanted,
                "How large residual and attention are in the last block by variant, and the angle of its network",
            ),
        )
        for place, (button, signal, tip) in enumerate(choices):
            button.setToolTip(tip)
            button.clicked.connect(lambda _, signal=signal: signal.emit())
            grid.addWidget(button, *divmod(place, 2))
        self._tips = {button: tip for button, _, tip in choices}
        self.body.addLayout(grid)
        self.other = QLineEdit()
        self.other.setPlaceholderText("beside Blocks: vit_base_patch16_224.dino, …")
        self.other.setToolTip(
            "Another vision transformer whose blocks are drawn beside the model's: a name of timm's, such as "
            "vit_base_patch16_224.dino, whose weights are downloaded once, or NAME = FILE with weights that are here. "
            "Empty: none."
        )
        self.other.setAccessibleName("Model of timm's that is drawn beside the blocks")
        self.body.addWidget(self.other)

    def show_sizes(self, sizes: Sizes | None, row: Attention) -> None:
        """Grey out variants that a model cannot compute, and what there is not to be seen of it, and say why."""
        without = "" if sizes is None or sizes.variants else NO_BLOCKS
        for button, tip in self._tips.items():
            lacking = without or (_whole(sizes, row) if button is self.parts_button else "")
            button.setEnabled(not lacking)
            button.setToolTip(lacking or tip)
        model: Any = self.variants.model()
        for at in range(self.variants.count()):
            row = self.variants.itemData(at)
            if isinstance(row, Attention):
                lacking = "" if sizes is None else sizes.lacking(row)
                model.item(at).setEnabled(not lacking)
                self.variants.setItemData(at, lacking, Qt.ItemDataRole.ToolTipRole)

    def _add_footer(self) -> None:
        self.bar, self.stage, self.running = QProgressBar(), hint(), QWidget()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop what is being inspected, a download too")
        self.cancel_button.clicked.connect(lambda: self.cancelled.emit())
        row = QHBoxLayout(self.running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        self.clear_button = QPushButton("Remove all of this")
        self.clear_button.setToolTip("Take away every layer that was made here")
        self.clear_button.clicked.connect(lambda: self.clear_wanted.emit())
        self.body.addWidget(self.stage)
        self.body.addWidget(self.running)
        self.body.addWidget(self.clear_button)
        self.clear_button.setEnabled(False)

    def show_row(self, row: Attention | None) -> None:
        """Show whose attention is shown."""
        at = next((at for at in range(self.variants.count()) if self.variants.itemData(at) == row), 0)
        self.variants.setCurrentIndex(at)

    def show_heads(self, count: int) -> None:
        """Offer the heads of a model; the one that is chosen stays if it is there."""
        chosen = self.heads.currentData()
        self.heads.clear()
        self.heads.addItem("Mean of all", None)
        for head in range(count):
            self.heads.addItem(f"Head {head + 1}", head)
        self.heads.setCurrentIndex(max(self.heads.findData(chosen), 0))
        self.heads.setEnabled(count > 0)

    def show_words(self, words: Sequence[Likeness]) -> None:
        """Show ranked words; nothing before a point is clicked."""
        self.words.setVisible(bool(words))
        self.more.setVisible(bool(words) or bool(self.more.text()))
        self.words.setRowCount(len(words))
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for at, item in enumerate(words):
            for column, text in enumerate((item.word, f"{item.cosine:.3f}", f"{100 * item.share:.0f} %")):
                cell = QTableWidgetItem(text)
                if column:
                    cell.setTextAlignment(right)
                self.words.setItem(at, column, cell)
        high = self.words.verticalHeader().defaultSectionSize() * min(len(words), _ROWS)
        self.words.setFixedHeight(high + self.words.horizontalHeader().sizeHint().height() + 4)
        self.words.scrollToTop()

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far it is; None when nothing is going on."""
        self.running.setVisible(progress is not None)
        self.stage.setVisible(progress is not None)
        if progress is not None:
            show_on(self.bar, progress)
            self.stage.setText(progress_text(progress))

    def show_clicking(self, clicking: bool) -> None:
        """Show whether a click is waited for."""
        self.click_button.setChecked(clicking)
        if clicking and not self.words.rowCount():
            self.say(CLICKING)
        elif self.about.text() == CLICKING:
            self.say("")

    def say(self, text: str) -> None:
        """Show a sentence about the point, or none."""
        self.about.setText(text)
        self.about.setVisible(bool(text))


def _whole(sizes: Sizes | None, row: Attention) -> str:
    """Why the last block of a model cannot be taken apart, in a sentence; empty if it can."""
    if row.calibrated:
        return CALIBRATED
    if sizes is not None and not sizes.has_residual:
        return NO_RESIDUAL
    return POOLED if sizes is not None and not sizes.has_class else ""
