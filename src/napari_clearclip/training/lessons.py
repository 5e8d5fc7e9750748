"""What a student learns from: images with labels, and random crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from napari_clearclip.study import Study

IGNORE = 255
Labels = npt.NDArray[np.uint8]

# Photometric distortion as in the paper's code: 32 of 256 grey values, half as much contrast and saturation, 18 of 180
# degrees of half hue.
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = 32 / 256, 0.5, 0.5, 0.1


@dataclass(frozen=True, eq=False)
class Lesson:
    """One image and what is said to be in it.

    Attributes
    ----------
    image : (H, W, 3) uint8 array
    pseudo : (H, W) uint8 array
        What CLIP says: the number of a phrase, or `IGNORE`.
    known : (H, W) uint8 array or None
        What the user says; `IGNORE` where nothing is said.
    vectors : (h, w, D) float16 tensor or None
        The teacher's unit vectors on cells that cover the image, where the student is to learn them too.
    """

    image: Labels
    pseudo: Labels
    known: Labels | None = None
    vectors: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops: images (B, 3, S, S) in [0, 1], pseudo and known labels (B, s, s) int64, vectors (B, D, g, g) or None.

    `blank` (B, 1, S, S) is True outside the image, for crops larger than that.
    """

    images: torch.Tensor
    blank: torch.Tensor
    pseudo: torch.Tensor
    known: torch.Tensor
    vectors: torch.Tensor | None


def as_vectors(means: npt.NDArray[np.float32]) -> torch.Tensor:
    """Unit vectors (h, w, D) float16 of mean vectors (h, w, D)."""
    return functional.normalize(torch.from_numpy(means), dim=-1).half()


def _stacked(parts: Sequence[torch.Tensor | None]) -> torch.Tensor:
    return torch.stack([part for part in parts if part is not None])


def places(lessons: int, study: Study, step: int) -> list[int]:
    """Which lessons a step takes: all in random order before any comes again."""
    numbers = range(step * study.batch, (step + 1) * study.batch)
    turns = range(numbers[0] // lessons, numbers[-1] // lessons + 1)
    orders = {turn: np.random.default_rng([study.seed, turn, 1]).permutation(lessons) for turn in turns}
    return [int(orders[number // lessons][number % lessons]) for number in numbers]


def deal(lessons: Sequence[Lesson], study: Study, step: int, stride: int) -> Batch:
    """The crops of a step, the same whenever it is asked for."""
    rng = np.random.default_rng([study.seed, step])
    crops = [_crop(lessons[place], study, stride, rng) for place in places(len(lessons), study, step)]
    images, blank, pseudo, known, vectors = ([crop[place] for crop in crops] for place in range(5))
    return Batch(
        _stacked(images),
        _stacked(blank),
        _stacked(pseudo),
        _stacked(known),
        None if vectors[0] is None else _stacked(vectors),
    )


def _crop(lesson: Lesson, study: Study, stride: int, rng: np.random.Generator) -> tuple[torch.Tensor | None, ...]:
    """One random crop: image, what is outside of it, pseudo and known labels, vectors."""
    side = max(round(study.crop / rng.uniform(*study.zoom)), 1)  # of the crop in the image's own pixels
    height, width = lesson.image.shape[:2]
    top, left = (int(rng.integers(max(length - side, 0) + 1)) for length in (height, width))
    mirrored, quarters = bool(rng.random() < 0.5), int(rng.integers(4)) if study.turned else 0
    part = torch.from_numpy(lesson.image[top : top + side, left : left + side]).permute(2, 0, 1).float() / 255
    factor = study.crop / side
    size = [max(round(length * factor), 1) for length in part.shape[1:]]
    seen = functional.interpolate(part[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    seen = distort(seen.clamp(0, 1), study.distortion, rng)
    rest = (0, study.crop - size[1], 0, study.crop - size[0])
    image = functional.pad(seen, rest)
    blank = functional.pad(torch.zeros(1, *size, dtype=torch.bool), rest, value=True)
    centres = (np.arange(study.crop // study.loss_step) + 0.5) * study.loss_step / factor
    rows, cols = (top + centres).astype(np.int64), (left + centres).astype(np.int64)
    vectors = _vectors_at(lesson, (top, left), factor, study.crop // stride, stride)
    parts = (image, blank, _labels_at(lesson.pseudo, rows, cols), _labels_at(lesson.known, rows, cols), vectors)
    return tuple(None if part is None else _turned(part, mirrored, quarters) for part in parts)


def _turned(part: torch.Tensor, mirrored: bool, quarters: int) -> torch.Tensor:
    """Maps (..., S, S), mirrored or not and turned by some quarters."""
    return torch.rot90(part.flip(-1) if mirrored else part, quarters, (-2, -1))


def _labels_at(labels: Labels | None, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]) -> torch.Tensor:
    """The labels of some rows and columns; `IGNORE` where there are none."""
    found = np.full((len(rows), len(cols)), IGNORE, np.int64)
    if labels is not None:
        down, across = rows < labels.shape[0], cols < labels.shape[1]
        found[np.ix_(down, across)] = labels[np.ix_(rows[down], cols[across])]
    return torch.from_numpy(found)


def _vectors_at(lesson: Lesson, corner: tuple[int, int], factor: float, count: int, stride: int) -> torch.Tensor | None:
    """The teacher's vectors at the places of the student's, bilinearly: (D, count, count) float32."""
    if lesson.vectors is None:
        return None
    places = []
    for axis in (0, 1):
        centres = corner[axis] + (torch.arange(count) + 0.5) * stride / factor
        places.append(2 * centres / lesson.image.shape[axis] - 1)
    grid = torch.stack([places[1].expand(count, -1), places[0][:, None].expand(-1, count)], dim=-1)
    maps = lesson.vectors.permute(2, 0, 1)[None].float()
    return functional.grid_sample(maps, grid[None], padding_mode="border", align_corners=False)[0]


def distort(image: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """An image (3, H, W) in [0, 1] in other light: brightness, contrast, saturation, hue, each with a chance of 1/2."""
    from torchvision.transforms.v2 import functional as colour  # not before a model is loaded: it imports the same

    chosen, amounts = rng.random(4) < 0.5, strength * rng.uniform(-1, 1, 4)
    if chosen[0]:
        image = (image + _BRIGHTNESS * amounts[0]).clamp(0, 1)
    if chosen[1]:
        image = colour.adjust_contrast(image, 1 + _CONTRAST * amounts[1])
    if chosen[2]:
        image = colour.adjust_saturation(image, 1 + _SATURATION * amounts[2])
    if chosen[3]:
        image = colour.adjust_hue(image, _HUE * amounts[3])
    return image
