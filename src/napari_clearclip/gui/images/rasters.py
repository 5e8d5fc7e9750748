"""What a georeferenced file says of an image layer beside its values: bands, nodata, and where it lies on Earth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.engine.view import render, resolve_view
from napari_clearclip.io.images import Picture
from napari_clearclip.io.placement import Placement
from napari_clearclip.result import Georeference

if TYPE_CHECKING:
    from napari.layers import Layer

KEY = "clearclip"  # under which a layer's metadata hold what is ours
LayerData = tuple[Any, dict[str, Any], str]
_COLOURS = ("red", "green", "blue")
_SHOWN = 2048  # pixels: the largest side of a picture in colours, and of what contrast is taken from


@dataclass(frozen=True)
class Raster:
    """What is known of the file that a layer was read from.

    Attributes
    ----------
    shape : tuple of 2 int
        Height and width; what is said holds for a layer of that size.
    axis : int or None
        The layer's axis of bands.
    colours : tuple of int
        The bands that are red, green and blue, or the one to three that are looked at where the file does not say.
    nodata : float or None
        Value of pixels without data.
    alpha : int or None
        The band that is 0 where there are no data.
    placement : Placement
        Where the pixels lie, for every TIFF made from them.
    georeference : Georeference or None
        The same as coordinate system and transform.
    """

    shape: tuple[int, int]
    axis: int | None
    colours: tuple[int, ...]
    nodata: float | None
    alpha: int | None
    placement: Placement
    georeference: Georeference | None

    def lies(self, shape: tuple[int, ...]) -> tuple[Placement, Georeference | None]:
        """Where a copy of the raster of another height and width lies, such as a level of a pyramid."""
        if shape == self.shape or self.georeference is None:
            return self.placement if shape == self.shape else Placement(), self.georeference
        down, across = (whole / part for whole, part in zip(self.shape, shape, strict=True))
        a, b, c, d, e, f = self.georeference.transform
        return Placement(), Georeference(self.georeference.crs, (a * across, b * down, c, d * across, e * down, f))


def raster_of(layer: Layer) -> Raster | None:
    """What is known of the file that a layer was read from, if it was opened as bands and still has that size."""
    found: Raster | None = layer.metadata.get(KEY, {}).get("raster")
    if found is None:
        return None
    data = layer.data[0] if layer.multiscale else layer.data
    return found if tuple(data.shape[-2:]) == found.shape else None


def layers_of(picture: Picture) -> list[LayerData]:
    """A layer of all bands and, where the file says which are red, green and blue, a picture of these.

    The bands lie along an axis of their own before rows and columns, so that no band is taken for transparency. Their
    names, nodata and place stand in the layer's metadata. With a picture to look at they are hidden, and above it, so
    that what is found in them lies on it.
    """
    view = picture.view
    levels = [picture.data, *picture.smaller]
    if view.channel_axis is not None:
        levels = [np.moveaxis(level, view.channel_axis - 3, -3) for level in levels]
    data, axis = levels[0], None if view.channel_axis is None else levels[0].ndim - 3
    count = 1 if axis is None else data.shape[axis]
    names = view.bands or ("",) * count
    colours, declared = _colours(picture, names, count)
    flat = view.replace(plane=(0,) * (data.ndim - (2 if axis is None else 3)), channel_axis=None if axis is None else 0)
    view = resolve_view(_sample(levels), flat.replace(channels=colours))
    lows, highs = zip(*(view.limits or ((0.0, 1.0),)), strict=True)
    numbered = [name or f"b{at}" for at, name in enumerate(names, 1)]
    about: dict[str, Any] = {"bands": [names[0] or picture.name] if axis is None else numbered, "nodata": view.nodata}
    if picture.georeference is not None:
        about |= {"crs": picture.georeference.crs, "transform": picture.georeference.transform}
    shape = int(data.shape[-2]), int(data.shape[-1])
    raster = Raster(shape, axis, colours, view.nodata, view.alpha, picture.placement, picture.georeference)
    stack = [f"axis {at}" for at in range(len(flat.plane))] + (["band"] if axis is not None else [])
    options = {
        "name": picture.name,
        "rgb": False,
        "multiscale": len(levels) > 1,
        "contrast_limits": (min(lows), max(highs)),
        "axis_labels": (*stack, "y", "x"),
        "metadata": {**about, KEY: {"raster": raster}},
        **_sized(view.scale, view.unit, len(stack)),
    }
    bands: LayerData = (levels if len(levels) > 1 else data, {**options, "visible": not declared}, "image")
    return [_picture(picture.name, levels, view), bands] if declared else [bands]


def _colours(picture: Picture, names: tuple[str, ...], count: int) -> tuple[tuple[int, ...], bool]:
    """The bands that are looked at, and whether the file says that they are red, green and blue."""
    plain = [name.casefold() for name in names]
    if len(picture.view.channels) == 3:
        return picture.view.channels, True
    if set(_COLOURS) <= set(plain):
        return tuple(plain.index(name) for name in _COLOURS), True
    return tuple(at for at in range(count) if at != picture.view.alpha)[:3], False


def _sample(levels: list[Any]) -> Any:
    """Pixels enough to find contrast limits: all, or a small copy, or else the middle of a large image."""
    if isinstance(levels[0], np.ndarray) or len(levels) > 1:
        return levels[-1]
    height, width = levels[0].shape[-2:]
    top, left = max(height - _SHOWN, 0) // 2, max(width - _SHOWN, 0) // 2
    return levels[0][..., top : top + _SHOWN, left : left + _SHOWN]


def _sized(scale: tuple[float, ...], unit: str, before: int) -> dict[str, Any]:
    """Scale and units of a layer with `before` axes before rows and columns."""
    return {"scale": (1.0,) * before + scale, "units": ("pixel",) * before + (unit,) * 2} if scale else {}


def _picture(name: str, levels: list[Any], view: Any) -> LayerData:
    """The bands in their colours, transparent where there are no data, at most so large as a screen."""
    fitting = [level for level in levels if max(level.shape[-2:]) >= _SHOWN]
    data = fitting[-1] if fitting else levels[0]
    shrunk = levels[0].shape[-1] / data.shape[-1]
    step = -(-max(data.shape[-2:]) // _SHOWN)
    every = slice(step // 2, None, step)
    colours, valid = render(data, view, every, every)
    pixels = np.dstack([(255 * colours).round().astype(np.uint8), np.where(valid, 255, 0).astype(np.uint8)])
    cell = step * shrunk
    height, width = view.pixel
    first = (step // 2 + 0.5) * shrunk - 0.5
    where = _sized((height * cell, width * cell), view.unit or "pixel", 0)
    options = {**where, "translate": (first * height, first * width)}
    about = {"name": f"{name} · colours", "rgb": True, "metadata": {KEY: {"kind": "picture"}}}
    return (pixels, {**about, **options}, "image")
