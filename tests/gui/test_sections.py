"""A bar shows how far work is, is drawn once for each look at it, and never runs to and fro."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QProgressBar

from napari_clearclip.gui.sections import show_on
from napari_clearclip.progress import Progress


class Draws(QObject):
    """Counts how often a widget is drawn."""

    def __init__(self, widget: QProgressBar) -> None:
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


@pytest.fixture
def bar(qtbot: QtBot) -> QProgressBar:
    bar = QProgressBar()
    qtbot.addWidget(bar)
    bar.show()
    qtbot.waitExposed(bar)
    return bar


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (Progress("Reading windows", 3, 4, "windows"), 0.75),
        (Progress("Downloading the model", 3 << 30, 4 << 30, "bytes"), 0.75),  # more than 32 bits
        (Progress("Making masks"), 0.0),
    ],
)
def test_a_bar_shows_how_far_work_is(bar: QProgressBar, progress: Progress, share: float) -> None:
    show_on(bar, progress)
    assert bar.value() == share * bar.maximum()


def test_a_bar_never_runs_to_and_fro(bar: QProgressBar) -> None:
    show_on(bar, Progress("Making masks"))
    assert bar.maximum() > bar.minimum()  # equal limits are what Qt animates


def test_a_bar_is_drawn_once_for_each_look(bar: QProgressBar, qtbot: QtBot) -> None:
    show_on(bar, Progress("Reading windows", 0, 4, "windows"))
    draws = Draws(bar)
    qtbot.wait(50)
    draws.count = 0
    show_on(bar, Progress("Reading windows", 2, 4, "windows"))
    assert draws.count == 0  # not at once, but with what else has changed
    qtbot.waitUntil(lambda: draws.count == 1)
