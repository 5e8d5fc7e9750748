"""Every format that masks can be kept in: what it holds, who writes it, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_clearclip.io import coco, geojson, imagej, npz, ometiff, omezarr, png, pyramid, raster, tables, yolo
from napari_clearclip.io.files import refusing
from napari_clearclip.io.masks import TRAITS, Masks, Trait, traits_of, without

LOSSES: dict[Trait, str] = {
    "overlap": "masks that overlap",
    "holes": "holes in masks",
    "instances": "numbered objects",
    "many": "more than 255 names",
    "stack": "the planes of a stack",
    "crs": "a coordinate system",
}


class LossError(ValueError):
    """A format cannot hold some masks, and what it would lose was not given up.

    Parameters
    ----------
    form : Format
        The format.
    refused : frozenset of Trait
        What it would lose.
    others : tuple of str
        Names of formats that hold everything.

    Attributes
    ----------
    reason : str
        The sentence without what to do about it.
    titles : tuple of str
        Those of `others` that are made of masks, as a list shows them.
    """

    def __init__(self, form: Format, refused: frozenset[Trait], others: tuple[str, ...]) -> None:
        self.reason = f"{form.title} cannot hold {' and '.join(LOSSES[trait] for trait in sorted(refused))}"
        self.titles = tuple(FORMATS[name].title for name in others if FORMATS[name].content == "masks")
        instead = f"use {' or '.join(others)}, or" if others else "export it differently, or"
        super().__init__(f"{self.reason}; {instead} allow it to be left out ({', '.join(sorted(refused))})")


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes
    ----------
    title : str
        As a list shows it.
    ending : str
        What is put behind ``<image>_clearclip_``; without a dot it is a folder.
    about : str
        Who reads it.
    holds : frozenset of str
        What it can hold beside names and masks.
    content : {"masks", "scores", "objects"}
        What it is made of; only masks are read back as `Masks`.
    write, read : callable
        For several images at once: a path and their masks, and back.
    joins : bool
        Whether several images go into one file or folder.
    """

    title: str
    ending: str
    about: str
    holds: frozenset[Trait]
    write: Callable[[Path, Iterable[Masks]], None]
    read: Callable[[Path], list[Masks]]
    joins: bool = False
    content: Literal["masks", "scores", "objects"] = "masks"


def _one(
    write: Callable[[Path, Masks], None], read: Callable[[Path], Masks]
) -> tuple[Callable[[Path, Iterable[Masks]], None], Callable[[Path], list[Masks]]]:
    """A format of a single image, called like those of several."""

    def write_one(path: Path, items: Iterable[Masks]) -> None:
        (masks,) = items
        write(path, masks)

    return write_one, lambda path: [read(path)]


def _format(title: str, ending: str, about: str, holds: str, *both: Callable[..., object], **more: Any) -> Format:
    write, read = both if more.get("joins") else _one(*both)  # type: ignore[arg-type]
    return Format(title, ending, about, frozenset(holds.split()), write, read, **more)  # type: ignore[arg-type]


def _no_masks(path: Path) -> Masks:
    """Refuse what holds something else."""
    raise ValueError(f"{path} holds scores or measures of objects, which do not give masks back; open a file of masks")


FORMATS: dict[str, Format] = {
    "tiff": _format(
        "Labels as TIFF", "labels.tif", "napari, Fiji, scikit-image; with a coordinate system QGIS and ArcGIS",
        "holes many stack crs", raster.write_masks, raster.read_masks,
    ),
    "pyramid": _format(
        "Labels as tiled TIFF with a pyramid", "pyramid.tif", "QGIS, QuPath, napari: large images",
        "holes many crs", pyramid.write_pyramid, raster.read_masks,
    ),
    "objects": _format(
        "Numbered objects as TIFF", "objects.tif", "napari, Fiji, cellpose, StarDist, QGIS",
        "holes instances many stack crs", raster.write_objects, raster.read_masks,
    ),
    "png": _format(
        "Indexed PNG", "labels.png", "training code that reads PASCAL VOC's palette images",
        "holes", png.write_indexed, png.read_indexed,
    ),
    "masks": _format(
        "A PNG a prompt", "masks", "image editors, and scripts that want one mask at a time",
        "overlap holes many", png.write_each, png.read_each,
    ),
    "ome-tiff": _format(
        "OME-TIFF", "masks.ome.tif", "Fiji, QuPath, OMERO: a channel a prompt",
        "overlap holes many stack", ometiff.write_ometiff, ometiff.read_ometiff,
    ),
    "coco": _format(
        "COCO JSON", "coco.json", "Detectron2, MMDetection, CVAT, FiftyOne, Label Studio",
        "overlap holes instances many stack", coco.write_coco, coco.read_coco, joins=True,
    ),
    "yolo": _format(
        "YOLO segmentation", "yolo", "Ultralytics YOLO",
        "overlap instances many", yolo.write_yolo, yolo.read_yolo, joins=True,
    ),
    "geojson": _format(
        "GeoJSON polygons", "masks.geojson", "QGIS, ArcGIS, geopandas, leaflet",
        "overlap holes instances many crs", geojson.write_geojson, geojson.read_geojson,
    ),
    "ome-zarr": _format(
        "OME-Zarr labels", "labels.ome.zarr", "napari-ome-zarr, vizarr, MoBIE, neuroglancer: with a pyramid",
        "holes instances many stack", omezarr.write_omezarr, omezarr.read_omezarr,
    ),
    "imagej": _format(
        "ImageJ ROIs", "rois.zip", "the ROI Manager of Fiji and ImageJ",
        "overlap holes instances many stack", imagej.write_imagej, imagej.read_imagej,
    ),
    "npz": _format(
        "NumPy archive", "masks.npz", "Python scripts: everything in one file",
        "overlap holes instances many stack crs", npz.write_npz, npz.read_npz,
    ),
    "scores": _format(
        "Score maps as TIFF", "scores.tif", "Fiji, Python; with a coordinate system QGIS and ArcGIS: a band a prompt",
        "overlap holes instances many stack crs", raster.write_scores, _no_masks, content="scores",
    ),
    "table": _format(
        "Table of objects", "objects.csv", "spreadsheets, pandas, R: a row an object",
        "overlap holes instances many stack crs", tables.write_table, _no_masks, content="objects",
    ),
}  # fmt: skip


def write(path: Path, items: Iterable[Masks], name: str, give_up: Collection[str] = ()) -> None:
    """Write masks of one or several images.

    Parameters
    ----------
    path : Path
        A file, or a folder where the format is one.
    items : iterable of Masks
        One an image; gone through once, so that they need not all be in memory.
    name : str
        A key of `FORMATS`.
    give_up : collection of str
        What may be left out if the format cannot hold it.

    Raises
    ------
    ImportError
        If the format's library is missing, with the extra to install.
    OSError
        If it cannot be written; an earlier file is still there then.
    ValueError
        If the format cannot hold something that was not given up, or takes one image only.
    """
    FORMATS[_known(name)].write(path, _all_fitted(items, name, give_up))


def _all_fitted(items: Iterable[Masks], name: str, give_up: Collection[str]) -> Iterator[Masks]:
    """The masks of each image as the format can hold them."""
    for at, masks in enumerate(items):
        if at and not FORMATS[name].joins:
            raise ValueError(f"{FORMATS[name].title} takes one image a file; write each to its own")
        yield fitted(masks, name, give_up)


def fitted(masks: Masks, name: str, give_up: Collection[str] = ()) -> Masks:
    """The masks as a format can hold them: without what is given up, if it cannot hold that.

    Raises
    ------
    LossError
        If it cannot hold something that was not given up.
    """
    form = FORMATS[_known(name)]
    lost = traits_of(masks, frozenset(TRAITS) - form.holds) - form.holds
    if refused := lost - frozenset(give_up):
        raise LossError(form, refused, tuple(key for key, other in FORMATS.items() if lost <= other.holds))
    return without(masks, lost)


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"the format {name!r} is not known; there are {', '.join(FORMATS)}")
    return name


def read(path: Path) -> list[Masks]:
    """The masks in a file or folder of any of the formats, known by its name and content.

    Raises
    ------
    ValueError
        If it is none of them, or damaged.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    with refusing(path):
        return FORMATS[format_of(path)].read(path)


def format_of(path: Path) -> str:
    """The format of a file or folder, by its name and what is in the folder.

    Raises
    ------
    ValueError
        If it is none that holds masks.
    """
    lower = path.name.lower()
    if lower == "data.yaml":
        return "yolo"
    if path.is_dir() and lower.endswith(".zarr"):
        return "ome-zarr"
    if path.is_dir():
        return "yolo" if (path / "data.yaml").exists() else "masks"
    endings = {
        ".npz": "npz",
        ".zip": "imagej",
        ".geojson": "geojson",
        ".json": "coco",
        ".png": "png",
        ".ome.tif": "ome-tiff",
        ".ome.tiff": "ome-tiff",
    }
    endings |= {".csv": "table", ".tif": "tiff", ".tiff": "tiff"}
    for ending, kind in endings.items():
        if lower.endswith(ending):
            return "scores" if kind == "tiff" and raster.role_of(path) == "scores" else kind
    raise ValueError(f"{path} is no format that holds masks; known are {', '.join(sorted(endings))} and folders")
