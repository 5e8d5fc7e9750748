"""Band expressions on stored data: their range, and the scores they give pixels and cells (numpy, no torch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.engine.automatic import BINS, Counts, otsu
from napari_clearclip.engine.view import layout, plane_shape, read_channel, sampling_step
from napari_clearclip.expression import Expression, find_bands, parse

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask, View
    from napari_clearclip.settings import Index, Prompt

FloatArray = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint16]
Range = tuple[float, float]

# Scores at pixels are kept in 16 bits: 0 where there is none, else 1 + the score in steps of 1 / FINEST. Thresholds of
# up to three decimals are whole numbers of steps, so that rounding down leaves every pixel on its side of them.
FINEST = 65000
_NOISE = 1e-6  # steps by which computing a score may miss a whole number

_STRIP = 4_000_000  # pixels that are read and computed together
_TAILS = (0.1, 99.9)  # per cent, as for contrast limits


def channels_of(image: Any, view: View, index: Index) -> tuple[int, ...]:
    """The channels that an index reads, in the order in which it names them.

    Raises
    ------
    ValueError
        If it names a band that the image does not have.
    """
    return tuple(find_bands(parse(index.expression), view.bands, layout(image, view)[0]).values())


def read_values(image: Any, view: View, expression: Expression, rows: slice, cols: slice) -> FloatArray:
    """An expression's values in a part of the plane.

    Parameters
    ----------
    image : array-like
        The stored image, of any real type; of a lazy one only the bands named are read.
    view : View
        Plane, channel axis, names of the bands, nodata and alpha are read; contrast limits are not.
    expression : Expression
        What is computed, in float32.
    rows, cols : slice
        The part.

    Returns
    -------
    (h, w) float32 array
        Not a number where any band named is nodata or not finite, a pixel is transparent, or the expression has no
        value, as after a division by zero.
    """
    bands, missing = {}, np.bool_(False)
    for name, channel in find_bands(expression, view.bands, layout(image, view)[0]).items():
        stored = read_channel(image, view, channel, rows, cols)
        if view.nodata is not None:
            missing = missing | (stored == view.nodata)
        bands[name] = stored.astype(np.float32)
    if view.alpha is not None:
        missing = missing | (read_channel(image, view, view.alpha, rows, cols) == 0)
    values = expression(bands)
    return np.where(missing | ~np.isfinite(values), np.float32(np.nan), values)


def measure_range(image: Any, view: View, index: Index) -> Range | None:
    """The values between which an expression's are, but for 0.1 per cent at either end; None where it has none.

    They are taken from the plane, or from evenly spaced pixels of a large one.
    """
    every = slice(None, None, sampling_step(plane_shape(image, view)))
    return _range_of(read_values(image, view, parse(index.expression), every, every))


def _range_of(values: FloatArray) -> Range | None:
    """Where finite values begin and end, but for those at either end."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return None
    low, high = np.percentile(finite, _TAILS).tolist()
    return low, high


def resolve_index(index: Index, measured: Callable[[], Range | None]) -> Index:
    """The index with `low` and `high` filled in.

    Parameters
    ----------
    index : Index
        What is given stays. A normalised difference (a - b) / (a + b) goes from -1 to 1 whatever the image.
    measured : callable
        Returns from where to where others go, as `measure_range`; called only for these.
    """
    if index.low is not None and index.high is not None:
        return index
    low, high = (-1.0, 1.0) if parse(index.expression).is_normalized_difference else measured() or (0.0, 1.0)
    if index.high is not None:
        return index.replace(low=low if low < index.high else float(np.nextafter(index.high - 1, -np.inf)))
    low = low if index.low is None else index.low
    return index.replace(low=low, high=high if low < high else float(np.nextafter(low + 1, np.inf)))


def fill_in(image: Any, view: View, prompt: Prompt) -> Prompt:
    """A prompt that is an index, with its range and Otsu's threshold, where asked for, as the image recommends them."""
    if prompt.index is None:
        return prompt
    index = resolve_index(prompt.index.replace(otsu=False), partial(measure_range, image, view, prompt.index))
    if not prompt.index.otsu:
        return prompt.replace(index=index)
    height, width = plane_shape(image, view)
    step = max(_STRIP // width, 1)
    parts = (measure(image, view, index, slice(top, top + step), slice(None)) for top in range(0, height, step))
    found = otsu(np.sum([count_scores(part) for part in parts], axis=0))
    return prompt.replace(index=index, threshold=prompt.threshold if found is None else found)


def measure(image: Any, view: View, index: Index, rows: slice, cols: slice) -> Levels:
    """The scores that an index gives the pixels of a part of the plane.

    Parameters
    ----------
    index : Index
        With `low` and `high`, as from `resolve_index`.

    Returns
    -------
    (h, w) uint16 array
        ``1 + score * FINEST``, rounded down, of ``score = clip((value - low) / (high - low), 0, 1)``; 0 without one.
    """
    return _levels_of(read_values(image, view, parse(index.expression), rows, cols), index)


def _levels_of(values: FloatArray, index: Index) -> Levels:
    """The levels of an expression's values."""
    if index.low is None or index.high is None:
        raise ValueError("low and high of an index must be filled in before pixels are scored")
    scores = np.clip((values.astype(np.float64) - index.low) / (index.high - index.low), 0, 1)
    levels: Levels = np.nan_to_num(np.floor(scores * FINEST + _NOISE) + 1, nan=0.0, copy=False).astype(np.uint16)
    return levels


def measure_steps(image: Any, view: View, index: Index) -> Generator[None, None, tuple[Levels, Range | None]]:
    """The scores that an index gives all pixels of the plane, in strips; yields after each.

    Returns
    -------
    (H, W) uint16 array
        As from `measure`.
    tuple of 2 float or None
        As from `measure_range`, without reading anything again.
    """
    (height, width), expression = plane_shape(image, view), parse(index.expression)
    levels, sample = np.empty((height, width), np.uint16), []
    step, every = max(_STRIP // width, 1), sampling_step((height, width))
    for start in range(0, height, step):
        rows = slice(start, start + step)
        values = read_values(image, view, expression, rows, slice(None))
        levels[rows] = _levels_of(values, index)
        sample.append(values[-start % every :: every, ::every].copy())
        yield
    return levels, _range_of(np.concatenate(sample))


def level_of(score: float) -> int:
    """The lowest level that reaches a score in [0, 1]: of a score of up to three decimals, exactly what is as high."""
    return 1 + math.ceil(score * FINEST - _NOISE)


def scores_of(levels: Levels) -> FloatArray:
    """Scores in [0, 1] of levels; 0 where there is none."""
    return (np.maximum(levels, 1) - np.float32(1)) / np.float32(FINEST)


def count_scores(levels: Levels, valid: Mask | None = None) -> Counts:
    """How many pixels have which score, in the bins of `napari_clearclip.engine.automatic.histogram`.

    Parameters
    ----------
    levels : (H, W) uint16 array
        As from `measure_steps`; pixels without a score are not counted.
    valid : (H, W) bool array, optional
        Pixels that count.

    Returns
    -------
    (BINS,) int64 array
        A threshold of i / BINS lets bin i and those above it in, and no other.
    """
    counts = np.zeros(FINEST + 2, np.int64)
    step = max(_STRIP // levels.shape[1], 1)
    for start in range(0, len(levels), step):
        rows = slice(start, start + step)
        part = levels[rows] if valid is None else levels[rows][valid[rows]]
        counts += np.bincount(part.ravel(), minlength=len(counts))
    binned: Counts = np.add.reduceat(counts, [level_of(place / BINS) for place in range(BINS)])
    return binned


def mean_cells(levels: Levels, cells: tuple[int, int], valid: Mask | None = None) -> FloatArray:
    """The mean score in each cell.

    Parameters
    ----------
    levels : (H, W) uint16 array
        As from `measure_steps`.
    cells : tuple of 2 int
        Rows and columns of cells that cover the plane.
    valid : (H, W) bool array, optional
        Pixels that count.

    Returns
    -------
    (h, w) float32 array
        Over the pixels with a score whose middle lies in the cell, of a cell smaller than a pixel over the next one;
        0 where there is none.
    """
    height, width = levels.shape
    first_rows, first_cols = (_firsts(pixels, count) for pixels, count in zip((height, width), cells, strict=True))
    total, count = np.empty((2, height, cells[1]))
    step = max(_STRIP // width, 1)
    for start in range(0, height, step):
        rows = slice(start, start + step)
        there = levels[rows] > 0 if valid is None else (levels[rows] > 0) & valid[rows]
        total[rows] = np.add.reduceat(scores_of(levels[rows]) * there, first_cols, axis=1, dtype=np.float64)
        count[rows] = np.add.reduceat(there, first_cols, axis=1, dtype=np.float64)
    total, count = (np.add.reduceat(part, first_rows, axis=0) for part in (total, count))
    means: FloatArray = (total / np.maximum(count, 1)).astype(np.float32)
    return means


def _firsts(pixels: int, cells: int) -> npt.NDArray[np.intp]:
    """The first pixel whose middle lies in each cell along a side."""
    edges = -(-(2 * pixels * np.arange(cells) - cells) // (2 * cells))  # in whole numbers: a middle may lie on an edge
    return np.asarray(np.clip(edges, 0, pixels - 1), np.intp)
