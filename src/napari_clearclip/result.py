"""What comes out of a run: `Scores`, `Segmentation` and the `Georeference` they carry (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Edits, Mask, View
from napari_clearclip.settings import Settings

LabelArray = npt.NDArray[np.uint8]


_CACHED = 2**17  # pixels that stay in a processor's cache while they are counted


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
    """

    prompts: tuple[str, ...]
    values: npt.NDArray[np.float32]
    cell: tuple[float, float]

    def of(self, prompt: str) -> npt.NDArray[np.float32]:
        """The (h, w) scores of one prompt."""
        scores: npt.NDArray[np.float32] = self.values[self.prompts.index(prompt)]
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
        if self.overlaps is None:
            counts = np.zeros(256, np.int64)
            step = max(_CACHED // max(self.labels.shape[1], 1), 1)
            for top in range(0, len(self.labels), step):
                counts += np.bincount(self.labels[top : top + step].ravel(), minlength=256)
            found = counts[1 : len(ids) + 1].tolist()
        else:
            found = [int(np.count_nonzero(self.mask(id_))) for id_ in ids]
        return {id_: count / max(pixels, 1) for id_, count in zip(ids, found, strict=True)}
