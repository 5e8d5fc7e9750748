"""COCO's JSON of annotations, with run-length encoded masks: read by pycocotools, CVAT, FiftyOne and many more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Mask
from napari_clearclip.io.files import as_json, read_text, replacing
from napari_clearclip.io.limits import check_size, check_together
from napari_clearclip.io.masks import Masks

Json = dict[str, Any]
_WHAT = "the COCO file"
_FARTHEST = 2  # widths and heights of the image at which corners may lie


def write_coco(path: Path, items: Iterable[Masks], polygons: bool = False) -> None:
    """The annotations of several images in one file.

    Parameters
    ----------
    path : Path
        Where to.
    items : iterable of Masks
        One an image, gone through once; each plane of a stack becomes an image of its own, with the same file name and
        its place in the key ``plane``.
    polygons : bool
        Whether to add to each annotation, beside the exact mask, a key ``polygons``: a list of ``{"exterior": [x0, y0,
        x1, ...], "holes": [[x0, y0, ...], ...]}`` along the pixels' borders.

    Raises
    ------
    OSError
        If the file cannot be written.

    Notes
    -----
    Without objects each name's mask is one annotation. ``score`` is the mean score over the annotation's pixels.

    References
    ----------
    Lin et al., Microsoft COCO: Common Objects in Context, 2014; the format as in https://cocodataset.org/#format-data.
    """
    colors: dict[str, str] = {}  # of each name, in order of their numbers
    images: list[Json] = []
    annotations: list[Json] = []
    for masks in items:
        for name, color in zip(masks.names, masks.colors, strict=True):
            colors.setdefault(name, color)
        for plane in masks.planes:
            image: Json = {"id": len(images) + 1, "file_name": masks.image}
            image |= {"width": masks.labels.shape[-1], "height": masks.labels.shape[-2]}
            if plane:
                image |= {"plane": list(plane), "stack": list(masks.labels.shape[:-2])}
            images.append(image)
            for found in _annotations(masks.at(plane), list(colors), polygons):
                annotations.append({"id": len(annotations) + 1, "image_id": image["id"], **found})
    categories = [{"id": at, "name": name, "color": color} for at, (name, color) in enumerate(colors.items(), 1)]
    content = {
        "info": {"description": "Masks of napari-clearclip", "version": "1.0"},
        "licenses": [],
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    with replacing(path) as file:
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _annotations(masks: Masks, names: list[str], polygons: bool) -> Iterator[Json]:
    """The annotations of one plane: its objects, or else one for each name."""
    from pycocotools import mask as rle

    height, width = masks.labels.shape
    for index, name in enumerate(masks.names):
        for number, (rows, cols), crop in masks.objects(index):
            runs = _runs(crop, rows.start, cols.start, height, width)
            packed = rle.frPyObjects({"size": [height, width], "counts": runs}, height, width)
            found: Json = {"category_id": names.index(name) + 1, "iscrowd": 0}
            found["segmentation"] = {"size": [height, width], "counts": packed["counts"].decode("ascii")}
            found["area"] = int(np.count_nonzero(crop))
            found["bbox"] = [cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start]
            if number:
                found["instance"] = number
            if (score := masks.score(index, (rows, cols), crop)) is not None:
                found["score"] = round(score, 6)
            if polygons:
                found["polygons"] = _polygons(crop, rows.start, cols.start)
            yield found


def _runs(crop: Mask, top: int, left: int, height: int, width: int) -> list[int]:
    """Lengths of runs of zeros and ones in turn, down the columns, of a mask (height, width) that is true in a crop."""
    columns = np.pad(crop.T.view(np.uint8), ((0, 0), (1, 1)))
    turns = np.flatnonzero(columns[:, 1:] != columns[:, :-1])  # in turn where ones begin and end, column by column
    col, row = np.divmod(turns, crop.shape[0] + 1)
    borders = (col + left) * height + row + top
    joined = np.flatnonzero(borders[1:-1:2] == borders[2::2])  # ones that go on at the top of the next column
    borders = np.delete(borders, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    runs: list[int] = np.diff(borders, prepend=0, append=height * width).tolist()
    return runs if runs[-1] else runs[:-1]


def _polygons(crop: Mask, top: int, left: int) -> list[Json]:
    from napari_clearclip.io.polygons import polygons_of

    return [
        {
            "exterior": np.add(exterior, (left, top)).ravel().tolist(),
            "holes": [np.add(hole, (left, top)).ravel().tolist() for hole in holes],
        }
        for exterior, holes in polygons_of(crop)
    ]


def read_coco(path: Path) -> list[Masks]:
    """The masks of every image in the file; where planes of a stack are said, they are one stack again.

    Every category is a name of every image, in the file's order. Polygons, as other programs write them, are read too;
    several annotations of a category become numbered objects.

    Raises
    ------
    ValueError
        If the file cannot be read or is not of this form.
    """
    content = as_json(read_text(path, _WHAT), path, _WHAT)
    try:
        names = [str(item["name"]) for item in content["categories"]]
        colors = tuple(str(item.get("color", "")) for item in content["categories"])
        order = {item["id"]: at for at, item in enumerate(content["categories"])}
        grouped: dict[tuple[str, tuple[int, ...]], list[Json]] = {}
        for image in content["images"]:
            grouped.setdefault((str(image["file_name"]), tuple(image.get("stack", ()))), []).append(image)
        by_image: dict[int, list[Json]] = {}
        for annotation in content["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        found: list[Masks] = []
        check_together((int(image["height"]), int(image["width"])) for image in content["images"])
        for (name, stack), images in grouped.items():
            groups = [images] if stack else [[image] for image in images]
            found += [_read_image(names, order, name, stack, group, by_image) for group in groups]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"the COCO file {path} lacks what its form asks for: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"the COCO file {path} cannot be used: {error}") from error
    return [_coloured(masks, colors) for masks in found]


def _coloured(masks: Masks, colors: tuple[str, ...]) -> Masks:
    return replace(masks, colors=colors) if all(colors) and colors else masks


def _read_image(
    names: list[str],
    order: dict[int, int],
    name: str,
    stack: tuple[int, ...],
    images: list[Json],
    by_image: dict[int, list[Json]],
) -> Masks:
    """The masks of one image or stack."""
    height, width = int(images[0]["height"]), int(images[0]["width"])
    shape = (*stack, height, width)
    check_size(shape, len(names))
    bits = np.zeros((len(names), *shape[:-1], -(-width // 8)), np.uint8)
    instances = np.zeros(shape, np.int32)
    numbered = False
    for image in images:
        if (int(image["height"]), int(image["width"])) != (height, width):
            raise ValueError(f"the planes of {name} differ in size")
        plane = tuple(image.get("plane", ()))
        if len(plane) != len(stack) or any(not 0 <= at < size for at, size in zip(plane, stack, strict=True)):
            raise ValueError(f"plane {plane} of {name} does not exist in a stack of {stack}")
        annotations = by_image.get(image["id"], [])
        several = len({item["category_id"] for item in annotations}) < len(annotations)
        for at, annotation in enumerate(annotations, 1):
            mask = _decode(annotation["segmentation"], height, width)
            bits[(order[annotation["category_id"]], *plane)] |= np.packbits(mask, axis=-1)
            number = annotation.get("instance", at if several else 0)
            numbered = numbered or bool(number)
            instances[plane][mask & (instances[plane] == 0)] = number
    each = [np.unpackbits(part, axis=-1, count=width).view(bool) for part in bits]
    masks = Masks.from_each(names, each, image=name)
    return replace(masks, instances=instances) if numbered and masks.overlaps is None else masks


def _check_polygons(polygons: list[Any], height: int, width: int) -> None:
    """Refuse corners far from the image: to draw them takes memory in proportion to their distance."""
    for polygon in polygons:
        points = np.asarray(polygon, float).reshape(-1, 2)
        if len(points) < 3 or not np.all(np.abs(points / (width, height)) <= _FARTHEST):
            raise ValueError(f"a polygon of {len(points)} points is none, or lies far outside of its image")


def _decode(segmentation: Any, height: int, width: int) -> Mask:
    """The mask of a segmentation: compressed or plain run lengths, or polygons."""
    from pycocotools import mask as rle

    if isinstance(segmentation, list):
        _check_polygons(segmentation, height, width)
        packed = rle.merge(rle.frPyObjects(segmentation, height, width))
    else:
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"a mask has size {segmentation['size']}, but its image has {[height, width]}")
        counts = segmentation["counts"]
        if isinstance(counts, list):
            if sum(counts) != height * width or min(counts, default=0) < 0:
                raise ValueError(f"the run lengths of a mask cover {sum(counts)} of {height * width} pixels")
            packed = rle.frPyObjects(segmentation, height, width)
        else:
            packed = segmentation
    decoded: npt.NDArray[np.uint8] = rle.decode(packed)
    return decoded.astype(bool)
