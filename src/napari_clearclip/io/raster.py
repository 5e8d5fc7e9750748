"""Labels, masks and scores as TIFF and PNG: of the image's shape, and lying where it lies."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import replacing
from napari_clearclip.io.placement import Placement

Array = npt.NDArray[Any]
Plane = Callable[[slice], Array]
"""Some rows (n, W) of a plane; so that a large plane is never held whole."""

# Rows are written together up to about this size; small strips can be read quickly, one by one.
_STRIP_BYTES = 1 << 20
_LARGEST_CLASSIC = 2**32 - 2**25


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
            yield zlib.compress(stored) if dtype.kind == "u" else stored


def _write(
    path: Path,
    planes: Iterable[Plane],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    described: dict[str, Any],
    placement: Placement,
) -> None:
    """A TIFF in strips, which ImageJ needs too; integers deflated."""
    import tifffile

    height, width = shape[-2:]
    step = max(min(_STRIP_BYTES // (width * dtype.itemsize), height), 1)
    axes = placement.axes if len(placement.axes) == len(shape) - 2 else "Q" * (len(shape) - 2)
    with replacing(path) as file:
        tifffile.imwrite(
            file,
            _strips(planes, height, step, dtype),
            shape=shape,
            dtype=dtype,
            byteorder="<",
            bigtiff=int(np.prod(shape)) * dtype.itemsize > _LARGEST_CLASSIC,
            photometric="minisblack",
            compression="zlib" if dtype.kind == "u" else None,
            rowsperstrip=step,
            resolution=placement.resolution,
            resolutionunit=placement.unit,
            software="napari-clearclip",
            metadata={"axes": f"{axes}YX", **described, **placement.spacing},
            extratags=placement.extra_tags,
        )
