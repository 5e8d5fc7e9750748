"""GeoJSON: polygons for a GIS, in the image's coordinate system, in degrees, or in pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.io.files import as_json, read_text, replacing
from napari_clearclip.io.limits import check_size
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.polygons import Ring, filled, polygons_of, squared, unstaired
from napari_clearclip.result import Georeference

_WGS84 = "EPSG:4326"
_WHAT = "the GeoJSON file"
_STAIRS = 1.0  # pixels: the steps of a slanted outline have to go before it shows a direction
_PIXELS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
Json = dict[str, Any]


@dataclass(frozen=True)
class Shaping:
    """What is done to polygons on their way to a map; as it stands, nothing: then the file reads back equal.

    Attributes
    ----------
    degrees : bool
        Whether coordinates are WGS 84 longitude and latitude, as RFC 7946 asks; else the image's own system.
    simplify : float
        Largest distance by which an outline may move when corners are left out, in pixels.
    square : bool
        Whether outlines are made of right angles along their main direction, as buildings are; they are simplified by
        one pixel at least.
    smallest : float
        Polygons of less area are left out: in square metres where the image lies on Earth, else in pixels.
    """

    degrees: bool = True
    simplify: float = 0.0
    square: bool = False
    smallest: float = 0.0


def write_geojson(path: Path, masks: Masks, shaping: Shaping | None = None) -> None:
    """A feature for each polygon, with ``prompt``, ``object``, ``score`` and its area.

    ``area_m2`` is the geodesic area in square metres, ``area_px`` the area in pixels of an image that lies nowhere. The
    member ``napari_clearclip`` says how pixels became coordinates.

    Parameters
    ----------
    path : Path
        Where to.
    masks : Masks
        One plane.
    shaping : Shaping, optional
        What is done to the polygons.

    Raises
    ------
    ImportError
        If rasterio, shapely or pyproj is missing.
    OSError
        If the file cannot be written.
    ValueError
        If the coordinate system is not known to pyproj, or has no EPSG code.

    References
    ----------
    RFC 7946, The GeoJSON Format, 2016. C. Karney, Algorithms for geodesics, 2013 (areas, through pyproj).
    """
    shaping = shaping or Shaping()
    ground = _Ground(masks, shaping.degrees)
    features = list(_features(masks, shaping, ground))
    about: Json = {"names": masks.names, "colors": masks.colors, "image": masks.image, "shape": masks.labels.shape}
    about |= {"transform": ground.transform, "crs": ground.crs, "objects": masks.instances is not None}
    content: Json = {"type": "FeatureCollection", "name": masks.image, "napari_clearclip": about}
    if ground.crs and not shaping.degrees:  # of GeoJSON before RFC 7946; GDAL, QGIS and geopandas read it
        code = ground.crs.partition(":")[2]
        content["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}
    elif not ground.crs:
        about["unit"] = "pixels: this image lies nowhere on Earth"
    content["features"] = features
    with replacing(path) as file:
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _features(masks: Masks, shaping: Shaping, ground: _Ground) -> Iterator[Json]:
    for index, name in enumerate(masks.names):
        for number, (rows, cols), crop in masks.objects(index):
            score = masks.score(index, (rows, cols), crop)
            for exterior, holes in polygons_of(crop):
                rings = [ring + np.array([cols.start, rows.start]) for ring in (exterior, *holes)]
                rings = [shaped for ring in rings if len(shaped := _shaped(ring, shaping)) > 3]
                if not rings:
                    continue
                area = ground.area(rings)
                if area < shaping.smallest:
                    continue
                properties: Json = {"prompt": name, "score": None if score is None else round(score, 6)}
                if number:
                    properties["object"] = number
                properties["area_m2" if ground.crs else "area_px"] = area
                yield {
                    "type": "Feature",
                    "properties": properties,
                    "geometry": {"type": "Polygon", "coordinates": [ground.place(ring).tolist() for ring in rings]},
                }


def _shaped(ring: Ring, shaping: Shaping) -> Ring:
    """A closed outline with fewer corners, or with right angles."""
    from shapely import Polygon

    tolerance = max(shaping.simplify, _STAIRS if shaping.square else 0)
    if shaping.square:
        ring = unstaired(ring)
    if tolerance > 0:
        simple = Polygon(ring).simplify(tolerance)
        ring = np.array(simple.exterior.coords) if not simple.is_empty else ring[:0]
    return squared(ring) if shaping.square and len(ring) else ring


class _Ground:
    """From pixel corners to coordinates on Earth."""

    def __init__(self, masks: Masks, degrees: bool) -> None:
        geo = masks.georeference
        if geo is None and masks.placement.tags:
            raise ValueError("the coordinate system has no EPSG code, so that GeoJSON cannot name it; use tiff")
        self.crs = "" if geo is None else geo.crs
        self.transform = _PIXELS if geo is None else geo.transform
        self._to_degrees = None if geo is None else _projection(geo.crs, _WGS84)
        self._degrees = degrees

    def place(self, ring: Ring) -> Ring:
        """Coordinates (n, 2) of pixel corners x, y, as they are written."""
        placed = _apply(self.transform, ring)
        if self._to_degrees is not None and self._degrees:
            placed = np.stack(self._to_degrees.transform(*placed.T), axis=1)
        return placed

    def area(self, rings: list[Ring]) -> float:
        """Square metres of a polygon (first its exterior, then holes), or pixels."""
        from shapely import Polygon

        if self._to_degrees is None:
            return float(Polygon(rings[0], rings[1:]).area)
        from pyproj import Geod

        placed = [np.stack(self._to_degrees.transform(*_apply(self.transform, ring).T), axis=1) for ring in rings]
        outer, *inner = (abs(Geod(ellps="WGS84").polygon_area_perimeter(*ring.T)[0]) for ring in placed)
        return float(outer - sum(inner))


def _apply(transform: tuple[float, ...], points: Ring) -> Ring:
    a, b, c, d, e, f = transform
    x, y = points.T
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def _projection(source: str, target: str) -> Any:
    try:
        from pyproj import Transformer
    except ImportError as error:
        raise ImportError('coordinate systems need pyproj: pip install "napari-clearclip[geo]"') from error
    from pyproj.exceptions import CRSError

    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except CRSError as error:
        raise ValueError(f"the coordinate system {source} is not known to pyproj: {error}") from error


def read_geojson(path: Path) -> Masks:
    """The masks of a file that `write_geojson` wrote; polygons that were simplified or squared are drawn as they are.

    Raises
    ------
    ImportError
        If rasterio or pyproj is missing.
    ValueError
        If the file is damaged, or does not say the pixels that it was made from.
    """
    content = as_json(read_text(path, _WHAT), path, _WHAT)
    try:
        about = content["napari_clearclip"]
        shape = tuple(int(size) for size in about["shape"])
        names = [str(name) for name in about["names"]]
        check_size(shape, len(names))
        transform, crs = tuple(map(float, about["transform"])), about["crs"]
        back = _projection(_WGS84, crs) if crs and "crs" not in content else None
        each, instances = [np.zeros(shape, bool) for _ in names], np.zeros(shape, np.int64)
        for feature in content["features"]:
            target = each[names.index(feature["properties"]["prompt"])]
            rings = [_pixels(np.array(ring, float), transform, back) for ring in feature["geometry"]["coordinates"]]
            if not all(np.isfinite(ring).all() for ring in rings):
                raise ValueError("a corner of a polygon is not a number")
            low = np.clip(np.floor(np.min(np.concatenate(rings), axis=0)).astype(int) - 1, 0, shape[::-1])
            high = np.clip(np.ceil(np.max(np.concatenate(rings), axis=0)).astype(int) + 1, low, shape[::-1])
            where = slice(low[1], high[1]), slice(low[0], high[0])
            if min(crop_shape := (high - low)[::-1].tolist()) > 0:
                inside = filled([ring - low for ring in rings], tuple(crop_shape))
                target[where] |= inside
                instances[where][inside] = feature["properties"].get("object", 0)
    except KeyError as error:
        raise ValueError(f"{_WHAT} {path} lacks {error}; only files of napari-clearclip say their pixels") from error
    except (TypeError, IndexError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{_WHAT} {path} cannot be used: {error}") from error
    fields: Json = {"colors": tuple(about["colors"]), "image": about["image"]}
    if crs:
        fields["georeference"] = Georeference(crs, transform)  # type: ignore[arg-type]
    if about["objects"]:
        fields["instances"] = instances
    return Masks.from_each(names, each, **fields)


def _pixels(points: Ring, transform: tuple[float, ...], back: Any) -> Ring:
    """Pixel corners x, y of coordinates; what is within a thousandth of a whole pixel is that."""
    if back is not None:
        points = np.stack(back.transform(*points.T), axis=1)
    a, b, c, d, e, f = transform
    placed: Ring = np.linalg.solve(np.array([[a, b], [d, e]]), (points - [c, f]).T).T
    whole = np.round(placed)
    return np.where(np.abs(placed - whole) < 1e-3, whole, placed)
