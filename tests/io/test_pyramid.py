"""Labels in tiles, with copies that hold no other labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_clearclip.io.formats import read
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.pyramid import write_pyramid
from napari_clearclip.result import Georeference

NAMES = ("field", "roof", "road")


@pytest.mark.parametrize("shape", [(1200, 700), (512, 512), (513, 40), (3, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_levels(tmp_path: Path, shape: tuple[int, int], dtype: str) -> None:
    labels = np.random.default_rng(0).integers(0, 4, shape).astype(dtype)
    write_pyramid(tmp_path / "a.tif", Masks(NAMES, labels))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert len(tif.series) == 1
        page, levels = tif.series[0].keyframe, tif.series[0].levels
        assert (page.is_tiled, page.tilelength, page.tilewidth) == (True, 512, 512)
        for number, level in enumerate(levels):
            np.testing.assert_array_equal(level.asarray(), labels[:: 2**number, :: 2**number])
        assert max(levels[-1].shape) <= 512 < 2 * max(levels[-1].shape) or len(levels) == 1
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.labels, labels)
    assert found.names == NAMES


def test_gdal_sees_the_overviews_and_the_place(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    land = Georeference("EPSG:32631", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
    labels = np.random.default_rng(0).integers(0, 4, (1200, 700)).astype(np.uint8)
    write_pyramid(tmp_path / "a.tif", Masks(NAMES, labels, georeference=land))
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.overviews(1) == [2, 4]
        assert (raster.crs.to_epsg(), tuple(raster.transform)[:6]) == (32631, land.transform)
        np.testing.assert_array_equal(raster.read(1), labels)
