"""What band expressions can name: the channels of an image layer, and those of other layers that lie on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clearclip.gui.control.jobs import Bands
from napari_clearclip.gui.images import channels
from napari_clearclip.stack import Band, Stack

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_clearclip.edits import Plane

_COLOURS = ("red", "green", "blue", "alpha")
_NAMES = ("channel_names", "bands")  # in a layer's metadata, one for each channel


@dataclass(frozen=True)
class _Place:
    """A band: its name, the array it lies in, and the axis of channels there, if any, with the channel."""

    name: str
    data: Any
    axis: int | None = None
    channel: int = 0

    def at(self, plane: Plane) -> Band:
        """The band on a plane."""
        if self.axis == -1:
            return Band(self.name, self.data, plane, (self.channel,))
        before = tuple(self.channel if place == self.axis else index for place, index in enumerate(plane))
        return Band(self.name, self.data, before)


def bands_of(layers: Iterable[tuple[Image, Any]]) -> Bands:
    """All bands of some layers, each with the array that is read of it: those of the first before those of the next."""
    places = tuple(place for layer, data in layers for place in _places(layer, data))
    return Bands(tuple(place.name for place in places), lambda plane: Stack([place.at(plane) for place in places]))


def _places(layer: Image, data: Any) -> list[_Place]:
    """The bands of a layer."""
    if layer.rgb:
        return [_Place(name, data, -1, at) for at, name in zip(range(data.shape[-1]), _COLOURS, strict=False)]
    axis = channels.axis_of(layer)
    if axis is None:
        return [_Place(layer.name, data)]
    names = _names(layer, data.shape[axis])
    return [_Place(name, data, axis, at) for at, name in enumerate(names)]


def _names(layer: Image, count: int) -> Sequence[str]:
    """What the metadata of a layer call its channels; empty where they do not say."""
    for key in _NAMES:
        names = layer.metadata.get(key)
        if isinstance(names, list | tuple) and len(names) == count:
            return [str(name) for name in names]
    return [""] * count
