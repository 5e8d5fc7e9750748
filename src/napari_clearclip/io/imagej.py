"""ImageJ's ROI Manager: a zip of outlines, one a name or object, with their holes."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import distinct, replacing
from napari_clearclip.io.limits import check_size
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.polygons import Polygon, filled, polygons_of

_OURS = 0xC1EA  # of the extra field of a file in a zip that says whose outline it is; others pass over it
_LONGEST = 2**16 - 1  # bytes that the comment of a zip may have
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # segments of a path, as ImageJ numbers them
_MOST_BYTES = 2**31


def write_imagej(path: Path, masks: Masks) -> None:
    """A zip for Fiji's ROI Manager: composite ROIs along the pixels' borders, named by prompt and object.

    Parameters
    ----------
    path : Path
        Where to; the name ends in .zip.
    masks : Masks
        A plane, or a stack of up to two axes: ImageJ's frames and slices.

    Raises
    ------
    ImportError
        If roifile or rasterio is missing.
    OSError
        If the file cannot be written.
    ValueError
        If the stack has more axes.
    """
    if masks.labels.ndim > 4:
        raise ValueError(f"ROIs have a frame and a slice, not {masks.labels.ndim - 2} axes; use .npz or COCO")
    rois, about = [], []
    for plane in masks.planes:
        part = masks.at(plane)
        for index, name in enumerate(masks.names):
            for number, (rows, cols), crop in part.objects(index):
                title = f"{name}-{number}" if number else name
                rois.append(_roi(title, list(polygons_of(crop)), (cols.start, rows.start), plane, masks.colors[index]))
                about.append({"name": index, "object": number, "plane": plane})
    files = [f"{title}.roi" for title in distinct(roi.name.replace("/", "-") for roi in rois)]
    content: dict[str, Any] = {
        "names": masks.names,
        "colors": masks.colors,
        "image": masks.image,
        "shape": masks.labels.shape,
    }
    comment = json.dumps(content, ensure_ascii=False).encode()
    if len(comment) > _LONGEST:
        raise ValueError(f"the names have {len(comment):,} bytes together, more than a zip can say; use .npz or COCO")
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment  # no file of its own: programs take all files in the zip for outlines
        for name, roi, item in zip(files, rois, about, strict=True):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            said = json.dumps(item).encode()
            info.extra = struct.pack("<HH", _OURS, len(said)) + said
            archive.writestr(info, roi.tobytes())


def _roi(title: str, polygons: list[Polygon], corner: tuple[int, int], plane: tuple[int, ...], color: str) -> Any:
    """A composite ROI of polygons that lie at a corner (x, y)."""
    roifile = _roifile()
    title = "".join(letter if letter <= "\uffff" else "\ufffd" for letter in title)  # roifile counts letters as 16 bits
    rings = [ring[:-1] + corner for exterior, holes in polygons for ring in (exterior, *holes)]
    points = np.concatenate(rings)
    left, top = points.min(axis=0).astype(int).tolist()
    right, bottom = points.max(axis=0).astype(int).tolist()
    path = np.concatenate([_path(ring) for ring in rings]).astype(np.float32)
    roi = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, name=title, left=left, top=top, right=right, bottom=bottom,
        stroke_color=bytes.fromhex(f"ff{color[1:]}"), shape_roi_size=len(path), multi_coordinates=path,
    )  # fmt: skip
    if plane:
        roi.t_position, roi.z_position = (0, *plane)[-2] + (len(plane) > 1), plane[-1] + 1
        roi.position = plane[-1] + 1 if len(plane) == 1 else 0
    return roi


def _path(ring: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A closed path through corners: move to the first, lines to the others, close."""
    kinds = np.full((len(ring), 1), _LINE)
    kinds[0] = _MOVE
    return np.append(np.hstack([kinds, ring]).ravel(), _CLOSE)


def _roifile() -> Any:
    try:
        import roifile
    except ImportError as error:
        raise ImportError('ImageJ\'s ROIs need roifile: pip install "napari-clearclip[imagej]"') from error
    return roifile


def read_imagej(path: Path) -> Masks:
    """The masks of a zip that `write_imagej` wrote.

    Raises
    ------
    ImportError
        If roifile or rasterio is missing.
    ValueError
        If the file is damaged, was not written by us (ROIs alone do not say how large their image is), or would unpack
        to more than can be meant.
    """
    roifile = _roifile()
    try:
        with zipfile.ZipFile(path) as archive:
            if (size := sum(item.file_size for item in archive.infolist())) > _MOST_BYTES:
                raise ValueError(f"it would unpack to {size:,} bytes")
            if not archive.comment:
                raise ValueError("it does not say how large the image is, since another program wrote it")
            about = json.loads(archive.comment)
            rois = [
                (_said(item.extra), roifile.ImagejRoi.frombytes(archive.read(item)))
                for item in archive.infolist()
                if item.filename.endswith(".roi")
            ]
        shape = tuple(int(size) for size in about["shape"])
        check_size(shape, len(about["names"]))
        return _masks(about, shape, rois)
    except (OSError, KeyError, TypeError, IndexError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as ROIs of ours: {error}") from error


def _said(extra: bytes) -> dict[str, Any]:
    """What our extra field of a file in a zip says."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == _OURS:
            found: dict[str, Any] = json.loads(extra[4 : 4 + length])
            return found
        extra = extra[4 + length :]
    raise ValueError("one of its outlines does not say what it is of")


def _masks(about: dict[str, Any], shape: tuple[int, ...], rois: Sequence[tuple[dict[str, Any], Any]]) -> Masks:
    each = [np.zeros(shape, bool) for _ in about["names"]]
    instances = np.zeros(shape, np.int64)
    for item, roi in rois:
        rings = [np.asarray(ring, float) - (roi.left, roi.top) for ring in roi.coordinates(multi=True)]
        rows, cols = slice(roi.top, roi.bottom), slice(roi.left, roi.right)
        where = (*item["plane"], rows, cols)
        if not (0 <= rows.start <= rows.stop <= shape[-2] and 0 <= cols.start <= cols.stop <= shape[-1]):
            raise ValueError(f"a ROI from {rows.start, cols.start} to {rows.stop, cols.stop} lies outside of {shape}")
        crop = filled(rings, (roi.bottom - roi.top, roi.right - roi.left))
        each[item["name"]][where] |= crop
        instances[where][crop] = item["object"]
    fields = {"colors": tuple(about["colors"]), "image": about["image"]}
    if not instances.any():
        return Masks.from_each(about["names"], each, **fields)
    return Masks.from_each(about["names"], each, instances=instances, **fields)
