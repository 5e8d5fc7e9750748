"""What band expressions can name: the channels of an image layer, and those of other layers that lie on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clearclip.gui.control.jobs import Bands
from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.rasters import raster_of
from napari_clearclip.stack import Band, Stack

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_clearclip.edits import Plane

_COLOURS = ("red", "green", "blue", "alpha")


@dataclass(frozen=True)
class _Place:
    """A band: its name, the array it lies in, and the axis of channels there, if any, with the channel."""

    name: str
    data: Any
    axis: int | None = None
    channel: int = 0
    nodata: float | None = None

    def at(self, plane: Plane) -> Band:
        """The band on a plane."""
        if self.axis == -1:
            return Band(self.name, self.data, plane, (self.channel,))
        before = tuple(self.channel if place == self.axis else index for place, index in enumerate(plane))
        return Band(self.name, self.data, before, nodata=self.nodata)


def bands_of(layers: Iterable[tuple[Image, Any]]) -> Bands:
    """All bands of some layers, each with the array that is read of it: those of the first before those of the next."""
    places = tuple(place for layer, data in layers for place in _places(layer, data))
    return Bands(tuple(place.name for place in places), lambda plane: Stack([place.at(plane) for place in places]))


def _places(layer: Image, data: Any) -> list[_Place]:
    """The bands of a layer."""
    if layer.rgb:
        return [_Place(name, data, -1, at) for at, name in zip(range(data.shape[-1]), _COLOURS, strict=False)]
    axis, raster = channels.axis_of(layer), raster_of(layer)
    nodata = None if raster is None else raster.nodata
    if axis is None:
        (name,) = channels.band_names(layer, 1)
        return [_Place(name or layer.name, data, nodata=nodata)]
    names = channels.band_names(layer, data.shape[axis])
    return [_Place(name, data, axis, at, nodata) for at, name in enumerate(names)]
