"""The histogram of scores: what it shows, how its threshold is moved, and what is set beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from napari_clearclip.engine.automatic import BINS, Counts
from napari_clearclip.gui.prompts.histogram import ADD_FIRST, RUN_FIRST, ScorePlot, Thresholds
from napari_clearclip.settings import Deciding, Prompt

TREE = Prompt(id="a", phrase="tree", threshold=0.3, color="#009E73")


def counts(**bins: int) -> Counts:
    """Scores in bins named b0 to b99."""
    made = np.zeros(BINS, np.int64)
    for name, number in bins.items():
        made[int(name[1:])] = number
    return made


TWO = counts(b10=10_000, b80=3)


@pytest.fixture
def plot(qtbot: Any) -> ScorePlot:
    made = ScorePlot()
    qtbot.addWidget(made)
    made.resize(300, made.sizeHint().height())
    made.show()
    return made


@pytest.fixture
def thresholds(qtbot: Any) -> Thresholds:
    made = Thresholds()
    made.told = []
    made.threshold_moved.connect(lambda *values: made.told.append(("threshold_moved", *values)))
    made.automatic.connect(lambda ids: made.told.append(("automatic", ids)))
    made.changed.connect(lambda *values: made.told.append(("changed", *values)))
    made.released.connect(lambda: made.told.append(("released",)))
    qtbot.addWidget(made)
    made.resize(300, 160)
    made.show()
    made.show_scores(TREE, TWO, True)
    return made


def bar_heights(plot: ScorePlot) -> dict[int, int]:
    """By bin, how many pixels of its middle column have about the colour of the prompt."""
    image, area = plot.grab().toImage(), plot.area()
    found = {}
    for place in (10, 50, 80):
        x = round(plot.at((place + 0.5) / BINS))
        shades = [image.pixelColor(x, y) for y in range(round(area.top()), round(area.bottom()))]
        found[place] = sum(shade.green() > shade.red() + 30 for shade in shades)
    return found


def test_few_places_can_be_seen_beside_many(plot: ScorePlot) -> None:
    plot.show_scores(TREE, TWO)
    heights = bar_heights(plot)
    assert heights[50] == 0
    assert heights[10] == pytest.approx(plot.area().height(), abs=2)
    assert heights[80] == pytest.approx(heights[10] * np.log(4) / np.log(10_001), abs=2)


def test_bars_below_the_threshold_are_faint(plot: ScorePlot) -> None:
    plot.resize(1000, plot.height())  # bars are wider than the line
    y, x = round(plot.area().bottom()) - 3, round(plot.at(0.805))
    plot.show_scores(TREE, TWO)
    full = plot.grab().toImage().pixelColor(x, y)
    plot.show_scores(TREE.replace(threshold=0.8), TWO)
    at_threshold = plot.grab().toImage().pixelColor(x, y)
    plot.show_scores(TREE.replace(threshold=0.9), TWO)
    faint = plot.grab().toImage().pixelColor(x, y)
    assert full.name() == at_threshold.name() == TREE.color.lower()
    assert faint.name() != full.name()


@pytest.mark.parametrize(
    ("prompt", "scores", "missing"), [(None, None, ADD_FIRST), (TREE, None, RUN_FIRST), (TREE, TWO, "")]
)
def test_what_is_missing_is_said(plot: ScorePlot, prompt: Prompt | None, scores: Counts | None, missing: str) -> None:
    plot.show_scores(prompt, scores)
    assert plot.missing == missing
    assert plot.accessibleDescription() == (missing or "tree, threshold 0.30")
    plot.grab()


def test_the_threshold_is_dragged(thresholds: Thresholds, qtbot: Any) -> None:
    plot = thresholds.plot
    here = [QPoint(round(plot.at(score)), 12) for score in (0.3, 0.5, 0.7, 1.4)]
    QTest.mousePress(plot, Qt.MouseButton.LeftButton, pos=here[0])
    for at in here[1:]:
        QTest.mouseMove(plot, at)
    QTest.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=here[-1])
    qtbot.waitUntil(lambda: ("released",) in thresholds.told)
    assert thresholds.told[0] == ("threshold_moved", "a", 0.3)
    assert thresholds.told[-2:] == [("threshold_moved", "a", 1.0), ("released",)]
    QTest.mouseMove(plot, here[0])
    assert thresholds.told[-1] == ("released",)


def test_a_fast_drag_is_told_now_and_then_and_at_its_end(thresholds: Thresholds) -> None:
    plot = thresholds.plot
    for step in range(200):
        plot.moved.emit(step / 200)
        QApplication.processEvents()
    plot.released.emit()
    moves = [told for told in thresholds.told if told[0] == "threshold_moved"]
    assert len(moves) < 100
    assert moves[-1] == ("threshold_moved", "a", 0.99)


@pytest.mark.parametrize(
    ("key", "held", "expected"),
    [
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 0.31),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 0.29),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier, 0.2),
    ],
)
def test_arrows_move_the_threshold(
    thresholds: Thresholds, key: Qt.Key, held: Qt.KeyboardModifier, expected: float
) -> None:
    QTest.keyClick(thresholds.plot, key, held)
    assert thresholds.told == [("threshold_moved", "a", expected)]


def test_the_number_is_the_threshold(thresholds: Thresholds) -> None:
    assert thresholds.number.value == 0.3
    thresholds.number.inner.setValue(0.45)
    assert thresholds.told == [("threshold_moved", "a", 0.45)]


def test_nothing_of_a_locked_prompt_can_be_moved(thresholds: Thresholds) -> None:
    thresholds.show_scores(TREE.replace(locked=True), TWO, True)
    QTest.keyClick(thresholds.plot, Qt.Key.Key_Right)
    QTest.mouseClick(thresholds.plot, Qt.MouseButton.LeftButton, pos=QPoint(150, 12))
    assert not [told for told in thresholds.told if told[0] == "threshold_moved"]
    assert not thresholds.number.isEnabled()
    assert "locked" in thresholds.auto.toolTip()


def test_automatic_for_one_and_for_all(thresholds: Thresholds) -> None:
    QTest.mouseClick(thresholds.auto, Qt.MouseButton.LeftButton)
    QTest.mouseClick(thresholds.auto_all, Qt.MouseButton.LeftButton)
    assert thresholds.told == [("automatic", ["a"]), ("automatic", None)]


@pytest.mark.parametrize(
    ("prompt", "scores", "some", "offered", "why"),
    [
        (TREE, TWO, True, (True, True), "Otsu"),
        (TREE, counts(b40=9), True, (False, True), "about the same"),
        (TREE, counts(), True, (False, True), "about the same"),
        (TREE, None, True, (False, True), RUN_FIRST),
        (TREE, None, False, (False, False), RUN_FIRST),
        (None, None, False, (False, False), ADD_FIRST),
    ],
    ids=["scores", "constant", "no valid cell", "new prompt", "before a run", "no prompt"],
)
def test_automatic_is_offered_where_there_are_scores(
    thresholds: Thresholds,
    prompt: Prompt | None,
    scores: Counts | None,
    some: bool,
    offered: tuple[bool, bool],
    why: str,
) -> None:
    thresholds.show_scores(prompt, scores, some)
    assert (thresholds.auto.isEnabled(), thresholds.auto_all.isEnabled()) == offered
    assert why in thresholds.auto.toolTip()


def test_overlap_and_lead_are_fields_of_deciding(thresholds: Thresholds) -> None:
    thresholds.show_deciding(Deciding(exclusive=False, lead=0.25))
    assert thresholds.overlap.isChecked()
    assert thresholds.lead.value == 0.25
    assert not thresholds.told
    thresholds.overlap.click()
    thresholds.lead.inner.setValue(0.1)
    assert thresholds.told == [("changed", "deciding", {"exclusive": True}), ("changed", "deciding", {"lead": 0.1})]
    assert (Deciding.model_fields["lead"].description or "") in thresholds.lead.inner.toolTip()
    assert (Deciding.model_fields["exclusive"].description or "") in thresholds.overlap.toolTip()


def test_everything_says_what_it_is(thresholds: Thresholds) -> None:
    buttons: list[QWidget] = [thresholds.auto, thresholds.auto_all, thresholds.overlap]
    for widget in (*buttons, thresholds.plot, thresholds.number.inner, thresholds.lead.inner):
        assert widget.toolTip()
        assert widget.accessibleName() or widget in buttons
    assert all(label.buddy() for label in thresholds.findChildren(QLabel))
