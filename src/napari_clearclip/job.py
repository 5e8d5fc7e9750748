"""What a run works on: image, view and settings with everything filled in that image and model decide."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.cache import key_of
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Attention, Settings, Tiling
from napari_clearclip.stack import Slab, Stack

if TYPE_CHECKING:
    from napari_clearclip.edits import Edits, Mask, Plane, View
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.engine.windows import Box, Frame, Region

    Elsewhere = Callable[[Plane], Generator[Progress, None, "Job"]]

# Work that a CPU does in about half a second, in floating point operations; a step between two yields is about that.
_CPU_STEP = 2e10
_GPU_STEP = 2e12

_STRIP = 2**24  # pixels that are looked at together for whether they have data

# A first answer takes at most this many windows; where all take hardly more, it is not worth having.
FEW_WINDOWS = 4
MANY_WINDOWS = 8


class ImageChangedError(Exception):
    """The pixels of an image are not those that it had when it was looked at before."""


class Picture:
    """An image that is looked at when its pixels are needed.

    Parameters
    ----------
    image : array-like or callable
        As stored, or what returns that.
    view : View
        Says which plane is looked at.
    known : str, optional
        The `content` that it had when it was looked at before. It is relied on as long as no pixel is read, since what
        is kept is kept under this name.
    """

    def __init__(self, image: Any, view: View, known: str = "") -> None:
        self._image, self._view, self._known = image, view, known

    @cached_property
    def content(self) -> str:
        """Names the pixels of the plane."""
        return self._known or image_key(self.pixels, self._view)

    @cached_property
    def pixels(self) -> Any:
        """The stored array.

        Raises
        ------
        ImageChangedError
            If it has another content than what was known.
        """
        image = self._image() if callable(self._image) else self._image
        if self._known and image_key(image, self._view) != self._known:
            raise ImageChangedError
        return image


@dataclass(frozen=True)
class Bands:
    """What band expressions are computed from: an image or a stack, and how it is looked at."""

    source: Picture | Stack
    view: View

    @classmethod
    def of(cls, picture: Picture, view: View, shape: tuple[int, int], stack: Stack | None) -> Bands:
        """The channels of an image, or the bands of a stack that stands for it.

        Raises
        ------
        ValueError
            If the stack is of another size than the image.
        """
        if stack is None:
            return cls(picture, view)
        if shape != stack.shape[1:]:
            raise ValueError(f"the bands have {stack.shape[1:]} pixels and the image {shape}; give bands of its size")
        return cls.beside(stack)

    @classmethod
    def beside(cls, stack: Stack) -> Bands:
        """The bands of a stack."""
        from napari_clearclip.edits import View

        return cls(stack, View(channel_axis=0, bands=stack.names))

    @property
    def image(self) -> Any:
        """The array, to be asked for only where pixels are read."""
        return self.source.pixels if isinstance(self.source, Picture) else self.source

    def key(self, channels: Sequence[int]) -> str:
        """Names the content of some channels, and where they have data."""
        view, source = self.view, self.source
        content = source.key(channels) if isinstance(source, Stack) else key_of(source.content, channels)
        return key_of(content, view.plane, view.channel_axis, view.nodata, view.alpha)


@dataclass(frozen=True)
class Job:
    """What a run works on, with everything filled in that image and model decide.

    `valid` is (H, W) bool, or None where all pixels have data; `key` names image, view, weights and all else that
    changes what a window's tokens are, except the window itself. `loaded` is None where no prompt is a phrase.
    `elsewhere` prepares the same on another plane.
    """

    picture: Picture
    view: View
    settings: Settings
    edits: Edits
    loaded: Clip | None
    frame: Frame
    valid: Mask | None
    key: str
    bands: Bands
    elsewhere: Elsewhere | None = field(default=None, compare=False, repr=False)

    @property
    def image(self) -> Any:
        """The stored array, to be asked for only where pixels are read."""
        return self.picture.pixels

    @property
    def content(self) -> str:
        """Names the pixels of the plane."""
        return self.picture.content

    def by_rows(self) -> Job:
        """The job for going through windows row by row: of an image that lies elsewhere, rows are held for a while."""
        return replace(self, picture=Picture(lambda: Slab(self.image), self.view))

    def at(self, plane: Plane) -> Generator[Progress, None, Job]:
        """The job on another plane of the same image, read in the same way; itself where it is that plane's."""
        if plane == self.view.plane or self.elsewhere is None:
            return self
        yield Progress("Looking at the image")
        return (yield from self.elsewhere(plane))

    @property
    def valid_key(self) -> str:
        """Names the pixels that have data."""
        view = self.view
        return "" if self.valid is None else key_of(self.content, view.plane, view.channels, view.nodata, view.alpha)

    @property
    def clip(self) -> Clip:
        """The model.

        Raises
        ------
        ValueError
            If none was loaded, since there is no phrase to compare.
        """
        if self.loaded is None:
            raise ValueError("there is no phrase among the prompts, so that no model was loaded")
        return self.loaded

    @property
    def phrases(self) -> tuple[tuple[int, str], ...]:
        """Each phrase with the position of its prompt among those that are phrases: objects first, then distractors.

        Distractors alone compete with nothing and are left out.
        """
        worded = self.settings.worded
        prompts = (*worded, *self.settings.distractors) if worded else ()
        return tuple((place, phrase) for place, prompt in enumerate(prompts) for phrase in prompt.words)

    @property
    def wording(self) -> list[str]:
        """All phrases, each once."""
        return list(dict.fromkeys(phrase for _, phrase in self.phrases))


def image_key(image: Any, view: View) -> str:
    """Names the content of the plane that is looked at."""
    if isinstance(image, np.ndarray):
        from napari_clearclip.engine.view import plane_shape

        plane_shape(image, view)  # says in a sentence where there is no such plane
        return key_of(image[view.plane])
    from dask.base import tokenize

    return key_of(tokenize(image), view.plane)


def filled_in(settings: Settings, clip: Clip) -> Settings:
    """The settings with every empty field as the model recommends it.

    A model without variants (a student) has no attention and no keys: its row is the usual one, and nothing is smoothed
    by keys.

    Raises
    ------
    ValueError
        If the model's own score is asked for, and it has none.
    """
    if settings.deciding.score == "sigmoid" and clip.sigmoid is None:
        raise ValueError(
            f"deciding.score is sigmoid, but {settings.model} has no logit_bias: it was not trained to score each "
            "phrase by itself; choose softmax, or a SigLIP"
        )
    comparing = settings.comparing.replace(
        templates=settings.comparing.templates or clip.templates, cell=settings.comparing.cell or clip.patch
    )
    attention = settings.attention
    if not clip.has_variants:
        attention, comparing = Attention(), comparing.replace(smooth=0)
    tiling = filled_tiling(settings.tiling, clip.tiling)
    return settings.replace(tiling=tiling, comparing=comparing, attention=attention)


def filled_tiling(tiling: Tiling, recommended: Tiling) -> Tiling:
    """A tiling with every empty field as recommended; a recommended stride is at most the window."""
    given = {name: value for name in Tiling.model_fields if (value := getattr(tiling, name)) is not None}
    merged = {**recommended.model_dump(), **given}
    if tiling.stride is None:
        merged["stride"] = min(merged["stride"], merged["window"])
    return Tiling(**merged)


def valid_pixels(image: Any, view: View, shape: tuple[int, int]) -> Mask | None:
    """Pixels with data, (H, W); None if all have."""
    from napari_clearclip.engine.view import has_gaps, valid_part

    if not has_gaps(image, view):
        return None
    valid = None
    step = max(_STRIP // shape[1], 1)
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        part = valid_part(image, view, rows, slice(0, shape[1]))
        if valid is None and not part.all():
            valid = np.ones(shape, bool)
        if valid is not None:
            valid[rows] = part
    return valid


def frame_of(shape: tuple[int, int], settings: Settings, patch: int) -> Frame:
    """The coordinates of a run on an image of `shape` (H, W), from settings that `filled_in` has completed."""
    from napari_clearclip.engine.windows import Frame, resized_shape

    tiling, cell = settings.tiling, settings.comparing.cell
    if tiling.short_side is None or tiling.window is None or tiling.stride is None or cell is None:
        raise ValueError("tiling and cell must be filled in before coordinates can be made")
    return Frame(shape, resized_shape(shape, tiling.short_side), tiling.window, tiling.stride, patch, cell)


# A run without a model has at most so many cells along a side: enough for a heat map, and quick to draw.
_MOST_CELLS = 512


def plain_frame(shape: tuple[int, int], settings: Settings) -> Frame:
    """The coordinates of a run without a model on an image of `shape` (H, W): one window, as large as the image."""
    from napari_clearclip.engine.windows import Frame

    side = max(shape)
    cell = settings.comparing.cell or -(-side // _MOST_CELLS)
    return Frame(shape, shape, side, side, cell, cell)


def windows_at_once(job: Job) -> int:
    """How many windows make a batch: as many as one block computes in a step, by its floating point operations.

    The number follows from sizes and not from the clock, so that a run can be repeated bit for bit.
    """
    step = _CPU_STEP if job.clip.device == "cpu" else _GPU_STEP
    return int(np.clip(step / job.clip.work(job.frame.grid), 1, 64))


def coarser(job: Job) -> Job:
    """The same with so little detail that few windows, side by side, cover the image."""
    side, tiling = min(job.frame.resized), job.settings.tiling
    while True:
        side = max(side // 2, 8)
        settings = job.settings.replace(tiling=tiling.replace(short_side=side, stride=tiling.window))
        frame = frame_of(job.frame.image, settings, job.frame.patch)
        if side == 8 or frame.count <= FEW_WINDOWS:
            return replace(job, settings=settings, frame=frame, key=key_of("coarse", job.key, frame.resized))


def nearest_first(chunks: Sequence[Sequence[int]], frame: Frame, first: Region | None) -> list[Sequence[int]]:
    """Chunks of window numbers, those nearest to the middle of a region of the image before the others.

    What is in a chunk does not depend on the region, so that each window is computed in the same company, and gives the
    same numbers, wherever one looks.
    """
    if first is None:
        return list(chunks)
    y0, x0, y1, x1 = frame.to_resized(first)
    boxes = frame.boxes

    def distance(number: int) -> float:
        box = boxes[number]
        return float(np.hypot(box[0] + box[2] - y0 - y1, box[1] + box[3] - x0 - x1))

    return sorted(chunks, key=lambda chunk: min(distance(number) for number in chunk))


def milestones(frame: Frame, first: Region | None) -> tuple[int, ...]:
    """After how many windows it is worth showing how far it is: what is in view, then twice as much each time."""
    count, total = frame.count // 4, frame.count
    if first is not None:
        y0, x0, y1, x1 = frame.to_resized(first)
        seen: list[Box] = [box for box in frame.boxes if box[0] < y1 and y0 < box[2] and box[1] < x1 and x0 < box[3]]
        count = len(seen) if 4 * len(seen) <= 3 * total else count
    found = []
    count = max(count, 1)
    while 4 * count <= 3 * total:
        found.append(count)
        count *= 2
    return tuple(found)
