"""Zarr arrays and groups on disk: which images they hold, and each as an array that reads only what is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_clearclip.edits import View
from napari_clearclip.io.lazy import Lazy
from napari_clearclip.io.pixels import measured

_NODES = ("zarr.json", ".zarray", ".zgroup")
_UNITS = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m"}


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that holds a zarr array or group."""
    return any((path / name).is_file() for name in _NODES)


def zarr_images(path: Path) -> Iterator[Path]:
    """The images in a zarr: itself if it is an array or an OME-Zarr image, else those in it, by name.

    Raises
    ------
    ValueError
        If its metadata are damaged.
    """
    if _is_array(path) or _scales(path):
        yield path
        return
    for child in sorted(path.iterdir()):
        if is_zarr(child) and child.name != "labels":
            yield from zarr_images(child)


def _attributes(path: Path) -> dict[str, Any]:
    """The attributes of a node, of zarr 2 or 3."""
    for name, key in (("zarr.json", "attributes"), (".zattrs", None)):
        file = path / name
        if file.is_file():
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{file} is damaged: {error}") from error
            found = content.get(key, {}) if key else content
            return found if isinstance(found, dict) else {}
    return {}


def _is_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    file = path / "zarr.json"
    try:
        return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("node_type") == "array"
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def _scales(path: Path) -> dict[str, Any] | None:
    """The first multiscale image of an OME-Zarr group; None if it is none."""
    attributes = _attributes(path)
    found = attributes.get("ome", attributes).get("multiscales") or []
    return found[0] if found and isinstance(found[0], dict) else None


def open_zarr(path: Path) -> tuple[Lazy, View, str]:
    """An image of a zarr, of which nothing is read yet; of an OME-Zarr image the level of full resolution.

    Parameters
    ----------
    path : Path
        As from `zarr_images`.

    Returns
    -------
    Lazy
        Axes of the stack first, then channels if there are any, rows and columns; (H, W, C) stays as it is.
    View
        Channel axis, names of channels, and the size of a pixel.
    str
        Letters of the stack's axes.

    Raises
    ------
    ImportError
        If zarr is missing.
    ValueError
        If it is no image, or damaged.

    Notes
    -----
    Axes that have no names are taken as those of a .npy file: three or four channels last or before rows and columns.
    """
    try:
        import zarr
    except ImportError as error:
        raise ImportError('zarr arrays need zarr: pip install "napari-clearclip[zarr]"') from error
    scales = _scales(path)
    if scales is None and not _is_array(path):
        raise ValueError(f"{path} is a zarr group; give the images in it, or the group to `batch`")
    inner = scales["datasets"][0]["path"] if scales else ""
    try:
        stored = zarr.open_array(path / inner, mode="r")
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a zarr: {' '.join(str(error).split())}") from error
    if stored.ndim < 2:
        raise ValueError(f"an array of shape {stored.shape} is no image; it needs rows and columns")
    axes = _axes(stored, scales)
    stack = [place for place, letter in enumerate(axes) if letter not in "yxc"]
    plane = [axes.index(letter) for letter in ("yxc" if axes.endswith("c") else "cyx") if letter in axes]
    channel = axes.index("c") if "c" in axes else None
    if channel is not None and stored.shape[channel] == 1:
        plane.remove(channel)
        channel = None
    axis = None if channel is None else plane.index(channel)
    about = (path.stat().st_mtime_ns, stored.shape, stored.nbytes)
    data = Lazy(stored, (str(path.absolute()), inner, about), stack + plane)
    count = 1 if channel is None else stored.shape[channel]
    view = View(channel_axis=axis, bands=_bands(path, count), **_pixel(scales, axes))
    return data, view, "".join(axes[place] for place in stack).upper()


def _axes(stored: Any, scales: dict[str, Any] | None) -> str:
    """A letter for each axis: y, x, c for channels, and others."""
    if scales and scales.get("axes"):
        names = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["axes"]]
    elif scales:
        names = list("tczyx"[-stored.ndim :])  # before OME-NGFF 0.3 axes had no names
    else:
        declared = getattr(stored.metadata, "dimension_names", None) or stored.attrs.get("_ARRAY_DIMENSIONS") or []
        names = [str(name) for name in declared]
    letters = "".join({"channel": "c", "band": "c"}.get(name.lower(), name.lower()[:1]) for name in names)
    if len(letters) == stored.ndim and letters.count("y") == letters.count("x") == 1 and letters.count("c") <= 1:
        return letters
    few, shape = (3, 4), stored.shape
    ending = "yxc" if len(shape) > 2 and shape[-1] in few else "cyx" if len(shape) > 2 and shape[-3] in few else "yx"
    return ending.rjust(len(shape), "q")


def _bands(path: Path, count: int) -> tuple[str, ...]:
    """What OME's metadata call the channels; () if they do not say."""
    attributes = _attributes(path)
    listed = attributes.get("ome", attributes).get("omero", {}).get("channels", [])
    names = tuple(str(item.get("label", "")) for item in listed if isinstance(item, dict))
    return names if len(names) == count and any(names) else ()


def _pixel(scales: dict[str, Any] | None, axes: str) -> dict[str, Any]:
    """Height and width of a pixel and their unit, as `View` holds them."""
    if not scales:
        return {}
    listed = scales["datasets"][0].get("coordinateTransformations", [])
    found = [item["scale"] for item in listed if item.get("type") == "scale"]
    units = [axis.get("unit", "") if isinstance(axis, dict) else "" for axis in scales.get("axes", [])]
    if not found or len(found[0]) != len(axes) or len(units) != len(axes):
        return {}
    height, width = (float(found[0][axes.index(letter)]) for letter in "yx")
    rows, cols = (units[axes.index(letter)] for letter in "yx")
    return measured(height, width, _UNITS.get(rows, rows)) if rows == cols else {}
