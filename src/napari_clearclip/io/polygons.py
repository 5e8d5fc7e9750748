"""Masks as polygons along the borders of their pixels, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Mask

Ring = npt.NDArray[np.float64]
Polygon = tuple[Ring, list[Ring]]

_STEP = 3  # pixels: a longer edge is a border of its own, a shorter one may be a step of a slanted border


def polygons_of(mask: Mask) -> Iterator[Polygon]:
    """The polygons whose inside is exactly a mask.

    Parameters
    ----------
    mask : (H, W) bool array
        Pixel (row, col) covers the square from (col, row) to (col + 1, row + 1).

    Yields
    ------
    exterior : (n, 2) float array
        Corners x, y; the last is the first.
    holes : list of (n, 2) float arrays
        What is left out of it. Parts that touch at a corner only are polygons of their own.

    Raises
    ------
    ImportError
        If rasterio is missing.
    """
    for geometry, _ in _features().shapes(mask.astype(np.uint8), mask=mask, connectivity=4):
        exterior, *holes = (np.array(ring, float) for ring in geometry["coordinates"])
        yield exterior, holes


def filled(rings: Sequence[Ring], shape: tuple[int, int]) -> Mask:
    """The pixels (H, W) whose centres lie inside an odd number of rings (n, 2) of corners x, y.

    Raises
    ------
    ImportError
        If rasterio is missing.
    """
    closed = [np.vstack([ring, ring[:1]]).tolist() for ring in rings if len(ring) > 2]
    if not closed:
        return np.zeros(shape, bool)
    drawn = _features().rasterize([{"type": "Polygon", "coordinates": closed}], shape)
    return np.asarray(drawn, bool)


def _features() -> Any:
    try:
        import rasterio.features
    except ImportError as error:
        raise ImportError('polygons need rasterio: pip install "napari-clearclip[geo]"') from error
    return rasterio.features


def unstaired(ring: Ring) -> Ring:
    """A closed outline (n, 2) through the middles of the short edges of pixels, where a slanted border really runs."""
    points = []
    for start, stop in pairwise(ring):
        points += [start, stop] if np.abs(stop - start).max() > _STEP else [(start + stop) / 2]
    return np.array([*points, points[0]])


def squared(ring: Ring) -> Ring:
    """A closed outline of right angles near one of any angles.

    The outline is turned so that its longest direction lies along an axis; each edge becomes horizontal or vertical,
    whichever is nearer, at its mean place; edges of one kind that follow each other become one, and they meet in
    corners.

    Parameters
    ----------
    ring : (n, 2) float array
        Corners x, y; the last is the first.

    Returns
    -------
    (m, 2) float array
        Corners x, y; the last is the first. An outline too small to have two edges each way becomes a rectangle.
    """
    edges = np.diff(ring, axis=0)
    lengths = np.hypot(*edges.T)
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    # Directions repeat every quarter turn: the mean of four times the angle, by length.
    turn = np.angle(np.sum(lengths * np.exp(4j * angles))) / 4
    turned = _turned(ring, -turn)
    edges = np.diff(turned, axis=0)
    level = np.abs(edges[:, 0]) >= np.abs(edges[:, 1])  # horizontal rather than vertical
    middles = (turned[:-1] + turned[1:]) / 2
    first = int(np.argmax(level != np.roll(level, 1)))
    level, lengths, middles = np.roll(level, -first), np.roll(lengths, -first), np.roll(middles, -first, axis=0)
    starts = np.flatnonzero(np.append(True, level[1:] != level[:-1]))
    if len(starts) < 4:
        return _turned(_rectangle(turned), turn)
    axis = np.where(level, 1, 0)  # a horizontal edge keeps its y
    places = middles[np.arange(len(middles)), axis]
    weights = np.maximum(lengths, 1e-12)
    means = np.add.reduceat(places * weights, starts) / np.add.reduceat(weights, starts)
    others = np.roll(means, -1)
    flat = level[starts]
    corners = np.stack([np.where(flat, others, means), np.where(flat, means, others)], axis=1)
    return _turned(np.vstack([corners, corners[:1]]), turn)


def _rectangle(ring: Ring) -> Ring:
    (left, top), (right, bottom) = ring.min(axis=0), ring.max(axis=0)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])


def _turned(points: Ring, angle: float) -> Ring:
    """Points x, y turned about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    turned: Ring = points @ np.array([[cos, sin], [-sin, cos]])
    return turned
