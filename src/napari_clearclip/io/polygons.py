"""Masks as polygons along the borders of their pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Mask

Ring = npt.NDArray[np.float64]


def polygons_of(mask: Mask) -> Iterator[tuple[Ring, list[Ring]]]:
    """The polygons whose inside is exactly a mask.

    Parameters
    ----------
    mask : (H, W) bool array
        Pixel (row, col) covers the square from (col, row) to (col + 1, row + 1).

    Yields
    ------
    exterior : (n, 2) float array
        Corners x, y; the last is the first.
    holes : list of (n, 2) float arrays
        What is left out of it. Parts that touch at a corner only are polygons of their own.

    Raises
    ------
    ImportError
        If rasterio is missing.
    """
    try:
        from rasterio.features import shapes
    except ImportError as error:
        raise ImportError('polygons need rasterio: pip install "napari-clearclip[geo]"') from error
    for geometry, _ in shapes(mask.astype(np.uint8), mask=mask, connectivity=4):
        exterior, *holes = (np.array(ring, float) for ring in geometry["coordinates"])
        yield exterior, holes
