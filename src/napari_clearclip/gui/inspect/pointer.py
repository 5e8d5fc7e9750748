"""A layer with the point that was clicked, which takes clicks while it is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_clearclip.gui.images.sources import KEY, placement
from napari_clearclip.gui.inspect.shelf import INSPECTION, POINT, PREFIX, Shelf

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

_COLOR = "#56B4E9"


class Pointer:
    """Lets the user click a point of an image.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    shelf : Shelf
        Where its layer is kept.

    Notes
    -----
    `clicked` tells row and column in pixels of the array that is read; a drag moves the view as always. The tool is put
    away when another layer is selected; the point stays.
    """

    clicked = Signal(object)
    ended = Signal()

    def __init__(self, viewer: ViewerModel, shelf: Shelf) -> None:
        self._viewer, self._shelf = viewer, shelf
        self._layer: Any = None
        self._image: Any = None

    def start(self, image: Image) -> None:
        """Wait for clicks on an image."""
        from napari.layers import Points

        self.stop()
        old = self._shelf.find(POINT)
        if old is not None:
            self._viewer.layers.remove(old)
        where = placement(image)
        layer: Any = Points(ndim=image.ndim, name=f"{PREFIX}point", **where)
        layer.current_face_color, layer.current_border_color = _COLOR, "white"
        layer.current_symbol = "cross"
        layer.metadata[KEY] = {"kind": INSPECTION, "slot": POINT}
        layer.mouse_drag_callbacks.append(self._on_press)
        layer.bind_key("Escape", lambda _: self.stop(), overwrite=True)
        self._layer, self._image = layer, image
        self._viewer.layers.append(layer)
        self._viewer.layers.selection.active = layer
        self._viewer.layers.selection.events.active.connect(self._on_active)

    def stop(self, *_: Any) -> None:
        """Wait no longer; once is enough, more does no harm."""
        if self._layer is None:
            return
        layer, image, self._layer = self._layer, self._image, None
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        layer.mouse_drag_callbacks.clear()
        if self._viewer.layers.selection.active in (layer, None) and image in self._viewer.layers:
            self._viewer.layers.selection.active = image
        self.ended.emit()

    close = stop

    def _on_press(self, layer: Any, event: Any) -> Any:
        """A click without a drag is a point."""
        yield
        if event.type == "mouse_move":
            return
        at = np.asarray(layer.world_to_data(event.position))
        self.mark(at)
        self.clicked.emit((float(at[-2]), float(at[-1])))

    def mark(self, at: Any) -> None:
        """Let the layer show a point."""
        layer = self._layer
        layer.selected_data = set()
        layer.data = np.asarray(at, float)[None]
        scale = float(np.abs(layer.scale[-2:]).mean()) or 1.0
        layer.size = max(14 / self._viewer.scene.camera.zoom / scale, 1.0)
        layer.selected_data = set()

    def _on_active(self, event: Any) -> None:
        if self._viewer.layers.selection.active != self._layer:
            self.stop()
