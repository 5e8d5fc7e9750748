"""What a run is about, as frozen values: the image, what it is read with, and what came out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_clearclip.edits import Edits, View
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Model, Settings, Tiling

if TYPE_CHECKING:
    import numpy as np

Spot = tuple[Hashable, tuple[int, ...]]


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
        Returns the stored array; called in the worker, so that lazy arrays are computed there.
    """

    key: Hashable
    view: View
    read: Callable[[], np.ndarray]

    @property
    def spot(self) -> Spot:
        """The image and the plane of it."""
        return self.key, self.view.plane


@dataclass(frozen=True)
class Outcome:
    """A finished segmentation, the image it was started for, and each prompt's share of it."""

    source: Source
    segmentation: Segmentation
    coverage: Mapping[str, float]

    @classmethod
    def of(cls, source: Source, segmentation: Segmentation) -> Outcome:
        """What came out for an image; counts pixels, so it belongs in the worker."""
        ids = (prompt.id for prompt in segmentation.settings.objects)
        return cls(source, segmentation, {id_: float(segmentation.coverage(id_)) for id_ in ids})


@dataclass(frozen=True)
class Reading:
    """What decides how the image is encoded; a change takes effect at the next Run."""

    model: Model
    tiling: Tiling
    blocks: int
    view: View

    @classmethod
    def of(cls, settings: Settings, source: Source) -> Reading:
        """What settings and a look at an image give."""
        return cls(settings.model, settings.tiling, settings.attention.blocks, source.view)

    def applied(self, settings: Settings) -> Settings:
        """The settings, read as in this reading."""
        attention = settings.attention.replace(blocks=self.blocks)
        return settings.replace(model=self.model, tiling=self.tiling, attention=attention)


@dataclass(frozen=True)
class Job:
    """A run that was asked for; `before` is the reading to fall back on if it does not come to its end."""

    source: Source
    settings: Settings
    edits: Edits
    before: Reading | None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def spot(self) -> Spot:
        """The image and the plane that the run is about."""
        return self.source.spot

    @property
    def reading(self) -> Reading:
        """How the image is read in this run."""
        return Reading.of(self.settings, self.source)

    @property
    def question(self) -> Hashable:
        """What is asked about the image, in short."""
        return question(self.settings, self.edits)


def question(settings: Settings, edits: Edits) -> Hashable:
    """What the result depends on beside the reading: what is shown is fresh while this is the same."""
    prompts = tuple((p.id, p.phrases, p.kind, p.threshold, p.locked, p.muted) for p in settings.prompts)
    return settings.attention.replace(blocks=1), settings.comparing, settings.deciding, prompts, edits
