"""Strokes stay on top of the model, also where they met the value already there, and cost their tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_clearclip.edits import TILE
from napari_clearclip.gui.images.sources import key_of

from ..conftest import Bench, Bound

TRIANGLE = [(0, 8), (0, 15), (6, 12)]


@pytest.fixture
def image(bound: Bound) -> Image:
    """16 x 16 pixels, of which the model gives the right half to the road."""
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    return image


def held(bound: Bound, image: Image, prompt: str = "road", plane: tuple[int, ...] = ()) -> tuple[Any, Any]:
    """What was painted on and off for a prompt."""
    painted = bound.controller.state_of(key_of(image)).edits.painting(prompt, plane)
    return painted.on.mask((16, 16)), painted.off.mask((16, 16))


@pytest.mark.parametrize(
    ("tool", "where"),
    [("paint", (4, 12)), ("fill", (4, 12)), ("paint_polygon", TRIANGLE)],
    ids=["brush", "fill", "polygon"],
)
def test_what_the_model_gave_already_stays_when_it_changes_its_mind(
    bound: Bound, image: Image, tool: str, where: Any
) -> None:
    labels = bound.layer("labels", image)
    plain = Labels(np.zeros((16, 16), np.uint8))
    if tool == "fill":
        plain.data[:, 8:] = 2
    getattr(plain, tool)(where, 1)
    getattr(labels, tool)(where, 1)
    bound.settle()
    assert set(np.unique(labels.data)) == {0, 1}
    np.testing.assert_array_equal(held(bound, image)[0], plain.data == 1)
    bound.change("road", threshold=1.0)
    model = np.broadcast_to(np.arange(16) >= 12, (16, 16))
    np.testing.assert_array_equal(labels.data, model | (plain.data == 1))


def test_the_eraser_counts_where_there_was_nothing(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    labels.brush_size = 3
    labels.paint((8, 2), 0)
    bound.settle()
    bound.change("road", threshold=0.0)
    assert labels.data.sum() == 256 - 9
    assert not labels.data[7:10, 1:4].any()


def test_a_drag_is_one_entry_and_the_data_are_plain_after_it(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    before = labels.data.copy()
    with labels.block_history():  # as napari's mouse binding does
        for col in range(2, 14):
            labels.paint((3, col), 1, refresh=False)
    assert set(np.unique(labels.data)) == {0, 1}
    bound.settle()
    assert held(bound, image)[0][3, 2:14].all()
    bound.controller.undo()
    bound.settle()
    np.testing.assert_array_equal(labels.data, before)
    assert not held(bound, image)[0].any()


def test_a_result_in_the_middle_of_a_drag_loses_nothing(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    with labels.block_history():
        labels.paint((3, 3), 1)
        labels.paint((3, 13), 0)
        bound.change("road", threshold=1.0)
        labels.paint((9, 9), 1)
    bound.settle()
    on, off = held(bound, image)
    assert on[3, 3]
    assert off[3, 13]
    assert on[9, 9]
    assert set(np.unique(labels.data)) == {0, 1}


@pytest.mark.parametrize("value", [1, 0], ids=["brush", "eraser"])
def test_preserve_labels_keeps_what_is_there(bound: Bound, image: Image, value: int) -> None:
    labels = bound.layer("labels", image)
    labels.preserve_labels = True
    labels.brush_size = 5
    labels.paint((8, 8), value)  # half of the brush meets the mask
    bound.settle()
    on, off = held(bound, image)
    changed, kept = (on, off) if value else (off, on)
    assert not kept.any()
    assert changed.any(axis=0).tolist() == [at in ((6, 7) if value else (8, 9, 10)) for at in range(16)]


def test_any_label_counts_as_painted(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    labels.paint((2, 2), 5)
    bound.settle()
    assert set(np.unique(labels.data)) == {0, 1}
    assert held(bound, image)[0][2, 2]


def test_arrays_of_labels_can_be_set(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    labels.data_setitem((np.array([0, 1, 2]), np.array([0, 9, 9])), [1, 1, 0])
    bound.settle()
    on, off = held(bound, image)
    assert np.argwhere(on).tolist() == [[0, 0], [1, 9]]
    assert np.argwhere(off).tolist() == [[2, 9]]


def test_a_brush_outside_of_the_image_does_nothing(bound: Bound, image: Image) -> None:
    bound.layer("labels", image).paint((-40, 300), 1)
    assert not bound.bench.waiting


def test_a_ball_is_painted_on_all_its_planes_as_one_entry(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench)
    image = bound.viewer.add_image(np.zeros((5, 16, 16), np.uint8), contrast_limits=(0, 1))
    bound.run(image)
    labels = bound.layer("labels", image)
    labels.n_edit_dimensions, labels.brush_size = 3, 3
    plane = bound.controller.source.view.plane[0]  # type: ignore[union-attr]
    labels.paint((plane, 4, 4), 1)
    bound.settle()
    sizes = [held(bound, image, plane=(at,))[0].sum() for at in (plane - 1, plane, plane + 1)]
    assert sizes == [1, 9, 1] or (sizes[0] == sizes[2] > 0 and sizes[1] >= 5)
    np.testing.assert_array_equal(labels.data[plane - 1] == 1, held(bound, image, plane=(plane - 1,))[0])
    bound.controller.undo()
    bound.settle()
    assert not labels.data[plane - 1].any()  # a plane that was never run
    assert not held(bound, image, plane=(plane,))[0].any()


def test_a_brush_in_another_view_of_a_stack(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench)
    image = bound.viewer.add_image(np.zeros((6, 16, 16), np.uint8), contrast_limits=(0, 1))
    bound.run(image)
    labels = bound.layer("labels", image)
    bound.viewer.dims.order = (1, 0, 2)
    labels.brush_size = 3
    labels.paint((3, 8, 4), 1)
    bound.settle()
    assert [held(bound, image, plane=(at,))[0].sum() for at in range(6)] == [0, 0, 3, 3, 3, 0]
    assert set(np.unique(labels.data)) == {0, 1}


def test_a_stroke_costs_its_tiles(bench: Bench, qapp: Any) -> None:
    """Nothing but the tiles of a stroke is looked at, taken over or written."""
    bound = Bound(ViewerModel(), bench)
    image = bound.viewer.add_image(np.zeros((4 * TILE, 4 * TILE), np.uint8), contrast_limits=(0, 1))
    bound.run(image)
    labels = bound.layer("labels", image)
    read: list[int] = []

    class Watched(np.ndarray):
        def __getitem__(self, where: Any) -> Any:
            part = super().__getitem__(where)
            if not (isinstance(where, tuple) and where == ()):  # a plane as a whole is taken to be indexed further
                read.append(getattr(part, "size", 1))
            return part

    content = labels.metadata["clearclip"]["written"][()]
    labels._data = labels.data.view(Watched)
    labels.paint((TILE, TILE), 1)  # where four tiles meet
    assert max(read) <= 2 * TILE * TILE  # two tiles beside each other are one box
    key = key_of(image)
    bound.settle()
    assert max(read) <= 2 * TILE * TILE
    on = bound.controller.state_of(key).edits.painting("road", ()).on
    assert [tile[:2] for tile in on.tiles] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    changed = labels.metadata["clearclip"]["written"][()].changed(content, labels.data.shape)
    assert sum((rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in changed) == 4 * TILE * TILE


def test_a_stroke_below_another_mask_is_shown_as_such_every_time(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench, "road tree")
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8))
    bound.run(image)
    bound.results.lock("tree", True)  # it has the right half
    bound.settle()
    road = bound.layer("labels", image, "road")
    road.brush_size = 3
    for _ in range(2):
        road.paint((4, 12), 1)
        bound.settle()
        assert not road.data.any()
    bound.results.lock("tree", False)
    bound.settle()
    assert road.data[4, 12] == 1  # it was not lost


def test_undone_before_it_was_computed(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    before = labels.data.copy()
    labels.paint((2, 2), 1)
    bound.controller.cancel()
    bound.controller.undo()
    bound.settle()
    np.testing.assert_array_equal(labels.data, before)


def test_a_layer_that_was_let_go_has_its_own_tools_again(bound: Bound, image: Image) -> None:
    labels = bound.layer("labels", image)
    bound.results.close()
    labels.paint((2, 2), 1)
    labels.paint((2, 12), 1)
    assert set(np.unique(labels.data)) == {0, 1}
    assert "paint" not in vars(labels)
    labels.undo()
    assert not bound.bench.waiting
