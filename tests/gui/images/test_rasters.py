"""A GeoTIFF that is opened as bands: their names, nodata and place go through the panel to what is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication

from napari_clearclip.engine.view import render
from napari_clearclip.gui.images.channels import axis_of, choices, picks_of
from napari_clearclip.gui.images.rasters import Raster
from napari_clearclip.gui.images.sources import is_source, key_of, shape_of, source_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.io import images
from napari_clearclip.io.formats import read
from napari_clearclip.io.placement import Placement
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.result import Georeference
from napari_clearclip.settings import Index, Runtime

from ..conftest import in_line

MANIFEST = Path(__file__).parents[3] / "napari.yaml"
UTM = rasterio.Affine(10, 0, 500000, 0, -10, 5000000)
TURNED = rasterio.Affine(0.5, 0.1, 500000, 0.2, -0.5, 5000000)
NAMES = ("nir", "red", "SWIR 1", "green", "blue")
CUBE = np.random.default_rng(0).integers(1, 4000, (5, 20, 30)).astype(np.float32)
CUBE[:, :, :6] = -9999


@pytest.fixture(autouse=True)
def plugin(npe2pm: Any) -> Iterator[None]:
    """napari with this plugin alone."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        yield


def land(path: Path, data: Any = CUBE, names: tuple[str, ...] = NAMES, **options: Any) -> Path:
    """A GeoTIFF of bands."""
    count, height, width = data.shape
    fields = {"count": count, "height": height, "width": width, "dtype": data.dtype, "nodata": -9999}
    with rasterio.open(path, "w", **{"crs": "EPSG:32631", "transform": UTM, **fields, **options}) as file:
        file.write(data)
        file.descriptions = names or (None,) * count
    return path


def opened(path: Path) -> tuple[ViewerModel, Any]:
    viewer = ViewerModel()
    return viewer, viewer.open(path, plugin="napari-clearclip")[-1]


def test_all_bands_are_there_by_name(tmp_path: Path) -> None:
    _, layer = opened(land(tmp_path / "a.tif"))
    np.testing.assert_array_equal(layer.data, CUBE)
    assert not layer.rgb
    assert (axis_of(layer), shape_of(layer)) == (0, (1, 20, 30))
    assert layer.metadata["bands"] == list(NAMES)
    assert layer.metadata["nodata"] == -9999
    assert layer.metadata["crs"] == "EPSG:32631"
    assert layer.metadata["transform"] == tuple(UTM)[:6]
    assert tuple(layer.scale) == (1, 10, 10)
    assert 0 <= layer.contrast_limits[0] < layer.contrast_limits[1] <= 4000
    assert [name for name, _ in choices([layer])] == [f"a · {name}" for name in NAMES]
    assert [pick.channel for pick in picks_of(layer)] == [1, 3, 4]  # as they are called


@pytest.mark.parametrize("name", ["RGB.byte.tif", "RGBA.uint16.tif"])
def test_real_rasters_are_bands_with_a_picture(name: str, test_data: Path) -> None:
    viewer, layer = opened(test_data / "geo" / name)
    with rasterio.open(test_data / "geo" / name) as raster:
        np.testing.assert_array_equal(layer.data, raster.read())
        assert layer.metadata["bands"] == [item.name for item in raster.colorinterp]
        assert layer.metadata["crs"] == f"EPSG:{raster.crs.to_epsg()}"
        assert layer.metadata["transform"] == tuple(raster.transform)[:6]
        assert layer.metadata["nodata"] == raster.nodata
        seen = raster.dataset_mask() > 0
        shown = raster.read([[item.name for item in raster.colorinterp].index(c) + 1 for c in ("red", "green", "blue")])
    assert not layer.rgb
    source = source_of(layer, viewer.dims.point, viewer.layers)
    stored = source.read((0,))[0][: len(shown)]
    np.testing.assert_array_equal(stored, shown)
    if name == "RGB.byte.tif":
        np.testing.assert_array_equal(render(source.read((0,)), source.view, slice(None), slice(None))[1], seen)
    picture = viewer.layers[0]
    assert (picture.visible, layer.visible, viewer.layers.selection.active) == (True, False, layer)
    assert picture.rgb
    assert not is_source(picture)
    np.testing.assert_array_equal(picture.data[..., 3] > 0, seen)
    np.testing.assert_allclose(picture.extent.world, layer.extent.world[:, 1:])


def test_bands_without_names_have_numbers(tmp_path: Path) -> None:
    path = land(tmp_path / "a.tif", np.arange(4 * 6, dtype=np.uint16).reshape(4, 2, 3), (), nodata=None)
    viewer, layer = opened(path)
    assert layer.metadata["bands"] == ["b1", "b2", "b3", "b4"]
    assert not layer.rgb
    assert layer.data.shape == (4, 2, 3)
    assert len(viewer.layers) == 1  # nobody says that three of them are colours
    assert [pick.channel for pick in picks_of(layer)] == [0, 1, 2]


def test_one_band_is_a_plane(tmp_path: Path) -> None:
    viewer, layer = opened(land(tmp_path / "a.tif", CUBE[:1], ("height",)))
    np.testing.assert_array_equal(layer.data, CUBE[0])
    assert axis_of(layer) is None
    source = source_of(layer, viewer.dims.point, viewer.layers)
    assert source.bands.names == ("height",)
    np.testing.assert_array_equal(render(source.read(()), source.view, slice(None), slice(None))[1], CUBE[0] > 0)


def test_a_dark_colour_brings_no_data_where_there_are_none(tmp_path: Path) -> None:
    from napari_clearclip.gui.images.channels import Pick, set_picks

    viewer, layer = opened(land(tmp_path / "a.tif"))
    set_picks(layer, (Pick(key_of(layer), 1), Pick(key_of(layer), 0), None))
    source = source_of(layer, viewer.dims.point, viewer.layers)
    colours, valid = render(source.read((0,)), source.view, slice(None), slice(None))
    np.testing.assert_array_equal(valid, CUBE[0] > 0)
    assert not colours[valid][:, 2].any()


def test_transparency_is_no_data(tmp_path: Path) -> None:
    data = np.full((4, 5, 6), 7, np.uint8)
    data[3, :, :2] = 0
    path = land(
        tmp_path / "a.tif", data, ("red", "green", "blue", "alpha"), nodata=None, alpha="YES", photometric="RGB"
    )
    viewer, layer = opened(path)
    source = source_of(layer, viewer.dims.point, viewer.layers)
    assert render(source.read((0,)), source.view, slice(None), slice(None))[1].sum() == 5 * 4


@pytest.fixture
def measured(qtbot: Any, tmp_path: Path) -> Iterator[Callable[..., Panel]]:
    """A panel that looks for plants by NDVI in a GeoTIFF, without a model."""
    panels = []

    def make(path: Path, index: Index) -> Panel:
        viewer, _ = opened(path)
        runtime = Runtime(device="cpu", cache_folder=str(tmp_path / "cache"))
        panel = Panel(viewer, in_line, lambda _: Pipeline(runtime))
        panels.append(panel)
        qtbot.addWidget(panel)
        panel.prompting.add_index("plants", index)
        panel.run()
        while not panel.results.idle:
            QApplication.processEvents()
        assert panel.message.label.text() == ""
        return panel

    yield make
    for panel in panels:
        panel.close_down()


@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["upright", "turned"])
def test_ndvi_finds_its_bands_and_exports_lie_where_the_file_lay(
    transform: Any, measured: Callable[..., Panel], tmp_path: Path
) -> None:
    path = land(tmp_path / "a.tif", transform=transform)
    panel = measured(path, Index(expression="(nir - red) / (nir + red)"))
    outcome = panel.results.outcome((key_of(panel.images.current), (0,)))
    assert outcome is not None
    (plants,) = panel.controller.settings.objects
    there = CUBE[0] > 0
    value = (CUBE[0] - CUBE[1]) / (CUBE[0] + CUBE[1])
    mask = there & ((value + 1) / 2 >= plants.threshold)
    np.testing.assert_array_equal(outcome.segmentation.mask(plants.id), mask)
    assert outcome.scores[plants.id].sum() == there.sum()  # nodata is counted nowhere
    assert outcome.coverage[plants.id] == pytest.approx(mask.sum() / there.sum())
    path.unlink()  # the layer knows
    for name, ending in (("tiff", "tif"), ("geojson", "geojson")):
        panel.exporter.export(tmp_path / f"b.{ending}", name)
        assert "were written" in panel.message.label.text()
        (found,) = read(tmp_path / f"b.{ending}")
        np.testing.assert_array_equal(found.mask(0), mask)
        assert found.georeference.crs == "EPSG:32631"
        assert found.georeference.transform == tuple(transform)[:6]
    with rasterio.open(tmp_path / "b.tif") as raster:
        assert (raster.crs.to_epsg(), raster.transform, raster.nodata) == (32631, transform, 0)
        assert not raster.dataset_mask()[~there].any()


def test_otsu_is_not_drawn_to_nodata(measured: Callable[..., Panel], tmp_path: Path) -> None:
    data = np.where(CUBE < 0, CUBE, 1000 + 2000 * (CUBE > 2000)).astype(np.float32)
    panel = measured(land(tmp_path / "a.tif", data), Index(expression="nir", otsu=True))
    outcome = panel.results.outcome((key_of(panel.images.current), (0,)))
    assert outcome is not None
    (plants,) = panel.controller.settings.objects
    np.testing.assert_array_equal(outcome.segmentation.mask(plants.id), data[0] == 3000)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_a_large_file_is_read_where_it_is_looked_at(
    interleave: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(1).integers(1, 200, (4, 300, 520)).astype(np.uint8)
    path = land(tmp_path / "a.tif", data, ("a", "b", "c", "d"), nodata=0, tiled=True, blockxsize=128, blockysize=128,
                interleave=interleave, compress="lzw", photometric="minisblack")  # fmt: skip
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    monkeypatch.setattr(images, "_LARGE", 1000)
    monkeypatch.setattr("napari_clearclip.io.gdal._CHUNK", 128)
    viewer, layer = opened(path)
    assert [level.shape for level in layer.data] == [(4, 300, 520), (4, 150, 260), (4, 75, 130)]
    assert not isinstance(layer.data[0], np.ndarray)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), data)
    with rasterio.open(path, overview_level=0) as file:
        np.testing.assert_array_equal(np.asarray(layer.data[1]), file.read())
    source = source_of(layer, viewer.dims.point, viewer.layers)
    np.testing.assert_array_equal(source.read((0,))[0], data[:3])
    assert source.bands.names == ("a", "b", "c", "d")


def test_a_coarser_level_lies_on_the_finest() -> None:
    place = Georeference("EPSG:32631", (10.0, 1.0, 500000.0, 2.0, -10.0, 5000000.0))
    raster = Raster((400, 800), 0, (0,), None, None, Placement(), place)
    _, found = raster.lies((100, 400))
    assert found is not None
    fine, coarse = rasterio.Affine(*place.transform), rasterio.Affine(*found.transform)
    assert coarse @ (400, 100) == fine @ (800, 400)
    assert coarse @ (0, 0) == fine @ (0, 0)


def test_compressed_bands_are_read(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 60000, (5, 30, 40)).astype(np.uint16)
    _, layer = opened(land(tmp_path / "a.tif", data, nodata=None, compress="lzw", predictor=2))
    np.testing.assert_array_equal(layer.data, data)


def test_a_plain_tiff_is_opened_as_napari_opens_it(tmp_path: Path) -> None:
    from napari_builtins.io import napari_get_reader

    from napari_clearclip.gui.opening import open_file

    data = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    tifffile.imwrite(tmp_path / "a.tif", data)
    path = str(tmp_path / "a.tif")
    ours, theirs = open_file(path)(path), napari_get_reader(path)(path)
    np.testing.assert_array_equal(ours[0][0], theirs[0][0])
    assert ours[0][1:] == theirs[0][1:]
    assert open_file([path, path]) is None
