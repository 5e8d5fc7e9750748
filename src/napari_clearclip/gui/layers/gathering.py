"""All masks of an image in one value, as they stand: what the model found, and what was done by hand on top."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.edits import Plane
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.images.channels import axis_of
from napari_clearclip.gui.images.rasters import raster_of
from napari_clearclip.gui.images.sources import placement, shape_of
from napari_clearclip.gui.layers.shelf import Sheet
from napari_clearclip.gui.layers.styles import COMBINED, LABELS
from napari_clearclip.gui.layers.writing import Writer
from napari_clearclip.io.masks import Masks
from napari_clearclip.tally import whole

if TYPE_CHECKING:
    from napari.layers import Image


def planes_of(writer: Writer, key: str) -> list[Plane]:
    """The planes of an image that were run."""
    return [spot[1] for spot in writer.spots(key) if not writer.outcomes[spot].preview]


def fill(data: Any, writer: Writer, key: str, planes: Collection[Plane], sheet: Sheet) -> None:
    """Write what a sheet shows on some planes of an image into an array of its shape, in place."""
    for plane in planes:
        content = writer.content(key, plane, sheet)
        for box in whole(data.shape[-2:]):
            data[plane][box] = content.part(box)


def gathered(image: Image, key: str, state: State, writer: Writer) -> Masks | None:
    """The masks of all prompts on all planes that were run or painted on; None if there are none.

    Parameters
    ----------
    image : Image
        The image's layer.
    key : str
        Of the image.
    state : State
        What is wanted of it.
    writer : Writer
        Its results.
    """
    prompts, planes = state.settings.objects, {*planes_of(writer, key), *state.edits.planes}
    if not prompts or not planes:
        return None
    shape = shape_of(image)
    labels = np.zeros(shape, np.uint8)
    fill(labels, writer, key, planes, Sheet(COMBINED, prompts, {item.id: at for at, item in enumerate(prompts, 1)}))
    overlaps = None
    if not state.settings.deciding.exclusive:
        overlaps = np.zeros((len(prompts), *shape[:-1], -(-shape[-1] // 8)), np.uint8)
        for at, prompt in enumerate(prompts):
            one = np.zeros(shape, np.uint8)
            fill(one, writer, key, planes, Sheet(LABELS, (prompt,), {prompt.id: 1}))
            overlaps[at] = np.packbits(one, axis=-1)
    where = placement(image)
    units = {str(unit) for unit in where["units"][-2:]}
    scale = tuple(map(float, where["scale"]))
    masks = Masks(
        tuple(prompt.phrase for prompt in prompts),
        labels,
        overlaps=overlaps,
        instances=_objects(writer, key, labels) if overlaps is None else None,
        colors=tuple(prompt.color for prompt in prompts),
        scores=_scores(writer, key, shape),
        valid=_valid(writer, key, shape),
        spacing=() if set(scale) <= {1.0} else scale,
        unit=units.pop() if len(units) == 1 else "pixel",
    )
    masks = masks if (axis := axis_of(image)) is None else masks.along(axis)
    if (raster := raster_of(image)) is None:
        return masks
    place, georeference = raster.lies(shape[-2:])
    return replace(masks, placement=place, georeference=georeference)


def _objects(writer: Writer, key: str, labels: Any) -> Any:
    """The ids of objects in the masks, where the settings ask for them."""
    found = None
    for plane in planes_of(writer, key):
        ids = writer.outcomes[key, plane].segmentation.instances
        if ids is not None:
            found = np.zeros(labels.shape, ids.dtype) if found is None else found
            found[plane] = np.where(labels[plane] > 0, ids, 0)
    return found


def _scores(writer: Writer, key: str, shape: tuple[int, ...]) -> Any:
    """Each prompt's scores on the cells of all planes; 0 where one was not run."""
    found = None
    for plane in planes_of(writer, key):
        values = writer.outcomes[key, plane].segmentation.scores.values
        if found is None:
            found = np.zeros((len(values), *shape[:-2], *values.shape[1:]), np.float32)
        each: Any = (slice(None), *plane)
        if found[each].shape == values.shape:
            found[each] = values
    return found


def _valid(writer: Writer, key: str, shape: tuple[int, ...]) -> Any:
    """Pixels with data as packed bits; None if all have."""
    found = None
    for plane in planes_of(writer, key):
        valid = writer.outcomes[key, plane].segmentation.valid
        if valid is not None:
            found = np.full((*shape[:-1], -(-shape[-1] // 8)), 255, np.uint8) if found is None else found
            found[plane] = np.packbits(valid, axis=-1)
    return found
