"""How stored data are looked at (`View`) and what was done by hand (`Edits`), as frozen values."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveFloat, field_validator, model_validator

from napari_clearclip.settings import Value

Plane = tuple[int, ...]
Mask = npt.NDArray[np.bool_]
Gamma = Annotated[float, Field(gt=0, le=10)]
Bits = npt.NDArray[np.uint8]

TILE = 256  # side of a region's tiles in pixels
_BYTES = TILE * TILE // 8


class View(Value):
    """How stored data become three channels in [0, 1] and a validity mask.

    The stored array has its leading axes indexed by `plane`; what remains is (H, W), or (H, W, C) and (C, H, W)
    with `channel_axis` naming C's place among the remaining axes.
    """

    plane: Plane = Field((), description="Index into each leading axis of a stack.")
    channel_axis: int | None = Field(None, ge=-3, le=2, description="Axis of the channels once the plane is taken.")
    channels: tuple[int, ...] = Field(
        (), max_length=3, description="One to three channels, used as red, green and blue; empty = the first three."
    )
    limits: tuple[tuple[float, float], ...] | None = Field(
        None, description="Contrast limits of each channel; empty = the full range of uint8, else 0.1 to 99.9 per cent."
    )
    gamma: Gamma | tuple[Gamma, ...] = Field(
        1.0, description="Exponent on the values in [0, 1], of all channels or one each."
    )
    bands: tuple[str, ...] = Field(
        (), max_length=10_000, description="Names of all channels in order, for band expressions; empty = b1, b2, ..."
    )
    nodata: float | None = Field(None, description="Value of pixels without data.")
    alpha: int | None = Field(None, ge=0, description="Channel that is 0 where there are no data.")
    scale: tuple[()] | tuple[PositiveFloat, PositiveFloat] = Field(
        (), description="Height and width of a pixel, in `unit`; empty = sizes are in pixels."
    )
    unit: str = Field("", max_length=40, description="Unit of `scale`, such as µm or m; empty = unknown.")

    @model_validator(mode="after")
    def _fits(self) -> View:
        if any(index < 0 for index in (*self.plane, *self.channels)):
            raise ValueError(f"plane {self.plane} and channels {self.channels} must not be negative")
        for low, high in self.limits or ():
            if not low < high:
                raise ValueError(f"contrast limits ({low}, {high}) must rise")
        return self

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a pixel; (1, 1) where nothing is known."""
        return self.scale or (1.0, 1.0)

    @property
    def look(self) -> View:
        """The same without the size of a pixel and names of bands: what decides on the values that the model sees."""
        return self.replace(scale=(), unit="", bands=()) if self.scale or self.unit or self.bands else self


Tile = tuple[NonNegativeInt, NonNegativeInt, bytes]


class Region(Value):
    """A set of pixels of a plane, kept in tiles, so that a change costs the tiles that it touches.

    A tile is its row and column in a grid of 256 x 256 pixels and its bits, packed and compressed. Tiles are sorted and
    none is empty, so that equal sets are equal values.
    """

    tiles: tuple[Tile, ...] = ()

    @field_validator("tiles")
    @classmethod
    def _are_in_order(cls, tiles: tuple[Tile, ...]) -> tuple[Tile, ...]:
        found: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
        for row, col, bits in tiles:
            try:
                packed = np.frombuffer(zlib.decompressobj().decompress(bits, _BYTES + 1), np.uint8)
            except zlib.error as error:
                raise ValueError(f"the bits of a region are damaged: {error}") from error
            if packed.size != _BYTES:
                raise ValueError(f"tile ({row}, {col}) of a region has {packed.size} bytes of bits, not {_BYTES}")
            if (row, col) in found:
                raise ValueError(f"tile ({row}, {col}) of a region is given twice")
            found[row, col] = packed
        return tuple((*at, _bits(packed)) for at, packed in sorted(found.items()) if packed.any())

    @classmethod
    def of(cls, mask: Mask, corner: tuple[int, int] = (0, 0)) -> Region:
        """The region where `mask` (H, W) is true; `corner` is where its first pixel lies."""
        rows, cols = (range(at // TILE, -(-(at + size) // TILE)) for at, size in zip(corner, mask.shape, strict=True))
        tiles = []
        for row in rows:
            for col in cols:
                there, here = _shared((row * TILE, col * TILE), (TILE, TILE), corner, mask.shape)
                if mask[here].any():
                    tile = np.zeros((TILE, TILE), bool)
                    tile[there] = mask[here]
                    tiles.append((row, col, _bits(np.packbits(tile))))
        return cls.model_construct(tiles=tuple(tiles))

    @classmethod
    def union(cls, regions: Iterable[Region]) -> Region:
        """The pixels of any of some regions."""
        found: dict[tuple[int, int], bytes] = {}
        for region in regions:
            for row, col, bits in region.tiles:
                known = found.get((row, col))
                found[row, col] = bits if known is None else _bits(_packed(known) | _packed(bits))
        return cls.model_construct(tiles=tuple((*at, bits) for at, bits in sorted(found.items())))

    def parts(
        self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)
    ) -> Iterator[tuple[tuple[slice, slice], Mask]]:
        """The parts of a box that the region touches, and its pixels there, tile by tile.

        Parameters
        ----------
        shape : tuple of 2 int
            Height and width of the box; what lies outside is left out.
        corner : tuple of 2 int
            Row and column of the box's first pixel.

        Yields
        ------
        tuple of 2 slice, bool array
            Where in the box, and the pixels.
        """
        first, last = corner[0] // TILE, -(-(corner[0] + shape[0]) // TILE)
        for row, col, bits in self.tiles[bisect_left(self.tiles, (first,)) : bisect_left(self.tiles, (last,))]:
            if corner[1] - TILE < col * TILE < corner[1] + shape[1]:
                here, there = _shared(corner, shape, (row * TILE, col * TILE), (TILE, TILE))
                yield here, _unpacked(bits).view(bool)[there]

    def paint(self, target: npt.NDArray[np.generic], value: int | bool, corner: tuple[int, int] = (0, 0)) -> None:
        """Set the region's pixels of `target` (H, W), whose first pixel lies at `corner`, to `value`, in place."""
        for where, inside in self.parts((target.shape[0], target.shape[1]), corner):
            np.copyto(target[where], value, where=inside, casting="unsafe")

    def mask(self, shape: tuple[int, int]) -> Mask:
        """The region as a boolean array of `shape` (H, W)."""
        mask = np.zeros(shape, bool)
        self.paint(mask, True)
        return mask

    def __or__(self, other: Region) -> Region:
        """The pixels of either region; itself if the other adds none."""
        joined = Region.union((self, other))
        return self if joined == self else joined

    def __sub__(self, other: Region) -> Region:
        """The pixels of this region that the other has not; itself if that takes none."""
        gone = {(row, col): bits for row, col, bits in other.tiles}
        tiles: list[Tile] = []
        for row, col, bits in self.tiles:
            if (row, col) in gone:
                left = _packed(bits) & ~_packed(gone[row, col])
                bits = _bits(left) if left.any() else b""
            if bits:
                tiles.append((row, col, bits))
        return self if tuple(tiles) == self.tiles else Region.model_construct(tiles=tuple(tiles))


def _bits(packed: Bits) -> bytes:
    return zlib.compress(packed.tobytes(), 1)


def _packed(bits: bytes) -> Bits:
    return np.frombuffer(zlib.decompress(bits), np.uint8)


def _unpacked(bits: bytes) -> npt.NDArray[np.uint8]:
    return np.unpackbits(_packed(bits)).reshape(TILE, TILE)


def _shared(
    corner: tuple[int, int], shape: tuple[int, ...], other: tuple[int, int], size: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where two boxes meet, in each one's own rows and columns; an empty slice where they do not."""
    starts = [max(a, b) for a, b in zip(corner, other, strict=True)]
    stops = [min(a + n, b + m) for a, n, b, m in zip(corner, shape, other, size, strict=True)]
    one, two = (
        [slice(start - at, max(stop, start) - at) for start, stop, at in zip(starts, stops, origin, strict=True)]
        for origin in (corner, other)
    )
    return (one[0], one[1]), (two[0], two[1])


class Painted(Value):
    """Pixels of one prompt on one plane, switched on and off by hand."""

    prompt: str
    plane: Plane = ()
    on: Region = Region()
    off: Region = Region()


class Lock(Value):
    """The frozen mask of a locked prompt on one plane."""

    prompt: str
    plane: Plane = ()
    mask: Region = Region()


class Strokes(Value):
    """Pixels of a plane from which a prompt learns, on all planes of the image: some are it, some are not."""

    prompt: str
    plane: Plane = ()
    positive: Region = Region()
    negative: Region = Region()


class Exemplar(Value):
    """Pixels of a plane that show what a prompt means, on all planes of the image."""

    prompt: str
    plane: Plane = ()
    region: Region = Region()


class Edits(Value):
    """Everything done by hand, by prompt id and plane; of two, the later comes later.

    What is painted or locked changes pixels of its plane. Strokes and exemplars change what a prompt looks for, on all
    planes; a prompt has at most one exemplar.
    """

    painted: tuple[Painted, ...] = ()
    locked: tuple[Lock, ...] = ()
    strokes: tuple[Strokes, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def planes(self) -> frozenset[Plane]:
        """The planes on which pixels were changed."""
        return frozenset(item.plane for item in self.painted) | frozenset(item.plane for item in self.locked)

    def at(self, plane: Plane) -> Edits:
        """What counts on one plane: the pixels that were changed there, and what was taught anywhere."""
        painted = tuple(item for item in self.painted if item.plane == plane)
        return self.replace(painted=painted, locked=tuple(item for item in self.locked if item.plane == plane))

    def of(self, prompt: str) -> Edits:
        """What was done by hand for one prompt."""
        return Edits(
            painted=tuple(item for item in self.painted if item.prompt == prompt),
            locked=tuple(item for item in self.locked if item.prompt == prompt),
            strokes=tuple(item for item in self.strokes if item.prompt == prompt),
            exemplars=tuple(item for item in self.exemplars if item.prompt == prompt),
        )

    def painting(self, prompt: str, plane: Plane) -> Painted:
        """What was painted for a prompt on a plane; empty if nothing was."""
        found = [item for item in self.painted if (item.prompt, item.plane) == (prompt, plane)]
        return found[0] if found else Painted(prompt=prompt, plane=plane)

    def lock_of(self, prompt: str, plane: Plane) -> Lock | None:
        """The frozen mask of a prompt on a plane, or None."""
        found = [item for item in self.locked if (item.prompt, item.plane) == (prompt, plane)]
        return found[0] if found else None

    def paint(self, prompt: str, plane: Plane, stroke: Region | Mask, on: bool, *, exclusive: bool = True) -> Edits:
        """Edits after a stroke of the brush or the eraser; a later stroke wins over an earlier one.

        Parameters
        ----------
        prompt : str
            Id of the painted prompt.
        plane : tuple of int
            Index of the painted plane.
        stroke : Region or (H, W) bool array
            Its pixels.
        on : bool
            Whether they are switched on or off.
        exclusive : bool
            Whether switching on for this prompt takes back what was switched on for others.
        """
        stroke = stroke if isinstance(stroke, Region) else Region.of(stroke)
        items = list(self.painted)
        for at, item in enumerate(items):
            if exclusive and on and item.plane == plane and item.prompt != prompt:
                items[at] = _with(item, item.on - stroke, item.off)
        old = self.painting(prompt, plane)
        new = _with(old, old.on | stroke, old.off - stroke) if on else _with(old, old.on - stroke, old.off | stroke)
        if new is not old:
            items = [item for item in items if item is not old] + [new]
        kept = tuple(item for item in items if item.on.tiles or item.off.tiles)
        return self if kept == self.painted else self.replace(painted=kept)

    def strokes_of(self, prompt: str, plane: Plane) -> Strokes:
        """What was drawn to teach a prompt on a plane; empty if nothing was."""
        found = [item for item in self.strokes if (item.prompt, item.plane) == (prompt, plane)]
        return found[0] if found else Strokes(prompt=prompt, plane=plane)

    def exemplar_of(self, prompt: str) -> Exemplar | None:
        """What shows a prompt, or None."""
        return next((item for item in self.exemplars if item.prompt == prompt), None)

    def teach(self, prompt: str, plane: Plane, region: Region | Mask, positive: bool) -> Edits:
        """Edits after a stroke from which a prompt learns; a later stroke wins over an earlier one of the prompt.

        Parameters
        ----------
        prompt : str
            Id of the prompt.
        plane : tuple of int
            Index of the plane that was drawn on; the prompt learns from it on all planes.
        region : Region or (H, W) bool array
            The stroke's pixels.
        positive : bool
            Whether they are what the prompt means, or are not.
        """
        region = region if isinstance(region, Region) else Region.of(region)
        old = self.strokes_of(prompt, plane)
        positives = old.positive | region if positive else old.positive - region
        negatives = old.negative - region if positive else old.negative | region
        if positives is old.positive and negatives is old.negative:
            return self
        new = Strokes.model_construct(prompt=prompt, plane=plane, positive=positives, negative=negatives)
        return self.replace(strokes=(*(item for item in self.strokes if item is not old), new))

    def unteach(self, prompt: str, plane: Plane, region: Region | Mask) -> Edits:
        """Edits in which a prompt learns nothing from some pixels of a plane."""
        region = region if isinstance(region, Region) else Region.of(region)
        old = self.strokes_of(prompt, plane)
        new = old.replace(positive=old.positive - region, negative=old.negative - region)
        if new == old:
            return self
        items = [new if item is old else item for item in self.strokes]
        return self.replace(strokes=tuple(item for item in items if item.positive.tiles or item.negative.tiles))

    def find_similar(self, prompt: str, plane: Plane, region: Region | Mask) -> Edits:
        """Edits in which some pixels show what a prompt means, in place of what showed it before.

        Raises
        ------
        ValueError
            If there are no pixels.
        """
        region = region if isinstance(region, Region) else Region.of(region)
        if not region.tiles:
            raise ValueError("an example has no pixels; click or paint inside the image")
        others = tuple(item for item in self.exemplars if item.prompt != prompt)
        return self.replace(exemplars=(*others, Exemplar(prompt=prompt, plane=plane, region=region)))

    def forget(self, prompt: str) -> Edits:
        """Edits without anything that was taught to the prompt: neither strokes nor an exemplar."""
        strokes = tuple(item for item in self.strokes if item.prompt != prompt)
        return self.replace(strokes=strokes, exemplars=tuple(item for item in self.exemplars if item.prompt != prompt))

    def lock(self, prompt: str, plane: Plane, mask: Region | Mask) -> Edits:
        """Edits in which the prompt's mask (H, W) on the plane is frozen."""
        mask = mask if isinstance(mask, Region) else Region.of(mask)
        others = tuple(item for item in self.locked if (item.prompt, item.plane) != (prompt, plane))
        return self.replace(locked=(*others, Lock(prompt=prompt, plane=plane, mask=mask)))

    def unlock(self, prompt: str) -> Edits:
        """Edits without the prompt's frozen masks."""
        return self.replace(locked=tuple(item for item in self.locked if item.prompt != prompt))

    def clear(self, prompt: str) -> Edits:
        """Edits without anything painted for the prompt."""
        return self.replace(painted=tuple(item for item in self.painted if item.prompt != prompt))

    def changed_tiles(self, other: Edits) -> set[tuple[int, int]]:
        """Row and column of the tiles in which other pixels were changed by hand."""
        return {(row, col) for *_, row, col, _ in self._tiles() ^ other._tiles()}

    def _tiles(self) -> set[tuple[str, Plane, str, int, int, bytes]]:
        regions = [(item.prompt, item.plane, "on", item.on) for item in self.painted]
        regions += [(item.prompt, item.plane, "off", item.off) for item in self.painted]
        regions += [(item.prompt, item.plane, "lock", item.mask) for item in self.locked]
        return {(prompt, plane, kind, *tile) for prompt, plane, kind, region in regions for tile in region.tiles}


def _with(item: Painted, on: Region, off: Region) -> Painted:
    """The same with other regions; itself if they are the ones it has."""
    if on is item.on and off is item.off:
        return item
    return Painted.model_construct(prompt=item.prompt, plane=item.plane, on=on, off=off)
