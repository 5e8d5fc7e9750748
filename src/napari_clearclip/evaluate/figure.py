"""Images with their truth and what each method made of them, side by side."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.metrics import Labels

_GAP = 8  # white pixels between two pictures
_GOLDEN = 0.618033988749895  # neighbouring classes get hues far from each other
_SHARE = 0.65  # of the class's colour over the image's grey


def palette(classes: int) -> npt.NDArray[np.float32]:
    """A colour (3,) in [0, 1] for each class, (classes, 3)."""
    hues = (np.arange(classes) * _GOLDEN) % 1
    return np.array([colorsys.hsv_to_rgb(hue, 0.75, 0.95) for hue in hues], np.float32)


def row_of(case: Case, found: Sequence[Labels]) -> npt.NDArray[np.uint8]:
    """An image, its truth and what methods made of it, from left to right.

    Parameters
    ----------
    case : Case
        The image and its truth.
    found : sequence of (H, W) integer arrays
        Classes by each method.

    Returns
    -------
    (H, W', 3) uint8 array
        Each class in a colour of its own over a grey image, which shows where there is none; what is not compared is
        black.
    """
    from napari_clearclip.engine.view import render, resolve_view

    shown = render(case.image, resolve_view(case.image, case.view), slice(None), slice(None))[0]  # (H, W, 3) in [0, 1]
    grey = shown.mean(axis=2, keepdims=True)
    colours = palette(case.classes)
    pictures = [shown]
    for labels in (case.truth, *found):
        known = labels < case.classes
        picture = _SHARE * colours[np.where(known, labels, 0)] + (1 - _SHARE) * grey
        picture = np.where((labels == case.found[0])[..., None], grey, picture)
        pictures.append(np.where(known[..., None], picture, 0))
    gap = np.ones((len(shown), _GAP, 3), np.float32)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return (np.concatenate(parts, axis=1) * 255 + 0.5).astype(np.uint8)


def page_of(rows: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Rows of different sizes one below the other, (H, W, 3) uint8, on white."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, [(0, _GAP), (0, width - row.shape[1]), (0, 0)], constant_values=255) for row in rows]
    return np.concatenate(padded)[:-_GAP]
