"""A napari layer as a session file holds it, and such a layer from what it holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.gui.images.sources import KEY, apply_placement
from napari_clearclip.gui.layers.styles import OBJECTS
from napari_clearclip.io.sessions import Image as SavedImage
from napari_clearclip.io.sessions import Layer as Saved
from napari_clearclip.io.sessions import Look, Placement, Session

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

CLASSES = "classes"  # under which a labels layer's metadata say what values mean


def placement_of(layer: Layer) -> Placement:
    """Where a layer lies."""
    return Placement(
        scale=_row(layer.scale),
        translate=_row(layer.translate),
        rotate=_matrix(layer.rotate),
        shear=_row(layer.shear) if np.ndim(layer.shear) == 1 else _matrix(layer.shear),
        affine=_matrix(layer.affine.affine_matrix),
        units=tuple(str(unit) for unit in layer.units),
        axis_labels=tuple(str(label) for label in layer.axis_labels),
    )


def place(layer: Layer, placement: Placement) -> None:
    """Let a layer lie where it lay; what is not said, or is of another number of axes, stays."""
    if len(placement.scale) != layer.ndim:
        return
    where: dict[str, Any] = {"units": placement.units, "axis_labels": placement.axis_labels}
    where |= {
        name: np.asarray(getattr(placement, name)) for name in ("scale", "translate", "rotate", "shear", "affine")
    }
    apply_placement(layer, {name: value for name, value in where.items() if len(value)})


def look_of(layer: Any) -> Look:
    """How a layer is shown."""
    image: dict[str, Any] = {}
    if hasattr(layer, "contrast_limits"):
        low, high = (float(value) for value in layer.contrast_limits)
        image = {"contrast_limits": (low, high), "gamma": float(layer.gamma)}
        image |= {} if layer.rgb else {"colormap": str(layer.colormap.name)}
    return Look(visible=bool(layer.visible), opacity=float(layer.opacity), blending=str(layer.blending), **image)


def show(layer: Any, look: Look) -> None:
    """Let a layer be shown as it was; a colour map that is not known here leaves the one it has."""
    layer.visible, layer.opacity = look.visible, look.opacity
    for name in ("blending", "gamma", "colormap"):
        value = getattr(look, name)
        if value is not None and hasattr(layer, name) and getattr(getattr(layer, name), "name", None) != value:
            try:
                setattr(layer, name, value)
            except (KeyError, ValueError):
                continue
    if look.contrast_limits is not None and hasattr(layer, "contrast_limits"):
        low, high = look.contrast_limits
        reach = layer.contrast_limits_range
        layer.contrast_limits_range = min(low, reach[0]), max(high, reach[1])
        layer.contrast_limits = (low, high)


def saved_labels(layer: Labels, image: int | None) -> Saved:
    """A labels layer of the user's own, with a copy of its pixels; `image` is the one that it lies on."""
    from napari.utils import DirectLabelColormap

    known = layer.metadata
    colors, seed = None, None
    if isinstance(layer.colormap, DirectLabelColormap):
        colors = tuple((None if value is None else int(value), _color(rgba)) for value, rgba in _colors(layer))
    else:
        seed = float(layer.colormap.seed)
    names = known.get(OBJECTS) or [{}]
    return Saved(
        name=layer.name,
        image=image,
        data=np.array(layer.data[0] if layer.multiscale else layer.data),
        placement=placement_of(layer),
        look=look_of(layer),
        colors=colors,
        seed=seed,
        classes=tuple((int(value), str(name)) for value, name in dict(known.get(CLASSES, {})).items()),
        objects=tuple((int(value), str(name)) for value, name in names[0].items()),
        features={str(name): tuple(map(_plain, column)) for name, column in layer.features.items()},
        metadata={str(name): value for name, value in known.items() if name not in _OWN and _is_json(value)},
    )


_OWN = (KEY, CLASSES, OBJECTS)


def labels_from(saved: Saved, image: str | None) -> Labels:
    """The labels layer that was saved; `image` is the key of the one that it lies on."""
    from napari.layers import Labels
    from napari.utils import DirectLabelColormap

    metadata: dict[str, Any] = dict(saved.metadata)
    if saved.classes:
        metadata[CLASSES] = dict(saved.classes)
    if saved.objects:
        metadata[OBJECTS] = [dict(saved.objects)]
    if image is not None:
        metadata[KEY] = {"accepted": image}
    features = {name: list(column) for name, column in saved.features.items()}
    layer = Labels(saved.data, name=saved.name, features=features or None, metadata=metadata)
    if saved.colors is not None:
        layer.colormap = DirectLabelColormap(color_dict={None: (0, 0, 0, 0), **dict(saved.colors)})
    elif saved.seed is not None and layer.colormap.seed != saved.seed:
        layer.seed = saved.seed
    place(layer, saved.placement)
    show(layer, saved.look)
    return layer


def image_from(saved: SavedImage) -> Image:
    """The image layer whose pixels were saved."""
    from napari.layers import Image

    layer = Image(saved.pixels, name=saved.name, rgb=saved.rgb)
    place(layer, saved.placement)
    show(layer, saved.look)
    return layer


def layers_of_session(session: Session) -> list[Any]:
    """What a session itself has of layers, as napari's readers give them: kept images, and the user's own labels."""
    images = [image_from(image) for image in session.images if image.pixels is not None]
    labels = [labels_from(layer, None) for layer in session.layers]
    return [layer.as_layer_data_tuple() for layer in (*images, *labels)]


def _row(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _matrix(values: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(_row(row) for row in np.asarray(values))


def _colors(layer: Labels) -> list[tuple[int | None, Any]]:
    """Colours by value; the one of all others first."""
    found = dict(layer.colormap.color_dict)
    return sorted(found.items(), key=lambda item: (item[0] is not None, item[0] or 0))


def _color(rgba: Any) -> tuple[float, float, float, float]:
    red, green, blue, alpha = (float(value) for value in rgba)
    return red, green, blue, alpha


def _plain(value: Any) -> str | int | float | bool | None:
    """An entry of a table as JSON can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _is_json(value: Any) -> bool:
    """Whether JSON can hold a value, and give it back as it was."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False
