"""Named masks of an image or stack: what every exporter writes and every reader gives back."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Mask
from napari_clearclip.io.placement import Placement
from napari_clearclip.result import Georeference, LabelArray, Scores, Segmentation
from napari_clearclip.settings import COLORS

Trait = Literal["overlap", "holes", "instances", "many", "stack", "crs"]
TRAITS: tuple[Trait, ...] = get_args(Trait)
_COLOR = re.compile("#[0-9A-Fa-f]{6}")
_MANY = 255  # names that a byte can tell apart, beside nothing


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks with names.

    Attributes
    ----------
    names : tuple of P str
        What each mask shows.
    labels : (..., H, W) unsigned integer array
        0 = nothing, i + 1 = ``names[i]``; axes of a stack come first. Where masks overlap, the first of them.
    overlaps : (P, ..., H, ceil(W / 8)) uint8 array or None
        With overlapping masks, each mask as packed bits (`numpy.packbits` along the rows).
    instances : (..., H, W) integer array or None
        0 = no object, else the object's number; an object has one name.
    colors : tuple of P str
        #rrggbb of each name; others are given where they are not as many.
    scores : (P, ..., h, w) float32 array or None
        Scores in [0, 1] on the cells of a grid that divides the plane evenly.
    valid : (..., H, ceil(W / 8)) uint8 array or None
        Pixels with data, as packed bits; None if all have.
    image : str
        File name of the image.
    placement : Placement
        Where the source's pixels lie, as its TIFF says it.
    georeference : Georeference or None
        The same as coordinate system and transform.
    spacing : tuple of float
        Size of a pixel along each axis of `labels`, in `unit`; empty = 1.
    unit : str
        Unit of length, such as um.

    Raises
    ------
    ValueError
        If the parts do not fit each other.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[Any]
    overlaps: LabelArray | None = None
    instances: npt.NDArray[Any] | None = None
    colors: tuple[str, ...] = ()
    scores: npt.NDArray[np.float32] | None = None
    valid: LabelArray | None = None
    image: str = ""
    placement: Placement = field(default_factory=Placement)
    georeference: Georeference | None = None
    spacing: tuple[float, ...] = ()
    unit: str = "pixel"

    def __post_init__(self) -> None:
        shape = self.labels.shape
        if self.labels.ndim < 2 or self.labels.dtype.kind != "u":
            raise ValueError(f"labels are {self.labels.dtype} of shape {shape}; they must be unsigned (..., H, W)")
        packed = (len(self.names), *shape[:-1], -(-shape[-1] // 8))
        if self.overlaps is not None and self.overlaps.shape != packed:
            raise ValueError(f"overlaps have shape {self.overlaps.shape}, but must be {packed}")
        if self.valid is not None and self.valid.shape != packed[1:]:
            raise ValueError(f"pixels with data have shape {self.valid.shape}, but must be {packed[1:]}")
        if self.instances is not None and self.instances.shape != shape:
            raise ValueError(f"instances have shape {self.instances.shape}, but labels have {shape}")
        if self.instances is not None and self.overlaps is not None:
            raise ValueError("masks that overlap cannot be numbered as objects in one array; make them exclusive")
        if self.overlaps is None and self.labels.size and int(self.labels.max()) > len(self.names):
            raise ValueError(f"labels go up to {self.labels.max()}, but there are {len(self.names)} names")
        if not all(isinstance(name, str) for name in (*self.names, self.image, self.unit)):
            raise ValueError(f"names {self.names[:3]}, image {self.image!r} and unit {self.unit!r} must be texts")
        if self.spacing and (len(self.spacing) != len(shape) or not all(0 < side < math.inf for side in self.spacing)):
            raise ValueError(f"spacing {self.spacing} must be a positive length for each axis of labels {shape}")
        if len(self.colors) != len(self.names) or not all(_COLOR.fullmatch(str(color)) for color in self.colors):
            colors = tuple(COLORS[at % len(COLORS)] for at in range(len(self.names)))
            object.__setattr__(self, "colors", colors)

    @classmethod
    def of(
        cls,
        results: Sequence[Segmentation],
        stack: tuple[int, ...] = (),
        image: str = "",
        placement: Placement | None = None,
    ) -> Masks:
        """The masks of one plane, or of every plane of a stack in order.

        Parameters
        ----------
        results : sequence of Segmentation
            One a plane, of the same prompts.
        stack : tuple of int
            Lengths of the stack's axes; empty for a single plane.
        image : str
            File name of the image.
        placement : Placement, optional
            Where its pixels lie.
        """
        first = results[0]
        prompts, shape = first.settings.objects, first.labels.shape
        labels = _stacked([part.labels for part in results]).reshape(*stack, *shape)
        overlaps = None
        if first.overlaps is not None:
            packed = np.stack([part.overlaps for part in results if part.overlaps is not None], axis=1)
            overlaps = packed.reshape(len(prompts), *stack, *packed.shape[2:])
        scores = np.stack([part.scores.values for part in results], axis=1)
        valid = None
        if any(part.valid is not None for part in results):
            seen = [np.ones(shape, bool) if part.valid is None else part.valid for part in results]
            valid = np.packbits(np.stack(seen), axis=-1)
        numbered = [part.instances for part in results if part.instances is not None]
        instances = _stacked(numbered).reshape(*stack, *shape) if numbered else None
        return cls(
            names=tuple(prompt.phrase for prompt in prompts),
            labels=labels,
            overlaps=overlaps,
            instances=instances,
            colors=tuple(prompt.color for prompt in prompts),
            scores=scores.reshape(len(prompts), *stack, *scores.shape[2:]),
            valid=None if valid is None else valid.reshape(*stack, *valid.shape[1:]),
            image=image,
            placement=placement or Placement(),
            georeference=first.georeference,
            spacing=(1.0,) * len(stack) + first.view.scale if first.view.scale else (),
            unit=first.view.unit or "pixel",
        )

    @classmethod
    def from_each(cls, names: Sequence[str], masks: Sequence[Mask], **fields: Any) -> Masks:
        """From one boolean array (..., H, W) a name; packed only if masks overlap.

        Raises
        ------
        ValueError
            If there is no mask, or their shapes differ.
        """
        if not masks or len({mask.shape for mask in masks}) > 1 or len(names) != len(masks):
            shapes = sorted({mask.shape for mask in masks})
            raise ValueError(f"{len(names)} names and {len(masks)} masks of shapes {shapes} do not make one image")
        labels = np.zeros(masks[0].shape, np.uint8 if len(masks) <= _MANY else np.uint16)
        meet = False
        for at in reversed(range(len(masks))):
            meet = meet or bool(np.any(labels[masks[at]]))
            labels[masks[at]] = at + 1
        overlaps = np.stack([np.packbits(mask, axis=-1) for mask in masks]) if meet else None
        return cls(tuple(names), labels, overlaps, **fields)

    def mask(self, index: int) -> Mask:
        """One name's mask, (..., H, W) bool."""
        if self.overlaps is None:
            equal: Mask = np.equal(self.labels, index + 1)
            return equal
        return np.unpackbits(self.overlaps[index], axis=-1, count=self.labels.shape[-1]).view(bool)

    def __iter__(self) -> Iterator[Mask]:
        """Each name's mask, in order."""
        return (self.mask(index) for index in range(len(self.names)))

    @property
    def planes(self) -> tuple[tuple[int, ...], ...]:
        """The index of every plane, in order; ((),) for a single one."""
        return tuple(np.ndindex(self.labels.shape[:-2]))

    def at(self, plane: tuple[int, ...]) -> Masks:
        """The masks of one plane."""
        each: Any = (slice(None), *plane)
        return replace(
            self,
            labels=self.labels[plane],
            overlaps=None if self.overlaps is None else self.overlaps[each],
            instances=None if self.instances is None else self.instances[plane],
            scores=None if self.scores is None else self.scores[each],
            valid=None if self.valid is None else self.valid[plane],
            spacing=self.spacing[-2:],
        )

    def along(self, axis: int) -> Masks:
        """The masks without an axis of the stack that is 1 long, such as one of channels."""
        return replace(
            self,
            labels=self.labels.squeeze(axis),
            overlaps=None if self.overlaps is None else self.overlaps.squeeze(axis + 1),
            instances=None if self.instances is None else self.instances.squeeze(axis),
            scores=None if self.scores is None else self.scores.squeeze(axis + 1),
            valid=None if self.valid is None else self.valid.squeeze(axis),
            spacing=self.spacing[:axis] + self.spacing[axis + 1 :],
        )

    def objects(self, index: int) -> Iterator[tuple[int, tuple[slice, slice], Mask]]:
        """Each object of one name on a plane: its number (0 = the whole mask), its box, and its pixels in that."""
        mask = self.mask(index)
        whole = box_of(mask)
        if whole is None:
            return
        if self.instances is None:
            yield 0, whole, mask[whole]
            return
        from scipy.ndimage import find_objects

        values = np.where(mask[whole], self.instances[whole], np.int64(-1))
        numbers, places = np.unique(values, return_inverse=True)  # without gaps: numbers may be in the millions
        numbers = numbers[numbers >= 0]
        places = places.reshape(values.shape) + (1 if values.min() >= 0 else 0)  # 0 is outside of the mask
        for place, found in enumerate(find_objects(places), 1):
            rows, cols = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(found, whole, strict=True))
            yield int(numbers[place - 1]), (rows, cols), places[found] == place

    def score_map(self, index: int, rows: slice) -> npt.NDArray[np.float32]:
        """One name's scores on some rows (n, W) of a plane, bilinear between cells; not a number without data.

        Raises
        ------
        ValueError
            If there are no scores.
        """
        if self.scores is None:
            raise ValueError("there are no scores; masks that were read from a file or drawn have none")
        height, width = self.labels.shape
        cell = height / self.scores.shape[-2], width / self.scores.shape[-1]
        found = Scores(tuple(map(str, range(len(self.names)))), self.scores, cell).at(str(index), rows, slice(0, width))
        if self.valid is None:
            return found
        return np.where(np.unpackbits(self.valid[rows], axis=-1, count=width), found, np.float32(np.nan))

    def score(self, index: int, box: tuple[slice, slice], crop: Mask) -> float | None:
        """The mean score of one name over the pixels of a box on a plane; None where nothing is known."""
        if self.scores is None or self.scores.ndim != 3 or not crop.any():
            return None
        grid, counts = self.scores[index], crop
        first = []
        for axis, side in enumerate(box):
            cells = (np.arange(side.start, side.stop) * (grid.shape[axis] / self.labels.shape[axis])).astype(np.intp)
            starts = np.flatnonzero(np.diff(cells, prepend=-1))
            counts = np.add.reduceat(counts, starts, axis=axis, dtype=np.int64)
            first.append(cells[starts])
        return float((grid[np.ix_(*first)] * counts).sum(dtype=np.float64) / counts.sum())


def box_of(mask: Mask) -> tuple[slice, slice] | None:
    """The smallest box that holds a plane's mask; None of an empty one."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _stacked(planes: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Planes on top of each other; a single one is not copied, since it may be large."""
    return planes[0][None] if len(planes) == 1 else np.stack(planes)


def traits_of(masks: Masks, among: Collection[Trait] = TRAITS) -> frozenset[Trait]:
    """What of these masks not every format can hold; holes, which take long to find, only if they are `among` these."""
    found: set[Trait] = set()
    if masks.labels.ndim > 2:
        found.add("stack")
    if masks.georeference is not None or masks.placement.tags:
        found.add("crs")
    if masks.instances is not None:
        found.add("instances")
    if len(masks.names) > _MANY:
        found.add("many")
    if masks.overlaps is not None and _overlap(masks):
        found.add("overlap")
    if "holes" in among and any(_has_hole(mask[plane]) for mask in masks for plane in masks.planes):
        found.add("holes")
    return frozenset(found)


def without(masks: Masks, traits: Collection[str]) -> Masks:
    """The masks with some traits given up: the first of overlapping masks stays, holes are filled.

    Raises
    ------
    ValueError
        If a trait cannot be given up: the planes of a stack and more than 255 names are not to be left out.
    """
    if stuck := {"stack", "many"} & set(traits):
        raise ValueError(f"{', '.join(sorted(stuck))} cannot be given up; choose another format or export by plane")
    if "overlap" in traits:
        masks = replace(masks, overlaps=None)
    if "holes" in traits:
        each = [np.stack([_filled(mask[plane]) for plane in masks.planes]).reshape(mask.shape) for mask in masks]
        full = Masks.from_each(masks.names, each)
        masks = replace(masks, labels=full.labels, overlaps=full.overlaps)
    if "instances" in traits:
        masks = replace(masks, instances=None)
    if "crs" in traits:
        masks = replace(masks, georeference=None, placement=replace(masks.placement, tags=()))
    return masks


def _overlap(masks: Masks) -> bool:
    """Whether any pixel is in two masks."""
    seen = np.zeros(masks.labels.shape, bool)
    for mask in masks:
        if np.any(seen & mask):
            return True
        seen |= mask
    return False


def _filled(mask: Mask) -> Mask:
    """A plane's mask without holes."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(mask), bool)


def _has_hole(mask: Mask) -> bool:
    """Whether any part of what is not in a plane's mask does not reach its border."""
    from scipy import ndimage

    box = box_of(mask)
    if box is None:
        return False
    parts: int = ndimage.label(np.pad(~mask[box], 1, constant_values=True))[1]
    return parts > 1
