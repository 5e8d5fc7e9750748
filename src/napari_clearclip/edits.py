"""How stored data are looked at (`View`) and what was done by hand (`Edits`), as frozen values."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from napari_clearclip.settings import Value

Plane = tuple[int, ...]
Mask = npt.NDArray[np.bool_]


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
    gamma: float = Field(1.0, gt=0, le=10, description="Exponent on the values in [0, 1].")
    nodata: float | None = Field(None, description="Value of pixels without data.")
    alpha: int | None = Field(None, ge=0, description="Channel that is 0 where there are no data.")

    @model_validator(mode="after")
    def _fits(self) -> View:
        if any(index < 0 for index in (*self.plane, *self.channels)):
            raise ValueError(f"plane {self.plane} and channels {self.channels} must not be negative")
        for low, high in self.limits or ():
            if not low < high:
                raise ValueError(f"contrast limits ({low}, {high}) must rise")
        return self


class Region(Value):
    """A set of pixels: a box (y0, x0, y1, x1) and the compressed bits inside it."""

    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    bits: bytes = b""

    @model_validator(mode="after")
    def _fits(self) -> Region:
        y0, x0, y1, x1 = self.box
        if not (0 <= y0 <= y1 and 0 <= x0 <= x1):
            raise ValueError(f"box {self.box} is not (y0, x0, y1, x1) with y0 <= y1 and x0 <= x1")
        size = (y1 - y0) * (x1 - x0)
        if size:
            try:
                unpacked = len(zlib.decompress(self.bits))
            except zlib.error as error:
                raise ValueError(f"the bits of a region are damaged: {error}") from error
            if unpacked != -(-size // 8):
                raise ValueError(f"the bits of a region do not fill its box {self.box}")
        return self

    @classmethod
    def of(cls, mask: Mask) -> Region:
        """The region where `mask` (H, W) is true."""
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return cls()
        box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
        inside = mask[box[0] : box[2], box[1] : box[3]]
        return cls(box=box, bits=zlib.compress(np.packbits(inside).tobytes(), 1))

    def paint(self, target: npt.NDArray[np.generic], value: int | bool) -> None:
        """Set the region's pixels of `target` (H, W) to `value`, in place; what lies outside is left out."""
        y0, x0, y1, x1 = self.box
        size = (y1 - y0) * (x1 - x0)
        if size:
            packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
            inside = np.unpackbits(packed, count=size).view(bool).reshape(y1 - y0, x1 - x0)
            view = target[y0:y1, x0:x1]
            view[inside[: view.shape[0], : view.shape[1]]] = value

    def mask(self, shape: tuple[int, int]) -> Mask:
        """The region as a boolean array of `shape` (H, W)."""
        mask = np.zeros(shape, bool)
        self.paint(mask, True)
        return mask

    def without(self, mask: Mask) -> Region:
        """The region's pixels where `mask` (H, W) is false."""
        return Region.of(self.mask((mask.shape[0], mask.shape[1])) & ~mask)


class Painted(Value):
    """Pixels of one prompt on one plane, switched on and off by hand."""

    prompt: str
    plane: Plane = ()
    on: Region = Region()
    off: Region = Region()

    def _stroked(self, stroke: Mask, on: bool) -> Painted:
        """The same with the pixels of a stroke switched on or off."""
        drawn = Region.of(stroke | (self.on if on else self.off).mask(stroke.shape))
        kept = (self.off if on else self.on).without(stroke)
        return self.replace(on=drawn if on else kept, off=kept if on else drawn)


class Lock(Value):
    """The frozen mask of a locked prompt on one plane."""

    prompt: str
    plane: Plane = ()
    mask: Region = Region()


class Edits(Value):
    """Everything done by hand, by prompt id and plane."""

    painted: tuple[Painted, ...] = ()
    locked: tuple[Lock, ...] = ()

    def at(self, plane: Plane) -> Edits:
        """What was done by hand on one plane."""
        painted = tuple(item for item in self.painted if item.plane == plane)
        return Edits(painted=painted, locked=tuple(item for item in self.locked if item.plane == plane))

    def painting(self, prompt: str, plane: Plane) -> Painted:
        """What was painted for a prompt on a plane; empty if nothing was."""
        found = [item for item in self.painted if (item.prompt, item.plane) == (prompt, plane)]
        return found[0] if found else Painted(prompt=prompt, plane=plane)

    def lock_of(self, prompt: str, plane: Plane) -> Lock | None:
        """The frozen mask of a prompt on a plane, or None."""
        found = [item for item in self.locked if (item.prompt, item.plane) == (prompt, plane)]
        return found[0] if found else None

    def paint(self, prompt: str, plane: Plane, stroke: Mask, on: bool, *, exclusive: bool = True) -> Edits:
        """Edits after a stroke of the brush or the eraser; a later stroke wins over an earlier one.

        Parameters
        ----------
        prompt : str
            Id of the painted prompt.
        plane : tuple of int
            Index of the painted plane.
        stroke : (H, W) bool array
            Its pixels.
        on : bool
            Whether they are switched on or off.
        exclusive : bool
            Whether switching on for this prompt takes back what was switched on for others.
        """
        items = [self.painting(prompt, plane)._stroked(stroke, on)]
        for item in self.painted:
            if (item.prompt, item.plane) == (prompt, plane):
                continue
            if exclusive and on and item.plane == plane:
                item = item.replace(on=item.on.without(stroke))
            items.append(item)
        return self.replace(painted=tuple(items))

    def lock(self, prompt: str, plane: Plane, mask: Mask) -> Edits:
        """Edits in which the prompt's mask (H, W) on the plane is frozen."""
        others = tuple(item for item in self.locked if (item.prompt, item.plane) != (prompt, plane))
        return self.replace(locked=(*others, Lock(prompt=prompt, plane=plane, mask=Region.of(mask))))

    def unlock(self, prompt: str) -> Edits:
        """Edits without the prompt's frozen masks."""
        return self.replace(locked=tuple(item for item in self.locked if item.prompt != prompt))

    def clear(self, prompt: str) -> Edits:
        """Edits without anything painted for the prompt."""
        return self.replace(painted=tuple(item for item in self.painted if item.prompt != prompt))
