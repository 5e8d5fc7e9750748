"""Masks without specks, gaps and rough outlines: the same for exclusive labels and for masks that may overlap.

A label map is worked on as a whole, so that prompts are treated alike whatever their order. Pixels without data, and
what lies outside the image, are no outline: they neither take from a mask nor are they given to one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.engine.tiles import inside, tiles

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.settings import Cleaning

Labels = npt.NDArray[np.uint8]
Scale = tuple[float, float]

_REACH = 3  # standard deviations after which a Gaussian is cut off
_STRIP = 2**18


def clean_steps(labels: Labels, cleaning: Cleaning, pixel: Scale, valid: Mask | None) -> Generator[None, None, Labels]:
    """Exclusive labels without specks, gaps and rough outlines; yields after about a tenth of a second.

    Parameters
    ----------
    labels : (H, W) uint8 array
        0 = nothing, i + 1 = prompt i; it is left as it is.
    cleaning : Cleaning
        What to do; the order is opening, closing, smoothing, small objects, all but the largest objects, holes.
    pixel : tuple of 2 float
        Height and width of a pixel, in the unit of the settings.
    valid : (H, W) bool array or None
        Pixels with data; others stay empty.

    Returns
    -------
    (H, W) uint8 array
        The argument itself if there is nothing to do.

    Notes
    -----
    A prompt grows only into pixels that no other holds: gaps that two prompts would close stay open, holes are filled
    where one prompt alone encloses them, and smoothing moves a pixel from one prompt to another only where the first
    has less of its surroundings. Removing objects and filling holes twice gives the same as once; so does each of
    opening and closing by itself.
    """
    if any(cleaning.lengths):
        labels = yield from _reshape_steps(labels, cleaning, pixel, valid)
    area = pixel[0] * pixel[1]
    if cleaning.hole:
        labels = fill_holes(labels, cleaning.hole / area, valid)
        yield
    if cleaning.smallest or cleaning.largest:
        kept = keep_objects(labels, cleaning.smallest / area, cleaning.largest)
        yield
        if cleaning.hole and kept is not labels:  # where an object of another prompt was, there may be a hole now
            kept = fill_holes(kept, cleaning.hole / area, valid)
            yield
        labels = kept
    return labels


def clean_overlap_steps(
    overlaps: Labels, width: int, cleaning: Cleaning, pixel: Scale, valid: Mask | None
) -> Generator[None, None, Labels]:
    """Overlapping masks, each cleaned by itself with `clean_steps`; yields after each step of that.

    Parameters
    ----------
    overlaps : (P, H, ceil(W / 8)) uint8 array
        Packed masks; they are left as they are.
    width : int
        W.
    """
    cleaned = np.empty_like(overlaps)
    for index, bits in enumerate(overlaps):
        mask = np.unpackbits(bits, axis=-1, count=width)
        mask = yield from clean_steps(mask, cleaning, pixel, valid)
        cleaned[index] = np.packbits(mask, axis=-1)
        yield
    return cleaned


# ----------------------------------------------------------------------------------------------------------------------
# Neighbourhoods


def _reshape_steps(
    labels: Labels, cleaning: Cleaning, pixel: Scale, valid: Mask | None
) -> Generator[None, None, Labels]:
    """Opening, closing and smoothing, tile by tile with as much around as they look at."""
    sides = [_reach(cleaning, side) for side in pixel]
    result = labels.copy()
    for core, around in tiles(labels.shape, sides):
        part = labels[around]
        if part.min() == part.max():
            continue
        known = None if valid is None else valid[around]
        part = open_labels(part, cleaning.opening, pixel, known)
        part = close_labels(part, cleaning.closing, pixel, known)
        part = smooth_labels(part, cleaning.smooth, pixel, known)
        result[core] = part[inside(core, around)]
        yield
    return result


def _reach(cleaning: Cleaning, side: float) -> int:
    """How many pixels away a pixel can matter, along an axis on which pixels have this size."""
    near = 2 * _pixels(cleaning.opening, side) + 2 * _pixels(cleaning.closing, side)
    return near + int(_REACH * cleaning.smooth / side + 0.5)


def _pixels(length: float, side: float) -> int:
    """How many whole pixels make a length; a length that was computed may lack the last digit."""
    return int(length / side + 1e-6)


def _spread(values: Labels, radius: float, pixel: Scale) -> Labels:
    """The largest value within a radius of each pixel; outside the image there is nothing.

    A disk is a stack of rows: they are widened from the shortest, at the top, to the longest, in the middle, each with
    two comparisons a pixel of width.
    """
    result, row = values.copy(), values.copy()
    width, last = 0, values.shape[1] - 1
    for offset in range(min(_pixels(radius, pixel[0]), len(values) - 1), -1, -1):
        half = min(_pixels(max(radius**2 - (offset * pixel[0]) ** 2, 0.0) ** 0.5, pixel[1]), last)
        for step in range(width + 1, half + 1):
            np.maximum(row[:, step:], values[:, :-step], out=row[:, step:])
            np.maximum(row[:, :-step], values[:, step:], out=row[:, :-step])
        width = max(width, half)
        np.maximum(result[offset:], row[: len(row) - offset], out=result[offset:])
        np.maximum(result[: len(row) - offset], row[offset:], out=result[: len(row) - offset])
    return result


def _present(labels: Labels) -> list[int]:
    """The values that occur, in order."""
    found: list[int] = np.flatnonzero(np.bincount(labels.ravel())).tolist()
    return found


def open_labels(labels: Labels, radius: float, pixel: Scale, valid: Mask | None) -> Labels:
    """Labels without parts into which a disk does not fit.

    Parameters
    ----------
    labels : (H, W) uint8 array
        0 = nothing.
    radius : float
        Of the disk, in the unit of `pixel`; 0 = nothing is done.
    pixel : tuple of 2 float
        Height and width of a pixel.
    valid : (H, W) bool array or None
        Pixels with data.

    Returns
    -------
    (H, W) uint8 array
        Each label's opening. All are made at once: where a whole disk has one label, so has every pixel in it.

    References
    ----------
    Serra, Image Analysis and Mathematical Morphology, 1982.
    """
    if radius < min(pixel):
        return labels
    highest = _spread(labels, radius, pixel)
    turned = 255 - labels
    if valid is not None:
        turned *= valid
    lowest = 255 - _spread(turned, radius, pixel)
    inside = ((labels > 0) & (highest == lowest)).view(np.uint8)
    return labels * _spread(inside, radius, pixel)


def close_labels(labels: Labels, radius: float, pixel: Scale, valid: Mask | None) -> Labels:
    """Labels whose gaps into which a disk does not fit are closed.

    Returns
    -------
    (H, W) uint8 array
        Each label's closing, where nothing was and no other label's closing is. The arguments are those of
        `open_labels`.
    """
    free = labels == 0
    if valid is not None:
        free &= valid
    if radius < min(pixel) or not free.any():
        return labels
    claims, result = np.zeros_like(labels), labels.copy()
    for label in _present(labels):
        if label == 0:
            continue
        outside = _spread((labels == label).view(np.uint8), radius, pixel) == 0
        if valid is not None:
            outside &= valid
        closed = free & (_spread(outside.view(np.uint8), radius, pixel) == 0)
        claims += closed
        result[closed] = label
    result[claims > 1] = 0
    return result


def smooth_labels(labels: Labels, deviation: float, pixel: Scale, valid: Mask | None) -> Labels:
    """Labels in which each pixel belongs to whoever, nothing included, has most of its surroundings.

    Parameters
    ----------
    deviation : float
        Standard deviation of the Gaussian that weights the surroundings, in the unit of `pixel`; 0 = nothing is done.

    Returns
    -------
    (H, W) uint8 array
        Of equals, the one who has the pixel already. The other arguments are those of `open_labels`.
    """
    from scipy.ndimage import gaussian_filter

    if not deviation:
        return labels
    best, result = np.zeros(labels.shape, np.float32), labels.copy()
    sigma = [deviation / side for side in pixel]
    for label in _present(labels):
        own = labels == label
        votes = (own if valid is None else own & valid).astype(np.float32)
        share = gaussian_filter(votes, sigma, mode="constant", truncate=_REACH)
        share += np.float32(1e-5) * own
        wins = share > best
        np.copyto(best, share, where=wins)
        result[wins] = label
    if valid is not None:
        result *= valid
    return result


# ----------------------------------------------------------------------------------------------------------------------
# Objects and holes


def keep_objects(labels: Labels, smallest: float, largest: int) -> Labels:
    """Labels without objects that are too small or too many.

    Parameters
    ----------
    labels : (H, W) uint8 array
        An object is what has one label and hangs together by sides, as an instance does.
    smallest : float
        Fewest pixels of an object.
    largest : int
        So many objects a label stay, the largest ones, and of equals the upper ones; 0 = all.

    Returns
    -------
    (H, W) uint8 array
        The argument itself if nothing is removed.
    """
    from skimage.measure import label

    objects = label(labels, background=0, connectivity=1)
    areas = np.bincount(objects.ravel())
    keep = areas >= smallest
    if largest:
        owners = np.zeros(len(areas), np.uint8)
        owners[objects.ravel()] = labels.ravel()
        order = np.lexsort((-areas, owners))  # stable: upper objects have lower numbers
        first = np.searchsorted(owners[order], owners[order])
        keep[order] &= np.arange(len(order)) - first < largest
    keep[0] = True
    if keep.all():
        return labels
    result = np.empty_like(labels)
    step = max(_STRIP // labels.shape[1], 1)
    for top in range(0, len(labels), step):
        rows = slice(top, top + step)
        np.multiply(labels[rows], keep[objects[rows]], out=result[rows])
    return result


def fill_holes(labels: Labels, largest: float, valid: Mask | None) -> Labels:
    """Labels whose holes are filled.

    Parameters
    ----------
    labels : (H, W) uint8 array
        A hole is what is empty, hangs together by sides, has one label all around it and does not reach the image's
        border.
    largest : float
        Most pixels of a hole that is filled.
    valid : (H, W) bool array or None
        Pixels with data; others stay empty.

    Returns
    -------
    (H, W) uint8 array
        The argument itself if nothing is filled.
    """
    from scipy.ndimage import label

    gaps, count = label(labels == 0)
    small = np.bincount(gaps.ravel(), minlength=count + 1) <= largest
    small[0] = False
    for edge in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        small[edge] = False
    places = np.flatnonzero(small[gaps])
    if not places.size:
        return labels
    numbers, flat = gaps.ravel()[places], labels.ravel()
    lowest, highest = np.full(count + 1, 255, np.uint8), np.zeros(count + 1, np.uint8)
    for step in (-1, 1, -labels.shape[1], labels.shape[1]):
        beside = flat[places + step]
        np.maximum.at(highest, numbers, beside)
        np.minimum.at(lowest, numbers, np.where(beside, beside, np.uint8(255)))
    fills = lowest[numbers] == highest[numbers]
    if valid is not None:
        fills &= valid.ravel()[places]
    if not fills.any():
        return labels
    result = labels.copy()
    result.ravel()[places[fills]] = highest[numbers[fills]]
    return result
