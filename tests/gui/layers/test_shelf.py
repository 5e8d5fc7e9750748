"""Layers lie above their image in the order of the prompts; more than 16 prompts share one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.layers.shelf import MOST_LAYERS
from napari_clearclip.gui.prompts import listing

from ..conftest import Bench, Bound

MANY = " ".join(f"word{at}" for at in range(MOST_LAYERS + 4))


@pytest.fixture
def many(bench: Bench, qapp: Any) -> tuple[Bound, Image]:
    """20 prompts of which the first has the right quarter, and of the others each beats the ones before."""
    bound = Bound(ViewerModel(), bench, MANY)
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    for prompt in bound.controller.settings.objects[1:]:
        bound.change(prompt.id, threshold=0.9)
    bound.run(image)
    return bound, image


def names(bound: Bound) -> list[str]:
    return [layer.name for layer in bound.viewer.layers]


def test_masks_lie_above_heat_maps_above_their_image_the_first_on_top(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench, "road tree car")
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    bound.viewer.add_points(np.zeros((1, 2)), name="mine")
    bound.run(image)
    heat, masks = (
        ["photo · car similarity", "photo · tree similarity", "photo · road similarity"],
        ["photo · car", "photo · tree", "photo · road"],
    )
    assert names(bound) == ["photo", *heat, *masks, "mine"]
    prompts = bound.controller.settings.prompts
    bound.controller.update(bound.controller.settings.replace(prompts=(prompts[2], prompts[0], prompts[1])))
    bound.settle()
    order = [1, 0, 2]
    wanted = ["photo · tree", "photo · road", "photo · car"]
    assert names(bound) == ["photo", *(f"{name} similarity" for name in wanted), *wanted, "mine"], order
    bound.change("road", visible=False)
    bound.viewer.layers.remove(bound.layer("labels", image, "car"))
    bound.change("car", visible=True)
    assert names(bound)[4:] == [*wanted, "mine"]


def test_a_user_may_put_layers_elsewhere(bench: Bench, qapp: Any) -> None:
    bound = Bound(ViewerModel(), bench, "road tree")
    image = bound.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
    bound.run(image)
    bound.viewer.layers.move(4, 0)
    before = names(bound)
    bound.run(image)
    assert names(bound) == before


def test_many_prompts_share_a_layer(many: tuple[Bound, Image]) -> None:
    bound, image = many
    layer = bound.layer("combined", image, "")
    assert names(bound) == ["photo", "photo · 20 prompts"]
    assert layer.data.dtype == np.uint8
    expected = np.zeros((16, 16), np.uint8)
    expected[:, 8:] = 1
    expected[:, 12:] = 20
    np.testing.assert_array_equal(layer.data, expected)
    assert list(layer.features["index"]) == list(range(1, 21))
    assert list(layer.features["prompt"]) == MANY.split()
    for at, prompt in enumerate(bound.controller.settings.objects, 1):
        red, green, blue = (int(prompt.color[place : place + 2], 16) / 255 for place in (1, 3, 5))
        np.testing.assert_allclose(layer.get_color(at), (red, green, blue, 1), atol=1e-6)
        np.testing.assert_allclose(layer.get_color(at + 128), layer.get_color(at))  # while a stroke lasts


def test_only_the_selected_prompt_of_many_has_a_heat_map(many: tuple[Bound, Image]) -> None:
    bound, image = many
    bound.results.select("word3")
    bound.settle()
    assert names(bound) == ["photo", "photo · word3 similarity", "photo · 20 prompts"]
    assert bound.layer("combined", image, "").selected_label == 4  # the brush paints the selected prompt
    bound.results.select("word5")
    bound.settle()
    shown = {layer.name: layer.visible for layer in bound.viewer.layers}
    assert shown["photo · word5 similarity"]
    assert not shown["photo · word3 similarity"]


def test_heat_maps_of_the_others_go_when_there_are_many(many: tuple[Bound, Image]) -> None:
    bound, _ = many
    settings = bound.controller.settings
    bound.controller.update(listing.removed(settings, {prompt.id for prompt in settings.objects[3:]}))
    bound.results.select("word1")
    bound.settle()
    assert sum("similarity" in name for name in names(bound)) == 3
    bound.controller.undo()
    bound.settle()
    assert names(bound) == ["photo", "photo · word1 similarity", "photo · 20 prompts"]


def test_painting_in_the_shared_layer_paints_the_prompt_and_takes_from_the_others(many: tuple[Bound, Image]) -> None:
    bound, image = many
    layer = bound.layer("combined", image, "")
    layer.brush_size = 1
    layer.paint((1, 1), 3)
    layer.paint((1, 1), 5)
    layer.paint((2, 14), 3)
    layer.paint((3, 14), 20)  # what the model says already
    layer.paint((4, 14), 0)
    bound.settle()
    assert [layer.data[at] for at in ((1, 1), (2, 14), (3, 14), (4, 14))] == [5, 3, 20, 0]
    edits = bound.controller.state_of(key_of(image)).edits
    assert not edits.painting("word2", ()).on.mask((16, 16))[1, 1]
    assert edits.painting("word19", ()).on.mask((16, 16))[3, 14]
    for prompt in bound.controller.settings.objects:
        bound.change(prompt.id, threshold=0.0)
    assert [layer.data[at] for at in ((1, 1), (2, 14), (3, 14), (4, 14))] == [5, 3, 20, 0]
    assert (layer.data == 20).sum() == 256 - 3


def test_what_has_no_prompt_is_not_painted_and_is_said(many: tuple[Bound, Image]) -> None:
    bound, image = many
    said: list[str] = []
    bound.results.said.connect(said.append)
    layer = bound.layer("combined", image, "")
    layer.paint((1, 1), 33)
    bound.results.lock("word2", True)
    bound.settle()
    layer.paint((1, 1), 3)
    assert layer.data[1, 1] == 0
    assert said == [
        "No visible prompt has the label 33; choose one from 1 to 20.",
        "“word2” is locked; unlock it in the list to paint.",
    ]


def test_nothing_is_lost_on_the_way_to_a_shared_layer_and_back(many: tuple[Bound, Image]) -> None:
    bound, image = many
    layer = bound.layer("combined", image, "")
    layer.data[1, 1] = 7  # by other means than napari's tools
    layer.data[2, 2] = 1
    ids = {prompt.id for prompt in bound.controller.settings.objects}
    few = {"word0", "word6"}
    bound.controller.update(listing.changed(bound.controller.settings, ids - few, visible=False))
    bound.settle()
    assert names(bound)[-2:] == ["photo · word6", "photo · word0"]
    first, other = bound.layer("labels", image, "word0"), bound.layer("labels", image, "word6")
    assert other.data[1, 1] == 1
    assert np.argwhere(first.data[:, :8]).tolist() == [[2, 2]]
    first.paint((5, 5), 1)
    first.data[6, 1] = 1
    bound.settle()
    bound.controller.update(listing.changed(bound.controller.settings, ids, visible=True))
    bound.settle()
    layer = bound.layer("combined", image, "")
    assert [layer.data[at] for at in ((1, 1), (2, 2), (5, 5), (6, 1))] == [7, 1, 1, 1]
    assert bound.results.find("labels", key_of(image), "word0") is None


def test_the_shared_layer_follows_order_colours_and_what_is_hidden(many: tuple[Bound, Image]) -> None:
    bound, image = many
    layer = bound.layer("combined", image, "")
    settings = bound.controller.settings
    bound.controller.update(settings.replace(prompts=tuple(reversed(settings.prompts))))
    bound.settle()
    assert bound.layer("combined", image, "") is layer
    assert np.unique(layer.data).tolist() == [0, 20]  # word0, now the last, beats the others
    bound.change("word0", visible=False)
    assert 20 not in layer.data
    assert layer.name == "photo · 19 prompts"
    bound.change("word5", color="#123456")
    np.testing.assert_allclose(layer.get_color(15), np.array([0x12, 0x34, 0x56, 255]) / 255, atol=1e-6)


def test_deleting_the_shared_layer_hides_its_prompts(many: tuple[Bound, Image]) -> None:
    bound, image = many
    layer = bound.layer("combined", image, "")
    layer.paint((1, 1), 3)
    bound.viewer.layers.remove(layer)
    bound.settle()
    assert not any(prompt.visible for prompt in bound.controller.settings.objects)
    bound.controller.undo()
    bound.settle()
    assert bound.layer("combined", image, "").data[1, 1] == 3
