"""Masks in napari's own File menu: what we export is opened, and any labels are saved as it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.io.formats import FORMATS, format_of, read, write
from napari_clearclip.io.masks import Masks

LayerData = tuple[Any, dict[str, Any], str]


def layers_in(path: Path) -> list[LayerData]:
    """A labels layer for each image in the file, or for each mask where they overlap, and one of its objects."""
    found = []
    for masks in read(path):
        name = masks.image or path.stem
        common: dict[str, Any] = {}
        if masks.spacing:
            common = {"scale": masks.spacing, "units": (masks.unit,) * len(masks.spacing)}
        if masks.instances is not None:
            found.append((masks.instances.astype(np.int64), {"name": f"{name} · objects", **common}, "labels"))
        if masks.overlaps is None:
            found.append((masks.labels, {"name": f"{name} · masks", **_classes(masks), **common}, "labels"))
        else:
            for index, one in enumerate(masks.names):
                single = Masks((one,), masks.mask(index).astype(np.uint8), colors=masks.colors[index : index + 1])
                found.append((single.labels, {"name": f"{name} · {one}", **_classes(single), **common}, "labels"))
    return found


def _classes(masks: Masks) -> dict[str, Any]:
    """Names and colours of a layer's values."""
    values = list(range(1, len(masks.names) + 1))
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    return {
        "features": {"index": [0, *values], "name": ["background", *masks.names]},
        "colormap": colors | dict(zip(values, masks.colors, strict=True)),
        "metadata": {"classes": dict(zip(values, masks.names, strict=True))},
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
        known = attributes.get("metadata", {}).get("classes") or _named(attributes.get("features"))
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


def _named(features: Any) -> dict[int, str]:
    """Names by value, of a features table that has them."""
    if features is None or "name" not in features or "index" not in features:
        return {}
    return {int(value): str(name) for value, name in zip(features["index"], features["name"], strict=True)}
