"""The size of a pixel, as microscopes and maps write it into TIFF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_clearclip.io.images import read_image

IMAGE = np.zeros((6, 8), np.uint8)
PLAIN: dict[str, tuple[dict[str, Any], tuple[float, ...], str]] = {
    "nothing": ({}, (), ""),
    "dots per inch": ({"resolution": (300, 300), "resolutionunit": "INCH"}, (), ""),
    "imagej": ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um"}}, (0.5, 0.25), "µm"),
    "imagej escapes": ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "\\u00B5m"}}, (0.5, 0.25), "µm"),
    "imagej micron": ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "micron"}}, (0.5, 0.25), "µm"),
    "imagej nm": ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "nm"}}, (0.5, 0.25), "nm"),
    "imagej pixels": ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "pixel"}}, (), ""),
    "imagej without a unit": ({"imagej": True, "resolution": (4, 2)}, (), ""),
    "ome": ({"ome": True, "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}}, (0.5, 0.25), "µm"),
    "ome in nm": (
        {
            "ome": True,
            "metadata": {
                "PhysicalSizeX": 4,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 5,
                "PhysicalSizeYUnit": "nm",
            },
        },
        (5, 4),
        "nm",
    ),
    "ome in two units": (
        {"ome": True, "metadata": {"PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 5}},
        (),
        "",
    ),
    "ome without sizes": ({"ome": True}, (), ""),
}


@pytest.mark.parametrize("case", PLAIN)
def test_the_size_of_a_pixel(case: str, tmp_path: Path) -> None:
    options, scale, unit = PLAIN[case]
    path = tmp_path / ("a.ome.tif" if options.get("ome") else "a.tif")
    tifffile.imwrite(path, IMAGE, photometric="minisblack", **options)
    view = read_image(path).view
    assert view.scale == pytest.approx(scale)
    assert view.unit == unit


def geotiff(path: Path, model: int, keys: dict[int, int], corner: tuple[float, float], side: float) -> None:
    """A file with a coordinate system, the outer corner of its first pixel and the side of a pixel."""
    pairs = {1024: model, 1025: 1, **keys}
    directory = [1, 1, 0, len(pairs)]
    for key, value in sorted(pairs.items()):
        directory += [key, 0, 1, value]
    tags = [
        (33550, "d", 3, (side, side, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, *corner, 0.0), True),
        (34735, "H", len(directory), tuple(directory), True),
    ]
    tifffile.imwrite(path, np.zeros((6, 8), np.uint8), photometric="minisblack", extratags=tags)


EARTH = {
    # Lengths of a degree at 60 degrees north: 111 412 m and 55 800 m (National Geospatial-Intelligence Agency).
    "metres": (1, {3072: 32633, 3076: 9001}, (500000, 6e6), 10.0, (10, 10), "m"),
    "metres unsaid": (1, {3072: 32633}, (500000, 6e6), 10.0, (10, 10), "m"),
    "feet": (1, {3072: 2263, 3076: 9003}, (1e6, 2e5), 2.0, (2, 2), "ft"),
    "degrees": (2, {2048: 4326}, (10, 60), 1e-4, (11.1412, 5.5800), "m"),
    "web mercator at 60 degrees": (1, {3072: 3857}, (1e6, 8399737.89), 2.0, (1, 1), "m"),
    "web mercator at the equator": (1, {3072: 3857}, (1e6, 6), 2.0, (2, 2), "m"),
}


@pytest.mark.parametrize("case", EARTH)
def test_the_ground_under_a_pixel(case: str, tmp_path: Path) -> None:
    model, keys, corner, side, scale, unit = EARTH[case]
    geotiff(tmp_path / "a.tif", model, keys, corner, side)
    view = read_image(tmp_path / "a.tif").view
    assert view.scale == pytest.approx(scale, rel=2e-5)
    assert view.unit == unit


def test_damaged_metadata_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, description="<OME><Pixels", metadata=None)
    assert read_image(path).view.scale == ()


def test_a_landsat_scene(test_data: Path) -> None:
    view = read_image(test_data / "geo" / "RGB.byte.tif").view
    assert view.scale == pytest.approx((300.04, 300.04), abs=0.05)
    assert view.unit == "m"
