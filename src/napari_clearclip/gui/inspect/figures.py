"""A window with a figure of matplotlib's, and its tools: zoom, pan, save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureWindow(QDialog):
    """Shows a figure until it is closed; then it is gone."""

    def __init__(self, title: str, figure: Figure, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from matplotlib.backends.backend_qt import NavigationToolbar2QT
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.canvas = FigureCanvasQTAgg(figure)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(NavigationToolbar2QT(self.canvas, self))
        column.addWidget(self.canvas, 1)
        width, height = figure.get_size_inches()
        self.resize(int(100 * width), int(100 * height) + 50)
