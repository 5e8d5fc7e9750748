"""The list of models in a window of its own, beside which one can go on working."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.models.choices import (
    WEIGHTS,
    Entry,
    architectures,
    guess_architecture,
    has_configuration,
)
from napari_clearclip.gui.sections import GAP
from napari_clearclip.settings import Model

FILES = f"Weights ({' '.join(f'*{suffix}' for suffix in WEIGHTS)});;All files (*)"
_COLUMNS = ("Model", "Good for", "Size, about", "State")
_FOLDED = "All published"
_LINK = "#2E86C1"  # to be read on dark and on light


class ModelDialog(QDialog):
    """The models that can be had, what each is good for, and what must be downloaded first."""

    chosen = Signal(Model)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Choose a model")
        self.resize(720, 600)
        self._folder = ""
        self._path: Path | None = None
        self.filter, self.tree, self.about = QLineEdit(), QTreeWidget(), QLabel()
        self.filter.setPlaceholderText("Find among all published models, such as laion or L-14")
        self.filter.setAccessibleName("Find a model")
        self.filter.setClearButtonEnabled(True)
        self._make_tree()
        self.about.setWordWrap(True)
        self.about.setOpenExternalLinks(True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.about.setMinimumHeight(self.about.fontMetrics().lineSpacing() * 4)
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setSpacing(GAP)
        column.addWidget(self.filter)
        column.addWidget(self.tree, 1)
        column.addWidget(self.about)
        column.addWidget(self._make_architecture())
        column.addLayout(self._make_buttons())
        self.filter.textChanged.connect(self._filter)
        self.tree.currentItemChanged.connect(lambda *_: self._look())
        self.tree.itemActivated.connect(lambda *_: self._activate())

    def _make_tree(self) -> None:
        self.tree.setColumnCount(len(_COLUMNS))
        self.tree.setHeaderLabels(_COLUMNS)
        self.tree.setRootIsDecorated(True)
        self.tree.setAllColumnsShowFocus(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.tree.setStyleSheet("QTreeView::item { padding: 3px 8px 3px 2px; }")
        header = self.tree.header()
        header.setStretchLastSection(False)
        for at in range(len(_COLUMNS)):
            mode = QHeaderView.ResizeMode.Stretch if at == 1 else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(at, mode)

    def _make_architecture(self) -> QWidget:
        self.asking, self.architecture = QWidget(), Choice()
        self.architecture.setAccessibleName("Architecture")
        self.architecture.addItems(architectures())
        self.architecture.setToolTip("quickgelu: weights of OpenAI, MetaCLIP and DFN, and files fine-tuned from these")
        row = QHBoxLayout(self.asking)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Architecture"))
        row.addWidget(self.architecture, 1)
        self.asking.hide()
        return self.asking

    def _make_buttons(self) -> QHBoxLayout:
        self.file_button, self.use_button = QPushButton("Local file…"), QPushButton("Use")
        self.file_button.setToolTip("Weights on this machine, with or without open_clip's configuration beside them")
        self.close_button = QPushButton("Close")
        self.use_button.setDefault(True)
        row = QHBoxLayout()
        row.addWidget(self.file_button)
        row.addStretch(1)
        row.addWidget(self.close_button)
        row.addWidget(self.use_button)
        for button in (self.file_button, self.close_button):
            button.setAutoDefault(False)
        self.file_button.clicked.connect(self._pick)
        self.use_button.clicked.connect(self._use)
        self.close_button.clicked.connect(self.reject)
        return row

    # What is shown

    def show_entries(self, entries: Iterable[Entry], current: Model, folder: Path | None) -> None:
        """Show the list with the chosen model selected; `folder` is where downloads go."""
        before = self.entry
        self._folder = "" if folder is None else str(folder)
        self.tree.clear()
        groups: dict[str, QTreeWidgetItem] = {}
        for entry in entries:
            if entry.group not in groups:
                groups[entry.group] = self._group(entry.group)
            item = QTreeWidgetItem([entry.title, entry.good_for, entry.size_text, entry.state])
            item.setData(0, Qt.ItemDataRole.UserRole, entry)
            for at in range(2):
                item.setToolTip(at, f"{entry.title}: {entry.about}")
            item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            groups[entry.group].addChild(item)
            if entry.title == before.title if before is not None else entry.model == current:
                self.tree.setCurrentItem(item)
        for name, group in groups.items():
            group.setText(0, name if name != _FOLDED else f"{name} ({group.childCount()} more)")
        self._filter(self.filter.text())
        self._look()

    def _group(self, name: str) -> QTreeWidgetItem:
        group = QTreeWidgetItem([name])
        font = group.font(0)
        font.setBold(True)
        group.setFont(0, font)
        group.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.tree.addTopLevelItem(group)
        group.setFirstColumnSpanned(True)
        group.setExpanded(name != _FOLDED)
        return group

    @property
    def entry(self) -> Entry | None:
        """The entry that is selected."""
        item = self.tree.currentItem()
        entry: Entry | None = None if item is None else item.data(0, Qt.ItemDataRole.UserRole)
        return entry

    def _filter(self, text: str) -> None:
        """Hide what does not match; a text opens all groups."""
        for at in range(self.tree.topLevelItemCount()):
            group = self.tree.topLevelItem(at)
            items = [group.child(row) for row in range(group.childCount())]
            for item in items:
                item.setHidden(not item.data(0, Qt.ItemDataRole.UserRole).matches(text))
            group.setHidden(all(item.isHidden() for item in items))
            if self.tree.currentItem() in items and self.tree.currentItem().isHidden():
                self.tree.setCurrentItem(None)
            group.setExpanded(bool(text.strip()) or not group.text(0).startswith(_FOLDED))
        if self.entry is None and self._path is None:
            self._look()

    def _look(self) -> None:
        """Say of the selected model what it is and what using it means."""
        self._path = None
        self.asking.hide()
        entry = self.entry
        said, button = (self._nothing(), "Use") if entry is None else self._offer(entry)
        self.about.setText(said)
        self.use_button.setText(button)
        self.use_button.setEnabled(entry is not None and entry.state != "looking …" and not entry.lacking)

    def _nothing(self) -> str:
        """What to do while no model is selected."""
        groups = [self.tree.topLevelItem(at) for at in range(self.tree.topLevelItemCount())]
        if groups and all(group.isHidden() for group in groups):
            return f"No model matches “{self.filter.text().strip()}”: try part of a name, or press Local file…"
        return "Select a model to read about it."

    def _offer(self, entry: Entry) -> tuple[str, str]:
        """What a model is, and the words on the button."""
        if entry.state == "file by hand":
            where = f'<a style="color: {_LINK}" href="{entry.page}">{entry.page.removeprefix("https://")}</a>'
            return f"{entry.about}<br>Get {entry.file} from {where} and then choose it here.", "Choose the file…"
        if entry.lacking:
            return f"{entry.about}<br>It cannot be used yet: {entry.lacking}, then start napari again.", "Use"
        if entry.state == "not downloaded":
            return (
                f"{entry.about}<br>About {entry.size_text} are downloaded once, to {self._folder}.",
                f"Download {entry.size_text} and use",
            )
        return entry.about + ("<br>Looking what is on this machine …" if entry.state == "looking …" else ""), "Use"

    # What is chosen

    def _activate(self) -> None:
        """Enter or a double click: what needs a download or a file waits for the button, which says so."""
        if self.entry is not None and self.entry.is_here:
            self._use()
        else:
            self.use_button.setFocus()

    def _use(self) -> None:
        entry = self.entry
        if self._path is not None:
            self._choose(Model(name=self.architecture.currentText(), pretrained=str(self._path)))
        elif entry is None:
            return
        elif entry.model is not None:
            self._choose(entry.model)
        elif path := self._ask(f"The file of {entry.title}"):
            self._choose(Model(name=entry.architecture, pretrained=path))

    def _pick(self) -> None:
        """Take a file; where none beside it says what it holds, ask for that."""
        if not (picked := self._ask("Weights of a CLIP")):
            return
        path = Path(picked)
        if has_configuration(path):
            self._choose(Model(name="", pretrained=picked))
            return
        self.tree.setCurrentItem(None)
        self._path = path
        self.architecture.setCurrentIndex(max(self.architecture.findText(guess_architecture(path)), 0))
        self.about.setText(f"No configuration lies beside {path.name}. Which architecture are these weights of?")
        self.asking.show()
        self.use_button.setText("Use")
        self.use_button.setEnabled(True)

    def _ask(self, title: str) -> str:
        path: str = QFileDialog.getOpenFileName(self, title, "", FILES)[0]
        return path

    def _choose(self, model: Model) -> None:
        self.accept()
        self.chosen.emit(model)
