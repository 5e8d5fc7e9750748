"""What stands under the cursor is said in the status bar, wherever the image lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.images.sources import source_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.prompts import listing
from napari_clearclip.gui.readout import Readout

from .conftest import CountingPipeline, in_line, looking


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def controller() -> Controller:
    pipeline = CountingPipeline()
    return Controller(in_line, lambda _: pipeline, State(looking("road tree")))


@pytest.fixture
def readout(viewer: ViewerModel, controller: Controller, qapp: Any) -> Readout:
    image = viewer.add_image(np.zeros((16, 16), np.uint8), scale=(2, 2), translate=(10, 0))
    readout = Readout(viewer, controller, Results(viewer, controller))
    controller.look_at(source_of(image, viewer.dims.point))
    controller.run()
    return readout


def test_scores_rise_to_the_right_and_the_owner_is_starred(readout: Readout) -> None:
    left, right = readout.text_at((10, 0)), readout.text_at((10, 30))
    assert left.startswith("road 0.0")
    assert "*" not in left
    assert right == "road 1.00, tree 1.00*"


@pytest.mark.parametrize("place", [(8, 0), (10, -3), (44, 0)], ids=["above", "left", "below"])
def test_outside_nothing_is_said(readout: Readout, place: tuple[float, float]) -> None:
    assert readout.text_at(place) == ""


def test_a_prompt_that_is_hidden_is_not_named(readout: Readout, controller: Controller) -> None:
    controller.update(listing.changed(controller.settings, ("tree",), visible=False))
    assert readout.text_at((10, 30)) == "road 1.00"


def test_nothing_is_said_once_the_run_is_undone(readout: Readout, controller: Controller) -> None:
    controller.undo()
    assert readout.text_at((10, 30)) == ""
    controller.redo()
    assert readout.text_at((10, 30)) == "road 1.00, tree 1.00*"


def test_the_status_is_added_to_once(readout: Readout, viewer: ViewerModel) -> None:
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (10, 30)
    viewer.update_status_from_cursor()
    shown = viewer.status["coordinates"]
    assert shown.count("tree 1.00*") == 1
    viewer.status = dict(viewer.status)
    assert viewer.status["coordinates"] == shown
    readout.close()
    viewer.update_status_from_cursor()
    assert "road" not in viewer.status["coordinates"]


def test_other_layers_keep_their_status(readout: Readout, viewer: ViewerModel) -> None:
    viewer.add_points([[0, 0]])
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (10, 30)
    viewer.update_status_from_cursor()
    assert "road" not in str(viewer.status)
