"""Planes, channels, detail and costs in the panel, with a viewer's model but without a canvas."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clearclip.edits import Plane
from napari_clearclip.engine.variants import VARIANTS
from napari_clearclip.engine.view import render, resolve_view
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.images.channels import NO_PICKS, Pick, axis_of, key_of, picks_of
from napari_clearclip.gui.images.planes import Planes
from napari_clearclip.gui.images.sources import placement, region_of, shape_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.segment.section import ABOUT_CUSTOM
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Model, Prompt, Settings, Tiling

from ..conftest import Bench, CountingPipeline, looking

GENERAL = Model(name="ViT-B-16", pretrained="openai")
RNG = np.random.default_rng(0)


class Opened:
    """A panel on a viewer's model."""

    def __init__(self, qtbot: Any, bench: Bench) -> None:
        self.viewer, self.bench, self.pipeline = ViewerModel(), bench, CountingPipeline()
        self.panel = Panel(self.viewer, bench, lambda _: self.pipeline)
        self.controller: Controller = self.panel.controller
        qtbot.addWidget(self.panel)
        self.segment, self.channels = self.panel.segment, self.panel.channels

    def add(self, data: Any, **fields: Any) -> Image:
        return self.viewer.add_image(data, **fields)

    def run(self) -> None:
        QTest.mouseClick(self.segment.run_button, Qt.MouseButton.LeftButton)
        self.bench.drain()

    def choose(self, box: Any, text: str) -> None:
        """Choose an entry as a click would."""
        at = box.findText(text)
        assert at >= 0, [box.itemText(i) for i in range(box.count())]
        box.setCurrentIndex(at)
        box.activated.emit(at)

    def seen(self) -> np.ndarray:
        """The plane that is looked at as the model sees it, (H, W, 3)."""
        source = self.panel.images.source
        assert source is not None
        stored = source.read(source.view.plane)
        return render(stored, resolve_view(stored, source.view), slice(None), slice(None))[0]

    @property
    def said(self) -> str:
        return self.panel.message.label.text()

    @property
    def cost(self) -> str:
        return self.segment.cost.text()


@pytest.fixture
def opened(qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Opened:
    monkeypatch.setattr("napari_clearclip.gui.panel.start_settings", lambda: looking(model=GENERAL))
    return Opened(qtbot, bench)


# ----------------------------------------------------------------------------------------------------------------------
# Variants


@pytest.mark.parametrize("name", ["clearclip", "sclip", "vanilla"])
def test_a_variant_is_explained_with_its_paper(opened: Opened, name: str) -> None:
    opened.choose(opened.segment.variants, VARIANTS[name].title)
    assert opened.controller.settings.attention == VARIANTS[name].row
    assert opened.segment.about_variant.text() == VARIANTS[name].summary
    for widget in (opened.segment.about_variant, opened.segment.variants):
        assert VARIANTS[name].paper in widget.toolTip()


def test_methods_for_comparison_stand_under_a_heading_and_what_a_model_cannot_do_is_grey(opened: Opened) -> None:
    box = opened.segment.variants
    names = [box.itemText(index) for index in range(box.count())]
    heading = names.index("More methods")
    assert names.index("ClearCLIP") < names.index("Custom") < heading < names.index("Query-key only")
    model: Any = box.model()
    assert not model.item(heading).isEnabled()
    assert all(
        model.item(index).isEnabled() for index in range(box.count()) if names[index] not in ("", "More methods")
    )
    opened.controller.update(opened.controller.settings.replace(model=Model()))  # which has six blocks
    resclip = names.index(VARIANTS["resclip"].title)
    assert not model.item(resclip).isEnabled()
    assert box.itemData(resclip, Qt.ItemDataRole.ToolTipRole).startswith(
        "It reads the last 7 blocks, and the model has 6"
    )
    assert model.item(names.index("GEM")).isEnabled()
    opened.controller.update(opened.controller.settings.replace(attention=VARIANTS["resclip"].row))
    assert opened.segment.about_variant.text().endswith("the model has 6. Choose another variant.")


def test_the_score_of_a_siglip_is_grey_where_the_model_has_none(opened: Opened) -> None:
    box: Any = opened.segment.forms["deciding"].editors["score"].inner
    for name, has in (("ViT-B-16/openai", False), ("ViT-B-16-SigLIP/webli", True), ("demo", False)):
        opened.controller.update(opened.controller.settings.replace(model=Model.parse(name)))
        assert box.model().item(box.findData("sigmoid")).isEnabled() is has
        assert (box.itemData(box.findData("sigmoid"), Qt.ItemDataRole.ToolTipRole) == "") is has


def test_an_own_row_is_custom_and_a_name_leads_back(opened: Opened) -> None:
    opened.segment.forms["attention"].editors["temperature"].inner.setValue(0.37)
    assert opened.segment.variants.currentText() == "Custom"
    assert opened.segment.about_variant.text() == ABOUT_CUSTOM
    opened.choose(opened.segment.variants, "ClearCLIP")
    assert opened.segment.variants.currentText() == "ClearCLIP"
    assert opened.segment.forms["attention"].editors["temperature"].value == 1


# ----------------------------------------------------------------------------------------------------------------------
# Costs


def test_the_cost_is_said_before_a_run(opened: Opened) -> None:
    assert opened.cost == ""
    opened.add(np.zeros((512, 512), np.uint8))
    assert opened.cost == "1 window; the time is known after the first ones"
    opened.segment.detail.value_changed.emit(1344)
    assert opened.cost == "25 windows; the time is known after the first ones"


def test_the_time_follows_from_the_windows_that_were_read(opened: Opened) -> None:
    opened.add(np.zeros((512, 512), np.uint8))
    opened.segment.detail.value_changed.emit(1344)
    opened.controller.progress.emit(Progress("Reading windows", 5, 25, "windows", 0.1))
    assert opened.segment.stage.text() == "Reading windows: 5 of 25, about 3 min left"
    opened.controller.busy_changed.emit(False)
    assert opened.cost == "25 windows, about 4 min"
    opened.segment.detail.value_changed.emit(448)
    assert opened.cost == "1 window, about 10 s"
    opened.controller.update(opened.controller.settings.replace(model=Model()))
    assert opened.cost.endswith("the time is known after the first ones")  # another model


def test_time_left_counts_the_planes_that_follow(opened: Opened) -> None:
    opened.add(np.zeros((4, 64, 64), np.uint8))
    opened.choose(opened.segment.planes.which, "all (4)")
    assert opened.cost == "4 planes of 1 window; the time is known after the first ones"
    QTest.mouseClick(opened.segment.run_button, Qt.MouseButton.LeftButton)
    opened.controller.progress.emit(Progress("Plane 1 of 4: Reading windows", 0, 1, "windows", 0.1))
    assert opened.segment.stage.text().endswith("about 40 s left")
    opened.bench.drain()


def test_a_model_that_is_not_here_has_no_cost_yet(opened: Opened) -> None:
    opened.add(np.zeros((64, 64), np.uint8))
    opened.controller.update(opened.controller.settings.replace(model=Model(name="hf-hub:some/body")))
    assert opened.cost == "The number of windows is known once the model is loaded."


# ----------------------------------------------------------------------------------------------------------------------
# The line


def drag(layer: Any, *points: Any) -> None:
    """What napari's canvas does when a line is dragged through points in world coordinates."""

    class Event:
        type = "mouse_press"
        position: Any = points[0]
        modifiers = ()
        button = 1

    event = Event()
    running = [callback(layer, event) for callback in layer.mouse_drag_callbacks]
    for step in running:
        next(step)
    event.type = "mouse_move"
    for point in points[1:]:
        event.position = point
        for step in running:
            next(step)
    event.type = "mouse_release"
    for step in running:
        next(step, None)


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"scale": (0.25, 0.25), "translate": (7, -3)},
        {"scale": (2, 2), "rotate": 30, "shear": [0.2], "affine": [[1, 0.1, 5], [0, 1.5, 2], [0, 0, 1]]},
    ],
    ids=["plain", "scaled", "everything"],
)
def test_a_line_across_an_object_sets_the_detail(opened: Opened, qtbot: Any, where: dict[str, Any]) -> None:
    image = opened.add(np.zeros((1000, 1000), np.uint8), **where)
    QTest.mouseClick(opened.segment.line_button, Qt.MouseButton.LeftButton)
    assert opened.segment.line_button.isChecked()
    assert not opened.segment.about_line.isHidden()
    layer = opened.viewer.layers.selection.active
    assert layer.mode == "add_line"
    drag(layer, *(image.data_to_world(point) for point in [(100, 100), (120, 120), (148, 164)]))  # 80 pixels long
    qtbot.waitUntil(lambda: len(opened.viewer.layers) == 1)
    assert opened.controller.settings.tiling.short_side == pytest.approx(1000, abs=1)
    assert "read as 5 patches" in opened.said
    assert not opened.segment.line_button.isChecked()
    assert opened.segment.about_line.isHidden()
    assert opened.viewer.layers.selection.active == image
    assert opened.controller.can_undo


def test_a_line_on_a_pyramid_is_measured_in_the_pixels_that_are_read(
    opened: Opened, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clearclip.gui.images.sources._MOST_PIXELS", 500 * 500)
    pyramid = [np.zeros((1000 // n, 1000 // n), np.uint8) for n in (1, 2, 4)]
    image = opened.add(pyramid, multiscale=True)
    QTest.mouseClick(opened.segment.line_button, Qt.MouseButton.LeftButton)
    layer = opened.viewer.layers.selection.active
    drag(layer, *(image.data_to_world(point) for point in [(100, 100), (260, 100)]))  # 160 of 1000, 80 of 500 pixels
    qtbot.waitUntil(lambda: len(opened.viewer.layers) == 1)
    assert opened.controller.settings.tiling.short_side == pytest.approx(500, abs=1)


def test_a_line_on_a_stack_leaves_the_plane(opened: Opened, qtbot: Any) -> None:
    opened.add(np.zeros((5, 1000, 1000), np.uint8), scale=(3, 1, 1))
    opened.viewer.dims.set_current_step(0, 2)
    QTest.mouseClick(opened.segment.line_button, Qt.MouseButton.LeftButton)
    drag(opened.viewer.layers.selection.active, (6, 10, 10), (6, 10, 90))
    qtbot.waitUntil(lambda: len(opened.viewer.layers) == 1)
    assert opened.controller.settings.tiling.short_side == pytest.approx(1000, abs=1)
    assert opened.controller.source.view.plane == (2,)


def test_a_click_is_no_line(opened: Opened, qtbot: Any) -> None:
    opened.add(np.zeros((1000, 1000), np.uint8))
    QTest.mouseClick(opened.segment.line_button, Qt.MouseButton.LeftButton)
    layer = opened.viewer.layers.selection.active
    drag(layer, (10, 10))
    qtbot.waitUntil(lambda: len(layer.data) == 0)
    assert opened.panel.ruler.drawing
    drag(layer, (10, 10), (10, 90))
    qtbot.waitUntil(lambda: not opened.panel.ruler.drawing)
    assert opened.controller.settings.tiling.short_side == pytest.approx(1000, abs=1)


def leave_by(opened: Opened, way: str) -> None:
    layer = opened.viewer.layers.selection.active
    if way == "button":
        QTest.mouseClick(opened.segment.line_button, Qt.MouseButton.LeftButton)
    elif way == "escape":
        layer.keymap[next(key for key in layer.keymap if str(key) == "Escape")](layer)
    elif way == "deleted":
        opened.viewer.layers.remove(layer)
    elif way == "other layer":
        opened.viewer.layers.selection.active = opened.viewer.layers[0]
    elif way == "run":
        opened.run()
    else:
        opened.panel.close_down()


@pytest.mark.parametrize("way", ["button", "escape", "deleted", "other layer", "run", "closed"])
def test_a_line_can_be_left(opened: Opened, way: str) -> None:
    opened.add(np.zeros((100, 100), np.uint8))
    QTest.mouseClick(opened.segment.line_button, Qt.MouseButton.LeftButton)
    leave_by(opened, way)
    assert not [layer for layer in opened.viewer.layers if "line" in layer.name]
    assert not opened.segment.line_button.isChecked()
    assert opened.controller.settings.tiling.short_side is None


def test_a_line_for_a_model_that_is_not_here_is_answered(opened: Opened) -> None:
    opened.add(np.zeros((100, 100), np.uint8))
    opened.controller.update(opened.controller.settings.replace(model=Model(name="hf-hub:some/body")))
    opened.panel.ruler.measured.emit(30.0)
    assert "not known yet" in opened.said


# ----------------------------------------------------------------------------------------------------------------------
# Stacks


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Planes(), [(1, 2)]),
        (Planes("all"), [(t, z) for t in range(2) for z in range(3)]),
        (Planes("range", 1, 0, 1), [(1, 0), (1, 1)]),
        (Planes("range", 0, 0, 1), [(0, 2), (1, 2)]),
        (Planes("range", 1, 2, 1), [(1, 1), (1, 2)]),
        (Planes("range", 1, 1, 99), [(1, 1), (1, 2)]),
    ],
    ids=["this", "all", "along z", "along t", "turned round", "too far"],
)
def test_planes_of_a_choice(choice: Planes, expected: list[Plane]) -> None:
    assert choice.of((2, 3), (1, 2)) == expected


def test_planes_are_asked_for_stacks_only(opened: Opened) -> None:
    opened.add(np.zeros((32, 32), np.uint8), name="flat")
    assert opened.segment.planes.isHidden()
    opened.add(np.zeros((1, 32, 32), np.uint8), name="thin")
    assert opened.segment.planes.isHidden()
    opened.add(np.zeros((6, 32, 32), np.uint8), name="stack")
    assert not opened.segment.planes.isHidden()
    assert opened.segment.planes.axis.isHidden()
    opened.add(np.zeros((2, 6, 32, 32), np.uint8), name="film", axis_labels=("t", "z", "y", "x"))
    axis = opened.segment.planes.axis
    assert [axis.itemText(at) for at in range(axis.count())] == ["along t", "along z"]


def planes_run(opened: Opened) -> list[Plane]:
    return [view.plane for _, view, _ in opened.pipeline.runs]


def test_a_range_is_run_with_the_plane_looked_at_first(opened: Opened) -> None:
    opened.add(np.zeros((6, 32, 32), np.uint8))
    opened.viewer.dims.set_current_step(0, 3)
    row = opened.segment.planes
    opened.choose(row.which, "a range")
    row.first.setValue(2)
    row.last.setValue(5)
    opened.run()
    assert planes_run(opened) == [(3,), (1,), (2,), (4,)]


def test_all_of_both_axes(opened: Opened) -> None:
    opened.add(np.zeros((2, 3, 32, 32), np.uint8))
    opened.choose(opened.segment.planes.which, "all (6)")
    opened.run()
    assert sorted(planes_run(opened)) == [(t, z) for t in range(2) for z in range(3)]


def test_the_choice_of_planes_fits_into_a_narrow_panel(opened: Opened) -> None:
    opened.add(np.zeros((2, 3, 32, 32), np.uint8))
    opened.choose(opened.segment.planes.which, "a range")
    assert not opened.segment.planes.axis.isHidden()
    assert opened.segment.minimumSizeHint().width() <= 300


def test_a_range_along_the_other_axis(opened: Opened) -> None:
    opened.add(np.zeros((2, 3, 32, 32), np.uint8), axis_labels=("t", "z", "y", "x"))
    row = opened.segment.planes
    opened.choose(row.which, "a range")
    opened.choose(row.axis, "along z")
    assert (row.first.value(), row.last.value()) == (1, 3)
    opened.run()
    t = opened.controller.source.view.plane[0]
    assert sorted(planes_run(opened)) == [(t, 0), (t, 1), (t, 2)]


def test_another_image_starts_with_the_plane_looked_at(opened: Opened) -> None:
    opened.add(np.zeros((6, 32, 32), np.uint8))
    opened.choose(opened.segment.planes.which, "all (6)")
    opened.add(np.zeros((4, 32, 32), np.uint8))
    assert opened.segment.planes.value.which == "this"
    opened.run()
    assert len(planes_run(opened)) == 1


# ----------------------------------------------------------------------------------------------------------------------
# Channels


def test_an_axis_of_channels(opened: Opened) -> None:
    data = RNG.integers(0, 256, (3, 32, 48), np.uint8)
    image = opened.add(data, contrast_limits=(0, 255))
    assert opened.controller.source.view.plane == (1,)
    opened.choose(opened.channels.axes, "axis 0 (3)")
    assert np.allclose(opened.seen(), np.moveaxis(data, 0, -1) / 255)
    assert opened.segment.planes.isHidden()
    assert "3 channels" in opened.panel.image.about_image.text()
    opened.viewer.dims.set_current_step(0, 2)
    assert opened.controller.source.view.plane == (0,)
    opened.run()
    masks = next(layer for layer in opened.viewer.layers if layer.name.endswith("road"))
    assert masks.data.shape == (1, 32, 48)
    for channel in range(3):  # the mask is there whichever channel is shown
        at = masks.world_to_data(image.data_to_world((channel, 5, 7)))
        assert round(at[0]) == 0
        assert at[1:] == pytest.approx((5, 7))
    opened.choose(opened.channels.axes, "no axis")
    assert opened.controller.source.view.plane == (2,)
    assert [layer.name for layer in opened.viewer.layers] == [image.name]


def test_channels_in_a_film(opened: Opened) -> None:
    data = RNG.integers(0, 256, (4, 2, 32, 48), np.uint8)
    opened.add(data, contrast_limits=(0, 255), axis_labels=("t", "c", "y", "x"))
    opened.viewer.dims.set_current_step(0, 3)
    opened.choose(opened.channels.axes, "c (2)")
    seen = opened.seen()
    assert np.allclose(seen[..., 0], data[3, 0] / 255)
    assert np.allclose(seen[..., 1], data[3, 1] / 255)
    assert not seen[..., 2].any()
    assert not opened.segment.planes.isHidden()
    opened.choose(opened.segment.planes.which, "all (4)")
    opened.run()
    assert sorted(planes_run(opened)) == [(t, 0) for t in range(4)]


def test_channels_that_come_last_are_moved(opened: Opened) -> None:
    data = RNG.integers(0, 256, (32, 48, 5), np.uint8)
    image = opened.add(data, rgb=False, contrast_limits=(0, 255), scale=(2, 3, 1), translate=(10, 20, 0))
    opened.choose(opened.channels.axes, "axis 2 (5), the last")
    moved = opened.panel.images.current
    assert moved != image
    assert axis_of(moved) == 0
    assert np.shares_memory(moved.data, data)
    assert np.allclose(opened.seen(), data[..., :3] / 255)
    assert np.allclose(moved.data_to_world((4, 5, 6)), np.roll(image.data_to_world((5, 6, 4)), 1))
    opened.run()
    masks = next(layer for layer in opened.viewer.layers if layer.name.endswith("road"))
    assert masks.data.shape == (1, 32, 48)


def three(opened: Opened, **fields: Any) -> tuple[list[Image], np.ndarray]:
    """Three grey layers, and their data."""
    data = RNG.integers(0, 1000, (3, 32, 48)).astype(np.uint16)
    names = ("actin", "nuclei", "membrane")
    layers = [
        opened.add(part, name=name, contrast_limits=(100 * at, 900), gamma=1 + at / 2, **fields)
        for at, (part, name) in enumerate(zip(data, names, strict=True))
    ]
    return layers, data


def expected(data: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.clip((part - 100.0 * at) / (900 - 100 * at), 0, 1) ** (1 + at / 2) for at, part in enumerate(data)], axis=-1
    )


def test_three_layers_are_red_green_and_blue(opened: Opened) -> None:
    layers, data = three(opened)
    for choice, name in zip(opened.channels.colours, ("actin", "nuclei", "membrane"), strict=True):
        opened.choose(choice, name)
    assert np.allclose(opened.seen(), expected(data), atol=1e-6)
    assert opened.panel.images.current == layers[0]
    assert opened.channels.button.text().endswith("Channels: actin, nuclei, membrane")
    opened.run()
    assert {layer.name for layer in opened.viewer.layers} >= {"actin · road", "actin · road similarity"}


def test_contrast_of_a_colour_makes_results_stale_and_nothing_else(opened: Opened) -> None:
    layers, _ = three(opened)
    for choice, name in zip(opened.channels.colours, ("actin", "nuclei", "membrane"), strict=True):
        opened.choose(choice, name)
    opened.run()
    opened.viewer.layers.selection.active = layers[2]  # to set its contrast, one selects it
    assert opened.panel.images.current == layers[0]
    layers[2].contrast_limits = (0, 500)
    assert opened.controller.stale
    assert len(opened.pipeline.runs) == 1
    assert not opened.bench.waiting


def test_one_colour_is_grey_and_a_colour_left_out_is_dark(opened: Opened) -> None:
    _, data = three(opened)
    opened.choose(opened.channels.colours[1], "actin")
    assert np.allclose(opened.seen(), expected(data)[..., [0, 0, 0]], atol=1e-6)
    opened.choose(opened.channels.colours[2], "nuclei")
    seen = opened.seen()
    assert not seen[..., 0].any()
    assert np.allclose(seen[..., 1:], expected(data)[..., :2], atol=1e-6)
    opened.choose(opened.channels.colours[1], "–")
    opened.choose(opened.channels.colours[2], "–")
    assert all(picks_of(layer) == NO_PICKS for layer in opened.viewer.layers)


def test_channels_of_one_layer_in_another_order(opened: Opened) -> None:
    data = RNG.integers(0, 256, (5, 32, 48), np.uint8)
    opened.add(data, name="bands", contrast_limits=(0, 255))
    opened.choose(opened.channels.axes, "axis 0 (5)")
    for choice, name in zip(opened.channels.colours, ("bands · 5", "bands · 1", "bands · 3"), strict=True):
        opened.choose(choice, name)
    assert np.allclose(opened.seen(), np.moveaxis(data[[4, 0, 2]], 0, -1) / 255)


def test_stacks_of_colours_are_read_plane_by_plane(opened: Opened) -> None:
    read: list[Any] = []

    def block(part: np.ndarray, block_info: Any = None) -> np.ndarray:
        read.append(block_info[None]["array-location"][0][0] if block_info else None)
        return part

    data = RNG.integers(0, 256, (2, 4, 16, 16), np.uint8)
    for part, name in zip(data, ("one", "two"), strict=True):
        lazy = da.from_array(part, chunks=(1, 16, 16)).map_blocks(block, dtype=np.uint8)
        opened.add(lazy, name=name, contrast_limits=(0, 255))
    opened.viewer.dims.set_current_step(0, 3)
    opened.choose(opened.channels.colours[0], "one")
    opened.choose(opened.channels.colours[1], "two")
    read.clear()
    assert np.allclose(opened.seen()[..., 1], data[1, 3] / 255)
    assert set(read) == {3}


@pytest.mark.parametrize(
    ("data", "fields", "text"),
    [
        (np.zeros((16, 16), np.uint8), {}, "“other” has 16 × 16 pixels and “photo” 32 × 32"),
        (np.zeros((32, 32), np.uint8), {"scale": (2, 2)}, "“other” does not lie where “photo” lies"),
        (np.zeros((32, 32), np.uint8), {"rotate": 5}, "“other” does not lie where “photo” lies"),
    ],
    ids=["size", "scale", "rotation"],
)
def test_layers_that_do_not_fit_are_refused(opened: Opened, data: Any, fields: dict[str, Any], text: str) -> None:
    image = opened.add(np.zeros((32, 32), np.uint8), name="photo")
    opened.add(data, name="other", **fields)
    opened.choose(opened.channels.colours[0], "photo")
    opened.choose(opened.channels.colours[1], "other")
    assert text in opened.said
    assert picks_of(image) == (Pick(key_of(image)), None, None)
    assert opened.channels.colours[1].currentText() == "–"


def test_a_layer_that_was_moved_since_is_said_at_run(opened: Opened) -> None:
    layers, _ = three(opened)
    opened.choose(opened.channels.colours[0], "actin")
    opened.choose(opened.channels.colours[1], "nuclei")
    layers[1].translate = (5, 5)
    opened.run()
    assert "does not lie where" in opened.said
    assert not opened.pipeline.runs


def test_a_colour_that_is_deleted_stays_dark(opened: Opened) -> None:
    layers, data = three(opened)
    for choice, name in zip(opened.channels.colours, ("actin", "nuclei", "membrane"), strict=True):
        opened.choose(choice, name)
    opened.viewer.layers.remove(layers[1])
    seen = opened.seen()
    assert not seen[..., 1].any()
    assert np.allclose(seen[..., [0, 2]], expected(data)[..., [0, 2]], atol=1e-6)


def test_colour_images_have_no_channels_to_choose(opened: Opened) -> None:
    opened.add(np.zeros((32, 32, 3), np.uint8))
    assert opened.channels.isHidden()


def test_a_copy_of_a_layer_starts_without_channels(opened: Opened) -> None:
    image = opened.add(np.zeros((3, 32, 48), np.uint8))
    opened.choose(opened.channels.axes, "axis 0 (3)")
    copied = Image(*image.as_layer_data_tuple()[:1], **image.as_layer_data_tuple()[1])
    assert axis_of(image) == 0
    assert axis_of(copied) is None


# ----------------------------------------------------------------------------------------------------------------------
# What is read


@pytest.mark.parametrize("lazy", [False, True])
def test_pyramids_through_the_panel(opened: Opened, lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.gui.images.sources._MOST_PIXELS", 64 * 64)
    whole = RNG.integers(0, 256, (128, 128), np.uint8)
    pyramid = [whole, whole[::2, ::2]]
    opened.add([da.from_array(part, chunks=32) for part in pyramid] if lazy else pyramid, multiscale=True)
    opened.run()
    masks = next(layer for layer in opened.viewer.layers if layer.name.endswith("road"))
    assert masks.data.shape == (64, 64)
    assert tuple(masks.scale) == (2, 2)


def test_the_part_in_sight_goes_along(opened: Opened) -> None:
    image = opened.add(np.zeros((100, 100), np.uint8))
    image.corner_pixels = np.zeros((2, 2), int)
    assert region_of(image) is None  # it lies outside what is shown
    image.corner_pixels = np.array([[10, 20], [30, 60]])
    opened.run()
    assert opened.pipeline.hints[0]["first"] == (10, 20, 30, 60)


def test_the_part_in_sight_of_a_pyramid_is_in_the_pixels_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.gui.images.sources._MOST_PIXELS", 64 * 64)
    image = Image([np.zeros((128 // n, 128 // n), np.uint8) for n in (1, 2, 4)], multiscale=True)
    image.data_level = 2
    image.corner_pixels = np.array([[4, 8], [16, 20]])
    assert shape_of(image) == (64, 64)
    assert region_of(image) == (8, 16, 32, 40)


def test_placement_of_a_layer_without_channels_is_its_own() -> None:
    image = Image(np.zeros((3, 8, 8), np.uint8), scale=(5, 1, 1))
    assert placement(image)["scale"].tolist() == [5, 1, 1]


def test_nan_and_nodata_count_nowhere(qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A float image with a border of NaN, through the panel and the bundled model."""
    prompts = tuple(Prompt(phrase=phrase, threshold=0) for phrase in ("red star", "white cross"))
    start = Settings(prompts=prompts, tiling=Tiling(short_side=64))
    monkeypatch.setattr("napari_clearclip.gui.panel.start_settings", lambda: start)
    panel = Panel(viewer := ViewerModel(), bench, Pipeline)
    qtbot.addWidget(panel)
    data = RNG.random((80, 80)).astype(np.float32)
    data[:20], data[:, 60:] = np.nan, np.inf
    viewer.add_image(data, contrast_limits=(0, 1))
    QTest.mouseClick(panel.segment.run_button, Qt.MouseButton.LeftButton)
    bench.drain()
    qtbot.waitUntil(lambda: panel.results.idle)
    masks = [layer for layer in viewer.layers if type(layer) is Labels]
    assert len(masks) == 2
    found = np.stack([layer.data != 0 for layer in masks]).any(axis=0)
    assert found[20:, :60].all()  # a threshold of 0: each pixel with data is somebody's
    assert not found[:20].any()
    assert not found[:, 60:].any()
    assert sum(panel._coverage[panel.controller.source.spot].values()) == pytest.approx(1)
