"""Locked masks stay, accepted ones become layers of the user's own, and one history undoes all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_clearclip.gui.images.sources import key_of, source_of
from napari_clearclip.gui.layers.keeping import NOTHING_TO_ACCEPT
from napari_clearclip.gui.prompts import listing

from ..conftest import Bench, Bound

RIGHT = np.broadcast_to(np.arange(16) >= 8, (16, 16))


@pytest.fixture
def image(bound: Bound) -> Image:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo", scale=(0.5, 2), units=("um", "um"))
    bound.run(image)
    return image


@pytest.fixture
def said(bound: Bound) -> list[str]:
    said: list[str] = []
    bound.results.said.connect(said.append)
    return said


def press(layer: Any, keys: str) -> None:
    """What napari calls for keys: a layer's own binding comes before that of its class."""
    found = next(table[key] for table in (layer.keymap, type(layer).class_keymap) for key in table if str(key) == keys)
    found(layer)


def test_a_locked_mask_never_changes(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    bound.results.lock("road", True)
    bound.settle()
    assert not labels.editable
    bound.change("road", threshold=1.0)
    np.testing.assert_array_equal(labels.data, RIGHT)
    bound.results.lock("road", False)
    bound.settle()
    assert labels.editable
    assert labels.data.sum() == 16 * 4
    bound.controller.undo()
    bound.settle()
    np.testing.assert_array_equal(labels.data, RIGHT)
    assert not labels.editable


def test_a_locked_mask_cannot_be_painted_and_says_why(bound: Bound, image: Image, said: list[str]) -> None:
    bound.results.lock("road", True)
    bound.settle()
    before = bound.controller.state
    labels = bound.layer("labels", image)
    labels.paint((2, 2), 1)
    labels.fill((2, 12), 0)
    bound.settle()
    np.testing.assert_array_equal(labels.data, RIGHT)
    assert bound.controller.state == before
    assert said == ["“road” is locked; unlock it in the list to paint."] * 2


def test_a_lock_covers_all_planes_that_were_run_and_those_that_are_run_later(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench)
    image = bound.viewer.add_image(np.zeros((3, 16, 16), np.uint8), contrast_limits=(0, 1))
    for plane in (0, 1):
        bound.viewer.dims.set_point(0, plane)
        bound.run(image)
    bound.results.lock("road", True)
    bound.settle()
    bound.viewer.dims.set_point(0, 2)
    bound.run(image)
    edits = bound.controller.state.edits
    assert [edits.lock_of("road", (plane,)) is not None for plane in range(3)] == [True, True, True]
    bound.change("road", threshold=1.0)
    labels = bound.layer("labels", image)
    for plane in range(3):
        bound.viewer.dims.set_point(0, plane)
        bound.controller.look_at(source_of(image, bound.viewer.dims.point))
        bound.settle()
        np.testing.assert_array_equal(labels.data[plane], RIGHT)
    for _ in range(2):  # the threshold, then the last run and the lock that came with it
        bound.controller.undo()
    assert bound.controller.state.edits.lock_of("road", (2,)) is None


def test_clearing_gives_the_model_its_pixels_back_and_can_be_undone(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    labels.paint((2, 2), 1)
    labels.paint((2, 12), 0)
    bound.settle()
    painted = labels.data.copy()
    bound.results.clear_edits("road")
    bound.settle()
    np.testing.assert_array_equal(labels.data, RIGHT)
    bound.controller.undo()
    bound.settle()
    np.testing.assert_array_equal(labels.data, painted)
    bound.results.clear_edits()
    bound.settle()
    np.testing.assert_array_equal(labels.data, RIGHT)


def test_accepting_copies_the_mask_into_a_layer_of_its_own(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    labels.paint((2, 2), 1)
    bound.settle()
    expected = labels.data.copy()
    bound.results.accept("road")
    bound.settle()
    accepted = bound.viewer.layers["photo · road accepted"]
    assert isinstance(accepted, Labels)
    np.testing.assert_array_equal(accepted.data, expected)
    np.testing.assert_allclose(accepted.data_to_world((3, 4)), image.data_to_world((3, 4)))
    assert accepted.units == image.units
    assert list(accepted.features["prompt"]) == ["road"]
    assert accepted.metadata["classes"] == {1: "road"}
    (prompt,) = bound.controller.settings.objects
    assert prompt.locked
    assert not prompt.visible
    assert not labels.visible
    assert bound.viewer.layers.selection.active == image

    bound.controller.undo()
    bound.settle()
    (prompt,) = bound.controller.settings.objects
    assert prompt.visible
    assert not prompt.locked
    assert labels.visible
    bound.change("road", threshold=1.0)
    bound.controller.update(listing.removed(bound.controller.settings, ("road",)))
    bound.settle()
    np.testing.assert_array_equal(accepted.data, expected)  # untouched ever after
    assert accepted in bound.viewer.layers


def test_accepting_all_planes_of_several_prompts(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench, "road tree car")
    image = bound.viewer.add_image(np.zeros((2, 16, 16), np.uint8), name="photo", contrast_limits=(0, 1))
    bound.change("tree", visible=False)
    bound.change("car", threshold=1.0)
    for plane in (0, 1):
        bound.viewer.dims.set_point(0, plane)
        bound.run(image)
    bound.results.accept()
    bound.settle()
    accepted = bound.viewer.layers["photo · 2 prompts accepted"]
    assert dict(zip(accepted.features["index"], accepted.features["prompt"], strict=True)) == {1: "road", 3: "car"}
    assert np.unique(accepted.data).tolist() == [0, 3]  # the hidden tree has what road had
    np.testing.assert_array_equal(accepted.data[0], accepted.data[1])
    assert [prompt.visible for prompt in bound.controller.settings.objects] == [False] * 3
    assert [prompt.locked for prompt in bound.controller.settings.objects] == [True, False, True]


def test_there_is_nothing_to_accept_before_a_run(bound: Bound, said: list[str]) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.controller.look_at(source_of(image, (0, 0)))
    bound.results.accept("road")
    assert said == [NOTHING_TO_ACCEPT]
    assert list(bound.viewer.layers) == [image]
    assert bound.controller.settings.objects[0].visible


# One history


def test_keys_undo_strokes_thresholds_prompts_and_runs_in_order(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    seen = [labels.data.copy()]
    labels.paint((2, 2), 1)
    bound.settle()
    seen.append(labels.data.copy())
    bound.change("road", threshold=1.0)
    seen.append(labels.data.copy())
    labels.paint((9, 2), 1)
    bound.settle()
    for before in reversed(seen):
        press(labels, "Ctrl+Z")
        bound.settle()
        np.testing.assert_array_equal(labels.data, before)
    press(labels, "Ctrl+Z")
    assert list(bound.viewer.layers) == [image]
    for state in seen:
        press(bound.viewer, "Ctrl+Shift+Z")  # ours is not there; the image is active
        bound.settle()
        np.testing.assert_array_equal(bound.layer("labels", image).data, state)


def test_keys_on_the_viewer_are_for_the_image_of_the_active_layer(bound: Bound, image: Image) -> None:
    other = bound.viewer.add_image(np.zeros((8, 8), np.uint8))
    bound.run(other)
    bound.viewer.layers.selection.active = bound.layer("similarity", image)
    press(bound.viewer, "Ctrl+Z")
    assert bound.results.shows(key_of(other))
    assert not bound.results.shows(key_of(image))
    bound.viewer.layers.selection.clear()
    press(bound.viewer, "Ctrl+Z")
    assert not bound.results.shows(key_of(other))


def test_layers_of_others_keep_their_own_undo(bound: Bound, image: Image) -> None:
    mine = bound.viewer.add_labels(np.zeros((16, 16), np.uint8))
    mine.paint((2, 2), 1)
    state = bound.controller.state
    press(bound.viewer, "Ctrl+Z")
    press(mine, "Ctrl+Z")
    assert not mine.data.any()
    assert bound.controller.state == state


def test_the_keys_that_a_viewer_had_come_back(qapp: Any, bench: Bench) -> None:
    viewer = ViewerModel()
    pressed: list[Any] = []
    viewer.bind_key("Control-Z", pressed.append)
    bound = Bound(viewer, bench)
    bound.results.close()
    press(viewer, "Ctrl+Z")
    assert pressed == [viewer]
    assert len(viewer.keymap) == 1
