"""A napari image layer as the engine reads it, and where a layer made from it must lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Plane, View
from napari_clearclip.gui.control.jobs import Bands, Region, Source
from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.bands import bands_of
from napari_clearclip.gui.images.channels import KEY as KEY
from napari_clearclip.gui.images.channels import Pick
from napari_clearclip.gui.images.channels import key_of as key_of
from napari_clearclip.gui.images.rasters import raster_of

if TYPE_CHECKING:
    from napari.layers import Image, Layer

# More pixels than this are read from a coarser level of a pyramid, where there is one.
_MOST_PIXELS = 2**26


def is_result(layer: Layer) -> bool:
    """Whether we made the layer."""
    return "kind" in layer.metadata.get(KEY, {})


def is_source(layer: Layer) -> bool:
    """Whether the layer is an image that can be segmented."""
    from napari.layers import Image

    return isinstance(layer, Image) and not is_result(layer) and layer.ndim >= 2


def level_of(layer: Image) -> int:
    """The finest level of a pyramid that fits; 0 without one."""
    if not layer.multiscale:
        return 0
    pixels = [shape[layer.ndim - 2] * shape[layer.ndim - 1] for shape in layer.level_shapes]
    return next((level for level, count in enumerate(pixels) if count <= _MOST_PIXELS), len(pixels) - 1)


def stored(layer: Image) -> Any:
    """The array that is read: the data, or a level of the pyramid."""
    return layer.data[level_of(layer)] if layer.multiscale else layer.data


def shape_of(layer: Image) -> tuple[int, ...]:
    """The shape of a mask of the layer: leading axes, rows, columns; an axis that holds channels is 1 long."""
    shape = [int(size) for size in stored(layer).shape[: layer.ndim]]
    if (axis := channels.axis_of(layer)) is not None:
        shape[axis] = 1
    return tuple(shape)


def plane_of(layer: Image, point: Sequence[float]) -> tuple[int, ...]:
    """The index of the plane that the viewer shows at a point in world coordinates."""
    at, shape = index_at(layer, point), shape_of(layer)
    return tuple(min(max(at[axis], 0), shape[axis] - 1) for axis in range(layer.ndim - 2))


def index_at(layer: Image, point: Sequence[float]) -> tuple[int, ...]:
    """The index, in the array that is read, of a point in world coordinates; it may lie outside."""
    at = np.asarray(layer.world_to_data(np.asarray(point, float)[-layer.ndim :]))
    if layer.multiscale:
        at = at / np.asarray(layer.downsample_factors[level_of(layer)])
    return tuple(round(float(place)) for place in at)


def pixel_of(layer: Image) -> dict[str, Any]:
    """Height and width of a pixel of the array that is read, and their unit, as `View` holds them; {} if unknown."""
    # pint writes the prefix as a Greek letter from 0.26 on; the files of microscopes have the micro sign.
    rows, cols = (f"{unit:~}".replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}") for unit in layer.units[-2:])
    if rows != cols:
        return {}
    corner = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    steps = np.eye(layer.ndim)[-2:]
    if layer.multiscale:
        steps = steps * np.asarray(layer.downsample_factors[level_of(layer)])
    height, width = (float(np.linalg.norm(layer.data_to_world(step) - corner)) for step in steps)
    if rows != "pixel":
        return {"scale": (height, width), "unit": rows}
    return {} if height == width == 1 else {"scale": (height, width)}


def view_of(layer: Image, point: Sequence[float]) -> View:
    """How a layer by itself is looked at: plane, channels, contrast limits, gamma and the size of a pixel."""
    count = stored(layer).shape[-1] if layer.rgb else 1
    colors = min(count, 3)
    low, high = (float(value) for value in layer.contrast_limits)
    raster = raster_of(layer)
    return View(
        plane=plane_of(layer, point),
        channel_axis=-1 if layer.rgb else None,
        channels=tuple(range(colors)),
        limits=((low, high),) * colors if low < high else None,
        gamma=float(layer.gamma),
        alpha=3 if count == 4 else None,
        nodata=None if raster is None else raster.nodata,
        **pixel_of(layer),
    )


def source_of(layer: Image, point: Sequence[float], others: Iterable[Image] = ()) -> Source:
    """The layer as it is looked at now; a lazy array is computed when it is read, and only the plane.

    Parameters
    ----------
    layer : Image
        The image, on which results lie.
    point : sequence of float
        What the viewer shows, in world coordinates.
    others : iterable of Image
        All layers, from the top: those among which colours may have been chosen, and what band expressions can name.
    """
    others = list(others)
    parts = colours_of(layer, others)
    if parts:
        return replace(_mixed(layer, point, parts), bands=_bands(layer, others))
    data = stored(layer)

    def read(plane: Plane) -> npt.NDArray[np.generic]:
        if isinstance(data, np.ndarray):
            return data
        return np.broadcast_to(np.asarray(data[plane] if plane else data), tuple(data.shape))

    return Source(key_of(layer), view_of(layer, point), read, region_of(layer), _bands(layer, others))


def _bands(layer: Image, others: Iterable[Image]) -> Bands:
    """The bands of the layer, then those of all others that lie on it, from the bottom to the top."""
    shape = shape_of(layer)
    fitting = [
        other
        for other in reversed(list(others))
        if key_of(other) != key_of(layer) and not channels.difference(layer, other, (shape, shape_of(other)))
    ]
    return bands_of((item, stored(item)) for item in (layer, *fitting))


Part = tuple["Image", int | None]  # a layer, and a channel of it


def colours_of(layer: Image, others: Iterable[Image]) -> list[Part | None]:
    """What is red, green and blue, None for a colour that stays dark; empty where the layer is read as it is."""
    known = {key_of(other): other for other in (layer, *others)}
    found: list[Part | None] = []
    for pick in channels.picks_of(layer):
        there = pick is not None and pick.layer in known
        found.append((known[pick.layer], pick.channel) if pick is not None and there else None)
    chosen = [part for part in found if part is not None]
    if len(chosen) == 1:  # one colour is read as grey, whichever it is
        return [*chosen]
    if not chosen and (axis := channels.axis_of(layer)) is not None:
        return [(layer, at) for at in range(min(stored(layer).shape[axis], 3))]
    return found if chosen else []


def _mixed(layer: Image, point: Sequence[float], parts: Sequence[Part | None]) -> Source:
    """Colours from several layers or channels, each with its own contrast limits and gamma."""
    raster, shown = raster_of(layer), len(parts)
    dark = 0.0 if raster is None or raster.nodata is None else raster.nodata
    limits, gammas = [], []
    for part in parts:
        low, high = (dark, dark) if part is None else (float(value) for value in part[0].contrast_limits)
        limits.append((low, high if low < high else float(np.nextafter(low, np.inf))))
        gammas.append(1.0 if part is None else float(part[0].gamma))
    if raster is not None and raster.alpha is not None and raster.axis == channels.axis_of(layer):
        parts = [*parts, (layer, raster.alpha)]
    arrays = [None if part is None else (stored(part[0]), channels.axis_of(part[0]), part[1]) for part in parts]
    shape = shape_of(layer)

    def read(plane: Plane) -> npt.NDArray[np.generic]:
        planes = []
        for array in arrays:
            if array is None:
                planes.append(np.full(shape[-2:], dark, np.uint8 if dark == 0 else stored(layer).dtype))
                continue
            data, axis, channel = array
            index = [channel if at == axis else place for at, place in enumerate(plane)]
            planes.append(np.asarray(data[tuple(index)] if index else data))
        stacked = np.stack(planes)  # (C, H, W)
        return np.broadcast_to(stacked, (*shape[:-2], *stacked.shape))

    view = View(
        plane=plane_of(layer, point),
        channel_axis=0,
        channels=tuple(range(shown)),
        limits=tuple(limits),
        gamma=gammas[0] if len(set(gammas)) == 1 else tuple(gammas),
        nodata=None if raster is None else raster.nodata,
        alpha=shown if len(parts) > shown else None,
        **pixel_of(layer),
    )
    return Source(key_of(layer), view, read, region_of(layer))


def region_of(layer: Image) -> Region | None:
    """The part of the image in sight, (y0, x0, y1, x1) in pixels of the array that is read; None if unknown."""
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        factors = np.asarray(layer.downsample_factors, float)
        corners = corners * factors[layer.data_level] / factors[level_of(layer)]
    (y0, x0), (y1, x1) = corners[0, -2:], corners[1, -2:]
    return (float(y0), float(x0), float(y1), float(x1)) if y0 < y1 and x0 < x1 else None


def mismatch(layer: Image, picks: Iterable[Pick | None], others: Iterable[Image]) -> str:
    """Why the chosen colours cannot be read as one image, in a sentence; empty if they can."""
    known = {key_of(other): other for other in others}
    for pick in picks:
        other = None if pick is None else known.get(pick.layer)
        if other is None or other is layer:
            continue
        if text := channels.difference(layer, other, (shape_of(layer), shape_of(other))):
            return text
    return ""


def placement(
    layer: Image, cell: tuple[float, float] = (1.0, 1.0), start: tuple[float, ...] | None = None
) -> dict[str, Any]:
    """Transform and axes of a layer that lies exactly on the image.

    Parameters
    ----------
    layer : Image
        The image layer.
    cell : tuple of 2 float
        Height and width, in pixels of the array that was read, of one pixel of the new layer.
    start : tuple of float, optional
        For a layer of a part of one plane: the plane's index and the row and column of the part's upper left edge, in
        pixels of the array that was read, whose outer edges are at 0.

    Returns
    -------
    dict
        Keyword arguments of a napari layer.

    Notes
    -----
    Pixel centres have whole coordinates, so that a cell of c pixels has its centre at (c - 1) / 2. napari's data to
    world is affine(rotate(shear(scale * x)) + translate): what comes before `affine` is applied to that centre.
    """
    level = np.ones(layer.ndim)
    if layer.multiscale:
        level = np.asarray(layer.downsample_factors[level_of(layer)], float)
    factor = level.copy()
    factor[-2:] *= cell
    centre = np.zeros(layer.ndim) if start is None else level * start
    centre[-2:] += (factor[-2:] - 1) / 2
    if (axis := channels.axis_of(layer)) is not None:  # one plane, as thick as all channels
        factor[axis] = stored(layer).shape[axis]
        centre[axis] = (factor[axis] - 1) / 2
    moved = np.asarray(layer.affine.inverse(layer.data_to_world(centre)))
    return {
        "scale": np.asarray(layer.scale) * factor,
        "translate": moved,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def apply_placement(layer: Layer, where: dict[str, Any]) -> None:
    """Move a layer to where `placement` says."""
    for name, value in where.items():
        setattr(layer, name, value)


def describe(layer: Image, plane: tuple[int, ...]) -> str:
    """Size, type, channels and plane of an image in a line."""
    *leading, height, width = shape_of(layer)
    axis = channels.axis_of(layer)
    at = [f"{at + 1}/{size}" for place, (at, size) in enumerate(zip(plane, leading, strict=True)) if place != axis]
    where = f"plane {', '.join(at)}" if at else ""
    held = "" if axis is None else f"{stored(layer).shape[axis]} channels"
    parts = (f"{height} × {width} pixels", "colour" if layer.rgb else held, str(layer.dtype), where)
    return ", ".join(part for part in parts if part)
