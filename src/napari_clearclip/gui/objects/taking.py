"""What a plane holds: ids and measures of its objects, found in a worker: no Qt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Plane, View
from napari_clearclip.gui.control.jobs import Outcome, Source, Spot
from napari_clearclip.gui.images.sources import pixel_of
from napari_clearclip.gui.layers.styles import OBJECTS
from napari_clearclip.measures import measure
from napari_clearclip.result import IdArray, ObjectTable


@dataclass(frozen=True)
class Live:
    """The objects that a result has.

    Attributes
    ----------
    outcome : Outcome
        The result.
    prompts : tuple of str
        The prompts that are shown, by id.
    """

    outcome: Outcome
    prompts: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Live) and self.outcome is other.outcome and self.prompts == other.prompts

    __hash__ = None  # type: ignore[assignment]  # results are compared by identity

    @property
    def spot(self) -> Spot:
        """The image and the plane."""
        return self.outcome.source.spot

    @property
    def plane(self) -> Plane:
        """The plane."""
        return self.outcome.source.view.plane


@dataclass(frozen=True, eq=False)
class Own:
    """The objects in a plane of a layer of the user's own.

    Attributes
    ----------
    layer : Labels
        The layer.
    plane : tuple of int
        Index into its leading axes.
    source : Source or None
        The image that it lies on, for the brightness.
    outcome : Outcome or None
        What was found in that, for the scores.
    """

    layer: Any
    plane: Plane
    source: Source | None
    outcome: Outcome | None


@dataclass(frozen=True, eq=False)
class Found:
    """The ids (H, W) of objects, and their measures."""

    ids: IdArray
    table: ObjectTable

    @property
    def features(self) -> dict[str, Any]:
        """What napari's status bar says of an object under the mouse."""
        names = ("prompt", "area", "score", "elongation")
        shown = {column.name: column.values for column in self.table.columns if column.name in names}
        return {"index": self.table["id"], **shown}


def take(subject: Live | Own) -> Found:
    """Ids and measures of a subject's objects; belongs in the worker."""
    return _taken(subject) if isinstance(subject, Live) else _measured(subject)


def _taken(live: Live) -> Found:
    result = live.outcome.segmentation
    objects = [item.id for item in result.settings.objects]
    ids = result.instances
    if result.overlaps is not None and live.prompts:
        ids = result.instances_of(live.prompts[0])
    if ids is None:
        ids = np.zeros(result.labels.shape, np.int32)
    shown = np.array([0, *(at for at, id_ in enumerate(objects, 1) if id_ in live.prompts)], np.uint8)
    if len(shown) <= len(objects) and result.overlaps is None:
        ids = np.where(np.isin(result.labels, shown[1:]), ids, 0)
    words = {item.id: item.phrase for item in result.settings.objects}
    score = result.score_map(live.prompts)
    peaks = np.unique(ids)
    peaks = peaks[peaks > 0]
    if result.overlaps is None:  # the peak of an object is one of its pixels
        owners = result.labels.ravel()[peaks.astype(np.int64) - 1]
        names = {int(id_): words[objects[owner - 1]] for id_, owner in zip(peaks, owners, strict=True)}
    else:
        names = {int(id_): words[live.prompts[0]] for id_ in peaks}
    image = brightness_of(live.outcome.source, result.view.channels)
    return Found(ids, measure(ids, score, image, names, **_units(result.view.pixel, result.view.unit)))


def _units(pixel: tuple[float, float], unit: str) -> dict[str, Any]:
    """In what is measured: in pixels where the unit is not known."""
    return {"pixel": pixel, "unit": unit} if unit else {}


def _measured(own: Own) -> Found:
    data = own.layer.data
    ids: IdArray = np.array(data[own.plane] if own.plane else data)
    score = None
    if own.outcome is not None and own.outcome.segmentation.labels.shape == ids.shape:
        result = own.outcome.segmentation
        score = np.zeros(ids.shape, np.float32)
        for prompt in result.scores.prompts:
            np.maximum(score, result.scores.at(prompt, slice(0, ids.shape[0]), slice(0, ids.shape[1])), out=score)
    image = None if own.source is None else brightness_of(own.source, own.source.view.channels)
    names = names_of(own.layer, np.unique(ids).tolist())
    known = View(**pixel_of(own.layer))
    return Found(ids, measure(ids, score, image, names, **_units(known.pixel, known.unit)))


def names_of(layer: Any, ids: Collection[int]) -> dict[int, str] | None:
    """What the objects of a layer are, by id; None if nobody has said.

    Of what was noted one after the other, the latest that knows all `ids` counts, so that an undone change of numbers
    finds its names again.
    """
    kept: list[dict[int, str]] = layer.metadata.get(OBJECTS, [])
    wanted = {id_ for id_ in ids if id_}
    for names in kept:
        if wanted <= set(names):
            return names
    if kept:
        return kept[0]
    features = layer.features
    if not {"index", "prompt"} <= set(features):
        return None
    return {int(at): str(name) for at, name in zip(features["index"], features["prompt"], strict=True)}


def brightness_of(source: Source, channels: tuple[int, ...]) -> npt.NDArray[Any]:
    """The stored values (H, W) or (H, W, C) of the plane that is looked at, of the channels that are read."""
    view = source.view
    stored = np.asarray(source.read(view.plane)[view.plane])
    if view.channel_axis is None:
        return stored
    stored = np.moveaxis(stored, view.channel_axis, -1)
    return stored[..., list(channels)] if channels else stored
