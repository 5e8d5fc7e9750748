"""PNG: one indexed image with a palette, as the VOC data sets are, or a black and white one a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.edits import Mask
from napari_clearclip.io.files import distinct, replacing, replacing_folder, slug
from napari_clearclip.io.masks import Masks

_NAMES = "napari-clearclip"  # keyword of the text in which names are kept


def write_indexed(path: Path, masks: Masks) -> None:
    """One palette image: 0 = nothing, i + 1 = the i-th name, in its colour.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from PIL import Image

    image = Image.fromarray(np.asarray(masks.labels, np.uint8), "P")
    palette = [0, 0, 0]
    for color in masks.colors:
        palette += bytes.fromhex(color[1:])
    image.putpalette(palette)
    with replacing(path) as file:
        image.save(file, "PNG", pnginfo=_text({"names": masks.names, "colors": masks.colors, "image": masks.image}))


def read_indexed(path: Path) -> Masks:
    """Masks of an indexed PNG; names and colours are those it says, else numbers and its palette.

    Raises
    ------
    ValueError
        If the file is no indexed or grey PNG.
    """
    with _open(path) as image:
        if image.mode not in ("P", "L"):
            raise ValueError(f"{path} is no indexed PNG: its mode is {image.mode}; give one with a palette")
        labels = np.asarray(image)
        described = _described(image)
        palette = image.getpalette() or []
    names = tuple(described.get("names", ()))
    if not names:
        names = tuple(str(value) for value in range(1, int(labels.max(initial=0)) + 1))
    colors = tuple(described.get("colors", ()))
    if not colors:
        colors = tuple("#" + bytes(palette[3 * at : 3 * at + 3]).hex() for at in range(1, len(palette) // 3))
        colors = colors[: len(names)] if len(colors) >= len(names) else ()
    return Masks(names, labels, colors=colors, image=described.get("image", ""))


def write_each(path: Path, masks: Masks) -> None:
    """A folder with one PNG a name: 0 and 255; other files in it are left as they are.

    Raises
    ------
    OSError
        If the folder or a file cannot be written.
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    parts = distinct(slug(name) for name in masks.names)
    with replacing_folder(path, keep=True) as folder:
        for at, (part, mask) in enumerate(zip(parts, masks, strict=True)):
            described = {"name": masks.names[at], "color": masks.colors[at], "place": at, "image": masks.image}
            with replacing(folder / f"{part}.png") as file:
                Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(file, "PNG", pnginfo=_text(described))


def read_each(path: Path) -> Masks:
    """Masks of a folder with one PNG a name; where a file does not say its name, the file's own is taken.

    Raises
    ------
    ValueError
        If the folder holds no PNG, or they are not of one size.
    """
    found: list[tuple[int, str, dict[str, Any], Mask]] = []
    for file in sorted(path.glob("*.png")):
        with _open(file) as image:
            described = _described(image)
            mask = np.asarray(image.convert("L")) > 127
        found.append((described.get("place", len(found)), described.get("name", file.stem), described, mask))
    if not found:
        raise ValueError(f"the folder {path} holds no PNG; give one with a black and white image a name")
    found.sort(key=lambda item: item[0])
    colors = tuple(item[2].get("color", "") for item in found)
    image_name = found[0][2].get("image", "")
    return Masks.from_each(
        [item[1] for item in found],
        [item[3] for item in found],
        colors=colors if all(colors) else (),
        image=image_name,
    )


def _text(content: dict[str, Any]) -> Any:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt(_NAMES, json.dumps(content, ensure_ascii=False))
    return text


def _described(image: Any) -> dict[str, Any]:
    """What we wrote beside the pixels, if it is ours."""
    try:
        content = json.loads(image.text.get(_NAMES, "{}"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _open(path: Path) -> Any:
    """A PNG whose pixels can be read.

    Raises
    ------
    ValueError
        If it is missing, damaged, no PNG, or declares more pixels than Pillow takes for sane.
    """
    from PIL import Image

    try:
        image = Image.open(path, formats=["PNG"])
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a PNG: {error}") from error
    return image
