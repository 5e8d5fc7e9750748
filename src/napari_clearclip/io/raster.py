"""Labels, masks and scores as TIFF and PNG: of the image's shape, and lying where it lies."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import refusing, replacing
from napari_clearclip.io.limits import check_size
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.placement import Placement, placement_of, tags_of
from napari_clearclip.result import Georeference

if TYPE_CHECKING:
    from tifffile import TiffFile

Array = npt.NDArray[Any]
Plane = Callable[[slice], Array]
"""Some rows (n, W) of a plane; so that a large plane is never held whole."""

# Rows are written together up to about this size; small strips can be read quickly, one by one.
_STRIP_BYTES = 1 << 20
SOFTWARE = "napari-clearclip"  # what every TIFF of ours says that it was written by
_GDAL_METADATA = 42112
LARGEST_CLASSIC = 2**32 - 2**25


def write_labels(
    path: Path,
    planes: Iterable[Plane],
    shape: tuple[int, ...],
    prompts: tuple[str, ...],
    placement: Placement | None = None,
) -> None:
    """A TIFF of labels: 0 = nothing, i = the i-th prompt.

    Parameters
    ----------
    path : Path
        Where to; an earlier file is replaced once the new one is whole.
    planes : iterable of callable
        For each plane of a stack a function from a slice of rows to (n, W) uint8 labels.
    shape : tuple of int
        (H, W), with the lengths of a stack before it.
    prompts : tuple of str
        Names, kept in the TIFF's description: ``read_labels`` gives them back.
    placement : Placement, optional
        Where the source's pixels lie.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    _write(path, planes, shape, np.dtype("u1"), {"prompts": list(prompts)}, placement or Placement())


def read_labels(path: Path) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Labels and prompt names that `write_labels` wrote.

    Raises
    ------
    ValueError
        If the file has no prompt names in it.
    """
    import tifffile

    with tifffile.TiffFile(path) as tif:
        described = (tif.shaped_metadata or ({},))[0]
        if "prompts" not in described:
            raise ValueError(f"{path} has no prompt names; it was not written by napari-clearclip")
        return np.asarray(tif.asarray(), np.uint8), tuple(described["prompts"])


def write_masks(path: Path, masks: Masks) -> None:
    """A TIFF of labels, as `write_labels`, from masks that do not overlap; a GeoTIFF where the image is one.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the coordinate system cannot be written without the source's own tags.
    """
    described = describe(masks)
    _write(path, _rows_of(masks.labels), masks.labels.shape, masks.labels.dtype, described, placed(masks))


def write_objects(path: Path, masks: Masks) -> None:
    """A TIFF of numbered objects: 0 = none, int32; which name each number has stands in the description.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If there are no objects, or their numbers do not fit into 32 bits.
    """
    if masks.instances is None:
        raise ValueError("there are no objects; split the masks first, or choose a format of labels")
    if int(masks.instances.max(initial=0)) >= 2**31:
        raise ValueError("an object's number does not fit into 32 bits; use .npz")
    described = describe(masks)
    described["objects"] = [np.unique(masks.instances[mask]).tolist() for mask in masks]
    _write(path, _rows_of(masks.instances), masks.labels.shape, np.dtype("<i4"), described, placed(masks))


def read_masks(path: Path) -> Masks:
    """The masks in a TIFF that `write_labels`, `write_masks` or `write_objects` wrote.

    Raises
    ------
    ValueError
        If the file is damaged or says no names.
    """
    data, described, placement, georeference = _read(path, "masks", "prompts")
    names = tuple(described["prompts"])
    labels = data
    if "objects" in described:
        labels = np.zeros(data.shape, np.uint8 if len(names) < 256 else np.uint16)
        for at, numbers in enumerate(described["objects"], 1):
            labels[np.isin(data, numbers)] = at
    return Masks(
        names,
        labels,
        instances=data if "objects" in described else None,
        colors=tuple(described.get("colors", ())),
        image=described.get("image", ""),
        placement=placement,
        georeference=georeference,
    )


def _read(path: Path, what: str, names: str) -> tuple[Array, dict[str, Any], Placement, Georeference | None]:
    """What a TIFF holds, and says of itself and of its place; it must say `names`."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            described = _described(tif)
            if names not in described:
                raise ValueError(f"it says no names of {what}, so that it was not written by napari-clearclip")
            check_size(tif.series[0].shape, stored=path.stat().st_size)
            data = np.asarray(tif.asarray())
            placement, georeference = placement_of(tif.series[0].keyframe, None)
            axes = tif.series[0].axes
    except (OSError, ValueError, tifffile.TiffFileError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as {what}: {error}") from error
    return data, described, replace(placement, axes=axes[:-2].replace("S", "")), georeference


def write_scores(path: Path, masks: Masks) -> None:
    """A TIFF of scores, float32 in [0, 1], a band a name; a GeoTIFF where the image is one.

    Pixels without data are not a number, which is declared as no data. Scores are bilinear between cells.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If there are no scores, or the coordinate system cannot be written without the source's own tags.
    """
    if masks.scores is None:
        raise ValueError("there are no scores; masks that were read from a file or drawn have none")
    names = "".join(  # GDAL escapes texts twice
        f'<Item name="DESCRIPTION" sample="{at}" role="description">{escape(escape(name))}</Item>'
        for at, name in enumerate(masks.names)
    )
    planes = (partial(masks.at(plane).score_map, at) for plane in masks.planes for at in range(len(masks.names)))
    described = {"scores": list(masks.names), "colors": list(masks.colors), "image": masks.image}
    *stack, height, width = masks.labels.shape
    shape = (*stack, len(masks.names), height, width)
    placing, about = placed(masks), f"<GDALMetadata>{names}</GDALMetadata>"
    _write(path, planes, shape, np.dtype("<f4"), described, placing, bands=about)


def read_scores(path: Path) -> tuple[Array, tuple[str, ...]]:
    """Scores (P, ..., H, W) and the name of each that `write_scores` wrote.

    Raises
    ------
    ValueError
        If the file is damaged or was not written by it.
    """
    with refusing(path):
        data, described, *_ = _read(path, "scores", "scores")
        names = tuple(described["scores"])
        return (data[None] if len(names) == 1 else np.moveaxis(data, -3, 0)), names


def role_of(path: Path) -> Literal["", "masks", "scores"]:
    """What a TIFF that was written here holds; empty for any other."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            if not len(tif.pages) or str(tif.pages.first.software) != SOFTWARE:
                return ""
            described = _described(tif)
            return "masks" if tif.is_ome or "prompts" in described else "scores" if "scores" in described else ""
    except (OSError, ValueError, tifffile.TiffFileError):
        return ""


def _described(tif: TiffFile) -> dict[str, Any]:
    """What a TIFF of ours says of itself; tifffile knows the form of those without a pyramid."""
    if tif.shaped_metadata:
        return dict(tif.shaped_metadata[0])
    try:
        found = json.loads(tif.pages.first.description)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _rows_of(array: Array) -> Iterator[Plane]:
    """Each plane of a stack as a function of rows."""
    for plane in np.ndindex(array.shape[:-2]):
        yield partial(_some_rows, array[plane])


def _some_rows(array: Array, rows: slice) -> Array:
    return array[rows]


def describe(masks: Masks) -> dict[str, Any]:
    """What a TIFF says of its labels."""
    return {"prompts": list(masks.names), "colors": list(masks.colors), "image": masks.image}


def placed(masks: Masks) -> Placement:
    """Where the masks lie, as tags."""
    if masks.georeference is None or masks.placement.tags:
        return masks.placement
    return replace(masks.placement, tags=tags_of(masks.georeference))


def write_similarity(
    path: Path, planes: Iterable[Plane], shape: tuple[int, ...], prompt: str, placement: Placement | None = None
) -> None:
    """A TIFF of one prompt's score, float32 in [0, 1]; see `write_labels`."""
    _write(path, planes, shape, np.dtype("<f4"), {"prompt": prompt}, placement or Placement())


def write_mask(
    path: Path, planes: Iterable[Plane], shape: tuple[int, ...], prompt: str, placement: Placement | None = None
) -> None:
    """One prompt's mask as 0 and 255: a PNG for a single plane, a TIFF if `path` ends with .tif; see `write_labels`."""
    if path.suffix != ".png":
        _write(path, planes, shape, np.dtype("u1"), {"prompt": prompt}, placement or Placement())
        return
    (plane,) = planes
    write_photograph(path, np.asarray(plane(slice(0, shape[0])), np.uint8))


def write_photograph(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """A PNG of an image (H, W) or (H, W, 3).

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import imageio.v3 as imageio

    with replacing(path) as file:
        imageio.imwrite(file, image, extension=".png")


def _strips(planes: Iterable[Plane], height: int, step: int, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Strips of some rows as they are stored, plane by plane; only integers are worth being compressed."""
    for plane in planes:
        for start in range(0, height, step):
            rows = plane(slice(start, min(start + step, height)))
            stored = np.ascontiguousarray(rows, dtype).tobytes()
            yield zlib.compress(stored) if dtype.kind in "iu" else stored


def _write(
    path: Path,
    planes: Iterable[Plane],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    described: dict[str, Any],
    placement: Placement,
    bands: str = "",
) -> None:
    """A TIFF in strips, which ImageJ needs too; integers deflated; (..., C, H, W) with what GDAL says of `bands`."""
    import tifffile

    height, width = shape[-2:]
    step = max(min(_STRIP_BYTES // (width * dtype.itemsize), height), 1)
    stack = len(shape) - (3 if bands else 2)
    axes = placement.axes if len(placement.axes) == stack else "Q" * stack
    tags = placement.extra_tags("nan" if bands else "0")
    options: dict[str, Any] = {}
    if bands:
        tags.append((_GDAL_METADATA, "s", 0, bands.encode(), True))  # in UTF-8, as GDAL reads it
        if shape[-3] > 1:
            options["planarconfig"], axes = "separate", axes + "S"
        else:
            shape = (*shape[:-3], height, width)
    with replacing(path) as file:
        tifffile.imwrite(
            file,
            _strips(planes, height, step, dtype),
            shape=shape,
            dtype=dtype,
            byteorder="<",
            bigtiff=int(np.prod(shape)) * dtype.itemsize > LARGEST_CLASSIC,
            photometric="minisblack",
            compression="zlib" if dtype.kind in "iu" else None,
            rowsperstrip=step,
            resolution=placement.resolution,
            resolutionunit=placement.unit,
            software=SOFTWARE,
            metadata={"axes": f"{axes}YX", **described, **placement.spacing},
            extratags=tags,
            **options,
        )
