"""Overlays show masks in their colours over the image, at a size that can be looked at."""

from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_clearclip.io import overlay
from napari_clearclip.io.overlay import Entry, Tile, write_overlay

RED, BLUE = Entry("road", "#FF0000", "50.0 %"), Entry("tree", "#0000FF", "0.0 %")


def tile(image, labels, caption=""):
    return Tile(lambda rows: image[rows], lambda rows: labels[rows], labels.shape, caption)


def drawn(tmp_path, tiles, entries=(RED, BLUE), title="image"):
    write_overlay(tmp_path / "a.png", tiles, entries, title)
    picture = imageio.imread(tmp_path / "a.png")
    assert picture.dtype == np.uint8
    return picture.astype(int)


def test_masks_are_tinted_outlined_and_the_rest_is_the_image(tmp_path):
    image = np.full((500, 600, 3), 0.5, np.float32)
    labels = np.zeros((500, 600), np.uint8)
    labels[100:300, 200:400] = 1
    picture = drawn(tmp_path, [tile(image, labels)])
    assert picture.shape[1] == 600
    assert picture.shape[0] > 500  # the legend lies below
    np.testing.assert_array_equal(picture[50, 50], [128] * 3)
    np.testing.assert_array_equal(picture[200, 300], [round(0.55 * 127.5 + 0.45 * 255), 70, 70])
    np.testing.assert_array_equal(picture[299, 300], [255, 0, 0])


def test_the_legend_has_every_colour(tmp_path):
    image, labels = np.zeros((480, 640, 3), np.float32), np.zeros((480, 640), np.uint8)
    legend = drawn(tmp_path, [tile(image, labels)])[480:].reshape(-1, 3).tolist()
    assert [255, 0, 0] in legend
    assert [0, 0, 255] in legend


@pytest.mark.parametrize("shape", [(1, 1), (1, 9000), (9000, 1), (7, 5), (3001, 2999)], ids=str)
def test_any_shape_can_be_looked_at(tmp_path, shape):
    image, labels = np.full((*shape, 3), 0.25, np.float32), np.ones(shape, np.uint8)
    picture = drawn(tmp_path, [tile(image, labels)])
    assert 448 <= max(picture.shape[:2]) <= 2048 + 200


def test_reducing_averages_the_image(tmp_path, monkeypatch):
    monkeypatch.setattr(overlay, "_LARGEST", 500)
    image = np.indices((1000, 1000)).sum(0)[..., None] % 2 * np.ones(3, np.float32)
    picture = drawn(tmp_path, [tile(image, np.zeros((1000, 1000), np.uint8))])
    np.testing.assert_array_equal(picture[:500, :500], 128)


def test_planes_lie_side_by_side(tmp_path):
    tiles = [tile(np.full((60, 50, 3), grey, np.float32), np.zeros((60, 50), np.uint8)) for grey in (0.2, 0.4, 0.6)]
    picture = drawn(tmp_path, tiles)
    for grey in (51, 102, 153):
        assert (picture == grey).all(axis=2).sum() >= 60 * 50


@pytest.mark.parametrize("name", ["дерево", "木", "🌲", "x" * 400, "", "a\nb"])
def test_any_name_can_be_written(tmp_path, name):
    picture = drawn(
        tmp_path, [tile(np.zeros((20, 30, 3)), np.zeros((20, 30), np.uint8))], [Entry(name, "#FF0000", "9 %")]
    )
    assert picture.shape[1] < 800


def test_a_hundred_names_all_have_their_colour(tmp_path):
    entries = [Entry(f"prompt {index}", f"#{index:02X}FF00") for index in range(100)]
    picture = drawn(tmp_path, [tile(np.zeros((400, 500, 3)), np.zeros((400, 500), np.uint8))], entries)
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {(index, 255, 0) for index in range(100)} <= colours
