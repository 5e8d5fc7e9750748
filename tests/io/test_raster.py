"""Labels, masks and scores read back equal, by our reader and by others."""

from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_clearclip.io import raster
from napari_clearclip.io.images import read_image
from napari_clearclip.io.placement import Placement
from napari_clearclip.io.raster import read_labels, write_labels, write_mask, write_photograph, write_similarity

SHAPES = [(1, 1), (7, 5), (3, 7, 5), (2, 3, 7, 5)]


def planes(array):
    for plane in array.reshape(-1, *array.shape[-2:]):
        yield lambda rows, plane=plane: plane[rows]


@pytest.fixture(params=["one strip", "strips"])
def strips(request, monkeypatch):
    if request.param == "strips":
        monkeypatch.setattr(raster, "_STRIP_BYTES", 12)  # two rows of 5 labels


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_labels_and_names_come_back(tmp_path, shape, strips):
    labels = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    names = ("road", "дерево 木", 'quote " and \\')
    write_labels(tmp_path / "a.tif", planes(labels), shape, names)
    read, given = read_labels(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == np.uint8
    assert given == names


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scores_come_back_bit_for_bit(tmp_path, shape, strips):
    scores = np.random.default_rng(0).random(shape, np.float32)
    write_similarity(tmp_path / "a.tif", planes(scores), shape, "road")
    read = tifffile.imread(tmp_path / "a.tif")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read.reshape(shape), scores)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_masks_are_0_and_255(tmp_path, name):
    mask = np.array([[0, 255, 0], [255, 0, 0]], np.uint8)
    write_mask(tmp_path / name, planes(mask), mask.shape, "road")
    np.testing.assert_array_equal(imageio.imread(tmp_path / name), mask)


def test_a_stack_of_masks_keeps_its_shape(tmp_path):
    masks = np.random.default_rng(0).integers(0, 2, (4, 6, 5)).astype(np.uint8) * 255
    write_mask(tmp_path / "a.tif", planes(masks), masks.shape, "road")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), masks)


def test_a_photograph_comes_back(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    write_photograph(tmp_path / "a.png", image)
    np.testing.assert_array_equal(imageio.imread(tmp_path / "a.png"), image)


def test_other_readers_see_plain_grey_values(tmp_path):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_labels(tmp_path / "a.tif", planes(labels), labels.shape, ("a",))
    np.testing.assert_array_equal(imageio.imread(tmp_path / "a.tif", plugin="pillow"), labels)


def test_the_place_of_the_source_is_kept(tmp_path):
    source = tmp_path / "source.tif"
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)
    tags = [
        (33550, "d", 3, (10.0, 20.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4000000.0, 0.0), True),
        (34735, "H", len(keys), keys, True),
        (42113, "s", 0, "7", True),
    ]
    image = np.full((4, 5), 7, np.uint8)
    tifffile.imwrite(source, image, extratags=tags, resolution=(3, 4), resolutionunit=3, metadata=None)
    picture = read_image(source)
    assert picture.view.nodata == 7
    write_labels(tmp_path / "labels.tif", planes(image * 0), image.shape, ("a",), picture.placement)
    result = read_image(tmp_path / "labels.tif")
    assert result.georeference == picture.georeference
    assert result.georeference.crs == "EPSG:32632"
    assert result.georeference.transform == (10, 0, 500000, 0, -20, 4000000)
    assert result.placement == picture.placement
    assert result.placement.resolution == (3, 4)
    assert result.view.nodata == 0  # not the source's 7, which is a label


def test_without_a_place_nothing_is_declared(tmp_path):
    write_labels(tmp_path / "a.tif", planes(np.zeros((2, 2), np.uint8)), (2, 2), ("a",), Placement())
    picture = read_image(tmp_path / "a.tif")
    assert picture.georeference is None
    assert picture.view.nodata is None


def test_letters_of_a_stack_are_kept(tmp_path):
    labels = np.zeros((2, 3, 4, 5), np.uint8)
    write_labels(tmp_path / "a.tif", planes(labels), labels.shape, ("a",), Placement(axes="TZ"))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].axes == "TZYX"


def test_labels_of_others_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"a\.tif has no prompt names"):
        read_labels(tmp_path / "a.tif")


def test_an_earlier_file_survives_a_failure(tmp_path):
    target = tmp_path / "a.tif"
    write_labels(target, planes(np.ones((2, 2), np.uint8)), (2, 2), ("a",))

    def broken(rows):
        raise RuntimeError("no score")

    with pytest.raises(RuntimeError, match="no score"):
        write_labels(target, [broken], (2, 2), ("b",))
    assert read_labels(target)[1] == ("a",)
    assert list(tmp_path.iterdir()) == [target]
