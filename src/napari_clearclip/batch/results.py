"""What is written for each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import distinct, slug
from napari_clearclip.io.overlay import Entry, Tile, write_overlay
from napari_clearclip.io.raster import Plane, write_labels, write_mask, write_similarity
from napari_clearclip.io.settings_file import SettingsFile, write_settings
from napari_clearclip.settings import Index, Model, Prompt

if TYPE_CHECKING:
    from napari_clearclip.io.images import Picture
    from napari_clearclip.result import Segmentation

_MOST_TILES = 9


def write_results(folder: Path, name: str, picture: Picture, results: Sequence[Segmentation]) -> list[Path]:
    """The files of an image that were written: labels, overlay, settings, and each prompt's mask and similarity.

    Parameters
    ----------
    folder : Path
        Where to.
    name : str
        What the files' names begin with.
    picture : Picture
        The image that was segmented.
    results : sequence of Segmentation
        One for each plane, in order.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    first = results[0]
    prompts = first.settings.objects
    stack = picture.stack if len(results) > 1 else ()
    shape = (*stack, *first.labels.shape)
    names = tuple(prompt.phrase for prompt in prompts)
    stem = f"{name}_clearclip"
    files = [folder / f"{stem}_{ending}" for ending in ("labels.tif", "overlay.png", "settings.json")]
    write_labels(files[0], (_rows(part.labels) for part in results), shape, names, picture.placement)
    mask_ending = "tif" if stack else "png"
    for prompt, part in zip(prompts, distinct(slug(text) for text in names), strict=True):
        masks = (_rows(np.where(result.mask(prompt.id), np.uint8(255), np.uint8(0))) for result in results)
        mine = [folder / f"{stem}_{part}_{ending}" for ending in (f"mask.{mask_ending}", "similarity.tif")]
        write_mask(mine[0], masks, shape, prompt.phrase, picture.placement)
        scores = (similarity(result, prompt, picture) for result in results)
        write_similarity(mine[1], scores, shape, prompt.phrase, picture.placement)
        files += mine
    write_overlay(files[1], tuple(_tiles(picture, results)), _legend(results), _title(name, first))
    view = first.view.replace(plane=()) if stack else first.view
    write_settings(files[2], SettingsFile(settings=first.settings, view=view))
    return files


def _rows(array: npt.NDArray[np.uint8]) -> Plane:
    return lambda rows: array[rows]


def similarity(result: Segmentation, prompt: Prompt, picture: Picture) -> Plane:
    """A prompt's score at image pixels, some rows at a time; 0 where there are no data.

    Phrases are scored on cells, between which it is bilinear; band expressions at pixels.
    """
    if prompt.index is not None:
        return _measured(result, prompt.index, picture)
    return _between_cells(result, prompt.id)


def _measured(result: Segmentation, index: Index, picture: Picture) -> Plane:
    """The scores that a band expression gives."""
    from napari_clearclip.engine.bands import measure, scores_of

    def plane(rows: slice) -> npt.NDArray[np.float32]:
        scores = scores_of(measure(picture.data, result.view, index, rows, slice(None)))
        return scores if result.valid is None else scores * result.valid[rows]

    return plane


def _between_cells(result: Segmentation, prompt: str) -> Plane:
    """Bilinear between the cells."""
    from napari_clearclip.engine.windows import taps

    values, shape, cell = result.scores.of(prompt), result.labels.shape, result.scores.cell
    left, right, across = taps(_centres(slice(0, shape[1]), cell[1]), values.shape[1])

    def plane(rows: slice) -> npt.NDArray[np.float32]:
        upper, lower, down = taps(_centres(rows, cell[0]), values.shape[0])
        between = values[upper] * (1 - down[:, None]) + values[lower] * down[:, None]  # (n, cw)
        scores = between[:, left] * (1 - across) + between[:, right] * across  # (n, W)
        if result.valid is not None:
            scores = scores * result.valid[rows]
        return np.asarray(scores, np.float32)

    return plane


def _centres(pixels: slice, cell: float) -> npt.NDArray[np.float64]:
    """Pixel centres in cells."""
    return np.asarray((np.arange(pixels.start, pixels.stop) + 0.5) / cell - 0.5, np.float64)


def coverage(results: Sequence[Segmentation], prompt: str) -> float:
    """The share of all planes' valid pixels that a prompt has."""
    pixels = [part.labels.size if part.valid is None else int(np.count_nonzero(part.valid)) for part in results]
    covered = sum(part.coverage()[prompt] * count for part, count in zip(results, pixels, strict=True))
    return covered / max(sum(pixels), 1)


def _tiles(picture: Picture, results: Sequence[Segmentation]) -> Iterator[Tile]:
    """The plane, or some planes of a stack from its beginning to its end."""
    count = min(len(results), _MOST_TILES)
    for place in np.linspace(0, len(results) - 1, count).round().astype(int).tolist():
        part = results[place]
        caption = " ".join(str(index) for index in part.view.plane) if len(results) > 1 else ""
        yield Tile(_shown(picture, part), _rows(part.labels), part.labels.shape, caption and f"plane {caption}")


def _shown(picture: Picture, part: Segmentation) -> Plane:
    """The image as the model saw it, some rows at a time."""
    from napari_clearclip.engine.view import render

    return lambda rows: render(picture.data, part.view, rows, slice(None))[0]


def _legend(results: Sequence[Segmentation]) -> tuple[Entry, ...]:
    return tuple(
        Entry(prompt.phrase, prompt.color, f"{100 * coverage(results, prompt.id):.1f} %")
        for prompt in results[0].settings.objects
    )


def _title(name: str, first: Segmentation) -> str:
    from napari_clearclip.engine.variants import variant_name

    if not first.settings.worded:
        return name  # no model had a part in it
    return f"{name} · {variant_name(first.settings.attention)} · {short_name(first.settings.model)}"


def short_name(model: Model) -> str:
    """The model's name, or its file's."""
    return str(model) if model.name and not Path(model.pretrained).is_file() else Path(model.pretrained).stem
