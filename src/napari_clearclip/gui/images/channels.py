"""Which layers, or which channels of a layer, are red, green and blue, and what of a layer's axes that leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.gui.images.rasters import KEY as KEY
from napari_clearclip.gui.images.rasters import raster_of

if TYPE_CHECKING:
    from napari.layers import Image

COLOURS = ("Red", "Green", "Blue")
SEPARATOR = " · "  # between the name of a layer and that of a channel
_NAMES = ("channel_names", "bands")  # in a layer's metadata, one for each channel


@dataclass(frozen=True)
class Pick:
    """What becomes one colour: a layer, by key, and a channel of it where an axis of the layer holds channels."""

    layer: str
    channel: int | None = None


Picks = tuple[Pick | None, Pick | None, Pick | None]
NO_PICKS: Picks = (None, None, None)


def key_of(layer: Any) -> str:
    """What results and edits of the layer are filed under; the same through renaming."""
    return str(layer.unique_id)


def _note(layer: Image) -> dict[str, Any]:
    """What was chosen for a layer; a copy of a layer starts anew."""
    owner, note = layer.metadata.get(KEY, {}).get("channels", (None, {}))
    return note if owner == layer.unique_id else {}


def _write_down(layer: Image, **changes: Any) -> None:
    note = {**_note(layer), **changes}
    layer.metadata.setdefault(KEY, {})["channels"] = (layer.unique_id, note)


def axis_of(layer: Image) -> int | None:
    """The axis that holds channels, as the user or else the file says, or None."""
    raster = raster_of(layer)
    return _note(layer).get("axis", None if raster is None else raster.axis)


def set_axis(layer: Image, axis: int | None) -> None:
    """Say which of the axes before rows and columns holds channels; what was chosen as colours is dropped.

    Raises
    ------
    ValueError
        If the layer has no such axis.
    """
    if axis is not None and not (0 <= axis < layer.ndim - 2 and not layer.rgb):
        raise ValueError(f"axis {axis} of {layer.name} cannot hold channels; it must come before rows and columns")
    _write_down(layer, axis=axis, picks=NO_PICKS)


def picks_of(layer: Image) -> Picks:
    """What was chosen as red, green and blue, by the user or else by the file."""
    return _note(layer).get("picks", _declared(layer))


def _declared(layer: Image) -> Picks:
    """The colours of a file's bands."""
    raster = raster_of(layer)
    if raster is None or raster.axis is None:
        return NO_PICKS
    red, green, blue = (*(Pick(key_of(layer), band) for band in raster.colours), None, None, None)[:3]
    return red, green, blue


def band_names(layer: Image, count: int) -> list[str]:
    """What the metadata of a layer call its channels, in order; empty strings where they do not say."""
    for key in _NAMES:
        names = layer.metadata.get(key)
        if isinstance(names, list | tuple) and len(names) == count:
            return [str(name) for name in names]
    return [""] * count


def set_picks(layer: Image, picks: Picks) -> None:
    """Choose red, green and blue."""
    _write_down(layer, picks=picks)


def choices(layers: Iterable[Image]) -> list[tuple[str, Pick]]:
    """What can be chosen as a colour, by the name of the layer: grey layers, or their channels."""
    found = []
    for layer in layers:
        axis = axis_of(layer)
        if layer.rgb:
            continue
        if axis is None:
            found.append((layer.name, Pick(key_of(layer))))
        else:
            names = enumerate(band_names(layer, full_shape(layer)[axis]))
            found += [(f"{layer.name}{SEPARATOR}{name or at + 1}", Pick(key_of(layer), at)) for at, name in names]
    return found


def axes(layer: Image) -> list[tuple[str, int]]:
    """The axes that may hold channels, as they are called: all before rows and columns, and -1 for the last."""
    if layer.rgb or layer.ndim < 3:
        return []
    shape = full_shape(layer)
    found = [(f"{axis_name(layer, axis)} ({shape[axis]})", axis) for axis in range(layer.ndim - 2)]
    return [*found, (f"{axis_name(layer, layer.ndim - 1)} ({shape[-1]}), the last", -1)]


def axis_name(layer: Image, axis: int) -> str:
    """An axis as its layer calls it, else its number."""
    name = str(layer.axis_labels[axis])
    return f"axis {axis}" if name.lstrip("-").isdigit() else name  # napari numbers those that have no name


def full_shape(layer: Image) -> tuple[int, ...]:
    """The shape of a layer's finest data: leading axes, rows, columns."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(size) for size in data.shape[: layer.ndim])


def difference(first: Image, other: Image, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    """Why two layers cannot be colours of one image, in a sentence; empty if they can.

    Parameters
    ----------
    first, other : Image
        The layers.
    shapes : tuple of 2 tuple of int
        Their shapes without channels.
    """
    one, two = shapes
    if one != two:
        sizes = [" × ".join(str(size) for size in shape) for shape in shapes]
        return f"“{other.name}” has {sizes[1]} pixels and “{first.name}” {sizes[0]}; choose layers of one size."
    points = np.vstack([np.zeros(first.ndim), np.eye(first.ndim) * np.maximum(full_shape(first), 1)])
    if first.ndim != other.ndim or not np.allclose(
        [first.data_to_world(point) for point in points], [other.data_to_world(point) for point in points]
    ):
        return f"“{other.name}” does not lie where “{first.name}” lies; give both the same scale and place."
    return ""


def with_channels_first(layer: Image) -> Image:
    """A layer of the same data in which the last axis comes before rows and columns, and holds channels.

    Nothing is copied. napari shows the last two axes, so that channels there are taken for columns.
    """
    from napari.layers import Image as ImageLayer

    order = [*range(layer.ndim - 3), layer.ndim - 1, layer.ndim - 3, layer.ndim - 2]

    def turned(data: Any) -> Any:
        return data.transpose(order)

    matrix = np.eye(layer.ndim + 1)
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    columns = np.stack([np.asarray(layer.data_to_world(unit)) - origin for unit in np.eye(layer.ndim)], axis=1)
    matrix[:-1, :-1], matrix[:-1, -1] = columns[np.ix_(order, order)], origin[order]
    moved = ImageLayer(
        [turned(level) for level in layer.data] if layer.multiscale else turned(layer.data),
        name=f"{layer.name} (channels first)",
        multiscale=layer.multiscale,
        rgb=False,
        affine=matrix,
        units=[layer.units[axis] for axis in order],
        axis_labels=[layer.axis_labels[axis] for axis in order],
        contrast_limits=layer.contrast_limits,
        gamma=layer.gamma,
    )
    set_axis(moved, layer.ndim - 3)
    return moved
