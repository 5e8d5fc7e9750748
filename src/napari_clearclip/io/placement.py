"""Where the pixels of a TIFF lie, so that what is made from it lies there too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_clearclip.result import Georeference

if TYPE_CHECKING:
    from tifffile import TiffPage

# ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory, GeoDoubleParams, GeoAsciiParams, RPCCoefficient
_GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 50844)
_GDAL_NODATA = 42113
_USER_DEFINED = 32767
_PIXEL_IS_AREA, _PIXEL_IS_POINT = 1, 2
_TRANSFORMATION, _KEYS, _PROJECTED, _GEOGRAPHIC = 34264, 34735, 3072, 2048
_SHORT, _DOUBLE = 3, 12  # TIFF's types


@dataclass(frozen=True)
class Placement:
    """Tags to be copied, and the size of a pixel.

    Attributes
    ----------
    tags : tuple
        GeoTIFF tags as (code, type, count, value), verbatim: any coordinate system survives.
    resolution : tuple of 2 float, or None
        Pixels per unit along x and y.
    unit : int
        TIFF's ResolutionUnit: 1 none, 2 inch, 3 centimetre.
    spacing : mapping
        ImageJ's ``unit`` and ``spacing`` (distance of planes) where given.
    axes : str
        Letters of a stack's leading axes, such as T and Z.
    """

    tags: tuple[tuple[int, int, int, Any], ...] = ()
    resolution: tuple[float, float] | None = None
    unit: int = 1
    spacing: Mapping[str, Any] = field(default_factory=dict)
    axes: str = ""

    def extra_tags(self, nodata: str) -> list[tuple[int, int | str, int, Any, bool]]:
        """The tags as tifffile writes them; where there are any, a value is declared to be no data.

        Labels are 0 where the source has no data; a GIS then shows the source through the background.
        """
        copied: list[tuple[int, int | str, int, Any, bool]] = [(*tag, True) for tag in self.tags]
        return [*copied, (_GDAL_NODATA, "s", 0, nodata, True)] if copied else []


def placement_of(page: TiffPage, imagej: Mapping[str, Any] | None) -> tuple[Placement, Georeference | None]:
    """What a page and ImageJ's metadata say about where the pixels lie."""
    tags = tuple((tag.code, int(tag.dtype), tag.count, tag.value) for tag in page.tags if tag.code in _GEO_TAGS)
    resolution = None
    if {282, 283} <= {tag.code for tag in page.tags}:
        ratios = [page.tags[code].value for code in (282, 283)]
        if all(over and under for over, under in ratios):
            resolution = (ratios[0][0] / ratios[0][1], ratios[1][0] / ratios[1][1])
    unit = int(page.tags[296].value) if 296 in page.tags else 1
    spacing = {key: value for key, value in (imagej or {}).items() if key in ("unit", "spacing")}
    return Placement(tags, resolution, unit, spacing), _georeference(page) if tags else None


def _georeference(page: TiffPage) -> Georeference | None:
    """Coordinate system and transform, where the system has an EPSG code and the transform is affine."""
    keys: dict[str, Any] = page.geotiff_tags or {}
    code = int(keys.get("ProjectedCSTypeGeoKey", keys.get("GeographicTypeGeoKey", _USER_DEFINED)))
    if "ModelTransformation" in keys:
        matrix = keys["ModelTransformation"]
        (a, b, _, c), (d, e, _, f) = matrix[0], matrix[1]
    elif "ModelPixelScale" in keys and len(keys.get("ModelTiepoint", ())) == 6:
        width, height, _ = keys["ModelPixelScale"]
        col, row, _, x, y, _ = keys["ModelTiepoint"]
        a, b, c = width, 0.0, x - col * width
        d, e, f = 0.0, -height, y + row * height
    else:
        return None
    if code == _USER_DEFINED:
        return None
    if int(keys.get("GTRasterTypeGeoKey", 1)) == _PIXEL_IS_POINT:
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return Georeference(f"EPSG:{code}", (float(a), float(b), float(c), float(d), float(e), float(f)))


def tags_of(georeference: Georeference) -> tuple[tuple[int, int, int, Any], ...]:
    """GeoTIFF tags that say where an image lies, for one whose source is no TIFF.

    Raises
    ------
    ImportError
        If pyproj is missing.
    ValueError
        If the coordinate system has no EPSG code.

    References
    ----------
    OGC GeoTIFF Standard 1.1, section 7: GeoKeyDirectoryTag, ModelTransformationTag.
    """
    try:
        from pyproj import CRS
    except ImportError as error:
        raise ImportError('coordinate systems need pyproj: pip install "napari-clearclip[geo]"') from error
    system = CRS.from_user_input(georeference.crs)
    code = system.to_epsg()
    if code is None:
        raise ValueError(f"the coordinate system {system.name} has no EPSG code, so that a GeoTIFF cannot name it")
    model, key = (1, _PROJECTED) if system.is_projected else (2, _GEOGRAPHIC)
    keys = (1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, _PIXEL_IS_AREA, key, 0, 1, code)
    a, b, c, d, e, f = georeference.transform
    matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    return (_TRANSFORMATION, _DOUBLE, 16, matrix), (_KEYS, _SHORT, len(keys), keys)
