"""Masks in napari's own File menu: what we export is opened, and any labels are saved as it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.gui.layers.styles import OBJECTS
from napari_clearclip.io.formats import FORMATS, format_of, read, write
from napari_clearclip.io.masks import Masks

LayerData = tuple[Any, dict[str, Any], str]


def layers_in(path: Path) -> list[LayerData]:
    """A labels layer for each image in the file, or for each mask where they overlap, and one of its objects."""
    found: list[LayerData] = []
    for masks in read(path):
        common: dict[str, Any] = {}
        if masks.spacing:
            common = {"scale": masks.spacing, "units": (masks.unit,) * len(masks.spacing)}
        layers = labels_of(masks, masks.image or path.stem)
        found += [(data, {**attributes, **common}, kind) for data, attributes, kind in layers]
    return found


def labels_of(masks: Masks, name: str) -> list[LayerData]:
    """A labels layer with names and colours, or one for each mask where they overlap, and one of the objects."""
    found: list[LayerData] = []
    if masks.instances is not None:
        found.append((masks.instances.astype(np.int64), {"name": f"{name} · objects", **_objects(masks)}, "labels"))
    if masks.overlaps is None:
        found.append((masks.labels, {"name": f"{name} · masks", **_classes(masks)}, "labels"))
        return found
    for index, one in enumerate(masks.names):
        single = Masks((one,), masks.mask(index).astype(np.uint8), colors=masks.colors[index : index + 1])
        found.append((single.labels, {"name": f"{name} · {one}", **_classes(single)}, "labels"))
    return found


def _classes(masks: Masks) -> dict[str, Any]:
    """Names and colours of a layer's values."""
    values = list(range(1, len(masks.names) + 1))
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    return {
        "features": {"index": [0, *values], "prompt": ["background", *masks.names]},
        "colormap": colors | dict(zip(values, masks.colors, strict=True)),
        "metadata": {"classes": dict(zip(values, masks.names, strict=True))},
    }


def _objects(masks: Masks) -> dict[str, Any]:
    """What each object of a layer is."""
    names: dict[int, str] = {}
    for name, mask in zip(masks.names, masks, strict=True):
        names |= dict.fromkeys(np.unique(masks.instances[mask]).tolist() if masks.instances is not None else (), name)
    return {
        "features": {"index": list(names), "prompt": list(names.values())},
        "metadata": {OBJECTS: [names]},
    }


def save_masks(path: str, layers: list[LayerData]) -> list[str]:
    """Write labels layers of one image to a file whose ending says the format.

    Raises
    ------
    ValueError
        If the layers are not of one size, or the format cannot hold them.
    """
    file = Path(path)
    kind = format_of(file)
    if kind not in FORMATS:
        return []
    names: list[str] = []
    masks: list[Any] = []
    shapes = {np.shape(data) for data, *_ in layers}
    if len(shapes) > 1:
        raise ValueError(f"the layers have the sizes {sorted(shapes)}; select layers of one image")
    for data, attributes, _ in layers:
        data = np.asarray(data)
        known = names_in(attributes.get("metadata", {}), attributes.get("features"))
        for value in np.unique(data[data != 0]).tolist():
            name = str(known.get(value, attributes["name"] if data.max() == 1 else f"{attributes['name']} {value}"))
            names.append(name if name not in names else f"{name} ({attributes['name']})")
            masks.append(data == value)
    if not masks:
        raise ValueError("the layers are empty; there is nothing to save")
    spacing = tuple(map(float, layers[0][1].get("scale", ())))
    units = [str(unit) for unit in layers[0][1].get("units") or ()]
    unit = units[-1] if units else "pixel"
    fields: dict[str, Any] = {"spacing": () if set(spacing) <= {1.0} else spacing, "unit": unit}
    write(file, [Masks.from_each(names, masks, image=str(layers[0][1]["name"]), **fields)], kind)
    return [path]


def names_in(metadata: Mapping[str, Any], features: Any) -> dict[int, str]:
    """What the values of a labels layer are, by what it says of itself; empty where it does not."""
    if "classes" in metadata:
        return dict(metadata["classes"])
    column = next((name for name in ("prompt", "name") if features is not None and name in features), None)
    if column is None or "index" not in features:
        return {}
    return {int(value): str(name) for value, name in zip(features["index"], features[column], strict=True)}
