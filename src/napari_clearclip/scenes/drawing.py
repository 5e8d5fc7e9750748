"""Noise, signed distances and painting shared by the three kinds of scenes.

Lengths are in scene units: a scene is `EXTENT` units wide whatever its size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXTENT = 192.0
Array = NDArray[Any]


@dataclass(frozen=True)
class Sheet:
    """What a painter works on; the arrays are painted in place.

    Attributes
    ----------
    image : (H, W, 3) float, linear colour in [0, 1]
    truth : (H, W) uint8, 0 or position in the kind's vocabulary + 1
    rows, cols : (H, W) float, centre of each pixel in scene units
    """

    image: Array
    truth: Array
    rows: Array
    cols: Array

    @property
    def size(self) -> int:
        """Height and width in pixels."""
        return int(self.truth.shape[0])


def blank(size: int) -> Sheet:
    """An empty sheet of `size` x `size` pixels."""
    centres = (np.arange(size) + 0.5) * EXTENT / size
    rows, cols = np.meshgrid(centres, centres, indexing="ij")
    return Sheet(np.zeros((size, size, 3)), np.zeros((size, size), np.uint8), rows, cols)


def noise(rng: np.random.Generator, size: int, scale: float) -> Array:
    """Smooth value noise (size, size) of mean 0, deviation about 0.6, features `scale` units wide."""
    cells = int(np.ceil(EXTENT / scale)) + 2
    lattice = rng.normal(size=(cells, cells))
    weights = []
    for shift in rng.random(2):
        position = (np.arange(size) + 0.5) * EXTENT / size / scale + shift
        cell = position.astype(int)
        blend = (position - cell) ** 2 * (3 - 2 * (position - cell))
        axis = np.zeros((size, cells))
        axis[np.arange(size), cell] = 1 - blend
        axis[np.arange(size), cell + 1] += blend
        weights.append(axis)
    return np.asarray(weights[0] @ lattice @ weights[1].T)


def rough(rng: np.random.Generator, size: int, scale: float) -> Array:
    """Noise of three octaves (size, size), from `scale` units down."""
    return noise(rng, size, scale) + 0.5 * noise(rng, size, scale / 2) + 0.3 * noise(rng, size, scale / 4)


def turn(sheet: Sheet, row: float, col: float, angle: float) -> tuple[Array, Array]:
    """Coordinates (along, across), (H, W) each, of a frame at (row, col) turned by `angle` radians."""
    down, right = sheet.rows - row, sheet.cols - col
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * right + sin * down, cos * down - sin * right


def box(along: Array, across: Array, half_length: float, half_width: float, corner: float = 0.0) -> Array:
    """Signed distance (negative inside) to a rectangle with rounded corners."""
    x = np.abs(along) - half_length + corner
    y = np.abs(across) - half_width + corner
    return np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - corner


def line(sheet: Sheet, points: Array) -> tuple[Array, Array]:
    """Distance to a polyline `points` (N, 2) of (row, col), and arc length at the nearest point, (H, W) each."""
    nearest = np.full(sheet.rows.shape, np.inf)
    length = np.zeros(sheet.rows.shape)
    walked = 0.0
    for (row, col), (next_row, next_col) in pairwise(points):
        span = float(np.hypot(next_row - row, next_col - col))
        unit_row, unit_col = (next_row - row) / span, (next_col - col) / span
        t = np.clip((sheet.rows - row) * unit_row + (sheet.cols - col) * unit_col, 0, span)
        distance = np.hypot(sheet.rows - row - t * unit_row, sheet.cols - col - t * unit_col)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        length[closer] = walked + t[closer]
        walked += span
    return nearest, length


def coverage(sheet: Sheet, distance: Array, softness: float = 1.0) -> Array:
    """Part of each pixel inside, in [0, 1], from a signed distance in units; `softness` in pixels."""
    return np.asarray(np.clip(0.5 - distance * sheet.size / EXTENT / softness, 0, 1))


def paint(sheet: Sheet, alpha: Array, colour: Array, label: int | None = None) -> None:
    """Lay `colour` (3,) or (H, W, 3) over the image by `alpha` (H, W); `label` goes where it covers half."""
    sheet.image[...] += alpha[..., None] * (colour - sheet.image)
    if label is not None:
        sheet.truth[alpha > 0.5] = label


def shade(colour: Array, amount: Array) -> Array:
    """Colour (3,) made brighter or darker pixel by pixel: (H, W, 3) = colour * (1 + amount)."""
    return np.asarray(colour * (1 + amount[..., None]))


def colour(rng: np.random.Generator, low: tuple[float, float, float], high: tuple[float, float, float]) -> Array:
    """A random RGB colour (3,) between two; brightness varies together, hue a little."""
    mix = np.clip(rng.random() + 0.25 * rng.normal(size=3), 0, 1)
    return np.asarray(np.asarray(low) + mix * (np.asarray(high) - np.asarray(low)))


def blur(image: Array, sigma: float) -> Array:
    """An image (H, W) or (H, W, 3) smoothed by a Gaussian of `sigma` units."""
    from skimage.filters import gaussian

    smooth = gaussian(image, sigma * len(image) / EXTENT, channel_axis=-1 if image.ndim == 3 else None)
    return np.asarray(smooth)


def develop(rng: np.random.Generator, image: Array, grain: float) -> Array:
    """The image (H, W, 3) uint8 with sensor noise of standard deviation `grain` (of 1)."""
    noisy = image + rng.normal(scale=grain, size=image.shape)
    return np.asarray((np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8))
