"""Images from files, as they are stored, with what the file says about how to look at them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Plane, View
from napari_clearclip.io.declared import COLOURS, band_names, view_of
from napari_clearclip.io.gdal import blocks_of
from napari_clearclip.io.pixels import pixel_of
from napari_clearclip.io.placement import Placement, placement_of
from napari_clearclip.io.zarrs import is_zarr, open_zarr
from napari_clearclip.result import Georeference

if TYPE_CHECKING:
    from tifffile import TiffPage, TiffPageSeries

Array = npt.NDArray[np.generic]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMPY = b"\x93NUMPY"
_LARGE = 2**28  # bytes from which on a TIFF is not read at once, if it need not be


class UnreadableImageError(OSError):
    """An image file that is missing, damaged or in no known format; the message is one sentence."""


@dataclass(frozen=True)
class Picture:
    """An image file's content.

    Attributes
    ----------
    name : str
        File name without its ending.
    data : array-like
        Stored values, perhaps `Lazy`; axes of the stack first, then rows, columns and channels as `view` says.
    view : View
        How the file says it is to be looked at: channel axis, order of channels, nodata, alpha; no plane.
    placement : Placement
        Where the pixels lie, as a TIFF says it, for every TIFF made from this one.
    georeference : Georeference or None
        The same as coordinate system and transform, where it is known.
    smaller : tuple of array
        Copies of less and less detail that the file holds, where `data` is not read at once.
    """

    name: str
    data: Any
    view: View = View()
    placement: Placement = field(default_factory=Placement)
    georeference: Georeference | None = None
    smaller: tuple[Array, ...] = ()

    @property
    def stack(self) -> tuple[int, ...]:
        """Lengths of the leading axes; () for a single plane."""
        return tuple(self.data.shape[: self.data.ndim - (2 if self.view.channel_axis is None else 3)])

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The index of every plane, in order; ((),) for a single one."""
        return tuple(np.ndindex(self.stack))


def read_image(path: Path, lazy: bool = False) -> Picture:
    """The image in a file: TIFF (any axes), PNG, JPEG and what imageio reads, or a NumPy array.

    Parameters
    ----------
    path : Path
        The format is known by the content, not by the ending.
    lazy : bool
        Whether a large TIFF becomes a dask array, of which only what is asked for is read, where that can be.

    Returns
    -------
    Picture
        Channels are those the file declares. A fourth band is transparency only if the file says so.

    Raises
    ------
    UnreadableImageError
        If the file is missing, empty, damaged or no image.

    Notes
    -----
    An array file declares no axes: (H, W, 3) and (H, W, 4) have channels last, (3, H, W) and (4, H, W) first, and all
    other leading axes are a stack.
    """
    if is_zarr(path):
        return _read_zarr(path)
    if path.is_dir():
        raise UnreadableImageError(f"{path} is a folder; give the image files in it")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{path} does not exist") from error
    except OSError as error:
        raise UnreadableImageError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise UnreadableImageError(f"{path} is empty (0 bytes)")
    read = _read_array if head.startswith(_NUMPY) else _read_other
    if head[:4] in _TIFF:
        read = partial(_read_tiff, large=_LARGE if lazy else None)
    try:
        picture = read(path)
    except MemoryError as error:
        raise UnreadableImageError(f"{path} does not fit into memory") from error
    except Exception as error:  # decoders raise anything on damaged files: struct.error, SyntaxError, KeyError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(f"{path} cannot be read as an image: {reason[:300]}") from error
    if not picture.data.size:
        raise UnreadableImageError(f"{path} holds no pixels: its shape is {picture.data.shape}")
    return picture


def lies_where(path: Path, shape: tuple[int, ...] = ()) -> tuple[Placement | None, Georeference | None]:
    """Where the pixels of a TIFF lie, without reading them; None if the file is none, or of another height and width.

    Parameters
    ----------
    path : Path
        Any file.
    shape : tuple of 2 int
        Height and width of the image that was made of it, if one was.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            if shape and (series.keyframe.imagelength, series.keyframe.imagewidth) != shape:
                return None, None
            return placement_of(series.keyframe, tif.imagej_metadata)
    except (OSError, ValueError, tifffile.TiffFileError):
        return None, None


def _stem(path: Path) -> str:
    """The file's name without its ending, and without the .ome of .ome.tif."""
    return path.stem.removesuffix(".ome") or path.stem


def _read_zarr(path: Path) -> Picture:
    """The image of a zarr, of which pixels are read when they are asked for."""
    data, view, stack = open_zarr(path)
    if not data.size:
        raise UnreadableImageError(f"{path} holds no pixels: its shape is {data.shape}")
    return Picture(_stem(path), data, view, Placement(axes=stack))


def _read_array(path: Path) -> Picture:
    """The content of a .npy file."""
    data = np.load(path, allow_pickle=False)
    if data.ndim < 2:
        raise ValueError(f"an array of shape {data.shape} is no image; it needs rows and columns")
    axis = None
    if data.ndim >= 3 and data.shape[-1] in (3, 4):
        axis = 2
    elif data.ndim >= 3 and data.shape[-3] in (3, 4):
        axis = 0
    return Picture(_stem(path), data, View(channel_axis=axis))


def _read_other(path: Path) -> Picture:
    """The content of a photograph or drawing; several frames make a stack."""
    import imageio.v3 as imageio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large images; the user asked for this one
        try:
            imageio.imopen(path, "r").close()
        except OSError as error:  # which says what imageio is made of
            raise ValueError("its content is of no known format; save it as TIFF or PNG") from error
        stored = str(imageio.immeta(path).get("mode", ""))
        foreign = stored in ("CMYK", "YCbCr", "LAB", "HSV")
        data = np.asarray(imageio.imread(path, mode="RGB") if foreign else imageio.imread(path))
    channels = data.ndim >= 3 and data.shape[-1] in (2, 3, 4)
    alpha = data.shape[-1] - 1 if channels and data.shape[-1] in (2, 4) else None
    bands = COLOURS[: data.shape[-1]] if channels and data.shape[-1] > 2 else ()
    return Picture(_stem(path), data, View(channel_axis=2 if channels else None, alpha=alpha, bands=bands))


def _read_tiff(path: Path, large: int | None = None) -> Picture:
    """The first series of a TIFF; from `large` bytes on it is read where it is asked for."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        page = series.keyframe
        axes = series.axes
        placement, georeference = placement_of(page, tif.imagej_metadata)
        data, *smaller = _pixels(path, series, large)
        if page.colormap is not None and page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            data, axes = _coloured(data, page.colormap), axes + "S"
        levels = tuple(_arrange(level, axes)[0] for level in smaller)
        data, axis, leading = _arrange(data, axes)
        placement = replace(placement, axes=leading)
        view = view_of(page, data, axis, "S" in axes)
        count = 1 if axis is None else data.shape[axis - 3]
        pixel = pixel_of(page, tif.imagej_metadata, tif.ome_metadata, georeference)
        view = view.replace(bands=band_names(page, tif.ome_metadata, count), **pixel)
        return Picture(_stem(path), data, view, placement, georeference, levels)


def _pixels(path: Path, series: TiffPageSeries, large: int | None) -> list[Array]:
    """All pixels of a series; what tifffile cannot decode alone (LZW, JPEG) is left to GDAL and Pillow.

    From `large` bytes on they are read where they are asked for, and smaller copies in the file follow.
    """
    page = series.keyframe
    if large is not None and series.size * series.dtype.itemsize >= large and page.colormap is None:
        levels = blocks_of(path, series)
        if levels:
            return levels
    try:
        return [np.asarray(series.asarray())]
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        levels = blocks_of(path, series)
        return [np.asarray(levels[0]) if levels else _decode_with_pillow(path, series.shape, page)]


def _decode_with_pillow(path: Path, shape: Sequence[int], page: TiffPage) -> Array:
    """The pixels of a compressed TIFF in the same order as tifffile would give them."""
    import imageio.v3 as imageio

    name = str(getattr(page.compression, "name", page.compression))
    try:
        data = np.asarray(imageio.imread(path, plugin="pillow"))
    except (OSError, ValueError, TypeError, KeyError, SyntaxError) as error:
        raise ValueError(f"its compression ({name}) needs the package imagecodecs: pip install imagecodecs") from error
    if data.shape != tuple(shape) or data.dtype != page.dtype:
        raise ValueError(f"its compression ({name}) needs the package imagecodecs: pip install imagecodecs")
    return data


def _coloured(data: Array, colormap: npt.NDArray[np.uint16]) -> Array:
    """Colours (..., 3) uint8 of palette indices."""
    return np.moveaxis((colormap >> 8).astype(np.uint8)[:, data], 0, -1)


def _arrange(data: Array, axes: str) -> tuple[Array, int | None, str]:
    """The data with stack axes first, the channels' place among the last three axes, and the stack's letters."""
    channel = "S" if "S" in axes else "C" if "C" in axes else None
    if channel is not None and data.shape[axes.index(channel)] == 1:
        data, axes, channel = data.squeeze(axes.index(channel)), axes.replace(channel, ""), None
    plane = [place for place, letter in enumerate(axes) if letter in ("Y", "X", channel)]
    stack = [place for place in range(len(axes)) if place not in plane]  # letters of a stack may repeat
    if axes.index("Y") > axes.index("X"):
        plane = [axes.index(letter) for letter in ("Y", "X", channel) if letter]
    axis = None if channel is None else plane.index(axes.index(channel))
    return data.transpose(stack + plane), axis, "".join(axes[place] for place in stack)
