"""Boxes and points of objects as layers of napari: the prompts that plugins of SAM take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Plane
from napari_clearclip.result import IdArray, ObjectTable

if TYPE_CHECKING:
    from napari.layers import Labels, Points, Shapes

_PLAIN = "#FFD500"  # of objects that are of no prompt


def boxes(table: ObjectTable, plane: Plane) -> npt.NDArray[np.float64]:
    """The corners (n, 4, D) of each object's box: leading axes, row and column along the borders of its pixels."""
    y0, x0, y1, x1 = (table[name] - 0.5 for name in ("y0", "x0", "y1", "x1"))
    corners = np.stack([np.stack(each, axis=-1) for each in ((y0, x0), (y0, x1), (y1, x1), (y1, x0))], axis=1)
    return _on(plane, corners)


def peaks(table: ObjectTable, plane: Plane, width: int) -> npt.NDArray[np.float64]:
    """Where each object scores highest (n, D), which its id says in an image of a width."""
    return _on(plane, np.stack(np.divmod(table["id"] - 1, width), axis=-1).astype(np.float64))


def middles(table: ObjectTable, plane: Plane, ids: IdArray) -> npt.NDArray[np.float64]:
    """The pixel (n, D) of each object that lies farthest from what is not in it; `ids` (H, W) are those of the plane.

    Unlike its centroid, it lies in the object whatever its shape.
    """
    from scipy.ndimage import distance_transform_edt

    found = np.zeros((len(table), 2))
    for at, (id_, *box) in enumerate(zip(*(table[name] for name in ("id", "y0", "x0", "y1", "x1")), strict=True)):
        top, left, bottom, right = map(int, box)
        inside = np.pad(ids[top:bottom, left:right] == id_, 1)
        depth = distance_transform_edt(inside)
        found[at] = np.unravel_index(np.argmax(depth), depth.shape) + np.array([top - 1, left - 1])
    return _on(plane, found)


def _on(plane: Plane, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows and columns (..., 2) with the index of their plane before them."""
    leading = np.broadcast_to(np.array(plane, float), (*places.shape[:-1], len(plane)))
    return np.concatenate([leading, places], axis=-1)


def features_of(table: ObjectTable) -> dict[str, Any]:
    """What is said of each object: its class, id and score."""
    known = {column.name: column.values for column in table.columns}
    classes = known.get("prompt", np.full(len(table), "", object))
    scored = {"score": known["score"]} if "score" in known else {}
    return {"class": classes, "id": known["id"], **scored}


def shapes_layer(layer: Labels, table: ObjectTable, plane: Plane, colors: Mapping[str, str]) -> Shapes:
    """A layer of boxes that lies on the objects' layer; `colors` are those of the classes."""
    from napari.layers import Shapes

    kept = _kept(layer)
    return Shapes(
        list(boxes(table, plane)[..., kept]) or None,
        ndim=len(kept),
        shape_type="rectangle",
        name=f"{layer.name} · boxes",
        features=features_of(table),
        edge_color=_colored(table, colors),
        face_color="transparent",
        edge_width=_line(layer),
        **_lying(layer, kept),
    )


def points_layer(
    layer: Labels, places: npt.NDArray[np.float64], table: ObjectTable, colors: Mapping[str, str]
) -> Points:
    """A layer of points that lies on the objects' layer; `colors` are those of the classes."""
    from napari.layers import Points

    kept = _kept(layer)
    return Points(
        places[..., kept],
        ndim=len(kept),
        name=f"{layer.name} · points",
        features=features_of(table),
        face_color=_colored(table, colors),
        size=6 * _line(layer),
        **_lying(layer, kept),
    )


def _colored(table: ObjectTable, colors: Mapping[str, str]) -> Any:
    return [colors.get(str(name), _PLAIN) for name in features_of(table)["class"]] or _PLAIN


def _line(layer: Labels) -> float:
    """The width of a line, in pixels, that can be seen in the whole image."""
    return max(max(layer.data.shape[-2:]) / 400, 0.5)


def _kept(layer: Labels) -> list[int]:
    """The axes that marks have: an axis that is 1 long, as that of channels is, would show them on one channel only."""
    return [axis for axis in range(layer.ndim) if layer.data.shape[axis] > 1 or axis >= layer.ndim - 2]


def _lying(layer: Labels, kept: list[int]) -> dict[str, Any]:
    """Transform and axes of a layer, or of some of its axes."""
    if len(kept) == layer.ndim:
        names = ("scale", "translate", "rotate", "shear", "units", "axis_labels")
        return {name: getattr(layer, name) for name in names} | {"affine": layer.affine.affine_matrix}
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    columns = np.stack([np.asarray(layer.data_to_world(unit)) - origin for unit in np.eye(layer.ndim)], axis=1)
    matrix = np.eye(len(kept) + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = columns[np.ix_(kept, kept)], origin[kept]
    axes = {"units": layer.units, "axis_labels": layer.axis_labels}
    return {"affine": matrix} | {name: [each[axis] for axis in kept] for name, each in axes.items()}
