"""What is painted into a mask layer, also where the brush meets the value that is there already."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import TILE, Plane, Region
from napari_clearclip.gui.layers.content import Stroke

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Labels

PAINTED, ERASED = 128, 255
_TOOLS = ("paint", "fill", "paint_polygon", "data_setitem")


class Strokes:
    """Notes what napari's tools paint into a layer.

    Parameters
    ----------
    layer : Labels
        A layer of uint8 with values below 127.
    dims : Dims
        Of the viewer: says in which axes a brush paints.
    top : int
        The largest value of the layer; what is painted with a larger one counts as this one.
    allowed : callable
        Takes the value that is about to be painted (0 for the eraser); when it says no, nothing is painted.
    done : callable
        Called at the end of each stroke.

    Notes
    -----
    napari passes over pixels that have the value already, and tells nothing of them. So while a stroke lasts, painted
    pixels have their value plus 128 and erased ones 255, which look the same; `take` makes them plain again, and looks
    at the tiles that the tools were used on only. With "preserve labels" napari compares values itself: there, what
    changed is marked afterwards.
    """

    def __init__(
        self,
        layer: Labels,
        dims: Dims,
        top: int,
        allowed: Callable[[int], bool],
        done: Callable[[], None],
    ) -> None:
        self._layer, self._dims, self._top, self._allowed, self._done = layer, dims, top, allowed, done
        self._touched: set[tuple[Plane, int, int]] = set()
        self._inside = False
        self._told = False
        self._tools = {name: getattr(layer, name) for name in _TOOLS}
        for name in _TOOLS:
            setattr(layer, name, partial(self._draw, name))
        layer.events.paint.connect(self._on_paint)

    def close(self) -> None:
        """Give the layer its own tools back."""
        self._layer.events.paint.disconnect(self._on_paint)
        for name in _TOOLS:
            delattr(self._layer, name)

    def take(self) -> list[Stroke]:
        """What was painted since the last time, also of a stroke that goes on; the layer holds plain values again."""
        found: dict[tuple[Plane, int], list[Region]] = {}
        for plane, row, col in sorted(self._touched):
            part = self._layer.data[plane][row * TILE : (row + 1) * TILE, col * TILE : (col + 1) * TILE]
            marked = part >= PAINTED
            for mark in np.unique(part[marked]):
                value = 0 if mark == ERASED else int(mark) - PAINTED
                inside = part == mark
                found.setdefault((plane, value), []).append(Region.of(inside, (row * TILE, col * TILE)))
                part[inside] = value
        self._touched.clear()
        return [Stroke(plane, value, Region.union(parts)) for (plane, value), parts in found.items()]

    def _draw(self, tool: str, *arguments: Any, **named: Any) -> None:
        """Use a tool of napari with values of our own."""
        original = self._tools[tool]
        if self._inside:  # napari's tools may use one another
            original(*arguments, **named)
            return
        bound = inspect.signature(original).bind(*arguments, **named)
        where, value = list(bound.arguments)[:2]
        wanted = np.asarray(bound.arguments[value])
        if not all(self._allowed(int(each)) for each in np.unique(wanted)):
            return
        box = self._box(tool, bound.arguments[where])
        before = self._layer.data[box].copy() if self._layer.preserve_labels else None
        marked = self._marked(wanted)
        if before is None:
            bound.arguments[value] = int(marked) if marked.ndim == 0 else marked
        self._inside = True
        try:
            original(*bound.args, **bound.kwargs)
        finally:
            self._inside = False
        if before is not None:
            part = self._layer.data[box]
            np.copyto(part, self._marked(part), where=part != before)
        self._touched.update(_tiles(box))
        if self._told:
            self._told = False
            self._done()

    def _marked(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Values as they are while a stroke lasts."""
        painted = np.where(values < PAINTED, np.minimum(values, self._top) + PAINTED, values)
        return np.where(values == 0, ERASED, painted).astype(np.uint8)

    def _box(self, tool: str, where: Any) -> tuple[slice, ...]:
        """The box that a tool may change, cut to the layer."""
        layer = self._layer
        if tool == "data_setitem":
            axes = [np.asarray(axis) for axis in where]
            lows, highs = [int(axis.min(initial=0)) for axis in axes], [int(axis.max(initial=0)) + 1 for axis in axes]
        else:
            points = np.atleast_2d(np.asarray(where, float))
            lows, highs = np.round(points[0]).astype(int), np.round(points[0]).astype(int) + 1
            drawn = [axis - (self._dims.ndim - layer.ndim) for axis in self._dims.order][-layer.n_edit_dimensions :]
            reach = int(layer.brush_size) // 2 + 1
            for axis in drawn:
                if tool == "fill":
                    lows[axis], highs[axis] = 0, layer.data.shape[axis]
                elif tool == "paint":
                    lows[axis], highs[axis] = lows[axis] - reach, highs[axis] + reach
                else:
                    lows[axis], highs[axis] = np.floor(points[:, axis].min()), np.ceil(points[:, axis].max()) + 1
        sizes = layer.data.shape
        return tuple(
            slice(min(max(int(low), 0), size), min(max(int(high), 0), size))
            for low, high, size in zip(lows, highs, sizes, strict=True)
        )

    def _on_paint(self, event: Any) -> None:
        """A stroke has ended; of a single use of a tool, napari tells before it has drawn."""
        if self._inside:
            self._told = True
        else:
            self._done()


def _tiles(box: tuple[slice, ...]) -> Iterator[tuple[Plane, int, int]]:
    """The planes, tile rows and tile columns that a box touches."""
    *leading, rows, cols = box
    for plane in product(*(range(axis.start, axis.stop) for axis in leading)):
        for row in range(rows.start // TILE, -(-rows.stop // TILE)):
            for col in range(cols.start // TILE, -(-cols.stop // TILE)):
                yield plane, row, col
