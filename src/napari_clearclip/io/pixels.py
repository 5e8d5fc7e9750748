"""How large the pixels of a TIFF are, where the file says so in a way that is meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from napari_clearclip.result import Georeference

if TYPE_CHECKING:
    from tifffile import TiffPage

# As files write what is read as µm; "\\u00B5m" is how ImageJ escapes it.
_MICRONS = {"um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "\\u00B5m"}
_NO_UNITS = {"", "pixel", "pixels", "reference frame"}
_FEET = (9002, 9003)  # ProjLinearUnits: international and US survey
_GEOGRAPHIC = 2  # GTModelType
_WEB_MERCATOR = "EPSG:3857"
_EARTH = 6_378_137.0  # equatorial radius of WGS 84 in metres


def pixel_of(
    page: TiffPage, imagej: Mapping[str, Any] | None, ome: str | None, georeference: Georeference | None
) -> dict[str, Any]:
    """Height and width of a pixel, and their unit, as `View` holds them; {} where the file does not say.

    Parameters
    ----------
    page : TiffPage
        The first page.
    imagej, ome
        What tifffile reads of ImageJ's and OME's metadata.
    georeference : Georeference or None
        Where the image lies on Earth.

    Notes
    -----
    A resolution per inch or centimetre alone is no statement: cameras and drawing programs write 72 or 300 dpi into
    every file. Degrees and web mercator's metres become metres on the ground in the middle of the image.
    """
    if georeference is not None:
        return _on_earth(page, georeference)
    return _of_ome(ome) if ome else _of_imagej(page, imagej or {})


def measured(height: float, width: float, unit: str) -> dict[str, Any]:
    """A size and its unit; nothing if that is no size or there is no unit."""
    unit = "µm" if unit in _MICRONS else unit
    good = all(math.isfinite(side) and side > 0 for side in (height, width))
    return {"scale": (height, width), "unit": unit} if good and unit not in _NO_UNITS else {}


def _of_ome(text: str) -> dict[str, Any]:
    """PhysicalSize of the first image; its unit is µm if it is not given."""
    try:
        pixels = next((item for item in ElementTree.fromstring(text).iter() if item.tag.endswith("}Pixels")), None)
        if pixels is None:
            return {}
        height, width = (float(pixels.attrib[f"PhysicalSize{axis}"]) for axis in "YX")
    except (ElementTree.ParseError, KeyError, ValueError):
        return {}
    rows, cols = (pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YX")
    return measured(height, width, rows) if rows == cols else {}


def _of_imagej(page: TiffPage, imagej: Mapping[str, Any]) -> dict[str, Any]:
    """ImageJ writes pixels per unit as the resolution, and the unit beside it."""
    if "unit" not in imagej or not {282, 283} <= {tag.code for tag in page.tags}:
        return {}
    (across, of_cols), (down, of_rows) = (page.tags[code].value for code in (282, 283))
    return measured(of_rows / down, of_cols / across, str(imagej["unit"])) if across and down else {}


def _on_earth(page: TiffPage, georeference: Georeference) -> dict[str, Any]:
    """The ground under a pixel in the middle of the image."""
    a, b, _, d, e, f = georeference.transform
    height, width = math.hypot(b, e), math.hypot(a, d)
    keys: Mapping[str, Any] = page.geotiff_tags or {}
    middle = f + d * page.imagewidth / 2 + e * page.imagelength / 2
    if int(keys.get("GTModelTypeGeoKey", 0)) == _GEOGRAPHIC:
        down, across = _degree(math.radians(middle))
        return measured(height * down, width * across, "m")
    if georeference.crs == _WEB_MERCATOR:
        shrink = 1 / math.cosh(middle / _EARTH)  # the cosine of the latitude
        return measured(height * shrink, width * shrink, "m")
    return measured(height, width, "ft" if int(keys.get("ProjLinearUnitsGeoKey", 0)) in _FEET else "m")


def _degree(latitude: float) -> tuple[float, float]:
    """Metres of a degree of latitude and of longitude on WGS 84, to a metre.

    References
    ----------
    Snyder, Map Projections: A Working Manual, 1987, equations 4-18 and 4-20 (radii of curvature of the ellipsoid).
    """
    eccentricity = 0.00669437999
    shape = 1 - eccentricity * math.sin(latitude) ** 2
    down = _EARTH * (1 - eccentricity) / shape**1.5
    across = _EARTH * math.cos(latitude) / math.sqrt(shape)
    return math.radians(down), math.radians(across)
