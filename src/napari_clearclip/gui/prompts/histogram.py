"""The scores of a prompt as a histogram whose threshold can be dragged, and what else decides about masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QLineF, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import qthrottled, signals_blocked

from napari_clearclip.engine.automatic import BINS, Counts
from napari_clearclip.gui.forms import edit
from napari_clearclip.gui.sections import GAP
from napari_clearclip.settings import Deciding, Prompt

ADD_FIRST = "Add a prompt to see its scores"
RUN_FIRST = "Run once to see the scores"
STEP = 0.01
_GRIP = 6  # pixels: half the width of what the threshold is held by


class ScorePlot(QWidget):
    """The scores of a prompt: bars from its threshold on are full, those below faint; the threshold can be dragged.

    Left and Right move the threshold, with Shift by ten times as much.
    """

    moved = Signal(float)
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._prompt: Prompt | None = None
        self._counts: Counts | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Scores")
        self.setToolTip(
            "How many places in the image have which score; drag the line, or use the arrows, to move the threshold.\n"
            "The height is logarithmic, so that small objects can be seen."
        )

    def show_scores(self, prompt: Prompt | None, counts: Counts | None) -> None:
        """Show the scores of a prompt, or what to do to see them."""
        alike = counts is not None and self._counts is not None and np.array_equal(counts, self._counts)
        if prompt == self._prompt and alike:
            return
        self._prompt, self._counts = prompt, counts
        spoken = "" if prompt is None else f"{prompt.phrase}, threshold {prompt.threshold:.2f}"
        self.setAccessibleDescription(spoken if counts is not None else self.missing)
        self.setCursor(Qt.CursorShape.SplitHCursor if self._movable else Qt.CursorShape.ArrowCursor)
        self.update()

    @property
    def missing(self) -> str:
        """What to do to see scores; empty if they are seen."""
        return ADD_FIRST if self._prompt is None else RUN_FIRST if self._counts is None else ""

    @property
    def _movable(self) -> bool:
        return self._prompt is not None and not self._prompt.locked

    def sizeHint(self) -> QSize:
        """A few lines of text high."""
        return QSize(200, 3 * self.fontMetrics().height() + 16)

    def area(self) -> QRectF:
        """Where the bars are: scores from 0 to 1 from left to right."""
        return QRectF(self.rect()).adjusted(_GRIP + 2, 10, -_GRIP - 2, -self.fontMetrics().height() - 2)

    def at(self, score: float) -> float:
        """Where a score lies from left to right."""
        return float(self.area().left() + score * self.area().width())

    # Drawing

    def paintEvent(self, event: Any) -> None:
        """Draw bars, axis and threshold, or say what is missing."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        self._draw_axis(painter, ink)
        if self._prompt is not None and self._counts is not None:
            self._draw_bars(painter, self._prompt, self._counts, ink)
        else:
            painter.setPen(ink)
            painter.drawText(self.area(), Qt.AlignmentFlag.AlignCenter, self.missing)
        if self._prompt is not None:
            self._draw_threshold(painter, self._prompt, ink)

    def _draw_axis(self, painter: QPainter, ink: QColor) -> None:
        area = self.area()
        faint = QColor(ink)
        faint.setAlphaF(0.5)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        for score, text in ((0.0, "0"), (0.5, "0.5"), (1.0, "1")):
            width = self.fontMetrics().horizontalAdvance(text)
            left = min(max(self.at(score) - width / 2, 0), self.width() - width)
            painter.drawText(QPointF(left, self.height() - self.fontMetrics().descent()), text)

    def _draw_bars(self, painter: QPainter, prompt: Prompt, counts: Counts, ink: QColor) -> None:
        """Bars, with a line on top that can be seen where the colour is close to the background's."""
        area, edge = self.area(), QColor(ink)
        edge.setAlphaF(0.55)
        heights = np.log1p(counts) / max(float(np.log1p(counts.max())), 1e-9)
        below = QColor(prompt.color)
        below.setAlphaF(0.4)
        bars: dict[bool, list[QRectF]] = {True: [], False: []}
        for place in np.flatnonzero(counts).tolist():
            high = max(float(heights[place]) * area.height(), 1.5)
            left, wide = area.left() + place / BINS * area.width(), area.width() / BINS
            bars[place / BINS >= prompt.threshold - 1e-6].append(QRectF(left, area.bottom() - high, wide, high))
        painter.setPen(Qt.PenStyle.NoPen)
        for above, color in ((True, QColor(prompt.color)), (False, below)):
            painter.setBrush(color)
            painter.drawRects(bars[above])
        painter.setPen(QPen(edge, 1))
        painter.drawLines([QLineF(bar.topLeft(), bar.topRight()) for bar in (*bars[True], *bars[False])])

    def _draw_threshold(self, painter: QPainter, prompt: Prompt, ink: QColor) -> None:
        area, at = self.area(), self.at(prompt.threshold)
        ink = QColor(ink)
        ink.setAlphaF(0.5 if prompt.locked else 1.0)
        painter.setPen(QPen(ink, 3 if self.hasFocus() else 1.6))
        painter.drawLine(QPointF(at, 3), QPointF(at, area.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        painter.drawPolygon(QPolygonF([QPointF(at - _GRIP, 0), QPointF(at + _GRIP, 0), QPointF(at, 8)]))

    # Mouse and keyboard

    def mousePressEvent(self, event: Any) -> None:
        """Bring the threshold to the mouse."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._move_to((event.position().x() - self.area().left()) / self.area().width())

    def mouseMoveEvent(self, event: Any) -> None:
        """Let the threshold follow the mouse."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._move_to((event.position().x() - self.area().left()) / self.area().width())

    def mouseReleaseEvent(self, event: Any) -> None:
        """Let go of the threshold."""
        self.released.emit()

    def keyPressEvent(self, event: Any) -> None:
        """Move the threshold."""
        size = STEP * (10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        ways = {Qt.Key.Key_Left: -size, Qt.Key.Key_Right: size}
        if event.key() in ways and self._prompt is not None:
            self._move_to(self._prompt.threshold + ways[event.key()])
        else:
            super().keyPressEvent(event)

    def _move_to(self, score: float) -> None:
        if self._movable and self._prompt is not None:
            score = min(max(round(score, 2), 0.0), 1.0)
            self._prompt = self._prompt.replace(threshold=score)  # the line follows at once, the mask a little later
            self.update()
            self.moved.emit(score)


class Thresholds(QWidget):
    """The selected prompt's scores and threshold, thresholds that follow from the scores, and whether masks overlap."""

    threshold_moved = Signal(str, float)
    automatic = Signal(object)
    changed = Signal(str, dict)
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._prompt: Prompt | None = None
        self.plot = ScorePlot()
        self.number = edit(Prompt.model_fields["threshold"])
        self.number.inner.setDecimals(2)
        self.number.inner.setSingleStep(STEP)
        self.auto, self.auto_all = QPushButton("Auto"), QPushButton("Auto all")
        self.overlap = QCheckBox("Masks may overlap")
        self.overlap.setToolTip(f"Unchecked: {_help('exclusive')}")
        self.lead = edit(Deciding.model_fields["lead"])
        self._lay_out()
        self._tell = qthrottled(self.threshold_moved.emit, timeout=40, parent=self)
        self.plot.moved.connect(self._on_moved)
        self.plot.released.connect(self._on_released)
        self.number.value_changed.connect(self._on_moved)
        self.auto.clicked.connect(lambda: self.automatic.emit(None if self._prompt is None else [self._prompt.id]))
        self.auto_all.clicked.connect(lambda: self.automatic.emit(None))
        self.overlap.toggled.connect(lambda on: self.changed.emit("deciding", {"exclusive": not on}))
        self.lead.value_changed.connect(lambda value: self.changed.emit("deciding", {"lead": value}))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.plot)
        for text, editor, rest in (
            ("Threshold", self.number, (self.auto, self.auto_all)),
            ("Lead", self.lead, (self.overlap,)),
        ):
            label = QLabel(text)
            label.setBuddy(editor.inner)
            label.setToolTip(editor.toolTip())
            editor.inner.setAccessibleName(text)
            row = QHBoxLayout()
            row.addWidget(label)
            row.addWidget(editor, 1)
            for widget in rest:
                row.addWidget(widget)
            column.addLayout(row)

    def show_deciding(self, deciding: Deciding) -> None:
        """Show what decides about masks."""
        with signals_blocked(self.overlap):
            self.overlap.setChecked(not deciding.exclusive)
        self.lead.set_value(deciding.lead)

    def show_scores(self, prompt: Prompt | None, counts: Counts | None, some: bool) -> None:
        """Show the scores of the selected prompt.

        Parameters
        ----------
        prompt : Prompt or None
            The selected prompt.
        counts : (BINS,) int64 array or None
            Its scores, once there has been a run.
        some : bool
            Whether there are scores of any prompt.
        """
        self._prompt = prompt
        self.plot.show_scores(prompt, counts)
        self.number.setEnabled(prompt is not None and not prompt.locked)
        if prompt is not None:
            self.number.set_value(prompt.threshold)
        reason = self.plot.missing
        if prompt is not None and prompt.locked:
            reason = "The prompt is locked; unlock it first"
        elif counts is not None and np.count_nonzero(counts) < 2:
            reason = "All scores are about the same, so that nothing tells them apart"
        self._offer(self.auto, reason, "Set the threshold between low and high scores (Otsu's method)")
        self._offer(self.auto_all, "" if some else reason or RUN_FIRST, "The same for every prompt that is not locked")

    @staticmethod
    def _offer(button: QPushButton, reason: str, help_: str) -> None:
        """Enable a button, or say why it cannot be pressed."""
        button.setEnabled(not reason)
        button.setToolTip(reason or help_)
        button.setAccessibleDescription(reason or help_)

    def _on_moved(self, value: float) -> None:
        if self._prompt is not None:
            self._tell(self._prompt.id, round(value, 2))

    def _on_released(self) -> None:
        """Tell where the threshold was left before telling that it was."""
        self._tell.flush()
        self.released.emit()


def _help(name: str) -> str:
    """The help text of a field that decides about masks."""
    return Deciding.model_fields[name].description or ""
