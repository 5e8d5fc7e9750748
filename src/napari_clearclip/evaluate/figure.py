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
_HEAD = 22  # pixels
_SHARE = 0.65  # of the class's colour over the image's grey
# Viridis at even steps from 0 to 1.
_RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float32) / 255


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
    shown = _shown(case)
    grey = shown.mean(axis=2, keepdims=True)
    colours = palette(case.classes)
    pictures = [shown]
    compared = _compared(case)
    for labels, known in ((case.truth, compared), *((labels, labels < case.classes) for labels in found)):
        picture = _SHARE * colours[np.where(known, labels, 0)] + (1 - _SHARE) * grey
        picture = np.where((labels == case.found[0])[..., None], grey, picture)
        pictures.append(np.where(known[..., None], picture, 0))
    return _side_by_side(pictures)


def confidence_row(case: Case, wanted: int | None, maps: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.uint8]:
    """An image, where a class is in truth, and how sure of it methods are, to stand below `row_of`.

    Parameters
    ----------
    case : Case
        The image and its truth.
    wanted : int or None
        The class; None for whichever is the surest, and then all that is compared is white.
    maps : sequence of (H, W) float32 arrays
        Scores in [0, 1] by each method.

    Returns
    -------
    (H, W', 3) uint8 array
        Of the width of `row_of`. From 0 (violet) to 1 (yellow).

    References
    ----------
    MaskCLIP, Fig. 1.
    """
    shown = _shown(case)
    compared = _compared(case)
    there = compared if wanted is None else compared & (case.truth == wanted)
    truth = np.broadcast_to(there[..., None].astype(np.float32), shown.shape)
    levels = np.linspace(0, 1, len(_RAMP))
    ramps = [np.stack([np.interp(map_, levels, channel) for channel in _RAMP.T], axis=-1) for map_ in maps]
    return _side_by_side([shown, truth, *ramps])


def _compared(case: Case) -> npt.NDArray[np.bool_]:
    """Which pixels (H, W) have a truth; a label that is ignored may be the number of a class, too."""
    compared = case.truth < case.classes
    return compared if case.ignore is None else compared & (case.truth != case.ignore)


def _shown(case: Case) -> npt.NDArray[np.float32]:
    """The image as it is looked at, (H, W, 3) in [0, 1]."""
    from napari_clearclip.engine.view import render, resolve_view

    return render(case.image, resolve_view(case.image, case.view), slice(None), slice(None))[0]


def _side_by_side(pictures: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.uint8]:
    """Pictures (H, W, 3) in [0, 1] from left to right on white."""
    gap = np.ones((len(pictures[0]), _GAP, 3), np.float32)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return (np.concatenate(parts, axis=1) * 255 + 0.5).astype(np.uint8)


def head_of(names: Sequence[str], width: int) -> npt.NDArray[np.uint8]:
    """Names above pictures that are `width` pixels wide, as `row_of` puts them, (22, W', 3) uint8 black on white."""
    from PIL import Image, ImageDraw, ImageFont

    head = Image.new("RGB", (len(names) * (width + _GAP) - _GAP, _HEAD), "white")
    draw, font = ImageDraw.Draw(head), ImageFont.load_default(14)
    for place, name in enumerate(names):
        while len(name) > 1 and draw.textlength(name, font) > width:
            name = f"{name.rstrip('…')[:-1]}…"
        draw.text((place * (width + _GAP), 2), name, "black", font)
    return np.asarray(head)


def page_of(rows: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Rows of different sizes one below the other, (H, W, 3) uint8, on white."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, [(0, _GAP), (0, width - row.shape[1]), (0, 0)], constant_values=255) for row in rows]
    return np.concatenate(padded)[:-_GAP]
