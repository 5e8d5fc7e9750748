"""Teaching by strokes in a panel: buttons, the layer that is drawn into, refusals, undo, and planes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from app_model.types import KeyBinding
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.prompts import listing
from napari_clearclip.gui.teaching.lessons import NO_PROMPT, RUN_FIRST
from napari_clearclip.gui.teaching.pen import NEGATIVE, POSITIVE, SIMILAR
from napari_clearclip.settings import Index, Prompt

from ..conftest import CountingPipeline, in_line


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((32, 48), np.uint8), name="photo", scale=(2, 3), translate=(5, 7), rotate=20)
    return viewer


@pytest.fixture
def panel(viewer: ViewerModel, pipeline: CountingPipeline, qtbot: Any) -> Iterator[Panel]:
    panel = Panel(viewer, in_line, lambda _: pipeline)
    qtbot.addWidget(panel)
    panel.prompting.add("road", "object")
    panel.prompting.add("car", "object")
    panel.run()
    settle(panel)
    yield panel
    panel.close_down()


def settle(panel: Panel) -> None:
    while not panel.results.idle:
        QApplication.processEvents()


def press(panel: Panel, tool: int) -> Any:
    """Press a button; the layer that is drawn into, or None."""
    panel.prompts.teaching.buttons[tool].click()
    return pen(panel)


def pen(panel: Panel) -> Any:
    return panel.lessons.pen.layer


def press_key(layer: Any, keys: str) -> None:
    layer.keymap[KeyBinding.from_str(keys)](layer)


def dab(panel: Panel, layer: Any, *at: int) -> None:
    """A click of the brush."""
    layer.paint(at, layer.selected_label)
    settle(panel)


def current(panel: Panel) -> str:
    found = panel.prompts.table.current_id()
    assert found is not None
    return found


def test_strokes_teach_the_selected_prompt_and_are_seen(panel: Panel, viewer: ViewerModel) -> None:
    prompt = current(panel)
    layer = press(panel, POSITIVE)
    image = viewer.layers["photo"]
    assert viewer.layers.selection.active == layer
    np.testing.assert_allclose(layer.data_to_world((4, 9)), image.data_to_world((4, 9)))
    assert panel.message.label.text() == "Draw where “car” is; its masks follow each stroke. Esc ends it."
    dab(panel, layer, 10, 10)
    press(panel, NEGATIVE)
    assert pen(panel) is layer
    dab(panel, layer, 20, 40)
    (drawn,) = panel.controller.state.edits.strokes
    assert (drawn.prompt, drawn.plane) == (prompt, ())
    assert drawn.positive.mask((32, 48))[10, 10]
    assert drawn.negative.mask((32, 48))[20, 40]
    assert np.array_equal(layer.data, drawn.positive.mask((32, 48)) + 2 * drawn.negative.mask((32, 48)))
    assert panel.prompts.teaching.about.text() == "“car” has learned from + strokes and − strokes."
    press(panel, NEGATIVE)
    assert pen(panel) is None
    assert viewer.layers.selection.active == image


def test_every_stroke_is_asked_and_ctrl_z_takes_it_back(
    panel: Panel, viewer: ViewerModel, pipeline: CountingPipeline
) -> None:
    layer = press(panel, POSITIVE)
    dab(panel, layer, 10, 10)
    first = panel.controller.state.edits
    asked = len(pipeline.runs)
    dab(panel, layer, 20, 20)
    assert len(pipeline.runs) == asked + 1
    assert pipeline.runs[-1][2] == panel.controller.state.edits != first
    press_key(layer, "Ctrl+Z")
    settle(panel)
    assert panel.controller.state.edits == first
    assert layer.data[10, 10] == POSITIVE
    assert layer.data[20, 20] == 0
    press_key(layer, "Ctrl+Shift+Z")
    assert layer.data[20, 20] == POSITIVE


def test_the_eraser_unteaches_and_forgetting_takes_all(panel: Panel) -> None:
    layer = press(panel, POSITIVE)
    dab(panel, layer, 10, 10)
    layer.paint((10, 10), 0)
    settle(panel)
    assert panel.controller.state.edits.strokes == ()
    dab(panel, layer, 10, 10)
    press(panel, SIMILAR)
    dab(panel, layer, 20, 20)
    panel.prompts.teaching.forget_button.click()
    assert panel.controller.state.edits.strokes == panel.controller.state.edits.exemplars == ()
    assert not layer.data.any()
    assert not panel.prompts.teaching.forget_button.isEnabled()


def test_an_example_is_replaced_and_mixed_by_the_slider(panel: Panel) -> None:
    bar, prompt = panel.prompts.teaching, current(panel)
    assert bar.mix_row.isHidden()
    layer = press(panel, SIMILAR)
    dab(panel, layer, 10, 10)
    dab(panel, layer, 20, 30)
    exemplar = panel.controller.state.edits.exemplar_of(prompt)
    assert exemplar is not None
    assert exemplar.region.mask((32, 48))[20, 30]
    assert not layer.data[10, 10]
    assert not bar.mix_row.isHidden()
    before = panel.controller.settings
    for value in (12, 15, 18):
        bar.mix.setValue(value)
    bar.released.emit()
    assert [item.mix for item in panel.controller.settings.objects] == [0.5, 0.9]
    panel.controller.undo()
    assert panel.controller.settings == before
    assert bar.mix.value() == 10


def test_another_prompt_has_its_own_strokes(panel: Panel) -> None:
    layer = press(panel, POSITIVE)
    dab(panel, layer, 10, 10)
    panel.prompts.table.select_prompt(panel.controller.settings.objects[0].id)
    assert not layer.data.any()
    assert panel.prompts.teaching.about.isHidden()
    dab(panel, layer, 20, 20)
    assert {item.prompt for item in panel.controller.state.edits.strokes} == {
        item.id for item in panel.controller.settings.objects
    }


def test_a_locked_prompt_refuses_with_a_sentence(panel: Panel) -> None:
    layer = press(panel, POSITIVE)
    prompt = current(panel)
    panel.results.lock(prompt, True)
    settle(panel)
    layer.paint((10, 10), POSITIVE)
    assert not layer.data.any()
    assert panel.controller.state.edits.strokes == ()
    assert panel.message.label.text() == "“car” is locked; unlock it to teach it."
    panel.lessons.pen.stop()
    assert press(panel, NEGATIVE) is None
    assert not panel.prompts.teaching.buttons[NEGATIVE].isChecked()


def test_what_cannot_learn_is_said(panel: Panel, viewer: ViewerModel) -> None:
    controller = panel.controller
    controller.update(
        controller.settings.replace(prompts=(Prompt(id="b", phrase="bright", index=Index(expression="b1")),))
    )
    panel.prompts.table.select_prompt("b")
    assert press(panel, POSITIVE) is None
    assert panel.message.label.text() == "“bright” is computed from bands and cannot learn; change its expression."
    controller.update(controller.settings.replace(prompts=(Prompt(id="a", phrase="road"),)))
    panel.prompts.table.select_prompt("a")
    assert press(panel, POSITIVE) is None
    assert panel.message.label.text() == "There is nothing to tell “road” from; add a distractor."
    viewer.add_image(np.zeros((8, 8), np.uint8), name="other")
    viewer.layers.selection.active = viewer.layers["other"]
    assert press(panel, POSITIVE) is None
    assert panel.message.label.text() == RUN_FIRST
    controller.update(listing.without_objects(controller.settings))
    panel.lessons.take(POSITIVE)
    assert panel.message.label.text() == NO_PROMPT


def test_the_layer_goes_when_another_is_chosen_or_it_is_removed(panel: Panel, viewer: ViewerModel, qtbot: Any) -> None:
    press(panel, POSITIVE)
    viewer.layers.selection.active = viewer.layers["photo"]
    qtbot.waitUntil(lambda: pen(panel) is None)
    assert not panel.prompts.teaching.buttons[POSITIVE].isChecked()
    viewer.layers.remove(press(panel, POSITIVE))
    assert not panel.prompts.teaching.buttons[POSITIVE].isChecked()
    layer = press(panel, SIMILAR)
    press_key(layer, "Escape")
    assert pen(panel) is None


def test_it_stays_while_other_layers_are_made(panel: Panel, viewer: ViewerModel) -> None:
    press(panel, POSITIVE)
    panel.prompting.add("tree", "object")
    settle(panel)
    QTest.qWait(1)
    assert pen(panel) is not None
    assert viewer.layers.selection.active == pen(panel)


def test_strokes_lie_on_the_plane_that_is_shown(viewer: ViewerModel, pipeline: CountingPipeline, qtbot: Any) -> None:
    viewer.layers.clear()
    viewer.add_layer(Image(np.zeros((3, 32, 48), np.uint8), name="stack", scale=(4, 1, 1)))
    panel = Panel(viewer, in_line, lambda _: pipeline)
    qtbot.addWidget(panel)
    panel.prompting.add("road", "object")
    panel.prompting.add("car", "object")
    viewer.dims.set_point(0, 4)
    panel.run()
    settle(panel)
    layer = press(panel, POSITIVE)
    dab(panel, layer, 1, 10, 10)
    (drawn,) = panel.controller.state.edits.strokes
    assert drawn.plane == (1,)
    viewer.dims.set_point(0, 8)
    panel.run()
    settle(panel)
    assert pipeline.runs[-1][1].plane == (2,)
    assert pipeline.runs[-1][2].strokes == (drawn,)
    panel.close_down()
