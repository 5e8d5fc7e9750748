"""OME-TIFF: a channel a name, with sizes and units, as Fiji, QuPath and OMERO read it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import replacing
from napari_clearclip.io.limits import check_size
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.raster import SOFTWARE

_UNITS = {"um": "µm", "μm": "µm", "micrometer": "µm", "micron": "µm", "nanometer": "nm", "millimeter": "mm"}


def write_ometiff(path: Path, masks: Masks) -> None:
    """Masks as 0 and 255, one channel a name.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the stack has more than the axes T and Z.
    """
    import tifffile

    stack = masks.labels.ndim - 2
    axes = masks.placement.axes if len(masks.placement.axes) == stack else ""
    if not set(axes) <= {"T", "Z"} or len(axes) != stack:
        if stack > 2:
            raise ValueError(f"a stack of {stack} axes does not fit into an OME-TIFF, which has T and Z; use .npz")
        axes = "TZ"[2 - stack :]
    about: dict[str, Any] = {"axes": f"C{axes}YX", "Channel": {"Name": list(masks.names)}}
    about["Channel"]["Color"] = [int.from_bytes(bytes.fromhex(f"{c[1:]}ff"), "big", signed=True) for c in masks.colors]
    unit = _UNITS.get(masks.unit, masks.unit)
    for axis, size in zip(f"{axes}YX"[::-1], masks.spacing[::-1], strict=False):
        if axis != "T":
            about[f"PhysicalSize{axis}"], about[f"PhysicalSize{axis}Unit"] = size, unit
    about["Name"] = masks.image
    with replacing(path) as file:
        tifffile.imwrite(
            file,
            _planes(masks),
            shape=(len(masks.names), *masks.labels.shape),
            dtype=np.uint8,
            ome=True,
            bigtiff=len(masks.names) * masks.labels.size > 2**32 - 2**25,
            photometric="minisblack",
            compression="zlib",
            software=SOFTWARE,
            metadata=about,
        )


def _planes(masks: Masks) -> Iterator[npt.NDArray[np.uint8]]:
    for mask in masks:
        for plane in masks.planes:
            yield np.where(mask[plane], np.uint8(255), np.uint8(0))


def read_ometiff(path: Path) -> Masks:
    """The masks in an OME-TIFF with a channel a name; what is not 0 belongs to it.

    Raises
    ------
    ValueError
        If the file is damaged or no such OME-TIFF.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            axes, about = series.axes, tif.ome_metadata
            if about is None:
                raise ValueError("it has no OME metadata")
            sizes = dict(zip(axes, series.shape, strict=True))
            check_size([size for axis, size in sizes.items() if axis != "C"], sizes.get("C", 1), path.stat().st_size)
            pixels = ElementTree.fromstring(about).find("{*}Image/{*}Pixels")
            if pixels is None:
                raise ValueError("its OME metadata name no pixels")
            data = series.asarray()
    except (OSError, ValueError, ElementTree.ParseError, tifffile.TiffFileError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as OME-TIFF: {error}") from error
    data = data[None] if "C" not in axes else np.moveaxis(data, axes.index("C"), 0)
    axes = axes.replace("C", "")
    channels = pixels.findall("{*}Channel")
    names = [channel.get("Name") or str(at) for at, channel in enumerate(channels, 1)]
    colors = tuple(
        "#" + (int(channel.get("Color", -1)) % 2**32).to_bytes(4, "big").hex()[:6].upper() for channel in channels
    )
    lengths = [pixels.get(f"PhysicalSize{axis}") for axis in axes]
    known = any(length is not None for length in lengths)
    return Masks.from_each(
        names,
        [mask > 0 for mask in data],
        colors=colors,
        image=_image_name(about),
        spacing=tuple(float(length or 1) for length in lengths) if known else (),
        unit=pixels.get("PhysicalSizeXUnit", "µm") if known else "pixel",
    )


def _image_name(about: str) -> str:
    image = ElementTree.fromstring(about).find("{*}Image")
    return "" if image is None else image.get("Name", "")
