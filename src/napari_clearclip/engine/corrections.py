"""What is done to objects by hand: deleted, merged, cut and numbered anew, each a function of the map of ids."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer]
Place = tuple[float, float]


def delete(ids: Ids, chosen: Collection[int]) -> Ids:
    """The map without some objects.

    Parameters
    ----------
    ids : integer array
        The objects' ids; 0 = none.
    chosen : collection of int
        Ids of the objects.
    """
    return np.where(np.isin(ids, list(chosen)), 0, ids).astype(ids.dtype)


def merge(ids: Ids, chosen: Collection[int]) -> Ids:
    """The map in which some objects are one, with the id of the largest; of equal ones, the lowest id.

    Raises
    ------
    ValueError
        If fewer than two of the objects exist.
    """
    found, sizes = np.unique(ids[np.isin(ids, [id_ for id_ in chosen if id_])], return_counts=True)
    if len(found) < 2:
        raise ValueError(f"{len(found)} of the chosen objects is there; choose at least two to merge")
    return np.where(np.isin(ids, found), found[sizes.argmax()], ids).astype(ids.dtype)


def cut(ids: Ids, start: Place, end: Place) -> Ids:
    """The map in which a straight line has cut every object that falls apart by it.

    Parameters
    ----------
    ids : (H, W) integer array
        The objects' ids; 0 = none.
    start, end : tuple of 2 float
        Row and column of the line's ends; they may lie outside.

    Returns
    -------
    (H, W) integer array
        The largest part keeps the id, the others get the next free ones, from the largest to the smallest. No pixel is
        lost: those on the line go to the part that is nearest.

    Raises
    ------
    ValueError
        If the line cuts no object in two.
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import label

    rows, cols = _line(start, end, (ids.shape[0], ids.shape[1]))
    result, free = ids.copy(), int(ids.max(initial=0)) + 1
    for id_ in np.unique(ids[rows, cols]):
        box = _box_of(ids, id_) if id_ else None
        if box is None:
            continue
        mask = ids[box] == id_
        left = mask.copy()
        on = (rows >= box[0].start) & (rows < box[0].stop) & (cols >= box[1].start) & (cols < box[1].stop)
        left[rows[on] - box[0].start, cols[on] - box[1].start] = False
        parts, count = label(left, connectivity=1, return_num=True)
        before = label(mask, connectivity=1, return_num=True)[1]
        if count <= before:
            continue
        nearest = distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        parts = np.where(mask, parts[tuple(nearest)], 0)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        for part in np.argsort(-sizes, kind="stable")[1:] + 1:
            result[box][parts == part] = free
            free += 1
    if np.array_equal(result, ids):
        raise ValueError("the line cuts no object in two; draw it from one side of an object to the other")
    return result


def _line(start: Place, end: Place, shape: tuple[int, int]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of a line's pixels in an image."""
    from skimage.draw import line

    rows, cols = line(*(round(at) for at in (*start, *end)))
    inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return rows[inside], cols[inside]


def _box_of(ids: Ids, id_: int) -> tuple[slice, slice]:
    """The box around an object that exists."""
    inside = ids == id_
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def renumber(ids: Ids) -> tuple[Ids, dict[int, int]]:
    """The map with ids from 1 on without gaps, in the order of the old ones; and each new id by its old one."""
    found = np.unique(ids)
    found = found[found != 0]
    numbers = np.searchsorted(found, ids) + 1
    renumbered = np.where(ids != 0, numbers, 0).astype(ids.dtype)
    return renumbered, {int(old): new for new, old in enumerate(found, 1)}
