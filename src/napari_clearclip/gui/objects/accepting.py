"""The objects of all planes that were run as one array, found in a worker: no Qt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from napari_clearclip.engine.instances import id_type
from napari_clearclip.engine.linking import link
from napari_clearclip.result import IdArray, Segmentation
from napari_clearclip.settings import Linking


@dataclass(frozen=True, eq=False)
class Accepted:
    """Ids of objects in an array of an image's shape, and what each is, by id."""

    data: IdArray
    names: dict[int, str]


def gather(
    results: Sequence[Segmentation],
    prompts: Collection[str],
    shape: tuple[int, ...],
    linking: Linking,
    spacing: float = 1.0,
) -> Accepted:
    """The objects of some prompts on all planes of an image.

    Parameters
    ----------
    results : sequence of Segmentation
        One a plane.
    prompts : collection of str
        The prompts, by id.
    shape : tuple of int
        Of the image: leading axes, rows and columns.
    linking : Linking
        Whether and how the objects of planes are linked, which needs one leading axis.
    spacing : float
        Distance of neighbouring planes.

    Returns
    -------
    Accepted
        Where planes are not linked, each plane's ids are raised by the number of pixels before it, so that no two
        planes share one; on an image without planes ids stay as they are.

    Raises
    ------
    ValueError
        If masks of several prompts may overlap, or planes of more than one axis are to be linked.
    """
    *leading, height, width = shape
    if linking.on and len(leading) > 1:
        raise ValueError(f"the image has {len(leading)} axes of planes; linking needs one, so switch “Link planes” off")
    planes = {result.view.plane: _plane(result, prompts) for result in results}
    if linking.on and leading:
        empty = np.zeros((height, width), id_type((height, width)))
        stack = [planes.get((at,), (empty, {}, {})) for at in range(leading[0])]
        reach = max(linking.reach, spacing)
        data = link([ids for ids, _, _ in stack], [peaks for _, peaks, _ in stack], linking.overlap, spacing, reach)
        named = {at * height * width + id_: name for at, (_, _, own) in enumerate(stack) for id_, name in own.items()}
        present = {int(id_) for id_ in np.unique(data)}
        return Accepted(data, {id_: name for id_, name in named.items() if id_ in present})
    data = np.zeros(shape, id_type((int(np.prod(leading, dtype=int)) * height, width)))
    names: dict[int, str] = {}
    for plane, (ids, _, own) in planes.items():
        first = int(np.ravel_multi_index(plane, leading)) * height * width if plane else 0
        data[plane] = np.where(ids > 0, ids.astype(data.dtype) + first, 0)
        names |= {id_ + first: name for id_, name in own.items()}
    return Accepted(data, names)


def _plane(result: Segmentation, prompts: Collection[str]) -> tuple[IdArray, dict[int, float], dict[int, str]]:
    """A plane's ids, and by id the highest score and the phrase."""
    wanted = [item for item in result.settings.objects if item.id in prompts]
    if result.overlaps is not None and len(wanted) > 1:
        raise ValueError("masks that may overlap cannot be accepted as objects together; accept one prompt at a time")
    width = result.labels.shape[1]
    together = np.zeros(result.labels.shape, id_type((result.labels.shape[0], width)))
    peaks, names = {}, {}
    for item in wanted:
        ids = result.instances_of(item.id)
        np.copyto(together, ids, where=ids > 0, casting="same_kind")
        for id_ in np.unique(ids[ids > 0]).tolist():
            row, col = divmod(id_ - 1, width)
            peaks[id_] = float(result.scores.at(item.id, slice(row, row + 1), slice(col, col + 1))[0, 0])
            names[id_] = item.phrase
    return together, peaks, names
