"""Polygons lie where the image lies, keep their holes, and can be simplified, squared and filtered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import shapely.ops
from skimage.draw import polygon2mask

from napari_clearclip.io.geojson import Shaping, read_geojson, write_geojson
from napari_clearclip.io.images import read_image
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.polygons import polygons_of, squared
from napari_clearclip.io.raster import write_masks, write_scores
from napari_clearclip.result import Georeference

UTM = Georeference("EPSG:32618", (300.0, 0.0, 101985.0, 0.0, -300.0, 2826915.0))
LABELS = np.zeros((40, 60), np.uint8)
LABELS[5:25, 10:40] = 1
LABELS[10:20, 15:30] = 0
LABELS[30:33, 50:52] = 2
LAND = Masks(("field", "pond"), LABELS, image="a.tif", georeference=UTM)


def features(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["features"]
    return found


def test_coordinates_are_degrees_by_default(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", LAND)
    field, pond = (shapely.geometry.shape(item["geometry"]) for item in features(tmp_path / "a.geojson"))
    assert "crs" not in json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    to_degrees = pyproj.Transformer.from_crs("EPSG:32618", "EPSG:4326", always_xy=True)
    left, top = to_degrees.transform(101985 + 300 * 50, 2826915 - 300 * 30)
    assert (left, top) in [pytest.approx(corner) for corner in pond.exterior.coords]
    assert len(field.interiors) == 1


def test_coordinates_in_the_images_own_system_are_said(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", LAND, Shaping(degrees=False))
    content = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32618"
    (pond,) = (item for item in content["features"] if item["properties"]["prompt"] == "pond")
    bounds = shapely.geometry.shape(pond["geometry"]).bounds
    assert bounds == (101985 + 300 * 50, 2826915 - 300 * 33, 101985 + 300 * 52, 2826915 - 300 * 30)


@pytest.mark.parametrize("degrees", [True, False])
def test_areas_are_geodesic(degrees: bool, tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", LAND, Shaping(degrees=degrees))
    to_degrees = pyproj.Transformer.from_crs("EPSG:32618", "EPSG:4326", always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    for item in features(tmp_path / "a.geojson"):
        polygon = shapely.geometry.shape(item["geometry"])
        if not degrees:
            polygon = shapely.ops.transform(to_degrees.transform, polygon)
        area = abs(geod.geometry_area_perimeter(shapely.geometry.polygon.orient(polygon))[0])
        assert item["properties"]["area_m2"] == pytest.approx(area, rel=1e-3)
    assert area == pytest.approx(6 * 300**2, rel=0.02)  # the projection's own scale is off by less than 2 per cent


def test_an_image_that_lies_nowhere_has_pixels(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", Masks(("a",), (LABELS == 2).astype(np.uint8)))
    (item,) = features(tmp_path / "a.geojson")
    assert shapely.geometry.shape(item["geometry"]).bounds == (50, 30, 52, 33)
    assert item["properties"]["area_px"] == 6
    assert "pixels" in json.loads((tmp_path / "a.geojson").read_text("utf-8"))["napari_clearclip"]["unit"]


def test_small_polygons_are_left_out_by_area_on_earth(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", LAND, Shaping(smallest=6 * 300**2 * 1.1))
    assert [item["properties"]["prompt"] for item in features(tmp_path / "a.geojson")] == ["field"]


def slanted(angle: float) -> tuple[Any, Any]:
    """The corners of a house of 40 x 24 pixels with a notch, and its pixels."""
    corners = np.array([(0, 0), (40, 0), (40, 24), (20, 24), (20, 12), (0, 12)], float) - (20, 12)
    cos, sin = np.cos(angle), np.sin(angle)
    corners = corners @ np.array([[cos, sin], [-sin, cos]]) + 40
    return corners, polygon2mask((80, 80), corners[:, ::-1] - 0.5)


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 77])
def test_a_squared_roof_has_its_six_corners(degrees: float, tmp_path: Path) -> None:
    corners, mask = slanted(np.deg2rad(degrees))
    write_geojson(tmp_path / "a.geojson", Masks(("roof",), mask.astype(np.uint8)), Shaping(square=True))
    (item,) = features(tmp_path / "a.geojson")
    found = np.array(item["geometry"]["coordinates"][0])
    assert len(found) == 7
    edges = np.diff(found, axis=0)
    turns = np.einsum("ij,ij->i", edges, np.roll(edges, -1, axis=0))
    np.testing.assert_allclose(turns, 0, atol=1e-9)  # every angle is right
    for corner in corners:
        assert np.hypot(*(found - corner).T).min() < 1 + np.sqrt(2)  # what simplifying and pixels may move it
    roof = shapely.Polygon(corners)
    assert (
        shapely.Polygon(found).intersection(roof).area / shapely.Polygon(found).union(roof).area > 0.92
    )  # its pixels alone have 0.95


def test_a_blob_becomes_a_rectangle_if_it_has_too_few_edges() -> None:
    triangle = np.array([(0, 0), (10, 0), (0, 1), (0, 0)], float)
    found = squared(triangle)
    assert len(found) == 5
    assert shapely.Polygon(found).buffer(1e-9).covers(shapely.Polygon(triangle))


def test_simplified_outlines_stay_near(tmp_path: Path) -> None:
    _, mask = slanted(0.4)
    (exterior, _holes), *_ = polygons_of(mask)
    write_geojson(tmp_path / "a.geojson", Masks(("roof",), mask.astype(np.uint8)), Shaping(simplify=1))
    (item,) = features(tmp_path / "a.geojson")
    found = shapely.geometry.shape(item["geometry"])
    assert len(found.exterior.coords) < len(exterior) / 4
    assert shapely.hausdorff_distance(found.exterior, shapely.LinearRing(exterior), densify=0.1) <= 1.01


@pytest.mark.parametrize("name", ["RGB.byte.tif", "RGBA.uint16.tif"])
def test_exports_of_real_rasters_lie_on_them(name: str, test_data: Path, tmp_path: Path) -> None:
    """A bright box of the raster is found where rasterio says it is: half a pixel at most."""
    picture = read_image(test_data / "geo" / name)
    height, width = picture.data.shape[:2] if picture.view.channel_axis == 2 else picture.data.shape[-2:]
    labels = np.zeros((height, width), np.uint8)
    labels[height // 3 : height // 2, width // 4 : width // 2] = 1
    masks = Masks(("box",), labels, placement=picture.placement, georeference=picture.georeference)
    write_masks(tmp_path / "a.tif", masks)
    with rasterio.open(test_data / "geo" / name) as source, rasterio.open(tmp_path / "a.tif") as found:
        assert found.transform == source.transform
        assert found.crs == source.crs
        assert found.nodata == 0
        np.testing.assert_array_equal(found.read(1), labels)
        corners = [source.transform @ corner for corner in ((width // 4, height // 3), (width // 2, height // 2))]
        crs, half = source.crs, abs(source.transform.a) / 2
    write_geojson(tmp_path / "a.geojson", masks)
    (item,) = features(tmp_path / "a.geojson")
    if crs is None:
        return
    back = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    polygon = shapely.ops.transform(back.transform, shapely.geometry.shape(item["geometry"]))
    (x0, y0), (x1, y1) = corners
    np.testing.assert_allclose(polygon.bounds, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), atol=half)


def test_nodata_of_a_real_raster_stays_nodata(test_data: Path, tmp_path: Path) -> None:
    """All that has data is land: labels and scores have data where the raster has, by GDAL's own masks."""
    picture = read_image(test_data / "geo/RGB.byte.tif")
    with rasterio.open(test_data / "geo/RGB.byte.tif") as source:
        there = source.dataset_mask() > 0
        transform, crs = source.transform, source.crs
    scores = np.full((1, 2, 2), 0.5, np.float32)
    valid = np.packbits(there, axis=-1)
    fields = {"placement": picture.placement, "georeference": picture.georeference}
    masks = Masks(("land",), there.astype(np.uint8), scores=scores, valid=valid, **fields)
    write_masks(tmp_path / "labels.tif", masks)
    write_scores(tmp_path / "scores.tif", masks)
    for name in ("labels", "scores"):
        with rasterio.open(tmp_path / f"{name}.tif") as found:
            np.testing.assert_array_equal(found.dataset_mask() > 0, there)
            assert (found.transform, found.crs) == (transform, crs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"napari_clearclip": None}, "cannot be used"),
        ({"features": [{"geometry": {"coordinates": [[[0, 0]]]}, "properties": {"prompt": "x"}}]}, "cannot be used"),
        ({"features": [{}]}, "lacks 'properties'"),
    ],
)
def test_damaged_files_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_geojson(path, LAND)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    with pytest.raises(ValueError, match=message):
        read_geojson(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [10**9, 10**9]}, "is too large"),
        ({"shape": [4]}, "is empty"),
        ({"crs": "EPSG:1"}, "EPSG:1"),
    ],
)
def test_hostile_files_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_geojson(path, LAND)
    content = json.loads(path.read_text("utf-8"))
    content["napari_clearclip"] |= changes
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_geojson(path)
