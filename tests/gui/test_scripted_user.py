"""A user at work: mouse and keys on real widgets and a real canvas, with the demo, and what comes into the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from napari.layers import Labels
from napari.qt.threading import WorkerBase
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_clearclip.edits import Edits
from napari_clearclip.gui.images.sources import key_of, source_of
from napari_clearclip.gui.layers.styles import tag_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.prompts.cells import slider_area
from napari_clearclip.gui.prompts.histogram import RUN_FIRST
from napari_clearclip.gui.prompts.table import Column
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import make_scene

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
BRUSH = 20  # pixels
STROKE = [(16, col) for col in range(20, 125, 15)]  # rows and columns, where no shape is


class User:
    """Somebody who has opened the sample of shapes and the panel.

    What the panel must give is asked of a pipeline of our own, from scratch, at each look.
    """

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        _, self.panel = viewer.window.add_plugin_dock_widget("napari-clearclip")
        assert isinstance(self.panel, Panel)
        (self.image,) = viewer.open_sample("napari-clearclip", "shapes")
        self.scene = make_scene("shapes", 24, 384)
        self.canvas: QWidget = viewer.window._qt_viewer.canvas.native
        self.table, self.segment = self.panel.prompts.table, self.panel.segment
        self.reference = Pipeline()

    # What a user does

    def click(self, widget: QWidget) -> None:
        assert widget.isEnabled()
        QTest.mouseClick(widget, LEFT)

    def press(self, key: Qt.Key, modifiers: Any = NO_KEY) -> None:
        """Press a key over the canvas."""
        QTest.keyClick(self.canvas, key, modifiers)

    def type(self, phrase: str) -> None:
        line = self.panel.prompts.entry.line
        QTest.keyClicks(line, phrase)
        QTest.keyClick(line, Qt.Key.Key_Return)

    def move(self, widget: QWidget, place: QPoint) -> None:
        """Move the mouse with its button held, which QTest.mouseMove does not say."""
        where = QPointF(place), QPointF(widget.mapToGlobal(place))
        QApplication.sendEvent(widget, QMouseEvent(QEvent.Type.MouseMove, *where, LEFT, LEFT, NO_KEY))

    def slide(self, row: int, threshold: float) -> None:
        """Drag the slider of a prompt."""
        cell = self.table.visualRect(self.table.model().index(row, Column.THRESHOLD))
        groove, prompt = slider_area(cell), self.panel.controller.settings.objects[row]
        left, right = (round(at * groove.width()) for at in (prompt.threshold, threshold))
        places = [groove.topLeft() + QPoint(int(at), groove.height() // 2) for at in np.linspace(left, right, 6)]
        QTest.mousePress(self.table.viewport(), LEFT, pos=places[0])
        for place in places[1:]:
            self.move(self.table.viewport(), place)
        QTest.mouseRelease(self.table.viewport(), LEFT, pos=places[-1])

    def paint(self, layer: Labels, places: list[tuple[int, int]]) -> None:
        """Choose the layer and napari's brush, and paint through places in pixels of the image."""
        self.viewer.reset_view()
        self.viewer.layers.selection.active = layer
        layer.brush_size = BRUSH
        self.press(Qt.Key.Key_2)
        assert layer.mode == "paint"
        QTest.mousePress(self.canvas, LEFT, pos=self.place(places[0]))
        for row, col in places[1:]:

            def painted(at: tuple[int, int] = (row, col)) -> bool:
                """Moves that follow too soon are passed over by the canvas."""
                self.move(self.canvas, self.place(at))
                return bool(layer.data[at])

            self.qtbot.waitUntil(painted)
        QTest.mouseRelease(self.canvas, LEFT, pos=self.place(places[-1]))

    def place(self, at: tuple[int, int]) -> QPoint:
        """Where a pixel of the image is on the canvas."""
        height, width = self.viewer.canvas.size
        center, zoom = np.asarray(self.viewer.scene.camera.center)[-2:], self.viewer.scene.camera.zoom
        row, col = (np.asarray(at) - center) * zoom + (height / 2, width / 2)
        assert 0 <= row < height
        assert 0 <= col < width
        return QPoint(round(col), round(row))

    # What there is to see

    @property
    def phrases(self) -> list[str]:
        return [prompt.phrase for prompt in self.panel.controller.settings.objects]

    def layer(self, kind: str, phrase: str) -> Any:
        """A layer of ours, by what it says it is."""
        ids = {prompt.phrase: prompt.id for prompt in self.panel.controller.settings.objects}
        tag = kind, key_of(self.image), ids[phrase]
        (found,) = [layer for layer in self.viewer.layers if tag_of(layer) == tag]
        return found

    def mask(self, phrase: str) -> npt.NDArray[np.bool_]:
        return np.asarray(self.layer("labels", phrase).data) > 0

    def settled(self) -> bool:
        return not self.panel.controller.busy and self.panel.results.idle

    def wait(self) -> None:
        """Wait until nothing is computed or written."""
        self.qtbot.waitUntil(self.settled, timeout=60_000)

    def look(self) -> dict[str, npt.NDArray[np.bool_]]:
        """All masks in the viewer, once they are settled; they and the heat maps are those of a run from scratch."""
        self.wait()
        settings, edits = self.panel.controller.settings, self.panel.controller.state.edits
        source = source_of(self.image, self.viewer.dims.point)
        expected = self.reference.run(self.scene.image, settings, source.view, edits)
        masks = {phrase: self.mask(phrase) for phrase in self.phrases}
        for prompt in settings.objects:
            np.testing.assert_array_equal(masks[prompt.phrase], expected.mask(prompt.id), err_msg=prompt.phrase)
            heat = self.layer("similarity", prompt.phrase).data
            np.testing.assert_allclose(heat, expected.scores.of(prompt.id), atol=1e-5)
        return masks


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the same phrases have the same masks."""
    return list(one) == list(other) and all(np.array_equal(one[phrase], other[phrase]) for phrase in one)


@pytest.fixture
def user(make_napari_viewer: Callable[..., Any], qtbot: Any) -> User:
    return User(make_napari_viewer(show=True), qtbot)


def test_a_user_at_work(user: User) -> None:
    words = types_three_prompts(user)
    steps = (raises_a_threshold, paints_a_stroke, switches_the_variant)
    states = [runs(user), *(step(user, words[0]) for step in steps)]
    undoes_everything(user, words, states)
    redoes_everything(user, words, states)
    accepts(user, words[0])
    cancels_a_run(user)
    closes(user)


def types_three_prompts(user: User) -> list[str]:
    """The sample brings prompts of its own, which go first."""
    assert [layer.name for layer in user.viewer.layers] == ["shapes scene"]
    np.testing.assert_array_equal(user.image.data, user.scene.image)
    assert user.phrases == list(user.scene.names)
    user.panel.prompts.empty_action.trigger()
    assert user.phrases == []
    words = list(user.scene.names[:3])
    for at, word in enumerate(words, 1):
        user.type(word)
        assert user.phrases == words[:at]
    assert len(user.viewer.layers) == 1
    return words


def runs(user: User) -> dict[str, Any]:
    user.click(user.segment.run_button)
    masks = user.look()
    assert len(user.viewer.layers) == 7
    assert user.table.model().index(0, Column.COVERAGE).data() != "–"
    assert user.panel.prompts.thresholds.plot.missing == ""
    for phrase, mask in masks.items():
        truth = user.scene.truth == user.scene.names.index(phrase) + 1
        assert (mask & truth).sum() > 0.5 * truth.sum(), phrase
        assert (mask & ~truth).sum() < 0.2 * mask.size, phrase
    return masks


def raises_a_threshold(user: User, word: str) -> dict[str, Any]:
    before = user.mask(word).copy()
    user.slide(0, 0.9)
    masks = user.look()
    assert user.panel.controller.settings.objects[0].threshold == pytest.approx(0.9, abs=0.05)
    assert 0 < masks[word].sum() < before.sum()
    assert not (masks[word] & ~before).any()
    return masks


def paints_a_stroke(user: User, word: str) -> dict[str, Any]:
    before = user.mask(word).copy()
    user.paint(user.layer("labels", word), STROKE)
    masks = user.look()
    painted = masks[word] & ~before
    rows, cols = np.nonzero(painted)
    assert painted.sum() == pytest.approx(BRUSH * 105 + np.pi * BRUSH**2 / 4, rel=0.15)
    assert rows.max() < 30
    assert cols.max() < 140
    assert (before & ~masks[word]).sum() == 0
    return masks


def switches_the_variant(user: User, word: str) -> dict[str, Any]:
    stroke = user.mask(word)[:30, :140].copy()
    heat = np.array(user.layer("similarity", word).data)
    row = user.panel.controller.settings.attention
    QTest.keyClick(user.segment.variants, Qt.Key.Key_Down)
    assert user.panel.controller.settings.attention != row
    masks = user.look()
    assert np.abs(user.layer("similarity", word).data - heat).max() > 0.1
    assert (masks[word][:30, :140] >= stroke).all()
    return masks


def undoes_everything(user: User, words: list[str], states: list[dict[str, Any]]) -> None:
    """Back by key and by button: variant, stroke, threshold, run, and the three prompts one by one."""
    for at in (2, 1, 0):
        assert not same(user.look(), states[at])
        if at == 1:
            user.click(user.panel.prompts.undo_button)
        else:
            user.press(Qt.Key.Key_Z, CONTROL)
        assert same(user.look(), states[at])
    assert user.panel.controller.state.edits == Edits()
    user.press(Qt.Key.Key_Z, CONTROL)
    user.wait()
    assert [layer.name for layer in user.viewer.layers] == ["shapes scene"]
    assert user.table.model().index(0, Column.COVERAGE).data() == "–"
    assert user.panel.prompts.thresholds.plot.missing == RUN_FIRST
    for left in (2, 1, 0):
        assert user.phrases == words[: left + 1]
        user.click(user.panel.prompts.undo_button)
        assert user.phrases == words[:left]
    user.press(Qt.Key.Key_Z, CONTROL)
    assert user.phrases == list(user.scene.names)
    user.wait()
    assert len(user.viewer.layers) == 1


def redoes_everything(user: User, words: list[str], states: list[dict[str, Any]]) -> None:
    for count in range(4):
        user.click(user.panel.prompts.redo_button)
        assert user.phrases == words[:count]
    assert len(user.viewer.layers) == 1
    for state in states:
        user.press(Qt.Key.Key_Z, CONTROL | SHIFT)
        assert same(user.look(), state)
    assert not user.panel.prompts.redo_button.isEnabled()


def accepts(user: User, word: str) -> None:
    """The mask becomes a layer that is the user's own; the prompt is locked and hidden."""
    before = user.mask(word).copy()
    count = len(user.viewer.layers)
    user.table.select_prompt(user.panel.controller.settings.objects[0].id)
    user.press(Qt.Key.Key_Return, CONTROL | SHIFT)
    user.wait()
    (layer,) = [layer for layer in user.viewer.layers if layer.name == f"shapes scene · {word} accepted"]
    assert isinstance(layer, Labels)
    assert tag_of(layer)[0] == ""
    np.testing.assert_array_equal(layer.data, before)
    assert len(user.viewer.layers) == count + 1
    assert not user.layer("labels", word).visible
    prompt = user.panel.controller.settings.objects[0]
    assert prompt.locked
    assert not prompt.visible


def cancels_a_run(user: User) -> None:
    """A run with far more windows is left in the middle; what was there stays."""
    before = {layer.name: np.array(layer.data) for layer in user.viewer.layers}
    line = user.segment.detail.inner.lineEdit()
    line.selectAll()
    QTest.keyClicks(line, "2400")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert user.panel.controller.settings.tiling.short_side == 2400
    user.click(user.segment.run_button)
    user.qtbot.waitUntil(lambda: user.segment.stage.text().startswith("Reading"), timeout=60_000)
    user.click(user.segment.cancel_button)
    user.wait()
    assert {layer.name for layer in user.viewer.layers} == set(before)
    for layer in user.viewer.layers:
        np.testing.assert_array_equal(layer.data, before[layer.name], err_msg=layer.name)
    assert not user.segment.cancel_button.isEnabled()


def closes(user: User) -> None:
    user.viewer.close()
    user.qtbot.waitUntil(lambda: not WorkerBase._worker_set)
    assert user.panel.controller.held == 0
