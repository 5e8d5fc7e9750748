"""A napari image layer as the engine reads it, and where a layer made from it must lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Plane, View
from napari_clearclip.gui.jobs import Source

if TYPE_CHECKING:
    from napari.layers import Image, Layer

# More pixels than this are read from a coarser level of a pyramid, where there is one.
_MOST_PIXELS = 2**26

KEY = "clearclip"


def is_result(layer: Layer) -> bool:
    """Whether we made the layer."""
    return "kind" in layer.metadata.get(KEY, {})


def is_source(layer: Layer) -> bool:
    """Whether the layer is an image that can be segmented."""
    from napari.layers import Image

    return isinstance(layer, Image) and not is_result(layer) and layer.ndim >= 2


def key_of(layer: Layer) -> str:
    """What results and edits of the layer are filed under; the same through renaming."""
    return str(layer.unique_id)


def level_of(layer: Image) -> int:
    """The finest level of a pyramid that fits; 0 without one."""
    if not layer.multiscale:
        return 0
    pixels = [shape[layer.ndim - 2] * shape[layer.ndim - 1] for shape in layer.level_shapes]
    return next((level for level, count in enumerate(pixels) if count <= _MOST_PIXELS), len(pixels) - 1)


def stored(layer: Image) -> Any:
    """The array that is read: the data, or a level of the pyramid."""
    return layer.data[level_of(layer)] if layer.multiscale else layer.data


def shape_of(layer: Image) -> tuple[int, ...]:
    """The shape of a mask of the layer: leading axes, rows, columns."""
    return tuple(int(size) for size in stored(layer).shape[: layer.ndim])


def plane_of(layer: Image, point: Sequence[float]) -> tuple[int, ...]:
    """The index of the plane that the viewer shows at a point in world coordinates."""
    at = np.asarray(layer.world_to_data(np.asarray(point, float)[-layer.ndim :]))
    if layer.multiscale:
        at = at / np.asarray(layer.downsample_factors[level_of(layer)])
    shape = shape_of(layer)
    return tuple(int(np.clip(round(float(at[axis])), 0, shape[axis] - 1)) for axis in range(layer.ndim - 2))


def view_of(layer: Image, point: Sequence[float]) -> View:
    """How the layer is looked at: plane, channels, contrast limits and gamma."""
    channels = stored(layer).shape[-1] if layer.rgb else 1
    colors = min(channels, 3)
    low, high = (float(value) for value in layer.contrast_limits)
    return View(
        plane=plane_of(layer, point),
        channel_axis=-1 if layer.rgb else None,
        channels=tuple(range(colors)),
        limits=((low, high),) * colors if low < high else None,
        gamma=float(layer.gamma),
        alpha=3 if channels == 4 else None,
    )


def source_of(layer: Image, point: Sequence[float]) -> Source:
    """The layer as it is looked at now; a lazy array is computed when it is read, and only the plane."""
    data = stored(layer)

    def read(plane: Plane) -> npt.NDArray[np.generic]:
        if isinstance(data, np.ndarray):
            return data
        return np.broadcast_to(np.asarray(data[plane] if plane else data), tuple(data.shape))

    return Source(key_of(layer), view_of(layer, point), read)


def placement(layer: Image, cell: tuple[float, float] = (1.0, 1.0)) -> dict[str, Any]:
    """Transform and axes of a layer that lies exactly on the image.

    Parameters
    ----------
    layer : Image
        The image layer.
    cell : tuple of 2 float
        Height and width, in pixels of the array that was read, of one pixel of the new layer.

    Returns
    -------
    dict
        Keyword arguments of a napari layer.

    Notes
    -----
    Pixel centres have whole coordinates, so that a cell of c pixels has its centre at (c - 1) / 2. napari's data to
    world is affine(rotate(shear(scale * x)) + translate): what comes before `affine` is applied to that centre.
    """
    factor = np.ones(layer.ndim)
    if layer.multiscale:
        factor = np.asarray(layer.downsample_factors[level_of(layer)], float).copy()
    factor[-2:] *= cell
    centre = np.zeros(layer.ndim)
    centre[-2:] = (factor[-2:] - 1) / 2
    moved = np.asarray(layer.affine.inverse(layer.data_to_world(centre)))
    return {
        "scale": np.asarray(layer.scale) * factor,
        "translate": moved,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def apply_placement(layer: Layer, where: dict[str, Any]) -> None:
    """Move a layer to where `placement` says."""
    for name, value in where.items():
        setattr(layer, name, value)


def describe(layer: Image, plane: tuple[int, ...]) -> str:
    """Size, type and plane of an image in a line."""
    *leading, height, width = shape_of(layer)
    planes = ", ".join(f"{at + 1}/{size}" for at, size in zip(plane, leading, strict=True))
    where = f"plane {planes}" if planes else ""
    parts = (f"{height} × {width} pixels", "colour" if layer.rgb else "", str(layer.dtype), where)
    return ", ".join(part for part in parts if part)
