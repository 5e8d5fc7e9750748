"""Masks that stay: locked ones, and copies that are the user's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_clearclip.edits import Edits, Plane
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.jobs import Outcome
from napari_clearclip.gui.images.sources import key_of, placement, shape_of
from napari_clearclip.gui.layers.gathering import fill, planes_of
from napari_clearclip.gui.layers.shelf import Sheet, Shelf, same_selection
from napari_clearclip.gui.layers.styles import LABELS, frozen_layer
from napari_clearclip.gui.layers.writing import Writer
from napari_clearclip.gui.prompts import listing

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

NOTHING_TO_ACCEPT = "There is no mask to accept yet; press Run first."


class Keeper:
    """Locks prompts, clears what was painted for them, and copies their masks.

    Parameters
    ----------
    viewer : ViewerModel
        Where copies go.
    shelf : Shelf
        The layers.
    writer : Writer
        What is in them.
    controller : Controller
        What is wanted.
    """

    said = Signal(str)

    def __init__(self, viewer: ViewerModel, shelf: Shelf, writer: Writer, controller: Controller) -> None:
        self._viewer, self._shelf, self._writer, self._controller = viewer, shelf, writer, controller

    def lock(self, prompt: str, on: bool) -> None:
        """Freeze a prompt's mask on all planes that were run, or let it follow the model again."""
        key = str(self._controller.key)
        settings = listing.changed(self._controller.settings, (prompt,), locked=on)
        edits = self._writer.collected(key)
        if on:
            self._controller.update(edits=edits, key=key)  # what is frozen is what is seen
            edits = self._frozen(key, edits, {prompt})
        self._controller.update(settings, edits if on else edits.unlock(prompt), key=key)

    def freeze(self, key: str, plane: Plane) -> None:
        """Keep the first mask that a locked prompt gets on a plane, as part of the run that made it."""
        state = self._controller.state_of(key)
        new = {item.id for item in state.settings.objects if item.locked and not state.edits.lock_of(item.id, plane)}
        if new:
            self._controller.amend(self._frozen(key, state.edits, new, [plane]), key)

    def clear(self, prompt: str | None) -> None:
        """Forget what was painted for a prompt, or for all, on all planes."""
        key = str(self._controller.key)
        edits = self._writer.collected(key)
        for id_ in self._ids(prompt):
            edits = edits.clear(id_)
        self._controller.update(edits=edits, key=key)

    def accept(self, prompt: str | None) -> None:
        """Copy the mask of a prompt, or those of all visible ones, and lock and hide these."""
        key = str(self._controller.key)
        self._controller.update(edits=self._writer.collected(key), key=key)
        image, settings = self._shelf.image(key), self._controller.settings
        known = {id_ for plane in planes_of(self._writer, key) for id_ in self._writer.outcomes[key, plane].coverage}
        wanted = [item for item in settings.objects if item.id in self._ids(prompt) and (prompt or item.visible)]
        if image is None or known.isdisjoint(item.id for item in wanted):
            self.said.emit(NOTHING_TO_ACCEPT)
            return
        places = {item.id: at for at, item in enumerate(settings.objects, 1)}
        values = {item.id: places[item.id] if prompt is None else 1 for item in wanted}
        self._add_copy(image, Sheet(LABELS, tuple(wanted), values))
        self.hold(values)

    def hold(self, prompts: Collection[str]) -> None:
        """Lock and hide prompts whose masks have been copied."""
        key, settings = str(self._controller.key), self._controller.settings
        edits = self._frozen(key, self._controller.state_of(key).edits, prompts)
        self._controller.update(listing.changed(settings, prompts, locked=True, visible=False), edits, key=key)

    def _add_copy(self, image: Image, sheet: Sheet) -> None:
        key, data = key_of(image), np.zeros(shape_of(image), np.uint8)
        fill(data, self._writer, key, planes_of(self._writer, key), sheet)
        with same_selection(self._viewer):
            self._viewer.layers.append(frozen_layer(image, sheet.prompts, sheet.shown, data, placement(image)))

    def _frozen(self, key: str, edits: Edits, prompts: Collection[str], planes: list[Plane] | None = None) -> Edits:
        """Edits in which the masks of prompts are frozen as they are, on all planes that were run."""
        image = self._shelf.image(key)
        for plane in planes_of(self._writer, key) if planes is None else planes:
            for prompt in self._writer.outcomes[key, plane].segmentation.settings.objects:
                if image is not None and prompt.id in prompts and edits.lock_of(prompt.id, plane) is None:
                    content = self._writer.content(key, plane, Sheet(LABELS, (prompt,), {prompt.id: 1}))
                    edits = edits.lock(prompt.id, plane, content.region(shape_of(image)[-2:], 1))
        return edits

    def outcomes(self, key: str) -> list[Outcome]:
        """The results of the planes that were run, with all that was done by hand."""
        self._controller.update(edits=self._writer.collected(key), key=key)
        return [self._writer.outcomes[key, plane] for plane in planes_of(self._writer, key)]

    def _ids(self, prompt: str | None) -> list[str]:
        return [item.id for item in self._controller.settings.objects if prompt in (None, item.id)]
