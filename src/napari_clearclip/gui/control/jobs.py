"""What a run is about, as frozen values: the image, what it is read with, and what came out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_clearclip.edits import Edits, Plane, View
from napari_clearclip.engine.automatic import Counts, histogram
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Attention, Model, Settings, Tiling
from napari_clearclip.stack import Stack

if TYPE_CHECKING:
    import numpy as np

Spot = tuple[Hashable, Plane]
Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class Bands:
    """What band expressions can name, in order, and where each lies on a plane."""

    names: tuple[str, ...]
    at: Callable[[Plane], Stack]


@dataclass(frozen=True)
class Source:
    """An image as it was looked at when it was asked for.

    Attributes
    ----------
    key : hashable
        What its results and edits belong to; the same for each plane of a stack.
    view : View
        How the stored array is looked at.
    read : callable
        Takes a plane and returns the stored array, of which that plane is read; called in the worker, so that lazy
        arrays are computed there.
    region : tuple of 4 float or None
        The part (y0, x0, y1, x1) of the plane that is in sight, which is computed first; it changes no result.
    bands : Bands or None
        All that band expressions can name, also what is not looked at; the stored array's own channels by default.
    """

    key: Hashable
    view: View
    read: Callable[[Plane], np.ndarray]
    region: Region | None = field(default=None, compare=False)
    bands: Bands | None = field(default=None, compare=False)

    @property
    def spot(self) -> Spot:
        """The image and the plane of it."""
        return self.key, self.view.plane

    def at(self, plane: Plane, view: View) -> Source:
        """Another plane of the image, looked at in another way."""
        return replace(self, view=view.replace(plane=plane))


@dataclass(frozen=True)
class Outcome:
    """A segmentation, the image it was started for, and by prompt its share of it and its scores, counted.

    A `preview` is not finished: it is shown and enters nothing.
    """

    source: Source
    segmentation: Segmentation
    coverage: Mapping[str, float]
    scores: Mapping[str, Counts]
    preview: bool = False

    @classmethod
    def of(cls, source: Source, segmentation: Segmentation, preview: bool = False) -> Outcome:
        """What came out for an image; counts pixels, so it belongs in the worker."""
        ids = [prompt.id for prompt in segmentation.settings.objects]
        counts = {id_: histogram(segmentation.scores.of(id_), segmentation.valid) for id_ in ids}
        counts |= segmentation.scores.pixels
        segmentation = replace(segmentation, tally=segmentation.tallied())
        return cls(source, segmentation, segmentation.coverage(), counts, preview)


@dataclass(frozen=True)
class Reading:
    """What decides how a plane is encoded; a change takes effect at the next Run.

    `entry` says how many last blocks are left to variants, and `attention` is the variant that was asked for with it.
    """

    model: Model
    tiling: Tiling
    entry: int
    view: View
    attention: Attention = field(compare=False)

    @classmethod
    def of(cls, settings: Settings, view: View) -> Reading:
        """What settings and a look at an image give, whatever the plane."""
        attention = settings.attention
        return cls(settings.model, settings.tiling, attention.entry, view.replace(plane=()), attention)

    def seen(self, settings: Settings) -> Reading:
        """What of it the settings read: the size of a pixel concerns nobody unless masks are cleaned or split."""
        unused = settings.cleaning.is_idle and settings.splitting.method == "none"
        return replace(self, view=self.view.look) if unused else self

    def applied(self, settings: Settings) -> Settings:
        """The settings, read as in this reading; a variant that needs more blocks than were left waits for a Run."""
        attention = settings.attention if settings.attention.entry == self.entry else self.attention
        return settings.replace(model=self.model, tiling=self.tiling, attention=attention)


@dataclass(frozen=True)
class Run:
    """What was asked for by pressing Run and has not all come out yet.

    Attributes
    ----------
    source : Source
        The image.
    reading : Reading
        What it is read with.
    planes : tuple of Plane
        All that were asked for, in the order in which they are read.
    tag : str
        Of the one entry that the run leaves in the history.
    done : frozenset of Plane
        Those that have come out.
    """

    source: Source
    reading: Reading
    planes: tuple[Plane, ...]
    tag: str
    done: frozenset[Plane] = frozenset()

    @property
    def left(self) -> tuple[Plane, ...]:
        """The planes that have not come out."""
        return tuple(plane for plane in self.planes if plane not in self.done)


@dataclass(frozen=True, eq=False)
class Job:
    """One plane to be segmented.

    `reading` is what it is read with, `question` what is asked, in short, `preview` whether to show how far it is, and
    `known` names the pixels that the result shown is of, where there is one and the image was not looked at since.
    `agreed` is set once a long run may go on.
    """

    source: Source
    settings: Settings
    edits: Edits
    reading: Reading
    question: Hashable
    preview: bool = False
    known: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    agreed: threading.Event = field(default_factory=threading.Event)

    @property
    def spot(self) -> Spot:
        """The image and the plane that the job is about."""
        return self.source.spot


def question(settings: Settings, edits: Edits, reading: Reading) -> Hashable:
    """What a result depends on: what is shown is fresh while this is the same."""
    prompts = tuple(
        (p.id, p.phrases, p.kind, p.fixed_threshold, p.locked, p.muted, p.mix, p.index, p.learned)
        for p in settings.prompts
    )
    stages = (settings.comparing, settings.refining.key, settings.deciding, settings.cleaning, settings.splitting)
    return reading.applied(settings).attention, *stages, prompts, edits, reading
