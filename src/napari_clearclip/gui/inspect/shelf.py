"""Layers that inspection makes: named alike, above all others, no results, and taken away together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.gui.images.sources import KEY, placement, shape_of
from napari_clearclip.gui.layers.shelf import same_selection

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_clearclip.edits import Plane

INSPECTION = "inspection"  # the kind of these layers
PREFIX = "inspect · "
POINT = "point"  # the slot of the layer with the point that was clicked
Region = tuple[float, float, float, float]


class Shelf:
    """The layers that inspection has made in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer

    def __iter__(self) -> Iterator[Any]:
        return iter([layer for layer in self._viewer.layers if is_inspection(layer)])

    def show_map(
        self,
        slot: str,
        name: str,
        image: Image,
        plane: Plane,
        values: npt.NDArray[Any],
        region: Region | None = None,
        limits: tuple[float, float] | None = None,
        visible: bool = True,
        colormap: str = "inferno",
    ) -> None:
        """Show a map on a part of a plane of an image, in the place of the one that had its slot.

        Parameters
        ----------
        slot : str
            What it shows, whatever of: one layer each.
        name : str
            Of the layer, without what all have in common.
        image : Image
            The image that it lies on.
        plane : tuple of int
            The plane of the image.
        values : (h, w) array
            The map.
        region : tuple of 4 float, optional
            Where its edges lie, in pixels of the image; by default it covers the image.
        limits : tuple of 2 float, optional
            Values that have the first and the last colour; by default the least and the most.
        visible : bool
            Whether it is seen, where the slot is new.
        colormap : str
            Of napari's.
        """
        from napari.layers import Image as ImageLayer

        y0, x0, y1, x1 = region or (0, 0, *shape_of(image)[-2:])
        rows, cols = values.shape
        where = placement(image, ((y1 - y0) / rows, (x1 - x0) / cols), (*plane, y0, x0))
        least, most = (float(values.min()), float(values.max())) if limits is None else limits
        options = {"contrast_limits": (least, most if most > least else least + 1), "colormap": colormap}
        data = np.asarray(values, np.float32).reshape((1,) * len(plane) + values.shape)
        old = self.find(slot)
        look = {"visible": visible, "opacity": 0.7} if old is None else {"visible": old.visible, "opacity": old.opacity}
        layer: Any = ImageLayer(data, name=PREFIX + name, rgb=False, blending="translucent", **options, **look, **where)
        layer.metadata[KEY] = {"kind": INSPECTION, "slot": slot}
        if old is None and visible:  # two maps above each other cannot be read
            for other in self:
                other.visible = other.visible and other.metadata[KEY]["slot"] == POINT
        self.put(layer, old)

    def put(self, layer: Any, old: Any = None) -> None:
        """Add a layer on top, below the point only, or in the place of an old one; what is selected stays so."""
        layers, point = self._viewer.layers, self.find(POINT)
        with same_selection(self._viewer):
            at = len(layers) if point is None else layers.index(point)
            at = at if old is None else layers.index(old)
            layers.insert(at, layer)
            if old is not None:
                layers.remove(old)

    def find(self, slot: str) -> Any:
        """The layer of a slot, or None."""
        return next((layer for layer in self if layer.metadata[KEY]["slot"] == slot), None)

    def remove(self, *slots: str) -> None:
        """Take the layers of some slots away, or of all if none is named."""
        for layer in self:
            if not slots or layer.metadata[KEY]["slot"] in slots:
                self._viewer.layers.remove(layer)


def is_inspection(layer: Any) -> bool:
    """Whether inspection has made a layer."""
    return bool(layer.metadata.get(KEY, {}).get("kind") == INSPECTION)
