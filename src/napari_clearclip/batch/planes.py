"""An image, which may be a stack, to the segmentation of each of its planes; and the parts that it is read in."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_clearclip.blocks import cutting_steps
from napari_clearclip.edits import Edits, Plane, View
from napari_clearclip.io.images import Picture
from napari_clearclip.io.settings_file import SettingsFile
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress, prefixed
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

Block = Mapping[str, "NDArray[np.float32]"]


@dataclass(frozen=True)
class Part:
    """What one of several processes reads of an image.

    Attributes
    ----------
    view, settings : View, Settings
        How the image is looked at, with its plane, and what is wanted.
    rows : range or None
        The rows of cells; all where it is None.
    """

    view: View
    settings: Settings
    rows: range | None = None


# Enough pixels of a stack for steady contrast limits.
_SAMPLE = 16_000_000


def picture_steps(
    pipeline: Pipeline,
    picture: Picture,
    wanted: SettingsFile,
    bands: tuple[str, ...] = (),
    edits: Edits | None = None,
    blocks: Sequence[Block] = (),
) -> Generator[Progress, None, tuple[Segmentation, ...]]:
    """The segmentation of every plane, or of the one plane that is wanted, with what was done by hand.

    Parameters
    ----------
    blocks : sequence of mapping, optional
        What was read of each of the `parts_of` the image, in order.

    Raises
    ------
    ValueError
        If there are more names of `bands` than channels.
    """
    planes = _looked_at(picture, wanted, bands)
    each, results = len(blocks) // len(planes), []
    for place, (view, settings) in enumerate(planes):
        part = f"plane {place + 1}/{len(planes)} · " if len(planes) > 1 else ""
        mine, read = (edits or Edits()).at(view.plane), blocks[place * each :][:each]
        steps = pipeline.steps(picture.data, settings, view, mine, picture.georeference, blocks=read)
        results.append((yield from prefixed(part, steps)))
    return tuple(results)


def parts_of(
    pipeline: Pipeline, picture: Picture, wanted: SettingsFile, bands: tuple[str, ...], count: int
) -> Generator[Progress, None, tuple[Part, ...]]:
    """About `count` parts that several processes can read of an image: its planes, or as many blocks of rows in each.

    Empty where that would not help: there is but one plane whose windows fit into memory, or phrases change each other
    in each window.

    Raises
    ------
    ValueError
        If there are more names of `bands` than channels.
    """
    if not wanted.settings.worded or wanted.settings.comparing.adjusting:
        return ()
    planes = _looked_at(picture, wanted, bands)
    view, settings = planes[0]
    rows = yield from cutting_steps(pipeline, picture.data, settings, view, -(-count // len(planes)))
    parts = tuple(Part(view, settings, part) for view, settings in planes for part in rows or (None,))
    return parts if len(parts) > 1 else ()


def _looked_at(picture: Picture, wanted: SettingsFile, bands: tuple[str, ...]) -> list[tuple[View, Settings]]:
    """How each plane is looked at, and what is wanted there."""
    view, settings, planes = _seen_as(picture, wanted, bands), wanted.settings, _planes_of(picture, wanted)
    if len(planes) > 1:
        tall, flat = _tall(picture, view)
        view = _stack_view(tall, flat, view)
        settings = _stack_settings(tall, flat, settings)
    return [(view.replace(plane=plane), settings) for plane in planes]


def _seen_as(picture: Picture, wanted: SettingsFile, bands: tuple[str, ...]) -> View:
    """How an image is looked at, its planes left open.

    Raises
    ------
    ValueError
        If there are more names of `bands` than channels.
    """
    view = wanted.view or picture.view
    view = view.replace(bands=bands or view.bands or picture.view.bands)
    count = 1 if view.channel_axis is None else picture.data.shape[view.channel_axis % 3 - 3]
    if len(bands) > count:
        raise ValueError(f"--bands has {len(bands)} names, but the image {count} channel{'s' * (count > 1)}")
    return view


def _planes_of(picture: Picture, wanted: SettingsFile) -> list[Plane]:
    """The planes that are wanted of an image."""
    view = wanted.view or picture.view
    return [view.plane] if view.plane or not picture.stack else list(picture.planes)


def _tall(picture: Picture, view: View) -> tuple[NDArray[np.generic], View]:
    """A sample of all planes of a stack, one below the other, and how it is looked at."""
    data: NDArray[np.generic] = picture.data
    axis = view.channel_axis
    if axis is not None:
        data = np.moveaxis(data, axis % 3 - 3, -1)
    rows, cols = (-3, -2) if axis is not None else (-2, -1)
    step = max(int(np.sqrt(data.shape[rows] * data.shape[cols] * np.prod(picture.stack) / _SAMPLE)), 1)
    sample = data[..., ::step, ::step, :] if axis is not None else data[..., ::step, ::step]
    return sample.reshape(-1, *sample.shape[cols:]), view.replace(channel_axis=None if axis is None else 2)


def _stack_view(tall: NDArray[np.generic], flat: View, view: View) -> View:
    """The view with contrast limits of the whole stack, so that an empty plane is not stretched to noise."""
    from napari_clearclip.engine.view import resolve_view

    return resolve_view(tall, flat).replace(channel_axis=view.channel_axis)


def _stack_settings(tall: NDArray[np.generic], flat: View, settings: Settings) -> Settings:
    """Settings with ranges and thresholds of band expressions by the whole stack, for the same reason."""
    from napari_clearclip.engine.bands import fill_in

    prompts = (prompt if prompt.index is None else fill_in(tall, flat, prompt) for prompt in settings.prompts)
    return settings.replace(prompts=tuple(prompts))
