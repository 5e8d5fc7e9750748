"""Which planes of a stack a run covers: the choice as a value, and the row of widgets that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_clearclip.edits import Plane
from napari_clearclip.gui.forms import Choice, Integer


@dataclass(frozen=True)
class Planes:
    """A choice among the planes of a stack.

    Attributes
    ----------
    which : {"this", "range", "all"}
        The plane that is looked at, some along an axis, or all.
    axis : int
        Of a range; along the other axes it stays where one looks.
    first, last : int
        First and last index of a range.
    """

    which: Literal["this", "range", "all"] = "this"
    axis: int = 0
    first: int = 0
    last: int = 0

    def of(self, sizes: Sequence[int], here: Plane) -> list[Plane]:
        """The planes of a stack with these leading axes, seen from the plane that is looked at."""
        if self.which == "this":
            return [here]
        if self.which == "all":
            return list(product(*(range(size) for size in sizes)))
        first, last = sorted((self.first, self.last))
        inside = range(max(first, 0), min(last, sizes[self.axis] - 1) + 1)
        return [(*here[: self.axis], at, *here[self.axis + 1 :]) for at in inside]


class PlaneRow(QWidget):
    """Which planes to read; for an image that is no stack it is hidden."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.which, self.axis = Choice(), Choice()
        self.first, self.last = Integer(), Integer()
        self._sizes: tuple[int, ...] = ()
        self._names: tuple[str, ...] = ()
        for text, value in (("this one", "this"), ("a range", "range"), ("all", "all")):
            self.which.addItem(text, value)
        self.which.setAccessibleName("Planes")
        self.which.setToolTip("Which planes Run segments; the one that is looked at comes first.")
        self.axis.setToolTip("The axis along which the range goes; along the others it stays where the sliders are.")
        for box, name in ((self.first, "First plane"), (self.last, "Last plane")):
            box.setAccessibleName(name)
            box.setToolTip(f"{name} of the range, counted from 1")
            box.setKeyboardTracking(False)
            box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            box.valueChanged.connect(self.changed)
        self.range = QWidget()
        row = QHBoxLayout(self.range)
        row.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.first, 1), (QLabel("to"), 0), (self.last, 1)):
            row.addWidget(widget, stretch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.which, self.axis, self.range):
            column.addWidget(widget)
        self.which.activated.connect(self._on_chosen)
        self.axis.activated.connect(self._on_axis)
        self._show()

    @property
    def value(self) -> Planes:
        """What is chosen."""
        axis = self.axis.currentData()
        return Planes(
            self.which.currentData(), 0 if axis is None else axis, self.first.value() - 1, self.last.value() - 1
        )

    @property
    def is_stack(self) -> bool:
        """Whether there is more than one plane."""
        return prod(self._sizes) > 1

    def planes(self, here: Plane) -> list[Plane]:
        """The planes to read, seen from the one that is looked at."""
        return self.value.of(self._sizes, here)

    def set_stack(self, sizes: Sequence[int], names: Sequence[str]) -> None:
        """Offer the planes of a stack with these leading axes; another stack starts with the plane looked at."""
        if (self._sizes, self._names) == (tuple(sizes), tuple(names)):
            return
        self._sizes, self._names = tuple(sizes), tuple(names)
        with signals_blocked(self):
            self.axis.clear()
            for at, (name, size) in enumerate(zip(names, sizes, strict=True)):
                if size > 1:
                    self.axis.addItem(f"along {name}", at)
            self.which.setItemText(2, f"all ({prod(sizes)})")
            self.which.setCurrentIndex(0)
            self._limit()
        self._show()
        self.changed.emit()

    def _limit(self) -> None:
        """The range as long as the axis."""
        axis = self.axis.currentData()
        size = 1 if axis is None else self._sizes[axis]
        for box, value in ((self.first, 1), (self.last, size)):
            with signals_blocked(box):
                box.setRange(1, size)
                box.setValue(value)

    def _on_axis(self) -> None:
        self._limit()
        self.changed.emit()

    def _on_chosen(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        ranging = self.which.currentData() == "range"
        self.range.setVisible(ranging)
        self.axis.setVisible(ranging and self.axis.count() > 1)
