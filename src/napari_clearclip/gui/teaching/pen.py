"""A layer to draw strokes of one prompt into, which is there only while it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_clearclip.edits import Edits, Plane
from napari_clearclip.gui.images.sources import KEY, key_of, placement, shape_of
from napari_clearclip.gui.layers.strokes import ERASED, PAINTED, Strokes
from napari_clearclip.gui.layers.styles import STROKES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

POSITIVE, NEGATIVE, SIMILAR = 1, 2, 3
COLORS = {POSITIVE: "#0072B2", NEGATIVE: "#D55E00", SIMILAR: "#F0E442"}  # told apart with every colour blindness
_BRUSH = 40  # brushes along the shorter side of an image


class Pen:
    """Lets the user draw what a prompt learns from.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    allowed : callable
        Says whether anything may be drawn, and why not.

    Notes
    -----
    What was drawn is told by `drawn`: plane, value (0 for the eraser) and pixels. The layer shows the edits of one
    prompt, on all planes; it goes when another layer is chosen.
    """

    drawn = Signal(list)
    ended = Signal()
    undo = Signal()
    redo = Signal()

    def __init__(self, viewer: ViewerModel, allowed: Callable[[], bool]) -> None:
        self._viewer, self._allowed = viewer, allowed
        self._layer: Any = None
        self._image: Any = None
        self._strokes: Strokes | None = None
        self._shown = Edits()

    @property
    def layer(self) -> Any:
        """The layer that is drawn into, or None."""
        return self._layer

    @property
    def key(self) -> str | None:
        """The key of the image that is drawn on, or None."""
        return None if self._image is None else key_of(self._image)

    def take(self, image: Image, tool: int, edits: Edits) -> None:
        """Draw on an image with a tool; `edits` are those of one prompt."""
        if self._image is not image:
            self.stop()
            self._add(image)
        self._layer.selected_label = tool
        self._layer.mode = "paint"
        self.show(edits)

    def _add(self, image: Image) -> None:
        from napari.layers import Labels

        shape = shape_of(image)
        name = f"{image.name} · strokes to learn from"
        layer = Labels(np.zeros(shape, np.uint8), name=name, colormap=_colormap(), opacity=0.8, **placement(image))
        layer.metadata[KEY] = {"kind": STROKES}
        layer.brush_size = max(round(min(shape[-2:]) / _BRUSH), 3)
        self._layer, self._image, self._shown = layer, image, Edits()
        self._viewer.layers.append(layer)
        self._viewer.layers.selection.active = layer
        self._strokes = Strokes(layer, self._viewer.dims, SIMILAR, lambda _: self._allowed(), self._on_stroke)
        for keys, act in (
            ("Escape", self.stop),
            ("Control-Z", self.undo.emit),
            ("Control-Shift-Z", self.redo.emit),
        ):
            layer.bind_key(keys, lambda _, act=act: act(), overwrite=True)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self._on_active)

    def stop(self) -> None:
        """Take the layer away; once is enough, more does no harm."""
        layer, image = self._layer, self._image
        if layer is None:
            return
        self._layer = self._image = None
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        if self._strokes is not None:
            self._strokes.close()
            self._strokes = None
        was_active = self._viewer.layers.selection.active in (layer, None)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        if was_active and image in self._viewer.layers:
            self._viewer.layers.selection.active = image
        self.ended.emit()

    close = stop

    def show(self, edits: Edits) -> None:
        """Show what one prompt was taught, and nothing else."""
        if self._layer is None:
            return
        drawn = (*self._shown.strokes, *edits.strokes)
        shown = (*self._shown.exemplars, *edits.exemplars)
        for plane in {item.plane for item in drawn} | {item.plane for item in shown}:
            if len(plane) == self._layer.ndim - 2:
                self._write(edits, plane)
        self._shown = edits
        self._layer.refresh(thumbnail=False, extent=False, highlight=False)

    def _write(self, edits: Edits, plane: Plane) -> None:
        data = self._layer.data[plane]
        data[:] = 0
        for exemplar in edits.exemplars:
            if exemplar.plane == plane:
                exemplar.region.paint(data, SIMILAR)
        for item in edits.strokes:
            if item.plane == plane:
                item.positive.paint(data, POSITIVE)
                item.negative.paint(data, NEGATIVE)

    def _on_stroke(self) -> None:
        if self._strokes is not None and (strokes := self._strokes.take()):
            self.drawn.emit(strokes)

    def _on_removed(self, event: Any) -> None:
        if event.value == self._layer:
            self.stop()

    def _on_active(self, event: Any) -> None:
        """Put the pen away when another layer is chosen; a layer that is being made is active for a moment only."""
        QTimer.singleShot(0, self._check_active)

    def _check_active(self) -> None:
        if self._layer is not None and self._viewer.layers.selection.active != self._layer:
            self.stop()


def _colormap() -> Any:
    """A colour for each tool, the same while a stroke lasts."""
    from napari.utils import DirectLabelColormap

    known: dict[int | None, Any] = {None: "transparent", 0: "transparent", ERASED: "transparent"}
    for tool, color in COLORS.items():
        known |= {tool: color, tool + PAINTED: color}
    return DirectLabelColormap(color_dict=known)
