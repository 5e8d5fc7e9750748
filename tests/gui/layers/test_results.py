"""Layers lie on their image whatever its transform, are found by metadata, and keep what was painted."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_clearclip.edits import Edits, View
from napari_clearclip.gui.images.sources import KEY, is_source, key_of, placement, source_of, view_of
from napari_clearclip.gui.layers.results import CHANGED_SHAPE
from napari_clearclip.gui.prompts import listing
from napari_clearclip.progress import Progress
from napari_clearclip.result import Scores, Segmentation

from ..conftest import Bench, Bound, CountingPipeline

TRANSFORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": (0.5, 2.0), "translate": (7, -3), "units": ("um", "um"), "axis_labels": ("row", "col")},
    "rotate": {"rotate": 30, "translate": (5, 1)},
    "shear": {"shear": [0.4], "scale": (2.0, 3.0)},
    "affine": {"affine": np.array([[0.9, 0.3, 4], [-0.2, 1.1, -6], [0, 0, 1]])},
    "all": {
        "scale": (0.5, 2.0),
        "translate": (7, -3),
        "rotate": 30,
        "shear": [0.4],
        "affine": np.array([[0.9, 0.3, 4], [-0.2, 1.1, -6], [0, 0, 1]]),
    },
}


def world(layer: Any, point: tuple[float, ...]) -> np.ndarray:
    return np.asarray(layer.data_to_world(point))


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_results_lie_on_their_image(bound: Bound, transform: dict[str, Any]) -> None:
    image = bound.viewer.add_image(np.zeros((16, 24), np.uint8), **transform)
    bound.run(image)
    labels, heat = bound.layer("labels", image), bound.layer("similarity", image)
    assert heat.data.shape == (4, 6)
    for row, col in [(0, 0), (15, 0), (0, 23), (15, 23), (3, 8)]:
        np.testing.assert_allclose(world(labels, (row, col)), world(image, (row, col)), atol=1e-9)
        cell = ((row + 0.5) / 4 - 0.5, (col + 0.5) / 4 - 0.5)
        np.testing.assert_allclose(world(heat, cell), world(image, (row, col)), atol=1e-9)
    for layer in (labels, heat):
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels


def centre(layer: Any) -> np.ndarray:
    """Centre of mass of a layer's values, in world coordinates."""
    weights = np.asarray(layer.data, float)
    total = weights.sum()
    return world(layer, tuple((np.indices(weights.shape) * weights).reshape(weights.ndim, -1).sum(axis=1) / total))


class FindsSquares(CountingPipeline):
    """Finds what is bright, on cells of 4 x 4 pixels."""

    def steps(self, image: Any, settings: Any, view: View, edits: Edits, **hints: Any) -> Any:
        yield Progress("Looking", 0, 1)
        plane = np.asarray(image())[view.plane]
        height, width = plane.shape
        cells = plane.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
        scores = Scores((settings.objects[0].id,), cells[None].astype(np.float32), (4.0, 4.0))
        return Segmentation((plane > 0.5).astype(np.uint8), scores, settings, view, edits)


@pytest.mark.parametrize("form", ["plane", "stack", "pyramid", "coarse"])
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_square_is_found_where_it_is(
    bound: Bound, transform: dict[str, Any], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within half a pixel in world coordinates, by mask and heat map."""
    bound.pipeline = FindsSquares()
    square = np.zeros((48, 64), np.float32)
    square[8:24, 24:40] = 1
    options = dict(transform)
    data: Any = square
    if form == "stack":
        data = np.stack([np.zeros_like(square), square])
        leading = {"scale": 5.0, "translate": 3.0}
        options = {name: (leading[name], *value) if name in leading else value for name, value in options.items()}
        options = {name: value for name, value in options.items() if name not in ("units", "axis_labels", "shear")}
        if "rotate" in options:
            options["rotate"] = spin(options["rotate"])
        if "affine" in options:
            larger = np.eye(4)
            larger[1:, 1:] = options["affine"]
            options["affine"] = larger
    elif form in ("pyramid", "coarse"):
        data = [square, square[::2, ::2]]
        options["multiscale"] = True
        if form == "coarse":
            monkeypatch.setattr("napari_clearclip.gui.images.sources._MOST_PIXELS", 40 * 40)
    image = bound.viewer.add_image(data, contrast_limits=(0, 1), **options)
    if form == "stack":
        bound.viewer.dims.set_point(0, world(image, (1, 0, 0))[0])
    bound.results.select("road")
    bound.run(image)
    middle = (15.5, 31.5) if form != "stack" else (1, 15.5, 31.5)
    pixel = np.linalg.norm(world(image, middle) - world(image, (*middle[:-1], 32.5)))
    labels, heat = bound.layer("labels", image), bound.layer("similarity", image)
    assert np.linalg.norm(centre(labels) - world(image, middle)) <= pixel / 2 + 1e-9
    assert np.linalg.norm(centre(heat) - world(image, middle)) <= pixel / 2 + 1e-9


def spin(angle: float) -> np.ndarray:
    """A rotation of rows and columns of a stack."""
    turn = np.eye(3)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn[1:, 1:] = [[cosine, -sine], [sine, cosine]]
    return turn


def test_results_follow_an_image_that_is_moved(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 24), np.uint8))
    bound.run(image)
    image.scale = (0.3, 0.4)
    image.rotate = 20
    image.affine = TRANSFORMS["affine"]["affine"]
    for kind, point in (("labels", (15, 23)), ("similarity", (3.375, 5.375))):
        np.testing.assert_allclose(world(bound.layer(kind, image), point), world(image, (15, 23)), atol=1e-9)


def test_masks_and_heat_maps_hold_the_result(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    bound.run(image)
    labels, heat = bound.layer("labels", image), bound.layer("similarity", image)
    assert isinstance(labels, Labels)
    assert labels.data.dtype == np.uint8
    np.testing.assert_array_equal(labels.data, np.broadcast_to(np.arange(16) >= 8, (16, 16)))
    np.testing.assert_allclose(heat.data, np.broadcast_to(np.linspace(0, 1, 4), (4, 4)), atol=1e-6)
    assert (labels.name, heat.name) == ("photo · road", "photo · road similarity")
    assert list(labels.features["prompt"]) == ["road"]
    assert labels.metadata[KEY]["prompts"] == bound.controller.settings.objects
    assert tuple(heat.contrast_limits) == (0, 1)
    assert heat.blending == "translucent"
    np.testing.assert_allclose(labels.get_color(1), heat.colormap.colors[-1], atol=1e-6)
    assert heat.colormap.colors[0][3] == 0


def test_a_threshold_is_written_in_place(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    data = labels.data
    bound.change("road", threshold=0.9)
    assert bound.layer("labels", image) is labels
    assert labels.data is data
    np.testing.assert_array_equal(data, np.broadcast_to(np.arange(16) >= 12, (16, 16)))


def test_renamed_layers_are_found_and_keep_their_names(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    bound.run(image)
    labels, heat = bound.layer("labels", image), bound.layer("similarity", image)
    labels.name = "my roads"
    bound.change("road", text="street")
    assert (labels.name, heat.name) == ("my roads", "photo · street similarity")
    assert list(labels.features["prompt"]) == ["street"]
    assert len(bound.viewer.layers) == 3


def test_results_are_named_after_their_image(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    bound.run(image)
    bound.layer("labels", image).name = "my roads"
    image.name = "scan"
    assert [layer.name for layer in bound.viewer.layers] == ["scan", "scan · road similarity", "my roads"]


def test_images_of_different_size_keep_their_own(bound: Bound) -> None:
    images = [bound.viewer.add_image(np.zeros((16, width), np.uint8), name="photo") for width in (16, 32)]
    for image in images:
        bound.run(image)
        bound.layer("labels", image).name = f"renamed {image.data.shape}"
    first, second = (bound.layer("labels", image) for image in images)
    assert (first.data.shape, second.data.shape) == ((16, 16), (16, 32))
    first.paint((2, 2), 1)
    bound.settle()
    bound.change("road", threshold=1.0)  # of the second, which is looked at
    assert (first.data[2, 2], second.data[2, 2]) == (1, 0)
    assert first.data[:, 8:].all()
    assert second.data.sum() == 16 * 4
    bound.controller.undo(key_of(images[0]))
    bound.settle()
    bound.controller.look_at(source_of(images[0], (0, 0)))
    bound.settle()
    assert first.data.sum() == 16 * 8
    assert second.data.sum() == 16 * 4


def test_an_image_that_changes_while_it_is_run(bound: Bound) -> None:
    said: list[str] = []
    bound.results.said.connect(said.append)
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    bound.controller.look_at(source_of(image, (0, 0)))
    bound.controller.run()
    bound.bench.step()
    image.name, image.scale = "scan", (2, 3)
    bound.settle()
    labels = bound.layer("labels", image)
    assert labels.name == "scan · road"
    assert tuple(labels.scale) == (2, 3)
    bound.controller.run()
    bound.bench.step()
    image.data = np.zeros((32, 24), np.uint8)
    bound.settle()
    assert said == [CHANGED_SHAPE]
    assert labels.data.shape == (16, 16)
    bound.change("road", threshold=0.9)  # asks again of the array that is read now
    bound.run(image)
    assert bound.layer("labels", image).data.shape == (32, 24)
    bound.results.accept("road")
    assert bound.viewer.layers[-1].data.shape == (32, 24)


def test_a_deleted_layer_hides_its_prompt(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    bound.viewer.layers.remove(bound.layer("labels", image))
    assert not bound.controller.settings.objects[0].visible
    bound.change("road", threshold=0.9)
    assert bound.results.find("labels", key_of(image), "road") is None
    bound.change("road", visible=True)
    assert bound.layer("labels", image).data.sum() == 16 * 4


def test_the_eye_of_a_layer_is_the_check_box(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.visible = False
    assert not bound.controller.settings.objects[0].visible
    bound.change("road", visible=True)
    assert labels.visible


def test_layers_of_a_removed_prompt_go(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    bound.controller.update(listing.removed(bound.controller.settings, ("road",)))
    assert list(bound.viewer.layers) == [image]
    bound.controller.undo()
    bound.settle()
    assert len(bound.viewer.layers) == 3


def test_a_reopened_panel_goes_on_where_the_last_one_ended(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench, "road tree")
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.data[0, 0] = 1
    bound.run(image)
    bound.results.close()
    labels.data[1, 1] = 1  # while no panel is open
    left = list(bound.viewer.layers)
    again = Bound(bound.viewer, bound.bench, "")
    again.controller.look_at(source_of(image, (0, 0)))
    assert again.controller.settings == bound.controller.settings
    assert not again.controller.can_undo
    assert not bound.bench.waiting  # nothing is computed before the user asks for it
    again.run(image)
    assert list(bound.viewer.layers) == left
    assert (labels.data[0, 0], labels.data[1, 1], labels.data[2, 2]) == (1, 1, 0)
    again.controller.update(listing.removed(again.controller.settings, {"road", "tree"}))
    assert list(bound.viewer.layers) == [image]


def test_layers_of_an_image_stay_when_another_gets_other_prompts(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    left = list(bound.viewer.layers)
    other = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.controller.look_at(source_of(other, (0, 0)))
    bound.controller.update(listing.with_phrases(bound.controller.settings, ["tree"], []))
    bound.run(other)
    assert list(bound.viewer.layers)[: len(left)] == left
    assert bound.controller.state_of(key_of(image)).settings.objects[0].phrase == "road"


def test_undoing_the_run_takes_its_layers_away_and_redo_brings_them_back(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    bound.controller.undo()
    bound.settle()
    assert list(bound.viewer.layers) == [image]
    bound.controller.redo()
    bound.settle()
    assert len(bound.viewer.layers) == 3
    assert bound.controller.settings.objects[0].visible


def test_a_copy_that_the_user_makes_is_left_alone(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    copy = Labels(bound.layer("labels", image).data.copy(), metadata=bound.layer("labels", image).metadata)
    bound.viewer.add_layer(copy)
    bound.viewer.layers.remove(copy)
    assert bound.controller.settings.objects[0].visible


def test_only_the_heat_map_of_the_selected_prompt_is_visible(bench: Bench) -> None:
    bound = Bound(ViewerModel(), bench, "road tree")
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.results.select("tree")
    bound.run(image)
    shown = {prompt: bound.layer("similarity", image, prompt).visible for prompt in ("road", "tree")}
    assert shown == {"road": False, "tree": True}
    bound.results.select("road")
    assert bound.layer("similarity", image, "road").visible
    assert not bound.layer("similarity", image, "tree").visible


def test_adding_results_keeps_the_selection(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    assert bound.viewer.layers.selection.active == image


def test_painted_pixels_survive(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.data[0, :4] = 1  # behind napari's back: nothing is told
    labels.data[15, 12:] = 0
    bound.change("road", threshold=0.2)
    expected = np.broadcast_to(np.arange(16) >= 4, (16, 16)).copy()
    expected[0, :4] = True
    expected[15, 12:] = False
    np.testing.assert_array_equal(labels.data, expected)
    painting = bound.controller.state_of(key_of(image)).edits.painting("road", ())
    assert painting.on.mask((16, 16)).sum() == 4
    assert painting.off.mask((16, 16)).sum() == 4


@pytest.mark.parametrize("tool", ["paint", "fill", "paint_polygon"])
def test_a_stroke_is_taken_over_at_once_and_can_be_undone(bound: Bound, qtbot: Any, tool: str) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    before = labels.data.copy()
    arguments = {"paint": ((2, 2), 1), "fill": ((2, 2), 1), "paint_polygon": ([(0, 0), (0, 6), (6, 3)], 1)}
    getattr(labels, tool)(*arguments[tool])
    qtbot.waitUntil(lambda: bool(bound.bench.waiting))
    bound.settle()
    assert labels.data[2, 2] == 1
    assert bound.pipeline.runs[-1][2].painting("road", ()).on.mask((16, 16))[2, 2]
    bound.controller.undo()
    bound.settle()
    np.testing.assert_array_equal(labels.data, before)


def test_the_brush_stays_in_the_hand(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.mode = "paint"
    bound.change("road", threshold=0.9)
    bound.run(image)
    assert labels.mode == "paint"


def test_painting_during_a_run_survives_it(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    bound.controller.run()
    bound.bench.step()
    labels = bound.layer("labels", image)
    labels.data[0, 0] = 1
    bound.settle()
    assert labels.data[0, 0] == 1


def test_painting_survives_deleting_the_layer(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.data[0, 0] = 1
    bound.viewer.layers.remove(labels)
    bound.change("road", visible=True)
    assert bound.layer("labels", image).data[0, 0] == 1


def test_stacks_are_written_plane_by_plane(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((3, 16, 24), np.uint16), scale=(5, 1, 1), contrast_limits=(0, 9))
    bound.viewer.dims.set_point(0, 10)
    bound.run(image)
    labels, heat = bound.layer("labels", image), bound.layer("similarity", image)
    assert labels.data.shape == (3, 16, 24)
    assert heat.data.shape == (3, 4, 6)
    assert [bool(plane.any()) for plane in labels.data] == [False, False, True]
    assert bound.pipeline.runs[0][1] == View(plane=(2,), channels=(0,), limits=((0.0, 9.0),))
    labels.data_setitem(tuple(np.array([[2], [0], [0]])), 1)
    bound.viewer.dims.set_point(0, 0)
    bound.run(image)
    assert labels.data[0].any()
    assert labels.data[2, 0, 0] == 1
    np.testing.assert_allclose(world(heat, (2, 3.375, 5.375)), world(image, (2, 15, 23)))
    assert bound.controller.state_of(key_of(image)).edits.painting("road", (2,)) != Edits().painting("road", (2,))


def test_image_removed_while_running(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.controller.look_at(source_of(image, bound.viewer.dims.point))
    bound.controller.run()
    bound.bench.step()
    bound.viewer.layers.remove(image)
    bound.settle()
    assert not bound.viewer.layers
    assert not bound.controller.busy


def test_another_shape_makes_other_layers(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    image.data = np.zeros((32, 24), np.uint8)
    bound.run(image)
    assert bound.layer("labels", image).data.shape == (32, 24)
    assert len(bound.viewer.layers) == 3


def test_another_grid_of_cells_keeps_what_was_painted(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.paint((0, 0), 1)
    bound.settle()
    heat = bound.layer("similarity", image)
    heat.data = np.zeros((2, 2), np.float32)  # as if another model had made it
    bound.run(image)
    painting = bound.controller.state_of(key_of(image)).edits.painting("road", ())
    assert painting.on.mask((16, 16))[0, 0]
    assert bound.layer("similarity", image).data.shape == (4, 4)
    assert bound.layer("labels", image) is labels


def test_close_lets_go(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    labels = bound.layer("labels", image)
    bound.results.close()
    labels.visible = False
    bound.viewer.layers.remove(image)
    assert bound.controller.settings.objects[0].visible


# Reading


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((8, 9), {}, View(channels=(0,), limits=((0.0, 255.0),))),
        ((40, 40, 3), {"rgb": True}, View(channel_axis=-1, channels=(0, 1, 2), limits=((0.0, 255.0),) * 3)),
        ((40, 40, 4), {"rgb": True}, View(channel_axis=-1, channels=(0, 1, 2), limits=((0.0, 255.0),) * 3, alpha=3)),
        (
            (8, 9),
            {"contrast_limits": (10, 20), "gamma": 0.5},
            View(channels=(0,), limits=((10.0, 20.0),), gamma=0.5),
        ),
        ((5, 8, 9), {}, View(plane=(2,), channels=(0,), limits=((0.0, 255.0),))),
        ((2, 5, 8, 9), {}, View(plane=(0, 2), channels=(0,), limits=((0.0, 255.0),))),
    ],
    ids=["plain", "rgb", "rgba", "contrast and gamma", "stack", "two leading axes"],
)
def test_view_is_what_is_seen(shape: tuple[int, ...], options: dict[str, Any], expected: View) -> None:
    image = Image(np.zeros(shape, np.uint8), **options)
    point = (0.0, 0.0, 2.2, 0.0, 0.0)[-image.ndim :] if image.ndim > 2 else (0.0, 0.0)
    assert view_of(image, point) == expected


def test_plane_is_found_in_world_coordinates() -> None:
    image = Image(np.zeros((5, 8, 9), np.uint8), scale=(2, 1, 1), translate=(10, 0, 0))
    assert view_of(image, (0, 16, 0, 0)).plane == (3,)  # the viewer has one axis more
    assert view_of(image, (0, 999, 0, 0)).plane == (4,)


def test_only_the_plane_of_a_lazy_stack_is_computed() -> None:
    computed: list[int] = []

    def block(index: int) -> np.ndarray:
        computed.append(index)
        return np.full((1, 8, 9), index, np.uint8)

    stack = dask.array.concatenate(
        [dask.array.from_delayed(dask.delayed(block)(index), (1, 8, 9), np.uint8) for index in range(4)]
    )
    image = Image(stack, contrast_limits=(0, 255))
    computed.clear()
    taken = source_of(image, (2, 0, 0))
    assert not computed  # nothing in the thread of the window
    array = taken.read((2,))
    assert computed == [2]
    assert array.shape == (4, 8, 9)
    assert (array[taken.view.plane] == 2).all()


def test_a_pyramid_is_read_from_its_finest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8)]
    image = Image(levels, multiscale=True, scale=(0.5, 0.5))
    assert source_of(image, (0, 0)).read(()).shape == (64, 64)
    monkeypatch.setattr("napari_clearclip.gui.images.sources._MOST_PIXELS", 40 * 40)
    assert source_of(image, (0, 0)).read(()).shape == (32, 32)
    layer = Labels(np.zeros((32, 32), np.uint8), **placement(image))
    np.testing.assert_allclose(world(layer, (0, 0)), world(image, (0.5, 0.5)))
    np.testing.assert_allclose(world(layer, (31, 31)), world(image, (62.5, 62.5)))


def test_our_own_heat_maps_are_no_images_to_segment(bound: Bound) -> None:
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    assert [layer for layer in bound.viewer.layers if is_source(layer)] == [image]
