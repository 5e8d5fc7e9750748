"""Masks whose outlines follow edges of the image, and that are clean, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.job import Job
from napari_clearclip.progress import Progress, counted
from napari_clearclip.result import LabelArray
from napari_clearclip.stepping import Stepping
from napari_clearclip.tally import Tally

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.engine.edges import Heights, Segments
    from napari_clearclip.engine.tiles import Tile
    from napari_clearclip.settings import Cleaning

MOVING = "Moving outlines to edges"
CLEANING = "Cleaning masks"

Doubt = Callable[[], Generator[Progress, None, LabelArray]]


@dataclass(frozen=True, eq=False)
class Masks:
    """What a stage makes of all prompts, not to be written to.

    Attributes
    ----------
    key : str
        Names it.
    labels : (H, W) uint8 array
        0 = nothing, i + 1 = prompt i; empty where masks may overlap.
    overlaps : (P, H, ceil(W / 8)) uint8 array or None
        Packed masks where they may overlap.
    tally : Tally
        What is known of each tile.
    """

    key: str
    labels: LabelArray
    overlaps: LabelArray | None
    tally: Tally

    @property
    def nbytes(self) -> int:
        """Memory of what is kept; labels beside packed masks are empty and take none."""
        return (self.labels if self.overlaps is None else self.overlaps).nbytes + self.tally.nbytes


class Tidying:
    """Moves outlines to edges and cleans masks.

    Parameters
    ----------
    cache : Cache
        What is kept of each stage.
    stepping : Stepping
        Counts masks from those that were made last.
    """

    def __init__(self, cache: Cache, stepping: Stepping) -> None:
        self._cache = cache
        self._stepping = stepping

    def steps(self, job: Job, masks: Masks, doubt: Doubt) -> Generator[Progress, None, Masks]:
        """Masks after `Settings.cleaning`; the same ones if nothing is asked for.

        Parameters
        ----------
        job : Job
            Image and settings.
        masks : Masks
            What is above the thresholds.
        doubt : callable
            Finds the pixels that could easily belong to others, packed: (1, H, ceil(W / 8)), or as ``masks.overlaps``.
        """
        masks = yield from self._moved(job, masks, doubt)
        for part in job.settings.cleaning.parts:  # kept apart: moving a least area does not smooth anew
            masks = yield from self._cleaned(job, masks, part)
        return masks

    def kept(self, masks: Masks) -> Masks:
        """The same, kept."""
        self._cache.put(masks.key, masks, masks.nbytes)
        return masks

    def _after(self, stage: str, job: Job, masks: Masks, key: str, changed: LabelArray) -> Masks:
        """What a stage has made of masks, kept: other labels or, where masks may overlap, other packed ones."""
        if changed is masks.labels:
            return self.kept(replace(masks, key=key))
        tally = self._stepping.tally(stage, job.key, changed, job.frame.image, len(job.settings.objects))
        if masks.overlaps is None:
            return self.kept(Masks(key, changed, None, tally))
        return self.kept(Masks(key, masks.labels, changed, tally))

    def _moved(self, job: Job, masks: Masks, doubt: Doubt) -> Generator[Progress, None, Masks]:
        """Masks whose outlines follow edges of the image."""
        from napari_clearclip.engine import edges
        from napari_clearclip.engine.tiles import tiles

        cleaning = job.settings.cleaning
        if not cleaning.moved:
            return masks
        side = edges.side_of(cleaning, job.view.pixel, job.frame.cell_size)
        key = key_of("moved", masks.key, job.content, job.view.look, cleaning.moved, side)
        found: Masks | None = self._cache.get(key)
        if found is not None:
            return found
        total, done = sum(1 for _ in tiles(job.frame.image)), count()
        yield Progress(MOVING, next(done), total)
        if cleaning.edges == "watershed":
            bits = yield from doubt()

            def flood(part: LabelArray, steepness: Heights, index: int, tile: Tile) -> LabelArray:
                return edges.flood(
                    part, edges.unpacked(bits[index], tile).view(bool), steepness, _free(job, part, index, tile)
                )

            def rise(tile: Tile) -> Heights:
                return edges.heights(_seen(job, tile))

            steps = edges.redraw_steps(masks.labels, masks.overlaps, rise, flood, edges.HALO)
        else:

            def snap(part: LabelArray, segments: Segments, index: int, tile: Tile) -> LabelArray:
                return edges.snap(part, segments, _free(job, part, index, tile))

            def segments(tile: Tile) -> Segments:
                return self._segments(job, side, tile)

            steps = edges.redraw_steps(masks.labels, masks.overlaps, segments, snap)
        changed = yield from counted(steps, lambda: Progress(MOVING, next(done), total))
        return self._after("moved", job, masks, key, changed)

    def _segments(self, job: Job, side: float, tile: Tile) -> Segments:
        """The superpixels of a tile."""
        from napari_clearclip.engine.edges import segment

        method, *_ = read = job.settings.cleaning.moved
        compactness = job.settings.cleaning.compactness
        found: Segments = self._cache.made(
            ("segments", job.content, job.view.look, read, side, tile),
            lambda: segment(_seen(job, tile), str(method), side, compactness),
        )
        return found

    def _cleaned(self, job: Job, masks: Masks, cleaning: Cleaning) -> Generator[Progress, None, Masks]:
        """Masks without specks, gaps and rough outlines."""
        from napari_clearclip.engine.clean import clean_overlap_steps, clean_steps

        if not cleaning.shaped:
            return masks
        pixel = job.view.pixel
        key = key_of("cleaned", masks.key, cleaning.shaped, pixel)
        found: Masks | None = self._cache.get(key)
        if found is not None:
            return found
        state = Progress(CLEANING)
        yield state
        if masks.overlaps is None:
            steps = clean_steps(masks.labels, cleaning, pixel, job.valid)
        else:
            steps = clean_overlap_steps(masks.overlaps, job.frame.image[1], cleaning, pixel, job.valid)
        changed = yield from counted(steps, state)
        return self._after("shaped" if any(cleaning.lengths) else "cleaned", job, masks, key, changed)


def _seen(job: Job, tile: Tile) -> npt.NDArray[np.float32]:
    """A tile of the image as the view shows it, (h, w, 3)."""
    from napari_clearclip.engine.view import render

    return render(job.image, job.view, *tile)[0]


def _free(job: Job, part: LabelArray, index: int, tile: Tile) -> Mask:
    """Pixels of a tile that may change: those with data that no band expression has, which is exact to the pixel."""
    exact = [prompt.index is not None for prompt in job.settings.objects]
    if job.settings.deciding.exclusive:
        free = ~np.array([False, *exact])[part]
    else:
        free = np.full(part.shape, not exact[index])
    return free if job.valid is None else free & job.valid[tile]
