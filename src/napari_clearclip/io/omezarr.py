"""OME-Zarr: labels or objects with a pyramid, colours, names and sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import replacing_folder
from napari_clearclip.io.limits import check_size
from napari_clearclip.io.masks import Masks

_CHUNK = 1024  # side of a chunk, and the largest side of the pyramid's top
_CODECS = {"bytes", "zstd", "gzip", "blosc", "crc32c", "transpose", "sharding_indexed"}
_UNITS = {"um": "micrometer", "µm": "micrometer", "μm": "micrometer", "nm": "nanometer", "mm": "millimeter"}
_UNITS |= {"m": "meter", "cm": "centimeter"}


def write_omezarr(path: Path, masks: Masks) -> None:
    """A label image with a pyramid: values are objects where there are any, else the place of the name from 1 on.

    ``image-label`` has the colour of each value, and under ``properties`` its ``prompt``.

    Parameters
    ----------
    path : Path
        A folder; it replaces an earlier one once it is whole.
    masks : Masks
        Masks that do not overlap; of a stack, at most the axes t and z.

    Raises
    ------
    ImportError
        If ome-zarr is missing.
    OSError
        If the folder cannot be written.
    ValueError
        If the stack has more axes.
    """
    zarr, writer = _libraries()
    stack = masks.labels.ndim - 2
    if stack > 2:
        raise ValueError(f"a stack of {stack} axes does not fit into an OME-Zarr, which has t and z; use .npz")
    given = masks.placement.axes.lower()
    axes = f"{given if len(given) == stack and set(given) <= {'t', 'z'} else 'tz'[2 - stack :]}yx"
    data = masks.labels if masks.instances is None else _narrow(masks.instances)
    values = _values(masks)
    unit = _UNITS.get(masks.unit, masks.unit)
    spacing = dict(zip(axes, masks.spacing, strict=True)) if masks.spacing else None
    units = {axis: unit for axis in axes if axis != "t"} if spacing and unit != "pixel" else None
    properties: list[dict[str, Any]] = [
        {"label-value": value, "prompt": masks.names[at]} for at, each in enumerate(values) for value in each
    ]
    colors = [
        {"label-value": value, "rgba": [*bytes.fromhex(masks.colors[at][1:]), 255]}
        for at, each in enumerate(values)
        for value in each
    ]
    with replacing_folder(path) as folder:
        group = zarr.open_group(folder, mode="w")
        options = {"chunks": (1,) * stack + (_CHUNK, _CHUNK)}
        writer.write_multiscale(
            _pyramid(data), group, axes=axes, name=masks.image, scale=spacing, axes_units=units, storage_options=options
        )
        about = {"colors": colors, "properties": properties, "source": {"image": masks.image}, "version": "0.5"}
        ome = {**group.attrs["ome"], "image-label": about}
        group.attrs["ome"] = ome
        group.attrs["napari-clearclip"] = {
            "names": list(masks.names),
            "colors": list(masks.colors),
            "objects": masks.instances is not None,
            "unit": masks.unit,
        }


def _values(masks: Masks) -> list[list[int]]:
    """The values of each name's pixels."""
    if masks.instances is None:
        return [[at] for at in range(1, len(masks.names) + 1)]
    return [np.unique(masks.instances[mask]).tolist() for mask in masks]


def _narrow(instances: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers of objects in as few bytes as they need."""
    return instances.astype(np.min_scalar_type(int(instances.max(initial=0))))


def _pyramid(data: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Every second pixel, again and again, until it fits into a chunk."""
    levels = [data]
    while max(levels[-1].shape[-2:]) > _CHUNK:
        levels.append(levels[-1][..., ::2, ::2])
    return levels


def read_omezarr(path: Path) -> Masks:
    """The masks of a label image that `write_omezarr` wrote, at full size.

    Raises
    ------
    ImportError
        If ome-zarr is missing.
    ValueError
        If the folder is damaged, no label image, or declares more pixels than can be meant.
    """
    zarr, _ = _libraries()
    try:
        group = zarr.open_group(path, mode="r")
        ome, about = group.attrs["ome"], group.attrs.get("napari-clearclip", {})
        (scales, *_) = ome["multiscales"]
        array = group[scales["datasets"][0]["path"]]
        _check(array)
        data = np.asarray(array[:])
        found: dict[str, list[int]] = {name: [] for name in about.get("names", ())}
        for item in ome["image-label"]["properties"]:
            found.setdefault(item["prompt"], []).append(item["label-value"])
        transforms = [*scales["datasets"][0].get("coordinateTransformations", ())]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a label image: {error}") from error
    labels = np.zeros(data.shape, np.uint8 if len(found) < 256 else np.uint16)
    for at, values in enumerate(found.values(), 1):
        labels[np.isin(data, values)] = at
    scale = next((tuple(map(float, item["scale"])) for item in transforms if item["type"] == "scale"), ())
    return Masks(
        tuple(found),
        labels,
        instances=data if about.get("objects") else None,
        colors=tuple(about.get("colors", ())),
        image=str(scales.get("name", "")),
        spacing=() if set(scale) <= {1.0} else scale,
        unit=about.get("unit", "pixel"),
    )


def _check(array: Any) -> None:
    """Refuse arrays that are too large, or that anything but the usual ways to store numbers would unpack.

    Zarr lets an array name its codecs; there is one that runs whatever a file says (pickle).
    """
    check_size(array.shape)
    about = array.metadata.to_dict()
    codecs = [str(codec.get("name")) for codec in about.get("codecs", ())]
    if about["zarr_format"] != 3 or np.dtype(array.dtype).kind not in "ui" or not set(codecs) <= _CODECS:
        raise ValueError(f"an array of {array.dtype} with the codecs {codecs} was not written by napari-clearclip")


def _libraries() -> tuple[Any, Any]:
    try:
        import zarr
        from ome_zarr import writer
    except ImportError as error:
        raise ImportError('OME-Zarr needs ome-zarr: pip install "napari-clearclip[zarr]"') from error
    return zarr, writer
