"""A line that the user draws across one object, as a layer that is there only while it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_clearclip.gui.images.sources import placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

NAME = "line across one object"
_SHORTEST = 2.0  # pixels


class Ruler:
    """Lets the user draw one line on an image.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    name : str
        Of the layer.

    Notes
    -----
    While a layer of its own is active, a drag neither moves the view nor paints. It lies exactly on the image, so that
    its coordinates are pixels of the array that is read, whatever the image's scale, rotation or pyramid.
    """

    measured = Signal(float)
    drawn = Signal(tuple, tuple)
    ended = Signal()

    def __init__(self, viewer: ViewerModel, name: str = NAME) -> None:
        self._viewer, self._name = viewer, name
        self._layer: Any = None
        self._before: Any = None

    @property
    def drawing(self) -> bool:
        """Whether a line is being waited for."""
        return self._layer is not None

    def start(self, image: Image | Labels) -> None:
        """Wait for a line on a layer; what was waited for before is dropped."""
        from napari.layers import Shapes

        self.stop()
        layer: Any = Shapes(ndim=image.ndim, name=self._name, edge_color="#E69F00", opacity=1.0, **placement(image))
        factor = np.asarray(layer.scale)[-2:].mean() or 1.0
        layer.current_edge_width = max(3 / self._viewer.scene.camera.zoom / factor, 1e-3)
        self._layer, self._before = layer, image
        self._viewer.layers.append(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_line"
        layer.bind_key("Escape", lambda _: self.stop(), overwrite=True)
        layer.mouse_drag_callbacks.append(self._drag)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self._on_active)

    def stop(self) -> None:
        """Take the line away; once is enough, more does no harm."""
        layer, before = self._layer, self._before
        if layer is None:
            return
        self._layer = self._before = None
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        was_active = self._viewer.layers.selection.active in (layer, None)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        if was_active and before in self._viewer.layers:
            self._viewer.layers.selection.active = before
        self.ended.emit()

    close = stop

    def _drag(self, layer: Any, event: Any) -> Any:
        """Follow a drag from its first to its last place; the layer's own callback draws the line."""
        start = end = np.asarray(layer.world_to_data(event.position))
        yield
        while event.type == "mouse_move":
            end = np.asarray(layer.world_to_data(event.position))
            yield
        ends = [(float(row), float(col)) for row, col in (start[-2:], end[-2:])]
        QTimer.singleShot(0, lambda: self._finish(layer, *ends))  # once the layer has ended its own part

    def _finish(self, layer: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        if layer is not self._layer:
            return
        if length < _SHORTEST:  # a click: the line is still to come
            layer.data = []
            return
        self.stop()
        self.measured.emit(length)
        self.drawn.emit(start, end)

    def _on_removed(self, event: Any) -> None:
        if event.value == self._layer:
            self.stop()

    def _on_active(self, event: Any) -> None:
        if self._viewer.layers.selection.active != self._layer:
            self.stop()
