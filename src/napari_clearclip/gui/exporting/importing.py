"""Masks of a file, or of a Labels layer, become layers of the user's own that lie on the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.gui.exporting.files import labels_of, names_in
from napari_clearclip.gui.images.channels import axis_of
from napari_clearclip.gui.images.sources import KEY, key_of, placement, shape_of
from napari_clearclip.gui.layers.styles import OBJECTS, tag_of
from napari_clearclip.io.masks import Masks

if TYPE_CHECKING:
    from napari.layers import Image, Labels


def fitting(found: Sequence[Masks], image: Image, source: str) -> Masks:
    """Those of some masks that belong to an image: by its name where there are several.

    Parameters
    ----------
    found : sequence of Masks
        What a file holds.
    image : Image
        The image.
    source : str
        What the file is called.

    Raises
    ------
    ValueError
        If none belongs to it, or they have other pixels.
    """
    names = {image.name, PurePath(image.source.path or image.name).name, PurePath(image.source.path or image.name).stem}
    mine = [masks for masks in found if {masks.image, PurePath(masks.image).stem} & names]
    if len(found) > 1 and len(mine) != 1:
        held = ", ".join(masks.image for masks in found[:5]) + (", …" if len(found) > 5 else "")
        raise ValueError(f"{source} holds masks of {held}, and {len(mine)} of them are called like “{image.name}”")
    masks = (mine or list(found))[0]
    shape, axis = shape_of(image), axis_of(image)
    plain = shape if axis is None else shape[:axis] + shape[axis + 1 :]
    if masks.labels.shape not in (shape, plain):
        theirs, own = (" × ".join(map(str, size)) for size in (masks.labels.shape, plain))
        wrong = f"{source} has masks of {theirs} pixels, but “{image.name}” has {own}"
        raise ValueError(f"{wrong}; look at the image that they belong to")
    return masks


def accepted(masks: Masks, image: Image) -> list[Labels]:
    """Layers with names and colours that lie exactly on an image."""
    from napari.layers import Labels

    where, shape = placement(image), shape_of(image)
    layers = []
    for data, attributes, _ in labels_of(replace(masks, image=""), image.name):
        fields = {**attributes, "name": f"{attributes['name']} accepted", **where}
        layer = Labels(np.reshape(data, shape), **fields)
        layer.metadata[KEY] = {"accepted": key_of(image)}
        layers.append(layer)
    return layers


def copied(layer: Any, image: Image) -> list[Labels]:
    """A copy of a Labels layer as the user's own masks of an image; its values are names if it says so, else objects.

    Raises
    ------
    ValueError
        If it is none, shows what the panel has found, or has other pixels.
    """
    from napari.layers import Labels

    if not isinstance(layer, Labels) or layer.multiscale:
        raise ValueError("no Labels layer is selected; select the one that is to become masks of the image")
    if tag_of(layer)[0]:
        raise ValueError(f"“{layer.name}” follows the panel; accept the prompt instead, by its menu")
    data = np.asarray(layer.data)
    known = names_in(layer.metadata, layer.features)
    named = {} if OBJECTS in layer.metadata else {value: name for value, name in known.items() if value}
    values = np.unique(data[data > 0]).tolist()
    if named and set(values) <= set(named):
        places = {value: at for at, value in enumerate(sorted(named), 1)}
        labels = np.zeros(data.shape, np.uint8 if len(named) < 256 else np.uint16)
        for value in values:
            labels[data == value] = places[value]
        colors = tuple(_hex(layer.get_color(value)) for value in sorted(named))
        masks = Masks(tuple(named[value] for value in sorted(named)), labels, colors=colors)
    else:
        names = tuple(dict.fromkeys(known.get(value, layer.name) for value in values)) or (layer.name,)
        labels = np.zeros(data.shape, np.uint8 if len(names) < 256 else np.uint16)
        for at, name in enumerate(names, 1):
            labels[np.isin(data, [value for value in values if known.get(value, layer.name) == name])] = at
        masks = Masks(names, labels, instances=np.where(data > 0, data, 0))
    return accepted(fitting([masks], image, f"the layer “{layer.name}”"), image)


def _hex(color: Any) -> str:
    """#RRGGBB of a colour; grey where a value has none."""
    if color is None:
        return "#999999"
    return "#" + bytes(round(255 * float(part)) for part in color[:3]).hex().upper()
