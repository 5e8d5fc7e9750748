"""How the cells of the prompt table are drawn, and the editor of a phrase."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QRect, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QWidget

from napari_clearclip.gui.prompts.phrase_line import REFUSED, PhraseLine
from napari_clearclip.gui.prompts.table import PROMPT, Column
from napari_clearclip.settings import Prompt

_NUMBER = 42  # pixels for a threshold in digits
_SHORTEST = 24  # a groove shorter than this is left out


class PromptDelegate(QStyledItemDelegate):
    """Draws swatches, sliders, locks and flags, and keeps the editor open while what is typed is refused."""

    def paint(self, painter: QPainter, option: Any, index: QModelIndex) -> None:
        """Draw a cell."""
        column = Column(index.column())
        if column in (Column.SHOWN, Column.COVERAGE):
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = option.text
        option.text = ""
        option.widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        prompt: Prompt = index.data(PROMPT)
        ink = self._ink(option, index.model().works(prompt) and not index.model().is_copy(prompt))
        if column == Column.COLOR:
            _draw_swatch(painter, option.rect, prompt, ink)
        elif column == Column.THRESHOLD:
            _draw_slider(painter, option.rect, prompt, text, ink)
        elif column == Column.LOCK:
            _draw_lock(painter, option.rect, prompt.locked, ink)
        else:
            self._draw_phrase(painter, option, index, text, ink)
        painter.restore()

    def _ink(self, option: Any, works: bool) -> QColor:
        """The colour of text: as in the theme, faint for what is hidden or does not compete."""
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        return _faint(option.palette.color(role), 1.0 if works else 0.5)

    def _draw_phrase(self, painter: QPainter, option: Any, index: QModelIndex, text: str, ink: QColor) -> None:
        prompt, draft = index.data(PROMPT), index.model().draft(index.row())
        area = option.rect.adjusted(4, 0, -4, 0)
        font = option.font
        font.setStrikeOut(prompt.muted)
        painter.setFont(font)
        painter.setPen(ink)
        if prompt.index is not None and not draft:
            area.setLeft(_draw_fx(painter, area, ink))
            painter.setPen(ink)
        sign = "!" if draft else "?" if index.model().unknown(index) else ""
        space = area.adjusted(0, 0, -20 * bool(sign), 0)
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, space.width())
        painter.drawText(space, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        if sign:
            mark = QRect(area.right() - 15, area.center().y() - 7, 15, 15)
            _draw_sign(painter, mark, sign, REFUSED if draft else "#E69F00")
        if draft:
            painter.setPen(QPen(QColor(REFUSED), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(option.rect).adjusted(1.5, 1.5, -1.5, -1.5), 3, 3)

    # The editor of a phrase

    def createEditor(self, parent: QWidget, option: Any, index: QModelIndex) -> QWidget:
        """A line that says in place why what is typed is refused."""
        line = PhraseLine(parent)
        line.setAccessibleName("Phrase and synonyms, separated by commas")
        line.set_help("Phrase, then synonyms after commas; Enter keeps it, Escape gives it up")
        place = QPersistentModelIndex(index)  # rows may be moved while the editor is open
        line.textEdited.connect(lambda text: self._recheck(line, place, text))
        return line

    def updateEditorGeometry(self, editor: QWidget, option: Any, index: QModelIndex) -> None:
        """Give an expression the rest of the row: in the cell of a phrase one would see its end only."""
        super().updateEditorGeometry(editor, option, index)
        if index.data(PROMPT).index is not None:
            area = QRect(editor.geometry())
            area.setRight(option.widget.viewport().width() - 1)
            editor.setGeometry(area)

    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        """Start with what was typed before, even if it was refused."""
        super().setEditorData(editor, index)
        draft = index.model().draft(index.row())
        if draft is not None and isinstance(editor, PhraseLine):
            editor.refuse(draft.reason)

    def eventFilter(self, editor: Any, event: Any) -> bool:
        """Enter leaves the editor open while the text is refused, Escape gives up what was typed."""
        if event.type() == QEvent.Type.KeyPress and isinstance(editor, PhraseLine):
            view: Any = self.parent()
            index = view.indexAt(editor.geometry().center())
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
                reason = index.model().refusal(index.row(), editor.text())
                editor.refuse(reason)
                if reason:
                    return True
            if event.key() == Qt.Key.Key_Escape and index.isValid():
                place = QPersistentModelIndex(index)
                QTimer.singleShot(0, lambda: place.isValid() and index.model().give_up(place.row()))
        return bool(super().eventFilter(editor, event))

    @staticmethod
    def _recheck(line: PhraseLine, place: QPersistentModelIndex, text: str) -> None:
        """Take the mark away once what is typed is allowed; while it is typed, none is set."""
        if line.accessibleDescription() and place.isValid():
            line.refuse(place.model().refusal(place.row(), text))


def _faint(color: QColor, alpha: float) -> QColor:
    """A colour with another opacity."""
    faint = QColor(color)
    faint.setAlphaF(alpha * color.alphaF())
    return faint


def slider_area(rect: QRect) -> QRect:
    """Where the groove of a threshold slider lies in its cell, the number right of it; empty where it has no room."""
    groove = rect.adjusted(10, 0, -_NUMBER, 0)
    return groove if groove.width() >= _SHORTEST else QRect()


def slider_width(share: int, room: int) -> int:
    """Width of the threshold's cell for a fair share of the table and the room that phrases leave."""
    wanted = max(share, _NUMBER + 10 + 44)
    return min(wanted, room) if room >= _NUMBER + 10 + _SHORTEST else _NUMBER


def _draw_swatch(painter: QPainter, rect: QRect, prompt: Prompt, ink: QColor) -> None:
    side = min(rect.width() - 4, rect.height() - 10, 16)
    box = QRect(0, 0, side, side)
    box.moveCenter(rect.center())
    painter.setPen(QPen(ink, 1))
    painter.setBrush(QColor(prompt.color))
    painter.drawRoundedRect(box, 3, 3)


def _draw_slider(painter: QPainter, rect: QRect, prompt: Prompt, text: str, ink: QColor) -> None:
    ink = _faint(ink, 0.5 if prompt.locked else 1.0)
    groove = slider_area(rect)
    if not groove.isEmpty():
        middle = groove.center().y() + 1
        at = groove.left() + round(prompt.threshold * groove.width())
        painter.setPen(QPen(_faint(ink, 0.35), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(groove.left(), middle, groove.right(), middle)
        painter.setPen(QPen(ink, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(groove.left(), middle, at, middle)
        painter.setPen(QPen(ink, 1.5))
        painter.setBrush(QColor(prompt.color))
        painter.drawEllipse(QRect(at - 6, middle - 6, 12, 12))
    painter.setPen(ink)
    number = QRect(rect.right() - _NUMBER + 6, rect.top(), _NUMBER - 8, rect.height())
    painter.drawText(number, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text)


def _draw_lock(painter: QPainter, rect: QRect, locked: bool, ink: QColor) -> None:
    """A padlock: closed and filled, or open and faint."""
    ink = ink if locked else _faint(ink, 0.45)
    body = QRectF(0, 0, 11, 8)
    body.moveCenter(QRectF(rect).center())
    body.translate(0, 3)
    bow = QRectF(body.left() + 2, body.top() - 6, 7, 10)
    painter.setPen(QPen(ink, 1.6))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if locked:
        painter.drawArc(bow, 0, 180 * 16)
        painter.setBrush(ink)
    else:
        painter.drawArc(bow.translated(0, -1), 30 * 16, 170 * 16)
    painter.drawRoundedRect(body, 1.5, 1.5)


def _draw_fx(painter: QPainter, area: QRect, ink: QColor) -> int:
    """A small fx in a frame, which says that a band expression is looked for; where the name may begin."""
    painter.save()
    font = painter.font()
    font.setItalic(True)
    font.setStrikeOut(False)
    painter.setFont(font)
    mark = QRect(area.left(), area.top() + 5, painter.fontMetrics().horizontalAdvance("fx") + 8, area.height() - 10)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(_faint(ink, 0.6), 1))
    painter.drawRoundedRect(QRectF(mark).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
    painter.setPen(ink)
    painter.drawText(mark, Qt.AlignmentFlag.AlignCenter, "fx")
    painter.restore()
    return mark.right() + 6


def _draw_sign(painter: QPainter, mark: QRect, sign: str, color: str) -> None:
    """A round warning sign: form and sign say it, not only the colour."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(color))
    painter.drawEllipse(mark)
    painter.setPen(QColor("#000000"))
    font = painter.font()
    font.setBold(True)
    font.setStrikeOut(False)
    painter.setFont(font)
    painter.drawText(mark, Qt.AlignmentFlag.AlignCenter, sign)
