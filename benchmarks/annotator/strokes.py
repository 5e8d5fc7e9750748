"""Straight strokes of a round brush, and the one that an annotator who sees the truth would draw next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]

GOAL = 0.9  # intersection over union at which a mask is good enough
BRUSH = 0.1  # diameter of the brush, in object diameters
DIRECTIONS = 12  # of strokes, over half a turn
LENGTHS = 8  # a stroke is a dot or one of so many equal parts of the longest one
EVERY_NEIGHBOUR = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Brush:
    """What is drawn with, in pixels: the brush's diameter and the longest straight drag."""

    diameter: float
    reach: float


@dataclass(frozen=True)
class Stroke:
    """The pixels (H, W) of a stroke, and whether it switches them on or off."""

    pixels: Mask
    on: bool

    def painted(self, mask: Mask) -> Mask:
        """The mask (H, W) after the stroke."""
        return mask | self.pixels if self.on else mask & ~self.pixels


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union of two masks (H, W); 1 where both are empty."""
    either = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / either if either else 1.0


def object_diameter(objects: npt.NDArray[np.integer]) -> float:
    """The diameter of the circle that is as large as the object in which the middle pixel lies.

    Parameters
    ----------
    objects : (H, W) integer array
        0 = none, i = object i.

    Returns
    -------
    float
        In pixels. Half of all pixels lie in objects that are not larger, so that splinters which something else cut
        off do not count for much, however many there are.
    """
    areas = np.sort(np.bincount(objects.ravel())[1:])
    typical = areas[np.searchsorted(areas.cumsum(), areas.sum() / 2)]
    return float(2 * np.sqrt(typical / np.pi))


def brush_for(objects: npt.NDArray[np.integer]) -> Brush:
    """The brush for objects (H, W): a tenth of their diameter, at least a pixel; drags of at most a diameter."""
    diameter = object_diameter(objects)
    return Brush(max(BRUSH * diameter, 1.0), diameter)


def drag(shape: tuple[int, int], start: tuple[float, float], end: tuple[float, float], width: float) -> Mask:
    """The pixels (H, W) within half a brush of the straight line between two points (row, col)."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    along = np.subtract(end, start)
    length = float(along @ along)
    rows, cols = rows - start[0], cols - start[1]
    at = np.clip((rows * along[0] + cols * along[1]) / length, 0, 1) if length else np.zeros(shape)
    near: Mask = (rows - at * along[0]) ** 2 + (cols - at * along[1]) ** 2 <= (width / 2) ** 2
    return near


def next_stroke(mask: Mask, truth: Mask, brush: Brush) -> Stroke | None:
    """The stroke that an annotator draws next.

    Parameters
    ----------
    mask, truth : (H, W) bool array
        What is there and what should be there.
    brush : Brush
        What is drawn with.

    Returns
    -------
    Stroke or None
        On the largest connected error (missing or too much, all eight neighbours connect), the straight drag that puts
        most right: of those whose middle is on that error, to within half a brush, the one with the most pixels put
        right less pixels beyond the true edge. Where no drag puts right more than that, one on the next largest error;
        None if there is none.
    """
    for error, on in _errors(mask, truth):
        found = _best_drag(error, mask, truth, on, brush)
        if found is not None:
            return Stroke(found, on)
    return None


def strokes_until(mask: Mask, truth: Mask, brush: Brush, goal: float = GOAL) -> tuple[int, bool]:
    """How many strokes bring a mask (H, W) to the goal, and whether they do."""
    count = 0
    while iou(mask, truth) < goal:
        stroke = next_stroke(mask, truth, brush)
        if stroke is None:
            return count, False
        mask = stroke.painted(mask)
        count += 1
    return count, True


def _errors(mask: Mask, truth: Mask) -> Iterator[tuple[Mask, bool]]:
    """The connected errors (H, W), the largest first, and whether each is missing."""
    found = []
    for wrong, on in ((truth & ~mask, True), (mask & ~truth, False)):
        labels, _ = ndimage.label(wrong, EVERY_NEIGHBOUR)
        found += [(area, labels, label + 1, on) for label, area in enumerate(np.bincount(labels.ravel())[1:].tolist())]
    found.sort(key=lambda item: -item[0])
    return ((labels == label, on) for _, labels, label, on in found)


def _best_drag(error: Mask, mask: Mask, truth: Mask, on: bool, brush: Brush) -> Mask | None:
    """The pixels (H, W) of the drag on an error that puts most right on balance; None if none puts more right."""
    right = truth if on else ~truth
    gains = (right & (mask != on)).astype(np.int32) - ~right
    corner, side = _square(error, brush)
    here = _cut(gains, corner, side, 0)
    near = ndimage.distance_transform_edt(~_cut(error, corner, side, False)) <= brush.diameter / 2
    best, most = None, 0
    for start, end in _promising(here, near, brush):
        pixels = drag(here.shape, start, end, brush.diameter)
        gain = int(here[pixels].sum())
        if gain > most:
            best, most = pixels, gain
    return None if best is None else _cut(best, (-corner[0], -corner[1]), mask.shape, False)


def _square(error: Mask, brush: Brush) -> tuple[tuple[int, int], int]:
    """Corner and side of a square that holds an error and the drags on it; sides are few, so that tables are kept."""
    spans = [np.flatnonzero(error.any(axis=1 - axis))[[0, -1]].tolist() for axis in (0, 1)]
    room = max(last - first for first, last in spans) + brush.reach + 2 * brush.diameter + 1
    side = int(-(-min(room, max(error.shape)) // 16)) * 16 + 1  # odd: a turned grid has its middle on a pixel
    (top, bottom), (left, right) = spans
    return ((top + bottom + 1 - side) // 2, (left + right + 1 - side) // 2), side


def _cut(values: Array, corner: tuple[int, int], shape: int | tuple[int, int], beyond: int) -> Array:
    """A part (shape) of an array (H, W) from a corner on; `beyond` where it reaches over the array's edges."""
    height, width = (shape, shape) if isinstance(shape, int) else shape
    part = np.full((height, width), beyond, values.dtype)
    rows, cols = (np.arange(at, at + size) for at, size in zip(corner, (height, width), strict=True))
    rows_in, cols_in = ((at >= 0) & (at < size) for at, size in zip((rows, cols), values.shape, strict=True))
    part[np.ix_(rows_in, cols_in)] = values[np.ix_(rows[rows_in], cols[cols_in])]
    return part


def _promising(gains: Array, near: Mask, brush: Brush) -> Iterator[tuple[Point, Point]]:
    """For each direction, the drag whose bounding strip, sampled on a turned grid, has the largest sum of gains.

    Sums along the strips are differences of running sums, so that all drags of all lengths take a few passes.
    """
    side, step = len(gains), max(int(brush.diameter / 4), 1)  # a wide brush needs no fine grid
    turned = _turned(side, step)
    width = max(round(brush.diameter / step), 1)
    sums = np.append(gains.ravel(), 0)[turned].cumsum(axis=1, dtype=np.int32)
    sums[:, width:] -= sums[:, :-width].copy()
    sums = np.pad(sums[:, width - 1 :].cumsum(axis=2, dtype=np.int32), [(0, 0), (0, 0), (1, 0)])  # (D, bands, S + 1)
    middles = np.append(near.ravel(), False)[turned][:, width // 2 :][:, : sums.shape[1]]
    best = np.zeros((DIRECTIONS, 4))  # gain, band, position, drag
    for drags in np.arange(LENGTHS + 1) * brush.reach / LENGTHS:
        length = min(max(round((drags + np.pi / 4 * brush.diameter) / step), 1), turned.shape[2])
        totals = sums[:, :, length:] - sums[:, :, :-length]
        totals *= middles[:, :, length // 2 :][:, :, : totals.shape[2]]
        flat = totals.reshape(DIRECTIONS, -1)
        for direction, place in enumerate(flat.argmax(axis=1).tolist()):
            if flat[direction, place] > best[direction, 0]:
                band, position = divmod(place, totals.shape[2])
                best[direction] = flat[direction, place], band + (width - 1) / 2, position + (length - 1) / 2, drags
    reach = (turned.shape[1] - 1) / 2
    for direction, (gain, band, position, drags) in enumerate(best):
        if gain > 0:
            angle = direction * np.pi / DIRECTIONS
            across, along = step * (band - reach), step * (position - reach)
            ahead = np.array([np.sin(angle), np.cos(angle)])
            middle = (side - 1) / 2 + across * np.array([np.cos(angle), -np.sin(angle)]) + along * ahead
            yield tuple(middle - drags / 2 * ahead), tuple(middle + drags / 2 * ahead)


@lru_cache(maxsize=64)
def _turned(side: int, step: int) -> npt.NDArray[np.int32]:
    """For each direction, where the points of a turned grid lie in a square: (D, S, S) flat indices.

    The last axis runs along the direction; points are `step` pixels apart; those beyond the square have ``side**2``.
    """
    size = int(np.ceil(side * np.sqrt(2) / step)) | 1
    reach = step * (np.arange(size) - size // 2)
    tables = []
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        middle, down, right = (side - 1) / 2, np.cos(angle), np.sin(angle)
        rows = np.rint(middle + reach[:, None] * down + reach * right).astype(np.int32)
        cols = np.rint(middle - reach[:, None] * right + reach * down).astype(np.int32)
        beyond = (np.minimum(rows, cols) < 0) | (np.maximum(rows, cols) >= side)
        tables.append(np.where(beyond, side**2, rows * side + cols))
    return np.stack(tables).astype(np.int32)
