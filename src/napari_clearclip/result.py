"""What comes out of a run: `Scores`, `Segmentation`, the `Georeference` they carry, and `ObjectTable` (numpy only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Edits, Mask, View
from napari_clearclip.settings import Learned, Prompt, Settings
from napari_clearclip.tally import Tally

LabelArray = npt.NDArray[np.uint8]
IdArray = npt.NDArray[np.integer]

_STRIP = 2**17  # pixels that are scored together


@dataclass(frozen=True)
class Georeference:
    """Where an image lies on Earth.

    Attributes
    ----------
    crs : str
        Coordinate reference system as WKT or ``EPSG:code``.
    transform : tuple of 6 float
        Affine coefficients (a, b, c, d, e, f): x = a * col + b * row + c, y = d * col + e * row + f, for pixel corners.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Scores:
    """Each prompt's score on the cells.

    Attributes
    ----------
    prompts : tuple of str
        Prompt ids, in the order of `values`.
    values : (P, h, w) float32 array
        Scores in [0, 1]; 0 where a cell has no valid pixel.
    cell : tuple of 2 float
        Height and width of a cell in image pixels. Cell (i, j) is centred on pixel
        ((i + 0.5) * cell[0] - 0.5, (j + 0.5) * cell[1] - 0.5).
    pixels : mapping of str to (BINS,) int64 array
        By prompt, how many pixels have which score; only of band expressions, which are scored at pixels.
    ranges : mapping of str to tuple of 2 float, or None
        By prompt, the values between which those of a band expression are, but for 0.1 per cent at either end, before
        they are scaled to scores; None where no pixel has a value.
    """

    prompts: tuple[str, ...]
    values: npt.NDArray[np.float32]
    cell: tuple[float, float]
    pixels: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)

    def of(self, prompt: str) -> npt.NDArray[np.float32]:
        """The (h, w) scores of one prompt."""
        scores: npt.NDArray[np.float32] = self.values[self.prompts.index(prompt)]
        return scores

    def at(self, prompt: str, rows: slice, cols: slice) -> npt.NDArray[np.float32]:
        """One prompt's scores at pixels, (rows, cols): bilinear between the cells' centres, constant beyond them.

        Parameters
        ----------
        prompt : str
            Its id.
        rows, cols : slice
            From where to where, in pixels of the image; a pixel's score does not depend on it.
        """
        scores = self.of(prompt)
        for axis, (part, size) in enumerate(zip((rows, cols), self.cell, strict=True)):
            place = (np.arange(part.start, part.stop) + 0.5) / size - 0.5
            place = np.clip(place, 0, scores.shape[axis] - 1)
            lower = place.astype(np.intp)
            upper = np.minimum(lower + 1, scores.shape[axis] - 1)
            weight = (place - lower).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
            low = scores.take(lower, axis)
            scores = low + weight * (scores.take(upper, axis) - low)
        return scores


@dataclass(frozen=True)
class Segmentation:
    """Masks and scores of one plane of one image.

    Attributes
    ----------
    labels : (H, W) uint8 array
        0 = no prompt, i + 1 = the prompt ``settings.objects[i]``. Where masks overlap, the first prompt in the list.
    overlaps : (P, H, ceil(W / 8)) uint8 array or None
        With overlapping masks, each prompt's mask as packed bits; None where `labels` says it all.
    scores : Scores
        Scores on cells, for heat maps.
    settings, view, edits
        What made the result: every field that a model or an image recommends is filled in.
    valid : (H, W) bool array or None
        Pixels with data; None if all have.
    unknown : mapping of str to tuple of str
        By phrase, the words that the model has never seen (models with a small vocabulary only).
    georeference : Georeference or None
        Where the image lies on Earth, if known.
    splitter : callable or None
        Takes the segmentation and a prompt's id, or None for all prompts, and returns the ids of `instances`.
    tally : Tally or None
        The masks counted by tile, where that was done on the way; not for other masks than these.
    content : str
        Names the pixels that were read, if known.
    learned : mapping of str to Learned
        By prompt id, what its phrases have become by strokes and examples, here or elsewhere; for lists of prompts.
    """

    labels: LabelArray
    scores: Scores
    settings: Settings
    view: View
    edits: Edits
    overlaps: LabelArray | None = None
    valid: Mask | None = None
    unknown: Mapping[str, tuple[str, ...]] | None = None
    georeference: Georeference | None = None
    splitter: Callable[[Segmentation, str | None], IdArray] | None = field(default=None, repr=False, compare=False)
    tally: Tally | None = field(default=None, repr=False, compare=False)
    content: str = field(default="", compare=False)
    learned: Mapping[str, Learned] = field(default_factory=dict, repr=False, compare=False)

    @property
    def unlearned(self) -> tuple[Prompt, ...]:
        """Prompts of which another model has learned something, so that their words alone counted."""
        return tuple(item for item in self.settings.worded if item.learned and item.id not in self.learned)

    @cached_property
    def instances(self) -> IdArray | None:
        """The ids (H, W) of single objects, int32 or int64, made when first asked for; 0 = none.

        An id says where the object scores highest, ``row * W + col + 1``, so that it stays while that does; its prompt
        is what `labels` says. None where the settings ask for no instances and where masks may overlap; there,
        `instances_of` has those of one prompt.
        """
        if self.splitter is None or self.settings.splitting.method == "none" or self.overlaps is not None:
            return None
        return self.splitter(self, None)

    def instances_of(self, prompt: str) -> IdArray:
        """The ids (H, W) of one prompt's objects, as in `instances`; its mask is where they are not 0.

        Raises
        ------
        ValueError
            If no object prompt has this id, or the settings ask for no instances.
        """
        mask = self.mask(prompt)
        if self.splitter is None or self.settings.splitting.method == "none":
            raise ValueError("splitting.method is none, so there are no instances; choose components, shape or score")
        return self.splitter(self, prompt) if self.instances is None else self.instances * mask

    def mask(self, prompt: str) -> Mask:
        """The (H, W) mask of a prompt, by its id.

        Raises
        ------
        ValueError
            If no object prompt has this id.
        """
        ids = [item.id for item in self.settings.objects]
        if prompt not in ids:
            raise ValueError(f"no prompt has the id {prompt!r}; there are {ids}")
        index = ids.index(prompt)
        if self.overlaps is None:
            return np.equal(self.labels, index + 1)
        return np.unpackbits(self.overlaps[index], axis=-1, count=self.labels.shape[1]).view(bool)

    def score_map(self, prompts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Each pixel's score (H, W) by the first of some prompts, by id, whose mask holds it; 0 where none does."""
        height, width = self.labels.shape[0], self.labels.shape[1]
        found = np.zeros((height, width), np.float32)
        step = max(_STRIP // max(width, 1), 1)
        for prompt in reversed(prompts):
            mask = self.mask(prompt)
            for top in range(0, height, step):
                rows = slice(top, min(top + step, height))
                if mask[rows].any():
                    np.copyto(found[rows], self.scores.at(prompt, rows, slice(0, width)), where=mask[rows])
        return found

    def owners(self, row: int, col: int) -> tuple[str, ...]:
        """The ids of the prompts whose masks hold a pixel."""
        ids = [item.id for item in self.settings.objects]
        if self.overlaps is None:
            label = int(self.labels[row, col])
            return (ids[label - 1],) if label else ()
        bits = self.overlaps[:, row, col // 8] >> (7 - col % 8) & 1
        return tuple(id_ for id_, bit in zip(ids, bits.tolist(), strict=True) if bit)

    def coverage(self) -> dict[str, float]:
        """The share of valid pixels that each prompt has, from 0 to 1, by its id."""
        pixels = self.labels.size if self.valid is None else int(np.count_nonzero(self.valid))
        ids = [item.id for item in self.settings.objects]
        totals = self.tallied().totals()
        return {id_: total / max(pixels, 1) for id_, total in zip(ids, totals, strict=True)}

    def tallied(self) -> Tally:
        """The masks counted by tile, now if that was not done on the way."""
        if self.tally is not None:
            return self.tally
        masks = self.labels if self.overlaps is None else self.overlaps
        return Tally.of(masks, self.labels.shape, len(self.settings.objects))


@dataclass(frozen=True, eq=False)
class Column:
    """One measure of all objects.

    Attributes
    ----------
    name : str
        As in the header of a file: lower case, no spaces.
    unit : str
        Empty for a number without one, a text or an id.
    values : (n,) array
        Of numbers or of texts.
    """

    name: str
    unit: str
    values: npt.NDArray[Any]

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Measures of objects, one row an object, by rising id."""

    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The values of a column.

        Raises
        ------
        KeyError
            If there is no such column; the message lists those there are.
        """
        for column in self.columns:
            if column.name == name:
                return column.values
        raise KeyError(f"no column is called {name!r}; there are {[column.name for column in self.columns]}")
