"""What the model does at a point of an image: where its patch looks, and which words it is like."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.edits import View
from napari_clearclip.evaluate.classes import NATURAL
from napari_clearclip.looking import Looking, looking_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Attention, Model, Settings
from napari_clearclip.steps import drain

FloatArray = npt.NDArray[np.float32]
Point = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """Where in the windows of an image a point lies.

    Attributes
    ----------
    point : tuple of 2 float
        Row and column; pixel centres have whole numbers.
    window : int
        The number of the window that was looked at.
    windows : int
        How many windows the image is read in.
    holding : tuple of int
        All windows that hold the point, that in whose middle it lies most first.
    patch : tuple of 2 int
        Row and column of its patch in the window.
    region : tuple of 4 float
        Where the window's patches lie, (y0, x0, y1, x1) in pixels of the image; where it was padded, beyond its border.
    """

    point: Point
    window: int
    windows: int
    holding: tuple[int, ...]
    patch: tuple[int, int]
    region: tuple[float, float, float, float]

    @classmethod
    def of(cls, looking: Looking, point: Point, window: int | None = None) -> Place:
        """Where a point lies in a window, or in the one in whose middle it lies most.

        Raises
        ------
        ValueError
            If the point lies outside the image, or the window does not hold it.
        """
        frame = looking.job.frame
        holding = tuple(frame.windows_at(point))
        number = holding[0] if window is None else window
        if number not in holding:
            raise ValueError(f"window {number} does not hold the point {point}; those that do are {holding}")
        return cls(point, number, frame.count, holding, frame.patch_at(number, point), frame.patches_of(number))

    def __str__(self) -> str:
        others = len(self.holding) - 1
        more = f", and {others} more window{'s' * (others > 1)} hold{'s' * (others == 1)} it" if others else ""
        return f"window {self.window + 1} of {self.windows}{more}"


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """How the patch at a point attends in the last block.

    Attributes
    ----------
    heads : (M, gh, gw) float32 array
        Weights on the patches of the window by each head, as they multiply the values.
    rest : (M,) float32 array
        Weights on the class token.
    place : Place
        The point, and the window that the map came from.
    row : Attention
        The variant.
    """

    heads: FloatArray
    rest: FloatArray
    place: Place
    row: Attention

    @property
    def mean(self) -> FloatArray:
        """The mean over the heads, (gh, gw)."""
        return self.of(None)

    def of(self, head: int | None) -> FloatArray:
        """The weights (gh, gw) of a head, from 0; their mean for None."""
        if head is not None and not 0 <= head < len(self.heads):
            raise ValueError(f"head is {head}, but the model has {len(self.heads)}; give 0 to {len(self.heads) - 1}")
        mean: FloatArray = self.heads.mean(axis=0) if head is None else self.heads[head]
        return mean


@dataclass(frozen=True)
class Likeness:
    """A word, its cosine with a patch, and its share of a softmax over the vocabulary."""

    word: str
    cosine: float
    share: float


def attention_map(
    image: Any,
    settings: Settings,
    point: Point,
    view: View | None = None,
    window: int | None = None,
    pipeline: Pipeline | None = None,
) -> AttentionMap:
    """How the patch at a point attends in the last block of the variant that the settings name.

    Parameters
    ----------
    image : array-like
        As stored, with axes as `view` says.
    settings : Settings
        Model, tiling and `attention` are read; prompts are not needed.
    point : tuple of 2 float
        Row and column in pixels.
    view : View, optional
        How the image is looked at.
    window : int, optional
        Which of the windows that hold the point; by default the one in whose middle it lies most.
    pipeline : Pipeline, optional
        One that has read the image before need not read it again.

    Raises
    ------
    ValueError
        If the point lies outside the image or the window, or the model cannot compute the variant.

    References
    ----------
    SCLIP, Figs. 2 and 4.
    """
    steps = attention_steps(pipeline or Pipeline(), image, settings, point, [settings.attention], view, window)
    return drain(steps)[0]


def attention_steps(
    pipeline: Pipeline,
    image: Any,
    settings: Settings,
    point: Point,
    rows: Sequence[Attention],
    view: View | None = None,
    window: int | None = None,
) -> Generator[Progress, None, list[AttentionMap]]:
    """As `attention_map` for several variants, yielding how far it is."""
    from napari_clearclip.engine.inspection import attention_of

    looking = yield from looking_steps(pipeline, image, settings, view)
    place = Place.of(looking, point, window)
    found = []
    for row in rows:
        trunk = yield from looking.by(row).trunk(place.window)
        heads, rest = attention_of(looking.job.clip, trunk, row, place.patch)
        found.append(AttentionMap(heads.numpy(), rest.numpy(), place, row))
    return found


def default_vocabulary(settings: Settings) -> tuple[str, ...]:
    """The words that a point is compared with: those of the prompts, and those that the model or its world brings."""
    own = [phrase for prompt in settings.prompts if not prompt.index for phrase in prompt.words]
    return tuple(dict.fromkeys((*own, *_brought(settings.model))))


def _brought(model: Model) -> tuple[str, ...]:
    """The words of a small model; else the distractors of its world, and for photographs the classes of ADE20K."""
    if known := domains.vocabulary(model):
        return known
    more = NATURAL["ade20k"] if domains.world_of(model) == "photograph" else ()
    return (*domains.distractors_for(model), *more)


def words_at(
    image: Any,
    settings: Settings,
    point: Point,
    vocabulary: Sequence[str] = (),
    view: View | None = None,
    pipeline: Pipeline | None = None,
) -> tuple[Likeness, ...]:
    """The words that the patch at a point is like, the likest first.

    Parameters
    ----------
    image, settings, point, view, pipeline
        As for `attention_map`.
    vocabulary : sequence of str, optional
        The words; by default those of the prompts, and those that the model knows or that its world brings.

    Raises
    ------
    ValueError
        If the point lies outside the image.

    Notes
    -----
    Of one window, that in whose middle the point lies most; scores of a run are means over windows. Each word stands in
    one sentence, ``a photo of a ...``, unless the settings or the model bring sentences of their own: with the 80 of
    ImageNet, a long vocabulary would take minutes on a CPU.
    """
    return drain(words_steps(pipeline or Pipeline(), image, settings, point, vocabulary, view))[0]


def words_steps(
    pipeline: Pipeline,
    image: Any,
    settings: Settings,
    point: Point,
    vocabulary: Sequence[str] = (),
    view: View | None = None,
) -> Generator[Progress, None, tuple[tuple[Likeness, ...], Place]]:
    """As `words_at`, with where the patch lies, yielding how far it is."""
    words = list(vocabulary or default_vocabulary(settings))
    domains.check_phrases(settings.model, words)
    looking = yield from looking_steps(pipeline, image, settings, view)
    place = Place.of(looking, point)
    features = yield from looking.features(place.window)
    vectors = yield from looking.words(words)
    patch = features.vectors[0, place.patch[0], place.patch[1]].float().cpu().numpy()
    cosines = np.array([float(vector @ patch) for vector in vectors.values()])
    logits = looking.job.settings.deciding.scale * cosines
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    order, words = np.argsort(-cosines, kind="stable"), list(vectors)
    return tuple(Likeness(words[at], float(cosines[at]), float(shares[at])) for at in order), place
