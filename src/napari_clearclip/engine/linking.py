"""Objects of planes to objects of a stack: what overlaps most from plane to plane is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer]


def link(
    planes: Sequence[Ids],
    peaks: Sequence[Mapping[int, float]] | None = None,
    overlap: float = 0.25,
    spacing: float = 1.0,
    reach: float | None = None,
) -> npt.NDArray[np.integer]:
    """The ids of a stack's objects.

    Parameters
    ----------
    planes : sequence of D (H, W) integer arrays
        Each plane's ids by themselves, as from `napari_clearclip.engine.instances.split`: ``row * W + col + 1`` of the
        object's peak; 0 = none.
    peaks : sequence of D mappings of int to float, optional
        By plane and id, the object's highest score; all equal if not given.
    overlap : float
        Smallest intersection over union of two outlines that are linked, above 0 and at most 1.
    spacing : float
        Distance of neighbouring planes, in the unit of `reach`.
    reach : float, optional
        How far apart two planes may be whose outlines are linked; by default `spacing`, so that an object ends where a
        plane misses it.

    Returns
    -------
    (D, H, W) int32 or int64 array
        0 where a plane has none, else ``plane * H * W`` added to the id that the object has in the plane where it
        scores highest; of equal ones in the first.

    Raises
    ------
    ValueError
        If there are no planes, their shapes differ, or a number is outside its range.

    Notes
    -----
    Plane by plane, the objects that can be reached are paired with those of the plane so that the sum of their
    overlaps is largest (the Hungarian method); a plane's object has at most one partner on either side.

    References
    ----------
    H. W. Kuhn, The Hungarian method for the assignment problem, Naval Research Logistics Quarterly 2, 1955.
    """
    if not planes or any(plane.shape != planes[0].shape for plane in planes):
        raise ValueError(f"planes have the shapes {[plane.shape for plane in planes]}; give at least one, all alike")
    if not 0 < overlap <= 1:
        raise ValueError(f"overlap is {overlap}; it must be above 0 and at most 1")
    if not spacing > 0 or (reach is not None and reach < 0):
        raise ValueError(f"spacing is {spacing} and reach {reach}; they must be positive")
    height, width = planes[0].shape
    reach = spacing if reach is None else reach
    chains: list[list[tuple[int, int]]] = []  # of each object, plane and id of its outlines
    for at, plane in enumerate(planes):
        near = [number for number, chain in enumerate(chains) if (at - chain[-1][0]) * spacing <= reach * (1 + 1e-9)]
        partner = _partners([(chains[number][-1], number) for number in near], planes, at, overlap)
        for id_ in _present(plane):
            if id_ in partner:
                chains[partner[id_]].append((at, id_))
            else:
                chains.append([(at, id_)])
    count = len(planes) * height * width
    linked = np.zeros((len(planes), height, width), np.int32 if count < 2**31 else np.int64)
    tables: list[dict[int, int]] = [{} for _ in planes]
    for chain in chains:
        score = [1.0 if peaks is None else peaks[at][id_] for at, id_ in chain]
        at, id_ = chain[int(np.argmax(score))]
        for plane_, own in chain:
            tables[plane_][own] = at * height * width + id_
    for plane_, table in enumerate(tables):
        _replace(planes[plane_], table, linked[plane_])
    return linked


def _present(plane: Ids) -> list[int]:
    """The ids in a plane."""
    return [int(id_) for id_ in np.unique(plane) if id_]


def _partners(
    open_: Sequence[tuple[tuple[int, int], int]], planes: Sequence[Ids], at: int, overlap: float
) -> dict[int, int]:
    """By id in a plane, the number of the chain that it continues."""
    from scipy.optimize import linear_sum_assignment

    here = _present(planes[at])
    if not open_ or not here:
        return {}
    column = {id_: place for place, id_ in enumerate(here)}
    ious = np.zeros((len(open_), len(here)))
    for before in {plane for (plane, _), _ in open_}:
        row = {id_: place for place, ((plane, id_), _) in enumerate(open_) if plane == before}
        for (one, other), iou in _ious(planes[before], planes[at]).items():
            if one in row and iou >= overlap:
                ious[row[one], column[other]] = iou
    rows, cols = linear_sum_assignment(ious, maximize=True)
    return {here[col]: open_[row_][1] for row_, col in zip(rows, cols, strict=True) if ious[row_, col] > 0}


def _ious(one: Ids, other: Ids) -> dict[tuple[int, int], float]:
    """The intersection over union of the objects of two planes that overlap."""
    sizes = [
        dict(zip(*(part.tolist() for part in np.unique(plane, return_counts=True)), strict=True))
        for plane in (one, other)
    ]
    both = (one != 0) & (other != 0)
    pairs, counts = np.unique(np.stack([one[both], other[both]]), axis=1, return_counts=True)
    found = {}
    for a, b, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        found[int(a), int(b)] = count / (sizes[0][a] + sizes[1][b] - count)
    return found


def _replace(plane: Ids, table: Mapping[int, int], out: Ids) -> None:
    """Write the new ids of a plane."""
    old = np.array(sorted(table))
    new = np.array([table[id_] for id_ in old.tolist()], out.dtype)
    inside = plane != 0
    out[inside] = new[np.searchsorted(old, plane[inside])]
