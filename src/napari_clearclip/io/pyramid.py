"""Labels as a tiled TIFF with smaller copies, so that a viewer reads only what it shows of a large image."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import replacing
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.raster import LARGEST_CLASSIC, SOFTWARE, describe, placed

Labels = npt.NDArray[Any]

_SIDE = 512  # of a tile, and the largest side of the smallest copy


def write_pyramid(path: Path, masks: Masks) -> None:
    """A TIFF of labels in tiles, with copies of half the size, again and again, until one fits into a tile.

    A pixel of a copy is one of the four that it stands for, so that copies hold no other labels. They are sub-images
    (SubIFDs) of the first page, as in OME-TIFF and QuPath.

    Parameters
    ----------
    path : Path
        Where to; an earlier file is replaced once the new one is whole.
    masks : Masks
        Of one plane, that do not overlap.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the coordinate system cannot be written without the source's own tags.
    """
    import tifffile

    levels, placement = [masks.labels], placed(masks)
    while max(levels[-1].shape) > _SIDE:
        levels.append(levels[-1][::2, ::2])
    dtype = masks.labels.dtype
    common: dict[str, Any] = {"tile": (_SIDE, _SIDE), "dtype": dtype, "photometric": "minisblack"}
    common |= {"compression": "zlib", "software": SOFTWARE}
    large = 2 * masks.labels.nbytes > LARGEST_CLASSIC
    with replacing(path) as file, tifffile.TiffWriter(file, bigtiff=large, byteorder="<") as tif:
        tif.write(
            _tiles(masks.labels),
            shape=masks.labels.shape,
            subifds=len(levels) - 1,
            resolution=placement.resolution,
            resolutionunit=placement.unit,
            description=json.dumps(describe(masks)),
            metadata=None,
            extratags=placement.extra_tags("0"),
            **common,
        )
        for level in levels[1:]:
            tif.write(_tiles(level), shape=level.shape, subfiletype=1, metadata=None, **common)


def _tiles(labels: Labels) -> Iterator[bytes]:
    """Tiles as they are stored, row by row; those at the edges are filled up with 0."""
    for top in range(0, labels.shape[0], _SIDE):
        for left in range(0, labels.shape[1], _SIDE):
            tile = np.zeros((_SIDE, _SIDE), labels.dtype.newbyteorder("<"))
            part = labels[top : top + _SIDE, left : left + _SIDE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield zlib.compress(tile.tobytes())
