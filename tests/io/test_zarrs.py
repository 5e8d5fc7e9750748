"""Images in zarrs: which there are, and their axes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from ome_zarr.writer import write_image

from napari_clearclip.io.images import UnreadableImageError, read_image
from napari_clearclip.io.zarrs import is_zarr, zarr_images

ARRAYS = {  # stored shape and names of axes; shape and channel axis as read
    "plane": ((6, 7), None, (6, 7), None, ""),
    "channels last": ((6, 7, 3), None, (6, 7, 3), 2, ""),
    "channels first": ((4, 6, 7), None, (4, 6, 7), 0, ""),
    "stack": ((5, 6, 7), None, (5, 6, 7), None, "Q"),
    "stack with channels": ((5, 6, 7, 3), None, (5, 6, 7, 3), 2, "Q"),
    "names say otherwise": ((3, 6, 7), ("z", "y", "x"), (3, 6, 7), None, "Z"),
    "channels before a stack": ((2, 5, 6, 7), ("c", "z", "y", "x"), (5, 2, 6, 7), 0, "Z"),
    "turned": ((7, 6), ("x", "y"), (6, 7), None, ""),
    "one channel": ((1, 6, 7), ("channel", "y", "x"), (6, 7), None, ""),
    "bands": ((2, 6, 7), ("band", "y", "x"), (2, 6, 7), 0, ""),
}


@pytest.mark.parametrize(("shape", "names", "wanted", "axis", "stack"), ARRAYS.values(), ids=ARRAYS.keys())
def test_axes_of_an_array(tmp_path, shape, names, wanted, axis, stack):
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    array = zarr.create_array(tmp_path / "a.zarr", shape=shape, dtype="u2", dimension_names=names)
    array[...] = data
    picture = read_image(tmp_path / "a.zarr")
    assert (picture.data.shape, picture.view.channel_axis, picture.placement.axes) == (wanted, axis, stack)
    order = range(len(shape))
    if names == ("c", "z", "y", "x"):
        order = (1, 0, 2, 3)
    elif names == ("x", "y"):
        order = (1, 0)
    np.testing.assert_array_equal(np.asarray(picture.data), data.transpose(order).reshape(wanted))


def test_the_full_resolution_of_an_ome_zarr(tmp_path):
    data = np.random.default_rng(0).integers(0, 999, (2, 3, 40, 50)).astype(np.uint16)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="w")
    write_image(data, group, axes="tcyx", scale={"t": 1, "c": 1, "y": 0.5, "x": 0.25},
                axes_units={"y": "micrometer", "x": "micrometer"})  # fmt: skip
    metadata = tmp_path / "a.ome.zarr/zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["ome"]["omero"] = {"channels": [{"label": name} for name in ("DAPI", "GFP", "RFP")]}
    metadata.write_text(json.dumps(content))
    picture = read_image(tmp_path / "a.ome.zarr")
    assert (picture.name, picture.stack, picture.view.channel_axis) == ("a", (2,), 0)
    assert picture.view.bands == ("DAPI", "GFP", "RFP")
    assert (picture.view.scale, picture.view.unit) == ((0.5, 0.25), "µm")
    np.testing.assert_array_equal(picture.data[1], data[1])
    assert list(zarr_images(tmp_path / "a.ome.zarr")) == [tmp_path / "a.ome.zarr"]


def test_labels_of_an_image_are_no_image(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_group("labels").create_array("nuclei", shape=(4, 4), dtype="u1")
    group.create_group("row").create_array("well", shape=(4, 4), dtype="u1")
    assert is_zarr(tmp_path / "a.zarr")
    assert list(zarr_images(tmp_path / "a.zarr")) == [tmp_path / "a.zarr/row/well"]


def test_a_group_is_no_image(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(ValueError, match="a.zarr is a zarr group; give the images in it"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(("text", "message"), [("{", "damaged"), ('{"node_type": "array"}', "cannot be read")])
def test_damaged_metadata(tmp_path, text, message):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text(text)
    with pytest.raises((ValueError, UnreadableImageError), match=message):
        read_image(tmp_path / "a.zarr")
