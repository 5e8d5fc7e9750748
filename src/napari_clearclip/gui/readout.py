"""The prompts and their scores under the cursor, in napari's status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.gui.controller import Controller
from napari_clearclip.gui.jobs import Outcome, Spot
from napari_clearclip.gui.sources import is_result, is_source, key_of, level_of, plane_of
from napari_clearclip.gui.styles import tag_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_clearclip.result import Segmentation

_MOST = 3
_MARK = " \u2009| "


class Readout:
    """Adds to the status of an image and of its results what the prompts score under the cursor.

    Parameters
    ----------
    viewer : ViewerModel
        Whose status bar it is.
    controller : Controller
        Where results come from.
    """

    def __init__(self, viewer: ViewerModel, controller: Controller) -> None:
        self._viewer = viewer
        self._controller = controller
        self._found: dict[Spot, Segmentation] = {}
        controller.result_changed.connect(self._on_result)
        viewer.events.status.connect(self._on_status)

    def close(self) -> None:
        """Let go of viewer and controller."""
        self._controller.result_changed.disconnect(self._on_result, missing_ok=True)
        self._viewer.events.status.disconnect(self._on_status)
        self._found.clear()

    def text_at(self, position: Sequence[float]) -> str:
        """The best prompts at a place in world coordinates, with their scores, and a star if they have the pixel."""
        image = self._image()
        if image is None:
            return ""
        found = self._found.get((key_of(image), plane_of(image, position)))
        pixel = _pixel(image, position)
        if found is None or not all(0 <= at < size for at, size in zip(pixel, found.labels.shape, strict=True)):
            return ""
        scores = found.scores
        row, col = (
            min(int((at + 0.5) / size), count - 1)
            for at, size, count in zip(pixel, scores.cell, scores.values.shape[1:], strict=True)
        )
        values = dict(zip(scores.prompts, scores.values[:, row, col].tolist(), strict=True))
        objects = {prompt.id: prompt for prompt in found.settings.objects}
        best = sorted((id_ for id_ in values if objects[id_].visible), key=lambda id_: -values[id_])[:_MOST]
        owned = found.owners(*pixel)
        return ", ".join(f"{objects[id_].phrase} {values[id_]:.2f}{'*' * (id_ in owned)}" for id_ in best)

    def _image(self) -> Image | None:
        """The image whose results the active layer tells of."""
        active = self._viewer.layers.selection.active
        if active is None or not (is_source(active) or is_result(active)):
            return None
        key = key_of(active) if is_source(active) else tag_of(active)[1]
        return next((layer for layer in self._viewer.layers if is_source(layer) and key_of(layer) == key), None)

    def _on_result(self, outcome: Outcome) -> None:
        images = {key_of(layer) for layer in self._viewer.layers}
        self._found = {spot: found for spot, found in self._found.items() if spot[0] in images}
        self._found[outcome.source.spot] = outcome.segmentation

    def _on_status(self, event: Any) -> None:
        status = event.value
        if not isinstance(status, dict) or _MARK in status["coordinates"]:
            return
        if text := self.text_at(self._viewer.cursor.position):
            self._viewer.status = status | {"coordinates": f"{status['coordinates']}{_MARK}{text}"}


def _pixel(image: Image, position: Sequence[float]) -> tuple[int, int]:
    """Row and column, in the array that was read, of a place in world coordinates."""
    at = np.asarray(image.world_to_data(np.asarray(position, float)[-image.ndim :]))
    if image.multiscale:
        at = at / np.asarray(image.downsample_factors[level_of(image)])
    return round(float(at[-2])), round(float(at[-1]))
