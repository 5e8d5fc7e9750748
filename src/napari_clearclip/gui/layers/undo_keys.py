"""Ctrl+Z and Ctrl+Shift+Z for one history of everything, without taking them from layers that are not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.images.sources import is_source, key_of
from napari_clearclip.gui.layers.styles import tag_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


class UndoKeys:
    """The keys on a viewer and on our mask layers, which would undo by themselves.

    Parameters
    ----------
    viewer : ViewerModel
        Where the keys are pressed; its keys come after those of the active layer.
    controller : Controller
        Whose history it is.
    """

    def __init__(self, viewer: ViewerModel, controller: Controller) -> None:
        self._viewer, self._controller = viewer, controller
        self._ways = {"Control-Z": self._undo, "Control-Shift-Z": self._redo}  # napari asks for their names
        self._before = {keys: viewer.bind_key(keys, way, overwrite=True) for keys, way in self._ways.items()}

    def close(self) -> None:
        """Give the viewer the keys back that it had."""
        for keys, way in self._before.items():
            self._viewer.bind_key(keys, way, overwrite=True)

    def bind(self, layer: Layer, on: bool) -> None:
        """Let a layer use this history, or its own again."""
        for keys, way in self._ways.items():
            layer.bind_key(keys, way if on else None, overwrite=True)

    def _undo(self, _: Any) -> None:
        self._step(self._controller.undo)

    def _redo(self, _: Any) -> None:
        self._step(self._controller.redo)

    def _step(self, way: Any) -> None:
        """Go back or on, for the image that the active layer is or belongs to."""
        active = self._viewer.layers.selection.active
        if active is None:
            way(self._controller.key)
        elif is_source(active):
            way(key_of(active))
        elif tag_of(active)[0]:
            way(tag_of(active)[1])
