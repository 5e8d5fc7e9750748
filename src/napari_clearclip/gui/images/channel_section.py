"""A folded part: which axis holds channels, and which layers or channels are red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_clearclip.gui.forms import Choice
from napari_clearclip.gui.images.channels import COLOURS, NO_PICKS, SEPARATOR, Pick, Picks
from napari_clearclip.gui.sections import GAP, Fold, form_layout, hint

AS_IT_IS = "Nothing chosen: the image is read as it is shown."
CHOSEN = "Read with each layer's own contrast limits and gamma, at the next Run."
ONE = "One layer alone is read as grey."
_TITLE = "Channels"


class ChannelSection(Fold):
    """Which axis of the image holds channels, and what is red, green and blue."""

    axis_chosen = Signal(object)
    picks_chosen = Signal(object)

    def __init__(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(GAP)
        self.axes = Choice()
        self.axes.setAccessibleName("Channels are along")
        self.axes.setToolTip("The axis of the image that holds channels rather than planes, if one does.")
        self.colours = tuple(Choice() for _ in COLOURS)
        self._picks: Picks = NO_PICKS
        form = form_layout()
        form.addRow("Along", self.axes)
        for name, choice in zip(COLOURS, self.colours, strict=True):
            choice.setAccessibleName(name)
            choice.setToolTip(f"The layer, or the channel of a layer, that is read as {name.lower()}")
            form.addRow(name, choice)
            choice.activated.connect(self._on_picked)
        self.about = hint()
        column.addLayout(form)
        column.addWidget(self.about)
        super().__init__(_TITLE, inner)
        self.axes.activated.connect(lambda: self.axis_chosen.emit(self.axes.currentData()))

    @property
    def picks(self) -> Picks:
        """What is chosen."""
        red, green, blue = (choice.currentData() for choice in self.colours)
        return red, green, blue

    def show_channels(
        self,
        axes: Sequence[tuple[str, int]],
        axis: int | None,
        choices: Sequence[tuple[str, Pick]],
        picks: Picks,
        problem: str,
    ) -> None:
        """Show what can be chosen, by name, what is chosen, and why that cannot be read."""
        self.axes.clear()
        self.axes.addItem("no axis", None)
        for name, at in axes:
            self.axes.addItem(name, at)
        self.axes.setCurrentIndex(max(self.axes.findData(axis), 0) if axis is not None else 0)
        self.axes.setEnabled(bool(axes))
        for choice, pick in zip(self.colours, picks, strict=True):
            choice.clear()
            choice.addItem("–", None)
            for name, value in choices:
                choice.addItem(name, value)
            choice.setCurrentIndex(next((at for at in range(choice.count()) if choice.itemData(at) == pick), 0))
        names = [choice.currentText() for choice in self.colours if choice.currentData() is not None]
        self.set_text(f"{_TITLE}: {', '.join(_short(names))}" if names else _TITLE)
        self.about.setText(problem or (AS_IT_IS if not names else ONE if len(names) == 1 else CHOSEN))

    def _on_picked(self) -> None:
        self.picks_chosen.emit(self.picks)


def _short(names: Sequence[str]) -> Sequence[str]:
    """The names without that of their layer where they have the same one."""
    parts = [name.rpartition(SEPARATOR) for name in names]
    return [channel for *_, channel in parts] if len({layer for layer, *_ in parts}) == 1 else names
