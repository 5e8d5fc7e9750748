"""Sizes that files may declare: refused before memory is asked for what cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

MOST_PIXELS = 2**30  # of an image that is read; a file that declares more is damaged or hostile
_MOST_BITS = 8 * MOST_PIXELS  # of all names together, or of all images of a file
_DENSEST = 1100  # times that zlib can make something smaller


def check_size(shape: Sequence[int], names: int = 1, stored: int | None = None) -> None:
    """Refuse sizes that no image can have that is meant, before anything of that size is made.

    Parameters
    ----------
    shape : sequence of int
        What a file declares: lengths of all axes.
    names : int
        How many masks of that shape there are.
    stored : int, optional
        Bytes of the file, where it holds all pixels.

    Raises
    ------
    ValueError
        If an axis is empty or they are too large.
    """
    pixels = math.prod(map(int, shape))
    if len(shape) < 2 or any(size < 1 for size in shape):
        raise ValueError(f"an image of shape {tuple(shape)} is empty")
    if pixels > MOST_PIXELS or pixels * max(names, 1) > _MOST_BITS:
        raise ValueError(f"an image of shape {tuple(shape)} with {names} names is too large")
    if stored is not None and pixels * max(names, 1) > _DENSEST * stored:
        raise ValueError(f"an image of shape {tuple(shape)} does not fit into the {stored:,} bytes of the file")


def check_together(shapes: Iterable[Sequence[int]]) -> None:
    """Refuse images that are too large together.

    Raises
    ------
    ValueError
        If they are.
    """
    if (pixels := sum(math.prod(map(int, shape)) for shape in shapes)) > _MOST_BITS:
        raise ValueError(f"its images have {pixels:,} pixels together, which is too large")
