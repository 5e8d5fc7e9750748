"""How a result layer is made, tagged, named and coloured, and what its tag remembers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.engine.instances import id_type
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.images.sources import KEY, key_of
from napari_clearclip.gui.layers.strokes import ERASED, PAINTED
from napari_clearclip.settings import Prompt

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

LABELS, SIMILARITY, COMBINED, INSTANCES = "labels", "similarity", "combined", "instances"
STROKES = "strokes"  # of a layer that is there only while it is drawn into
MASKS = (LABELS, COMBINED)
SHARED = (COMBINED, INSTANCES)
OBJECTS = "objects"  # under which a layer of the user's own keeps what its objects are, by id, the latest first
_OPACITY = {LABELS: 0.5, COMBINED: 0.5, SIMILARITY: 0.7, INSTANCES: 0.8}
_CLEAR = (0.0, 0.0, 0.0, 0.0)

Prompts = tuple[Prompt, ...]


def tag_of(layer: Layer) -> tuple[str, str, str]:
    """Kind, image and prompt of a result layer; empty strings for other layers, such as a copy the user made of one.

    A layer with the masks of many prompts, or with their objects, has an empty string for the prompt.
    """
    tag = layer.metadata.get(KEY, {})
    if tag.get("layer") != layer.unique_id:
        return "", "", ""
    return tag["kind"], tag["image"], "" if tag["kind"] in SHARED else tag["prompts"][0].id


def make_layer(
    kind: str, image: Image, shown: Mapping[str, int], prompts: Prompts, shape: tuple[int, ...], where: dict[str, Any]
) -> Layer:
    """An empty layer.

    Parameters
    ----------
    kind : {"labels", "similarity", "combined", "instances"}
        Mask or heat map of one prompt, or the masks of many, or the ids of their objects.
    image : Image
        The image that it belongs to.
    shown : mapping of str to int
        The value of each prompt by id.
    prompts : tuple of Prompt
        What it shows.
    shape : tuple of int
        Its shape.
    where : dict
        Transform and axes, as from `placement`.

    Returns
    -------
    Layer
        Its ``metadata["clearclip"]`` says what it is: kind, key of the image, its own id, the name, the prompts and
        their values that it was given last, and of masks what was last written, by plane.
    """
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    name = _name(image.name, prompts, kind)
    common = {"name": name, "opacity": _OPACITY[kind], "blending": "translucent", **where}
    if kind == SIMILARITY:
        heat, color = np.zeros(shape, np.float32), _heat(prompts[0].color)
        options = {"contrast_limits": (0, 1), "interpolation2d": "linear", "rgb": False, "colormap": color}
        layer = ImageLayer(heat, **options, **common)
    elif kind == INSTANCES:
        layer = Labels(np.zeros(shape, id_type((shape[-2], shape[-1]))), **common)
        layer.editable = False  # it follows the masks; what is accepted can be edited
    else:
        classes = features(prompts, shown)
        layer = Labels(np.zeros(shape, np.uint8), features=classes, colormap=colors(prompts, shown, True), **common)
    tag = {"kind": kind, "image": key_of(image), "layer": layer.unique_id, "name": name}
    layer.metadata[KEY] = tag | {"prompts": prompts, "shown": dict(shown), "written": {}}
    if kind == LABELS:
        layer.editable = not prompts[0].locked
    return layer


def frozen_layer(image: Image, prompts: Prompts, shown: Mapping[str, int], data: Any, where: dict[str, Any]) -> Labels:
    """A plain layer with a copy of masks, which is the user's own."""
    from napari.layers import Labels

    what = prompts[0].phrase if len(prompts) == 1 else f"{len(prompts)} prompts"
    return Labels(
        data,
        name=f"{image.name} · {what} accepted",
        features=features(prompts, shown),
        colormap=colors(prompts, shown, False),
        opacity=_OPACITY[LABELS],
        metadata={
            "classes": {shown[prompt.id]: prompt.phrase for prompt in prompts},
            KEY: {"accepted": key_of(image)},
        },
        **where,
    )


def object_layer(image: Image, prompts: Prompts, names: Mapping[int, str], data: Any, where: dict[str, Any]) -> Labels:
    """A plain layer with objects, which is the user's own; `names` says what each is, by id."""
    from napari.layers import Labels

    what = prompts[0].phrase if len(prompts) == 1 else f"{len(prompts)} prompts"
    return Labels(
        data,
        name=f"{image.name} · {what} objects accepted",
        features={"index": list(names), "prompt": list(names.values())},
        opacity=_OPACITY[INSTANCES],
        metadata={OBJECTS: [dict(names)], KEY: {"accepted": key_of(image)}},
        **where,
    )


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


def restyle(layer: Layer, image: Image | None, prompts: Prompts, shown: Mapping[str, int]) -> None:
    """Let name, colour, features and lock follow the prompts; a name that the user gave stays."""
    tag = layer.metadata[KEY]
    kind, old = tag["kind"], (tag["prompts"], tag["shown"])
    if image is not None:
        name = _name(image.name, prompts, kind)
        if layer.name == tag["name"] != name:
            layer.name = name
            tag["name"] = layer.name
    if old == (prompts, shown) or kind == INSTANCES:
        return
    if kind == SIMILARITY:
        if old[0][0].color != prompts[0].color:
            layer.colormap = _heat(prompts[0].color)
    else:
        if _painted(*old) != _painted(prompts, shown):
            layer.colormap = colors(prompts, shown, True)
        if features(*old) != (classes := features(prompts, shown)):
            layer.features = classes
        editable = kind == COMBINED or not prompts[0].locked
        if layer.editable != editable:
            layer.editable = editable
    tag["prompts"], tag["shown"] = prompts, dict(shown)


def _name(image: str, prompts: Prompts, kind: str) -> str:
    if kind == INSTANCES:
        return f"{image} · objects"
    if kind == COMBINED:
        return f"{image} · {len(prompts)} prompts"
    return f"{image} · {prompts[0].phrase}" + (" similarity" if kind == SIMILARITY else "")


def features(prompts: Prompts, shown: Mapping[str, int]) -> dict[str, list[Any]]:
    """What napari's status bar says about a value under the mouse."""
    return {
        "index": [shown[prompt.id] for prompt in prompts],
        "prompt": [prompt.phrase for prompt in prompts],
        "color": [prompt.color for prompt in prompts],
    }


def _rgba(color: str, alpha: float = 1.0) -> tuple[float, float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue, alpha


def _heat(color: str) -> Any:
    """From transparent to the colour."""
    from napari.utils import Colormap

    return Colormap([_rgba(color, 0.0), _rgba(color)], name=f"clearclip {color}")


def _painted(prompts: Prompts, shown: Mapping[str, int]) -> list[tuple[int, str]]:
    return [(shown[prompt.id], prompt.color) for prompt in prompts]


def colors(prompts: Prompts, shown: Mapping[str, int], live: bool) -> Any:
    """The colour of each value; of a live layer also of the values that pixels have while a stroke lasts."""
    from napari.utils import DirectLabelColormap

    known: dict[int | None, Any] = {None: _rgba(prompts[0].color) if len(prompts) == 1 else _CLEAR, 0: _CLEAR}
    for value, color in _painted(prompts, shown):
        known[value] = _rgba(color)
        if live:
            known[value + PAINTED] = _rgba(color)
    if live:
        known[ERASED] = _CLEAR
    return DirectLabelColormap(color_dict=known)
