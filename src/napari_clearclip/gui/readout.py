"""The prompts and their scores under the cursor, in napari's status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.images.sources import index_at, is_result, is_source, key_of, plane_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.styles import tag_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

_MOST = 3
_MARK = " \u2009| "


class Readout:
    """Adds to the status of an image and of its results what the prompts score under the cursor.

    Parameters
    ----------
    viewer : ViewerModel
        Whose status bar it is.
    controller : Controller
        Says which prompts are visible.
    results : Results
        What is shown of each plane.
    """

    def __init__(self, viewer: ViewerModel, controller: Controller, results: Results) -> None:
        self._viewer, self._controller, self._results = viewer, controller, results
        viewer.events.status.connect(self._on_status)

    def close(self) -> None:
        """Let go of the viewer; once is enough, more does no harm."""
        self._viewer.events.status.disconnect(self._on_status)

    def text_at(self, position: Sequence[float]) -> str:
        """The best prompts at a place in world coordinates, with their scores, and a star if they have the pixel."""
        image = self._image()
        if image is None:
            return ""
        key, pixel = key_of(image), index_at(image, position)[-2:]
        outcome = self._results.outcome((key, plane_of(image, position)))
        if outcome is None:
            return ""
        found, scores = outcome.segmentation, outcome.segmentation.scores
        if not all(0 <= at < size for at, size in zip(pixel, found.labels.shape, strict=True)):
            return ""
        row, col = (
            min(int((at + 0.5) / size), count - 1)
            for at, size, count in zip(pixel, scores.cell, scores.values.shape[1:], strict=True)
        )
        values = dict(zip(scores.prompts, scores.values[:, row, col].tolist(), strict=True))
        named = [item for item in self._controller.state_of(key).settings.objects if item.visible and item.id in values]
        best = sorted(named, key=lambda prompt: -values[prompt.id])[:_MOST]
        owned = found.owners(pixel[0], pixel[1])
        return ", ".join(f"{item.phrase} {values[item.id]:.2f}{'*' * (item.id in owned)}" for item in best)

    def _image(self) -> Image | None:
        """The image whose results the active layer tells of."""
        active = self._viewer.layers.selection.active
        if active is None or not (is_source(active) or is_result(active)):
            return None
        key = key_of(active) if is_source(active) else tag_of(active)[1]
        return next((layer for layer in self._viewer.layers if is_source(layer) and key_of(layer) == key), None)

    def _on_status(self, event: Any) -> None:
        status = event.value
        if not isinstance(status, dict) or _MARK in status["coordinates"]:
            return
        if text := self.text_at(self._viewer.cursor.position):
            self._viewer.status = status | {"coordinates": f"{status['coordinates']}{_MARK}{text}"}
