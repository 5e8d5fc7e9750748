"""How maps are refined by the image, in which parts and how they are kept, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from napari_clearclip.engine import guided, pamr
from napari_clearclip.engine.view import render

if TYPE_CHECKING:
    from napari_clearclip.edits import View
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.settings import Refining

# Memory for weights, image and maps of a part.
_WORK = 300 * 2**20
_GUIDE = 64  # bytes a pixel that the image and what is derived from it take
_LEVEL = 2  # bytes a pixel and map while the other maps are refined
_GROUP = 8  # maps for which there is room in the guided filter, which looks at the image anew for each group
_MAP = 12  # bytes a pixel and map: before, with a border, after

_STEPS = 2**16 - 1  # between the lowest and the highest level

Part = tuple[slice, slice]
Range = tuple[float, float]
LevelArray = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Parts:
    """The parts in which an image is refined, each with so much around it that the result is that of the whole.

    Attributes
    ----------
    shape : tuple of 2 int
        Shape (H, W) of the image.
    core : tuple of 2 int
        Shape of a part at most.
    halo : int
        How many pixels around a part are needed.
    together : int
        How many maps are refined at once.
    """

    shape: tuple[int, int]
    core: tuple[int, int]
    halo: int
    together: int = 1

    def along(self, axis: int) -> list[slice]:
        """The parts along rows (0) or columns (1), of nearly one size."""
        length = self.shape[axis]
        count = ceil(length / self.core[axis])
        return [slice(length * index // count, length * (index + 1) // count) for index in range(count)]

    def around(self, part: Part) -> Part:
        """A part with its halo, inside the image."""
        rows, cols = (
            slice(max(side.start - self.halo, 0), min(side.stop + self.halo, length))
            for side, length in zip(part, self.shape, strict=True)
        )
        return rows, cols

    def inside(self, part: Part) -> Part:
        """Where a part lies in `around` it."""
        rows, cols = (
            slice(side.start - outer.start, side.stop - outer.start)
            for side, outer in zip(part, self.around(part), strict=True)
        )
        return rows, cols


def parts_of(shape: tuple[int, int], phrases: int, refining: Refining) -> Parts:
    """The parts in which maps of an image (H, W) are refined, as large as memory allows."""
    halo = weights = windows = 0
    if refining.pamr:
        halo += pamr.reach(refining.pamr, refining.dilations)
        weights = pamr.bytes_per_pixel(refining.dilations)
    if refining.guided:
        halo += guided.reach(refining.guided)
        windows = guided.BYTES + min(phrases, _GROUP) * guided.BYTES_PER_MAP
    side = isqrt(_WORK // (weights + windows + _GUIDE))
    most = max(side - 2 * halo, halo, 1)  # halos take at most eight ninths of the work
    rows, cols = (length if length <= most + 2 * halo else most for length in shape)
    rows = min(rows, max(_WORK // (2 * _LEVEL * phrases * shape[1]), 64))
    outer = min(rows + 2 * halo, shape[0]) * min(cols + 2 * halo, shape[1])
    room = _WORK // 4 if outer * weights <= _WORK else _WORK  # weights that do not fit are made again for each group
    together = room // (_MAP * outer)
    if refining.guided:
        together = min(together, (_WORK // outer - _GUIDE - guided.BYTES) // guided.BYTES_PER_MAP)
    return Parts(shape, (rows, cols), halo, max(together, 1))


@dataclass(frozen=True, eq=False)
class Guide:
    """A part of an image by which maps are refined.

    Attributes
    ----------
    pixels : (3, n, m) float32 tensor
        As the view shows it, in [0, 1].
    valid : (n, m) bool tensor or None
        Where it has data; None if everywhere.
    affinities : Affinities or None
        PAMR's weights, which are kept where they fit into memory; None where there is no PAMR.
    """

    pixels: torch.Tensor
    valid: torch.Tensor | None
    affinities: pamr.Affinities | None


def guide_of(image: Any, view: View, clip: Clip, part: Part, refining: Refining) -> Guide:
    """A part of an image with what refining reads; PAMR's weights are made of it as it is normalised for a model."""
    shown, found = render(image, view, *part)
    pixels = torch.from_numpy(shown).to(clip.device)
    valid = None if found.all() else torch.from_numpy(found).to(clip.device)
    affinities = None
    if refining.pamr:
        normalised = (pixels - pixels.new_tensor(clip.mean)) / pixels.new_tensor(clip.std)
        affinities = pamr.Affinities(normalised.permute(2, 0, 1).contiguous(), refining.dilations, valid, _WORK)
    return Guide(pixels.permute(2, 0, 1).contiguous(), valid, affinities)


def refine_steps(maps: torch.Tensor, guide: Guide, refining: Refining) -> Generator[None, None, torch.Tensor]:
    """Maps (C, n, m) at the pixels of a guide, refined by it: PAMR, then the guided filter; yields often."""
    if guide.affinities is not None:
        maps = yield from pamr.pamr_steps(maps, guide.affinities, refining.pamr)
    if refining.guided:
        yield
        maps = guided.guided(maps, guide.pixels, refining.guided, refining.contrast**2, guide.valid)
    return maps


def levels_of(map_: torch.Tensor, limits: Range) -> LevelArray:
    """A map in half the memory: 65536 levels between two values; see `maps_of`."""
    low, high = limits
    scaled = (map_ - low).mul_(_STEPS / max(high - low, 1e-12)).round_().clamp_(0, _STEPS)
    return scaled.cpu().numpy().astype(np.uint16)


def maps_of(levels: Sequence[LevelArray], limits: Sequence[Range]) -> torch.Tensor:
    """Maps (C, n, W) from their levels: ``low + (high - low) * level / 65535``."""
    maps = torch.empty(len(levels), *levels[0].shape)
    for map_, part, (low, high) in zip(maps, levels, limits, strict=True):
        map_.copy_(torch.from_numpy(part.astype(np.float32))).mul_((high - low) / _STEPS).add_(low)
    return maps
