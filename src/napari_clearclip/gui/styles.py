"""How a result layer is made, tagged, named and coloured, and what its tag remembers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.gui.history import State
from napari_clearclip.gui.sources import KEY, key_of
from napari_clearclip.settings import Prompt

if TYPE_CHECKING:
    from napari.layers import Image, Layer

LABELS, SIMILARITY = "labels", "similarity"
_OPACITY = {LABELS: 0.5, SIMILARITY: 0.7}


def tag_of(layer: Layer) -> tuple[str, str, str]:
    """Kind, image and prompt of a result layer; empty strings for other layers, such as a copy the user made of one."""
    tag = layer.metadata.get(KEY, {})
    if tag.get("layer") != layer.unique_id:
        return "", "", ""
    return tag["kind"], tag["image"], tag["value"].id


def make_layer(kind: str, image: Image, prompt: Prompt, shape: tuple[int, ...], where: dict[str, Any]) -> Layer:
    """An empty layer for a prompt.

    Parameters
    ----------
    kind : {"labels", "similarity"}
        Mask or heat map.
    image : Image
        The image that it belongs to.
    prompt : Prompt
        What it shows.
    shape : tuple of int
        Its shape.
    where : dict
        Transform and axes, as from `placement`.

    Returns
    -------
    Layer
        Its ``metadata["clearclip"]`` says what it is: kind, key of the image, its own id, the name and the prompt that
        it was given last, and of a mask what was last written, by plane, and what was painted.
    """
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    name = _name(image.name, prompt, kind)
    common = {
        "name": name,
        "colormap": _colormap(kind, prompt.color),
        "opacity": _OPACITY[kind],
        "blending": "translucent",
        **where,
    }
    if kind == LABELS:
        layer = Labels(np.zeros(shape, np.uint8), features=_features(prompt), **common)
    else:
        heat = np.zeros(shape, np.float32)
        layer = ImageLayer(heat, contrast_limits=(0, 1), interpolation2d="linear", rgb=False, **common)
    tag = {"kind": kind, "image": key_of(image), "layer": layer.unique_id, "name": name, "value": prompt}
    layer.metadata[KEY] = tag | {"written": {}}
    return layer


def remember(image: Image, state: State) -> None:
    """Note at an image what is wanted of it, for a panel that is opened later."""
    image.metadata.setdefault(KEY, {})["state"] = (image.unique_id, state)


def left_behind(layers: Iterable[Layer]) -> dict[Hashable, State]:
    """What was wanted of images by a panel that was closed, by key, not yet run; a copy of an image starts anew."""
    found: dict[Hashable, State] = {}
    for layer in layers:
        owner, state = layer.metadata.get(KEY, {}).get("state", (None, None))
        if owner == layer.unique_id:
            found[key_of(layer)] = replace(state, readings={})
    return found


def restyle(layer: Layer, image: Image | None, prompt: Prompt) -> None:
    """Let name, colour and features follow the prompt; a name that the user gave stays."""
    tag = layer.metadata[KEY]
    if image is not None and layer.name == tag["name"]:
        layer.name = tag["name"] = _name(image.name, prompt, tag["kind"])
    if tag["value"].color != prompt.color:
        layer.colormap = _colormap(tag["kind"], prompt.color)
    if tag["kind"] == LABELS:
        layer.features = _features(prompt)
    tag["value"] = prompt


def _name(image: str, prompt: Prompt, kind: str) -> str:
    return f"{image} · {prompt.phrase}" + (" similarity" if kind == SIMILARITY else "")


def _features(prompt: Prompt) -> dict[str, list[Any]]:
    """What napari's status bar says about a value under the mouse."""
    return {"index": [1], "prompt": [prompt.phrase]}


def _rgba(color: str, alpha: float = 1.0) -> tuple[float, float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue, alpha


def _colormap(kind: str, color: str) -> Any:
    """A heat map goes from transparent to the colour; of a mask, 0 is transparent and all else has the colour."""
    from napari.utils import Colormap, DirectLabelColormap

    if kind == SIMILARITY:
        return Colormap([_rgba(color, 0.0), _rgba(color)], name=f"clearclip {color}")
    return DirectLabelColormap(color_dict={None: _rgba(color), 0: (0.0, 0.0, 0.0, 0.0), 1: _rgba(color)})
