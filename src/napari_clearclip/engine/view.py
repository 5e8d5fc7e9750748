"""Stored data looked at through a `View`: three channels in [0, 1] and a validity mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Mask, View

Channels: TypeAlias = Sequence[npt.NDArray[np.generic]]

# Enough pixels for steady percentiles; more would only cost time on large images.
_SAMPLE = 4_000_000
_STRIP = 64  # rows


def layout(image: Any, view: View) -> tuple[int, int, int]:
    """Channels, height and width of the plane that the view names."""
    shape = tuple(image.shape)
    plane_ndim = 2 if view.channel_axis is None else 3
    if len(shape) - len(view.plane) != plane_ndim:
        wanted = "(H, W)" if plane_ndim == 2 else "(H, W) and channels"
        raise ValueError(
            f"an image of shape {shape} with plane {view.plane} and channel_axis {view.channel_axis} is not {wanted}; "
            f"give one index in `plane` for each leading axis, and name the channel axis if there is one"
        )
    if any(index >= size for index, size in zip(view.plane, shape, strict=False)):
        raise ValueError(f"plane {view.plane} lies outside an image of shape {shape}")
    sides = [int(side) for side in shape[len(view.plane) :]]
    channels = 1 if view.channel_axis is None else sides.pop(view.channel_axis % 3)
    return channels, sides[0], sides[1]


def read_channel(image: Any, view: View, channel: int, rows: slice, cols: slice) -> npt.NDArray[np.generic]:
    """One channel (h, w) of a part of the plane; of a lazy image nothing else is read."""
    index: list[int | slice] = [rows, cols]
    if view.channel_axis is not None:
        index.insert(view.channel_axis % 3, channel)
    return np.asarray(image[(*view.plane, *index)])


def plane_shape(image: Any, view: View) -> tuple[int, int]:
    """Height and width of the plane that the view names.

    Raises
    ------
    ValueError
        If plane and channel axis do not leave (H, W), or a side is 0.
    """
    _, height, width = layout(image, view)
    if not height or not width:
        raise ValueError(f"the image is empty: its shape is {tuple(image.shape)}")
    return height, width


def sampling_step(shape: tuple[int, int]) -> int:
    """Every how many rows and columns of a plane (H, W) give enough pixels for steady percentiles."""
    return max(int(np.sqrt(shape[0] * shape[1] / _SAMPLE)), 1)


def _valid(channels: Channels, alpha: npt.NDArray[np.generic] | None, nodata: float | None) -> Mask:
    """Where the chosen channels, (H, W) each, are finite, not all nodata, and not transparent."""
    valid = np.ones(channels[0].shape, bool)
    for channel in channels:
        if channel.dtype.kind == "f":
            valid &= np.isfinite(channel)
    if nodata is not None and np.isfinite(nodata):
        filled = np.zeros(valid.shape, bool)
        for channel in channels:
            filled |= channel != nodata
        valid &= filled
    if alpha is not None:
        valid &= alpha != 0
    return valid


def _read(image: Any, view: View, rows: slice, cols: slice) -> tuple[Channels, Mask]:
    """The chosen channels, (h, w) each, of a part of the plane, and where they are valid."""
    channels = [read_channel(image, view, index, rows, cols) for index in view.channels or (0,)]
    alpha = None if view.alpha is None else read_channel(image, view, view.alpha, rows, cols)
    return channels, _valid(channels, alpha, view.nodata)


def has_gaps(image: Any, view: View) -> bool:
    """Whether any pixel could be without data, by the image's type and what the view says."""
    return np.dtype(image.dtype).kind == "f" or view.nodata is not None or view.alpha is not None


def valid_part(image: Any, view: View, rows: slice, cols: slice) -> Mask:
    """Where a part of the plane has data, (h, w) bool."""
    return _read(image, view, rows, cols)[1]


def _limits(image: Any, view: View) -> tuple[tuple[float, float], ...]:
    """Contrast limits of each channel: the range of the type where it is small, else percentiles of valid pixels."""
    full = {"bool": (0.0, 1.0), "uint8": (0.0, 255.0)}.get(np.dtype(image.dtype).name)
    if full is not None:
        return (full,) * len(view.channels)  # no pixel is looked at
    every, limits = slice(None, None, sampling_step(plane_shape(image, view))), []
    channels, valid = _read(image, view, every, every)
    for channel in channels:
        values = channel[valid].astype(np.float64)
        low, high = np.percentile(values, (0.1, 99.9)) if values.size else (0.0, 1.0)
        limits.append((float(low), float(high if high > low else np.nextafter(low + 1, np.inf))))
    return tuple(limits)


def resolve_view(image: Any, view: View) -> View:
    """The view with every field filled in that the image decides.

    Parameters
    ----------
    image : array-like
        (..., H, W) with channels where `view` says; any real type.
    view : View
        Empty channels become the first three (two, one); empty limits become each channel's range.

    Raises
    ------
    TypeError
        If the image is not of real numbers.
    ValueError
        If the view does not fit the image's shape, or a channel does not exist.
    """
    if np.dtype(image.dtype).kind not in "buif":
        raise TypeError(f"an image of type {image.dtype} cannot be shown; convert it to integers or floats")
    plane_shape(image, view)
    count, *_ = layout(image, view)
    for index in (*view.channels, *(() if view.alpha is None else (view.alpha,))):
        if index >= count:
            raise ValueError(f"channel {index} does not exist: the image has {count}, counted from 0")
    usable = [index for index in range(count) if index != view.alpha]
    view = view.replace(channels=view.channels or tuple(usable[:3]))
    if view.limits is None:
        view = view.replace(limits=_limits(image, view))
    if view.limits is not None and len(view.limits) != len(view.channels):
        raise ValueError(f"{len(view.limits)} contrast limits for {len(view.channels)} channels; give one pair each")
    if isinstance(view.gamma, tuple) and len(view.gamma) != len(view.channels):
        raise ValueError(f"{len(view.gamma)} gammas for {len(view.channels)} channels; give one, or one each")
    return view


def render(image: Any, view: View, rows: slice, cols: slice) -> tuple[npt.NDArray[np.float32], Mask]:
    """A part of the image as the model sees it.

    Parameters
    ----------
    image : array-like
        The stored image.
    view : View
        A view that `resolve_view` has filled in.
    rows, cols : slice
        The part, in pixels of the plane.

    Returns
    -------
    (h, w, 3) float32 array
        Red, green and blue in [0, 1]; one channel is repeated, the third of two is 0, and pixels without data are 0.5.
    (h, w) bool array
        Where there are data.
    """
    channels, valid = _read(image, view, rows, cols)
    shown = np.empty((*valid.shape, 3), np.float32)
    shown[..., len(channels) :] = 0
    gammas = view.gamma if isinstance(view.gamma, tuple) else (view.gamma,) * len(channels)
    for start in range(0, len(shown), _STRIP):  # little at a time stays near the processor, and other threads go on
        strip = slice(start, start + _STRIP)
        for index, (limits, gamma, channel) in enumerate(zip(view.limits or (), gammas, channels, strict=True)):
            shown[strip, :, index] = _scaled(channel[strip], valid[strip], limits) ** gamma
        np.copyto(shown[strip], 0.5, where=~valid[strip, :, None])
    if len(channels) == 1:
        shown[..., 1:] = shown[..., :1]
    return shown, valid


def _scaled(channel: npt.NDArray[np.generic], valid: Mask, limits: tuple[float, float]) -> npt.NDArray[np.float64]:
    """A channel (n, w) between its contrast limits, in [0, 1]; pixels without data are 0.5."""
    scaled = channel.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled -= limits[0]
        scaled /= limits[1] - limits[0]
    np.copyto(scaled, 0.5, where=~valid)
    return np.clip(scaled, 0, 1, out=scaled)
