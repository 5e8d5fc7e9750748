"""What is measured of each object: size, place, shape, score and brightness, as a table with units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.result import Column, ObjectTable

_STRIP = 2_000_000  # pixels that are renumbered together


def measure(
    ids: npt.NDArray[np.integer],
    score: npt.NDArray[np.floating] | None = None,
    image: npt.NDArray[Any] | None = None,
    prompts: Mapping[int, str] | None = None,
    pixel: tuple[float, float] = (1.0, 1.0),
    unit: str = "px",
) -> ObjectTable:
    """What is measured of each object of a plane.

    Parameters
    ----------
    ids : (H, W) integer array
        The objects' ids; 0 = none.
    score : (H, W) float array, optional
        Each pixel's score.
    image : (H, W) or (H, W, C) array, optional
        What the brightness is taken from; of several channels the mean counts.
    prompts : mapping of int to str, optional
        What each object is, by its id.
    pixel : tuple of 2 float
        Height and width of a pixel in `unit`.
    unit : str
        Of lengths.

    Returns
    -------
    ObjectTable
        ``id``; ``prompt`` where known; ``area`` in square units; ``score`` and ``peak_score``, mean and highest;
        ``elongation``, the longer over the shorter axis of the ellipse with the same moments, 1 for a disc, with axes
        of at least one pixel; ``intensity``, the mean of the image in its own unit; and in pixels ``row`` and ``col``
        of the centroid and ``y0, x0, y1, x1`` of the box, in which the last row and column are not.

    Raises
    ------
    ValueError
        If score or image have another size than the ids.
    """
    from skimage.measure import regionprops_table

    for name, array in (("score", score), ("image", image)):
        if array is not None and array.shape[:2] != ids.shape:
            raise ValueError(f"{name} is {array.shape[:2]} pixels large, but ids are {ids.shape}; give the same plane")
    found, places = _numbered(ids)
    measures = {"score": score, "intensity": image if image is None or image.ndim == 2 else image.mean(axis=2)}
    given = {name: array for name, array in measures.items() if array is not None}
    wanted = ["area", "centroid", "bbox", "axis_major_length", "axis_minor_length"]
    wanted += ["intensity_mean", "intensity_max"] if given else []
    stack = np.stack([array.astype(np.float32) for array in given.values()], axis=-1) if given else None
    table = regionprops_table(places, stack, properties=wanted, spacing=pixel)
    means = {name: table[f"intensity_mean-{at}"] for at, name in enumerate(given)}
    least = max(pixel)
    axes = [np.maximum(table[f"axis_{name}_length"], least) for name in ("major", "minor")]
    columns = [Column("id", "", found)]
    if prompts is not None:
        columns.append(Column("prompt", "", np.array([prompts.get(int(id_), "") for id_ in found], object)))
    columns.append(Column("area", f"{unit}²", table["area"]))
    if score is not None:
        columns += [Column("score", "", means["score"]), Column("peak_score", "", table["intensity_max-0"])]
    columns.append(Column("elongation", "", axes[0] / axes[1]))
    if image is not None:
        columns.append(Column("intensity", "", means["intensity"]))
    columns += [Column(name, "px", table[f"centroid-{at}"] / pixel[at]) for at, name in enumerate(("row", "col"))]
    columns += [Column(name, "px", table[f"bbox-{at}"]) for at, name in enumerate(("y0", "x0", "y1", "x1"))]
    return ObjectTable(tuple(columns))


def _numbered(ids: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The ids there are, and the map with their places in that list, from 1: ids are sparse and may be huge."""
    found = np.unique(ids)
    found = found[found != 0]
    places = np.zeros(ids.shape, np.int32)
    step = max(_STRIP // max(ids.shape[1], 1), 1)
    for top in range(0, len(ids), step):
        part = ids[top : top + step]
        places[top : top + step] = np.where(part != 0, np.searchsorted(found, part) + 1, 0)
    return found.astype(np.int64), places
