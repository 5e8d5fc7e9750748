"""NumPy archives: everything that is known of masks, for scripts."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.io.files import replacing
from napari_clearclip.io.limits import MOST_PIXELS
from napari_clearclip.io.masks import Masks
from napari_clearclip.result import Georeference

_ARRAYS = ("labels", "overlaps", "instances", "scores", "valid")
_MOST_BYTES = 8 * MOST_PIXELS


def write_npz(path: Path, masks: Masks) -> None:
    """An archive of arrays as in `Masks`: ``labels`` and, where there are any, the others.

    ``about`` is a JSON text with names, colours, image, spacing, unit and georeference.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the coordinate system has no EPSG code: only a GeoTIFF can hold it then.
    """
    if masks.placement.tags and masks.georeference is None:
        raise ValueError("the image's coordinate system has no EPSG code; an .npz cannot hold it, a GeoTIFF can")
    about: dict[str, Any] = {"names": masks.names, "colors": masks.colors, "image": masks.image}
    about |= {"spacing": masks.spacing, "unit": masks.unit}
    if masks.georeference is not None:
        about |= {"crs": masks.georeference.crs, "transform": masks.georeference.transform}
    arrays: dict[str, Any] = {name: array for name in _ARRAYS if (array := getattr(masks, name)) is not None}
    with replacing(path) as name, name.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about, ensure_ascii=False)), **arrays)


def _check(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> None:
    """Refuse an array that says that it is larger than it is, before memory for it is asked for."""
    with archive.open(item) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it has objects that only a program could unpack (allow_pickle), not numbers alone")
    if math.prod(shape) * dtype.itemsize > item.file_size:
        raise ValueError(f"{item.filename} is said to have shape {shape}, but has {item.file_size:,} bytes")


def read_npz(path: Path) -> Masks:
    """The masks that `write_npz` wrote.

    Raises
    ------
    ValueError
        If the file is damaged, not of this form, or would unpack to more than can be meant.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
            if size > _MOST_BYTES:
                raise ValueError(f"it would unpack to {size:,} bytes")
            for item in archive.infolist():
                _check(archive, item)
        with np.load(path, allow_pickle=False) as content:
            about = json.loads(str(content["about"]))
            arrays = {name: content[name] for name in _ARRAYS if name in content}
        georeference = Georeference(about["crs"], tuple(about["transform"])) if "crs" in about else None
        return Masks(
            tuple(about["names"]),
            **arrays,
            colors=tuple(about["colors"]),
            image=about["image"],
            georeference=georeference,
            spacing=tuple(about["spacing"]),
            unit=about["unit"],
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as masks: {error}") from error
