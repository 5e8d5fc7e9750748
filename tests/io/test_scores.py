"""Score maps are bilinear between cells, lie where the image lies, and have no data where it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from napari_clearclip.io.formats import format_of, read, write
from napari_clearclip.io.images import read_image
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.raster import read_scores
from napari_clearclip.result import Georeference

LAND = Georeference("EPSG:32631", (0.5, 0.1, 500000.0, 0.2, -0.5, 5000000.0))
RNG = np.random.default_rng(0)


def scored(names: tuple[str, ...] = ("road", "tree"), stack: tuple[int, ...] = (), **fields: Any) -> Masks:
    """Masks of 8 x 12 pixels with scores on 4 x 6 cells; the first two columns have no data."""
    valid = np.ones((*stack, 8, 12), bool)
    valid[..., :2] = False
    scores = RNG.random((len(names), *stack, 4, 6)).astype(np.float32)
    labels = np.zeros((*stack, 8, 12), np.uint8)
    return Masks(names, labels, scores=scores, valid=np.packbits(valid, axis=-1), image="a.tif", **fields)


def expected(masks: Masks) -> Any:
    """The scores at pixels by SciPy."""
    rows, cols = np.mgrid[:8, :12]
    places = np.clip((rows + 0.5) / 2 - 0.5, 0, 3), np.clip((cols + 0.5) / 2 - 0.5, 0, 5)
    flat = np.stack([map_coordinates(plane, places, order=1) for plane in masks.scores.reshape(-1, 4, 6)])
    flat[..., :2] = np.nan
    return flat.reshape(*masks.scores.shape[:-2], 8, 12)


@pytest.mark.parametrize("stack", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("names", [("road",), ("road", "дерево 木"), ("a<&>", 'b"', "c")], ids=len)
def test_scores_and_names_come_back(names: tuple[str, ...], stack: tuple[int, ...], tmp_path: Path) -> None:
    masks = scored(names, stack)
    write(tmp_path / "a_scores.tif", [masks], "scores")
    values, found = read_scores(tmp_path / "a_scores.tif")
    assert found == names
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected(masks), atol=1e-6)
    assert tifffile.imread(tmp_path / "a_scores.tif").size == values.size


def test_rasterio_finds_bands_where_the_image_lies(tmp_path: Path) -> None:
    masks = scored(("a<&>", "дерево 木"), georeference=LAND)
    write(tmp_path / "a.tif", [masks], "scores")
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.descriptions == masks.names
        assert (raster.crs.to_epsg(), tuple(raster.transform)[:6]) == (32631, LAND.transform)
        assert np.isnan(raster.nodata)
        np.testing.assert_allclose(raster.read(), expected(masks), atol=1e-6)
        assert not raster.dataset_mask()[:, :2].any()
        assert raster.dataset_mask()[:, 2:].all()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Z")), min_size=1), min_size=1))
def test_any_names_are_bands(names: list[str], tmp_path: Path) -> None:
    write(tmp_path / "a.tif", [scored(tuple(names))], "scores")
    assert read_scores(tmp_path / "a.tif")[1] == tuple(names)
    assert read_image(tmp_path / "a.tif").view.bands == tuple(names)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.descriptions == tuple(names)


def test_what_holds_no_masks_is_not_read_as_masks(tmp_path: Path) -> None:
    for name, ending in (("scores", "tif"), ("table", "csv")):
        path = tmp_path / f"renamed.{ending}"
        write(path, [scored()], name)
        assert format_of(path) == name
        with pytest.raises(ValueError, match="which do not give masks back; open a file of masks"):
            read(path)


def test_without_scores_there_is_no_map(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no scores; masks that were read from a file or drawn have none"):
        write(tmp_path / "a.tif", [Masks(("a",), np.zeros((2, 2), np.uint8))], "scores")
    write(tmp_path / "b.tif", [Masks(("a",), np.zeros((2, 2), np.uint8))], "tiff")
    with pytest.raises(ValueError, match=r"b.tif cannot be read as scores: it says no names of scores"):
        read_scores(tmp_path / "b.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["b.tif"]
