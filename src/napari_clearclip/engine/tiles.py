"""Tiles of an image, with as much around them as what is done in them looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SIDE = 512  # in pixels, whole bytes of packed masks; several arrays of this size stay near the processor

Tile = tuple[slice, slice]


def tiles(shape: Sequence[int], reach: Sequence[int] = (0, 0)) -> Iterator[tuple[Tile, Tile]]:
    """Tiles that cover an image, row by row.

    Parameters
    ----------
    shape : sequence of 2 int
        Height and width of the image.
    reach : sequence of 2 int
        Rows and columns around a tile that are looked at; of far-reaching work tiles are larger.

    Yields
    ------
    core, around : tuple of 2 slice
        A tile, and the same with what lies around it inside the image.
    """
    side = max(SIDE, *(2 * near for near in reach))
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            core = slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))
            rows, cols = (
                slice(max(part.start - near, 0), min(part.stop + near, length))
                for part, near, length in zip(core, reach, shape, strict=True)
            )
            yield core, (rows, cols)


def inside(core: Tile, around: Tile) -> Tile:
    """Where a tile lies in what is `around` it."""
    rows, cols = (slice(c.start - a.start, c.stop - a.start) for c, a in zip(core, around, strict=True))
    return rows, cols
