"""YOLO's segmentation data sets: a text of polygons an image, and one ``data.yaml`` with the names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from napari_clearclip.edits import Mask
from napari_clearclip.io.files import as_yaml, read_text, replacing, replacing_folder
from napari_clearclip.io.limits import check_size, check_together
from napari_clearclip.io.masks import Masks

_LIST = "data.yaml"
_WHAT = "the list"


def write_yolo(folder: Path, items: Iterable[Masks]) -> None:
    """``labels/<image>.txt`` for each image, and ``data.yaml``.

    Each connected part, or each object, is a line: the name's number and the centres x, y of its border's pixels as
    shares of width and height. Ultralytics draws them with OpenCV's ``fillPoly``, which gives back the same pixels.

    Parameters
    ----------
    folder : Path
        Where to; other files in it are left as they are.
    items : iterable of Masks
        One an image, gone through once.

    Raises
    ------
    ImportError
        If OpenCV is missing.
    OSError
        If the folder cannot be written to.
    ValueError
        If two images have one name, or an object has several parts, which a line cannot hold.
    """
    import yaml

    colors: dict[str, str] = {}  # of each name, in order of their numbers
    texts: dict[str, str] = {}
    images = []
    for masks in items:
        for name, color in zip(masks.names, masks.colors, strict=True):
            colors.setdefault(name, color)
        stem = PurePath(masks.image).stem
        if stem in texts:
            raise ValueError(f"two of the images have the same name, {stem}; rename one")
        texts[stem] = "".join(line + "\n" for line in _lines(masks, list(colors)))
        objects = masks.instances is not None
        images.append({"file_name": masks.image, "size": list(masks.labels.shape), "objects": objects})
    about = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(colors))}
    about |= {"colors": list(colors.values()), "annotated": images}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(folder, keep=True) as new:
        (new / "labels").mkdir(exist_ok=True)
        for stem, text in texts.items():
            with replacing(new / "labels" / f"{stem}.txt") as file:
                file.write_text(text, encoding="ascii")
        with replacing(new / _LIST) as file:
            file.write_text(yaml.safe_dump(about, allow_unicode=True, sort_keys=False), "utf-8")


def _lines(masks: Masks, names: list[str]) -> list[str]:
    """The lines of one image."""
    height, width = masks.labels.shape
    lines = []
    for index, name in enumerate(masks.names):
        for number, (rows, cols), crop in masks.objects(index):
            borders = _borders(crop)
            if number and len(borders) > 1:
                what = f"object {number} of {name!r} has {len(borders)} parts"
                raise ValueError(f"{what}; YOLO holds one polygon a line: split it first")
            for border in borders:
                shares = (border + np.array([cols.start, rows.start]) + 0.5) / (width, height)
                lines.append(" ".join([str(names.index(name)), *(f"{share:.8f}" for share in shares.ravel())]))
    return lines


def _borders(crop: Mask) -> list[Any]:
    """For each part the centres (n, 2) x, y of its outer border's pixels, at least three."""
    cv2 = _opencv()
    found, _ = cv2.findContours(crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [np.resize(points.reshape(-1, 2), (max(len(points), 3), 2)) for points in found]


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError('YOLO needs OpenCV: pip install "napari-clearclip[yolo]"') from error
    return cv2


def read_yolo(path: Path) -> list[Masks]:
    """The masks of every image that `write_yolo` wrote into a folder, or beside a ``data.yaml``.

    Raises
    ------
    ImportError
        If OpenCV is missing.
    ValueError
        If a file is missing, damaged, or points out of the folder.
    """
    folder = path.parent if path.name == _LIST else path
    try:
        about = as_yaml(read_text(folder / _LIST, _WHAT), folder / _LIST, _WHAT)
        given = about["names"]
        names = [str(name) for name in (given if isinstance(given, list) else [given[at] for at in range(len(given))])]
        colors = tuple(map(str, about.get("colors", ())))
        check_together(item["size"] for item in about["annotated"])
        return [replace(_read_image(folder, names, item), colors=colors) for item in about["annotated"]]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the list {folder / _LIST} lacks names or sizes of images: {error!r}") from error


def _read_image(folder: Path, names: list[str], about: dict[str, Any]) -> Masks:
    cv2 = _opencv()
    height, width = (int(size) for size in about["size"])
    check_size((height, width), len(names))
    each = [np.zeros((height, width), np.uint8) for _ in names]
    instances = np.zeros((height, width), np.int32)
    path = folder / "labels" / f"{PurePath(about['file_name']).stem}.txt"
    for number, line in enumerate(read_text(path, "the labels").splitlines(), 1):
        try:
            index, *shares = line.split()
            points = np.array(shares, float).reshape(-1, 2)
            target = each[_class(index)]
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {number} of {path} is not a class and pairs of x and y: {error}") from error
        if not len(points):  # which some OpenCV crash on
            raise ValueError(f"line {number} of {path} has a class and no points")
        if not np.all((points >= 0) & (points <= 1)):
            raise ValueError(f"line {number} of {path} has points outside the image")
        corners = (points * (width, height)).astype(np.int32)[None]  # as Ultralytics does
        cv2.fillPoly(target, corners, 1)
        cv2.fillPoly(instances, corners, number)
    masks = Masks.from_each(names, [mask.astype(bool) for mask in each], image=str(about["file_name"]))
    return replace(masks, instances=instances) if about["objects"] and masks.overlaps is None else masks


def _class(text: str) -> int:
    """The number of a class; a negative one would count from the last."""
    if (number := int(text)) < 0:
        raise IndexError(f"class {number} does not exist")
    return number
