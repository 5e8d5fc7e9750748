"""Pictures of masks over their image, with a legend, for people to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

Pixels = npt.NDArray[np.uint8]
Plane = Callable[[slice], npt.NDArray[Any]]

# Larger images are reduced, smaller ones enlarged, so that the picture can be looked at anywhere.
_LARGEST, _SMALLEST, _NARROWEST = 2048, 640, 448
_OPACITY = 0.45
_PANEL, _INK, _FAINT = (28, 29, 33), (240, 240, 240), (165, 167, 172)
_GAP = 4
# Fonts with other scripts than Latin, as the common systems name them; the first that has all letters is used.
_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "arial.ttf",
    "msyh.ttc",
    "YuGothR.ttc",
    "malgun.ttf",
    "Hiragino Sans GB.ttc",
)


@dataclass(frozen=True)
class Entry:
    """A line of the legend: a name, its colour as #RRGGBB, and a short note such as its coverage."""

    name: str
    color: str
    note: str = ""


@dataclass(frozen=True)
class Tile:
    """One plane: ``image`` gives rows (n, W, 3) in [0, 1], ``labels`` rows (n, W) of 0 or entry + 1."""

    image: Plane
    labels: Plane
    shape: tuple[int, int]
    caption: str = ""


def write_overlay(path: Path, tiles: Sequence[Tile], entries: Sequence[Entry], title: str) -> None:
    """A PNG of one plane, or of several side by side, with coloured masks and a legend below.

    Parameters
    ----------
    path : Path
        Where to.
    tiles : sequence of Tile
        The planes; each is reduced or enlarged by a whole number to a size that can be looked at.
    entries : sequence of Entry
        What label 1, 2, ... means.
    title : str
        One line above the legend.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    columns = math.ceil(math.sqrt(len(tiles)))
    palette = np.array([(0, 0, 0), *(_rgb(entry.color) for entry in entries)], np.float32)
    pictures = [_paint(tile, palette, max(_LARGEST // columns, 1), _SMALLEST // columns) for tile in tiles]
    picture = _below(_mosaic(pictures, [tile.caption for tile in tiles], columns), entries, title)
    with replacing(path) as file:
        picture.save(file, format="PNG")


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _paint(tile: Tile, palette: npt.NDArray[np.float32], largest: int, smallest: int) -> Pixels:
    """A plane's image with its masks, at most `largest` pixels a side where reducing can reach that."""
    height, width = tile.shape
    factor = math.ceil(max(height, width) / largest)
    rows, step = height // factor * factor or height, max((1 << 21) // (width * factor), 1) * factor
    starts = range(0, rows, step)
    strips = [_paint_rows(tile, slice(start, min(start + step, rows)), palette, factor) for start in starts]
    painted, labels = np.concatenate([strip[0] for strip in strips]), np.concatenate([strip[1] for strip in strips])
    zoom = max(round(smallest / max(painted.shape[:2])), 1)
    painted, labels = (part.repeat(zoom, axis=0).repeat(zoom, axis=1) for part in (painted, labels))
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge &= labels > 0
    painted[edge] = palette[labels[edge]]
    return np.asarray(np.rint(painted), np.uint8)


def _paint_rows(
    tile: Tile, rows: slice, palette: npt.NDArray[np.float32], factor: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Some rows blended with their masks and averaged over blocks, and the label in each block's middle."""
    labels = tile.labels(rows)
    blended = 255 * tile.image(rows).astype(np.float32)
    inside = labels > 0
    blended[inside] = (1 - _OPACITY) * blended[inside] + _OPACITY * palette[labels[inside]]
    height, width = (max(side // factor, 1) for side in labels.shape)
    down, across = min(factor, labels.shape[0]), min(factor, labels.shape[1])
    blocks = blended[: height * down, : width * across].reshape(height, down, width, across, 3)
    return blocks.mean(axis=(1, 3)), labels[down // 2 :: down, across // 2 :: across][:height, :width]


def _mosaic(pictures: Sequence[Pixels], captions: Sequence[str], columns: int) -> Image:
    """Pictures of one size, row by row."""
    from PIL import Image, ImageDraw

    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    canvas = Image.new("RGB", size, _PANEL)
    draw = ImageDraw.Draw(canvas)
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        corner = (place % columns * (width + _GAP), place // columns * (height + _GAP))
        canvas.paste(Image.fromarray(picture), corner)
        if caption:
            font = _font(caption, max(min(width // 12, 28), 11))
            draw.text((corner[0] + 5, corner[1] + 3), caption, _INK, font, stroke_width=2, stroke_fill=_PANEL)
    return canvas


def _below(picture: Image, entries: Sequence[Entry], title: str) -> Image:
    """The picture with title and legend below it, in as many columns as fit."""
    from PIL import Image, ImageDraw

    width = max(picture.width, _NARROWEST)
    size = max(min(width // 40, 30), 13)
    line, margin = round(size * 1.6), size
    notes = max((_font(entry.note, size).getlength(entry.note) for entry in entries), default=0)
    names = max((_font(entry.name, size).getlength(entry.name) for entry in entries), default=0)
    cell = min(names + notes + 4 * size, width - 2 * margin)
    columns = max(int((width - 2 * margin) // cell), 1)
    rows = math.ceil(len(entries) / columns)
    canvas = Image.new("RGB", (width, picture.height + margin + line * (rows + 1) + margin // 2), _PANEL)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    top = picture.height + margin // 2
    _write_line(draw, (margin, top), title, width - 2 * margin, round(size * 0.9), _FAINT)
    for place, entry in enumerate(entries):
        x, y = margin + int(place // rows * cell), top + line * (1 + place % rows)
        draw.rounded_rectangle((x, y + size // 8, x + size, y + size + size // 8), size // 5, _rgb(entry.color))
        end = _write_line(draw, (x + 1.6 * size, y), entry.name, cell - notes - 3.6 * size, size, _INK)
        draw.text((end + 0.6 * size, y), entry.note, _FAINT, _font(entry.note, size))
    return canvas


def _write_line(
    draw: Any, corner: tuple[float, float], text: str, width: float, size: int, color: tuple[int, int, int]
) -> float:
    """Write a line, cut with an ellipsis to `width` pixels; where it ends is returned."""
    font = _font(text, size)
    if font.getlength(text) > width + 1:
        while text and font.getlength(f"{text}…") > width:
            text = text[:-1]
        text += "…"
    draw.text(corner, text, color, font)
    return corner[0] + float(font.getlength(text))


@cache
def _fonts(size: int) -> tuple[FreeTypeFont, ...]:
    """Pillow's own font, then those of the system that are there."""
    from PIL import ImageFont

    found: list[Any] = [ImageFont.load_default(size)]
    for name in _FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return tuple(found)


def _font(text: str, size: int) -> FreeTypeFont:
    """The first font that has the most letters of a text."""
    if text.isascii():
        return _fonts(size)[0]
    letters = {letter for letter in text if not letter.isspace()}
    return max(_fonts(size), key=lambda font: sum(_draws(font, letter) for letter in letters))


def _draws(font: FreeTypeFont, letter: str) -> bool:
    """Whether a font has a glyph of its own for a letter."""
    missing, mask = font.getmask("\U000e0fff"), font.getmask(letter)
    return mask.size != missing.size or bytes(mask) != bytes(missing)
