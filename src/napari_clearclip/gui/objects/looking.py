"""From a row of the table to its object on the canvas, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_clearclip.edits import Plane
from napari_clearclip.gui.layers.styles import tag_of
from napari_clearclip.result import ObjectTable

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

_FLASH = 600  # milliseconds in which only the chosen object is to be seen
_LEAST = 24  # pixels of the screen that an object should have when it is gone to
_WANTED = 80


def plane_at(layer: Labels, point: Sequence[float]) -> Plane:
    """The index of the plane of a layer that the viewer shows at a point in world coordinates."""
    at = np.asarray(layer.world_to_data(np.asarray(point, float)[-layer.ndim :]))
    sizes = layer.data.shape[:-2]
    return tuple(int(min(max(round(float(place)), 0), size - 1)) for place, size in zip(at, sizes, strict=False))


def go_to(viewer: ViewerModel, layer: Labels, table: ObjectTable, plane: Plane, id_: int) -> None:
    """Move the camera to an object, and closer if it would be hard to see."""
    at = np.flatnonzero(table["id"] == id_)
    if not len(at):
        return
    row, col, *box = (float(table[name][at[0]]) for name in ("row", "col", "y0", "x0", "y1", "x1"))
    centre = np.asarray(layer.data_to_world((*plane, row, col)))
    camera = viewer.scene.camera
    camera.center = tuple(centre[-3:]) if len(centre) > 2 else (0.0, *centre)
    size = max((box[2] - box[0]) * layer.scale[-2], (box[3] - box[1]) * layer.scale[-1])
    if size * camera.zoom < _LEAST:
        camera.zoom = _WANTED / size


class Look:
    """Tells which object of a layer the user clicks on or selects.

    Parameters
    ----------
    layer : Labels
        The layer.
    choose : callable
        Called with the ids that were picked.
    changed : callable
        Called when something may have been drawn into a layer that is not ours.
    """

    def __init__(self, layer: Labels, choose: Callable[[Collection[int]], None], changed: Callable[..., None]) -> None:
        self.layer: Any = layer
        self._choose, self._changed = choose, changed
        self._alone = QTimer()
        self._alone.setSingleShot(True)
        self._alone.timeout.connect(self._show_all)
        events = layer.events
        self._drawn = () if tag_of(layer)[0] else (events.set_data, events.labels_update)  # all of it, and a part
        layer.events.selected_label.connect(self._on_selected)
        layer.mouse_drag_callbacks.append(self._on_press)
        for emitter in self._drawn:
            emitter.connect(self._on_drawn)

    def close(self) -> None:
        """Let go of the layer."""
        if self._alone.isActive():
            self._alone.stop()
            self._show_all()
        self.layer.events.selected_label.disconnect(self._on_selected)
        self.layer.mouse_drag_callbacks.remove(self._on_press)
        for emitter in self._drawn:
            emitter.disconnect(self._on_drawn)

    def select(self, id_: int) -> None:
        """Select an object in the layer without telling it."""
        with self.layer.events.selected_label.blocker(self._on_selected):
            self.layer.selected_label = id_

    def flash(self, id_: int) -> None:
        """Select an object and show it alone for a moment, unless napari was told to do so anyway."""
        self.select(id_)
        if not self.layer.show_selected_label:
            self.layer.show_selected_label = True
            self._alone.start(_FLASH)
        elif self._alone.isActive():
            self._alone.start(_FLASH)

    def _show_all(self) -> None:
        self.layer.show_selected_label = False

    def _on_selected(self, event: Any) -> None:
        self._choose([int(self.layer.selected_label)])

    def _on_drawn(self, event: Any) -> None:
        self._changed()

    def _on_press(self, layer: Any, event: Any) -> Any:
        """A click without a drag picks what lies under it, unless the layer is being painted in."""
        if str(layer.mode) not in ("pan_zoom", "pick"):
            return
        yield
        if event.type == "mouse_move":
            return
        value = layer.get_value(
            event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
        )
        if value:
            self.select(int(value))
            self._choose([int(value)])
