"""Accepts objects into a layer of the user's own, and changes them there, so that Ctrl+Z takes it back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_clearclip.engine.corrections import cut, delete, merge, renumber
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.images.ruler import Ruler
from napari_clearclip.gui.images.sources import placement, shape_of
from napari_clearclip.gui.layers.keeping import NOTHING_TO_ACCEPT
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.styles import OBJECTS, object_layer
from napari_clearclip.gui.objects.accepting import Accepted, gather
from napari_clearclip.gui.objects.census import Census
from napari_clearclip.gui.objects.section import ObjectSection
from napari_clearclip.gui.objects.taking import names_of
from napari_clearclip.gui.prompts import listing

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_clearclip.result import IdArray

NO_METHOD = "Choose under Objects how masks become single objects; then they can be accepted."
LINE = "line across an object"
DRAWING = "Draw a line across the objects to cut, or press Escape."


class Editor:
    """What the buttons below the table do.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    controller : Controller
        What is wanted.
    results : Results
        What is shown of each plane, and where accepted layers go.
    section : ObjectSection
        The buttons.
    census : Census
        Which layer's objects are in the table.
    executor : Executor
        Where objects are made before they are accepted.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        controller: Controller,
        results: Results,
        section: ObjectSection,
        census: Census,
        executor: Executor,
    ) -> None:
        self._viewer, self._controller, self._results = viewer, controller, results
        self._section, self._census, self._executor = section, census, executor
        self._knife = Ruler(viewer, LINE)
        self._knife.drawn.connect(self._cut)
        self._knife.ended.connect(self._put_away)
        section.delete.connect(self.delete)
        section.merge.connect(self.merge)
        section.renumber.connect(self.renumber)
        section.cut.connect(self._draw)
        section.undo.connect(self.undo)
        section.named.connect(self.name)
        section.accept.connect(self.accept)
        census.changed.connect(self._show)
        self._show()

    def close(self) -> None:
        """Let go of the viewer; once is enough, more does no harm."""
        self._knife.close()

    def _show(self) -> None:
        """Offer what can be done."""
        own = self._census.own_layer
        phrases = [item.phrase for item in self._controller.settings.objects]
        self._section.show_actions(own is not None and bool(own.editable), self._census.shown is not None, phrases)

    # Accepting

    def accept(self, prompt: str | None = None) -> None:
        """Copy the objects of a prompt, or of all visible ones, into a layer of the user's own; lock and hide these."""
        key, settings, source = self._controller.key, self._controller.settings, self._controller.source
        if settings.splitting.method == "none":
            self.said.emit(NO_METHOD)
            return
        outcomes = [] if source is None else self._results.outcomes(str(key))
        image = self._census.image
        wanted = tuple(item for item in settings.objects if item.id == prompt or (prompt is None and item.visible))
        if image is None or not outcomes or not wanted:
            self.said.emit(NOTHING_TO_ACCEPT)
            return
        shape = shape_of(image)
        spacing = float(abs(image.scale[-3])) if len(shape) > 2 else 1.0
        results, ids = [outcome.segmentation for outcome in outcomes], [item.id for item in wanted]
        work = partial(gather, results, ids, shape, settings.linking, spacing)

        def finish(found: Accepted | Exception | None) -> None:
            if isinstance(found, Exception):
                self.said.emit(listing.sentence(found))
            elif found is not None and image in self._viewer.layers:
                layer = object_layer(image, wanted, found.names, found.data, placement(image))
                self._results.add_accepted(layer, ids)

        self._executor(_working(work), lambda _: None, finish)

    # Changing

    def delete(self) -> None:
        """Delete the chosen objects."""
        self._change(lambda ids: delete(ids, self._chosen))

    def merge(self) -> None:
        """Make one object of the chosen ones."""
        chosen = self._chosen
        self._change(lambda ids: merge(ids, chosen))

    def renumber(self) -> None:
        """Number the objects of the whole layer from 1 on."""
        layer = self._census.own_layer
        if layer is None:
            return
        ids, numbers = renumber(np.asarray(layer.data))
        names = names_of(layer, numbers)
        self._write(layer, np.asarray(layer.data), ids, ())
        if names:
            _rename(layer, {numbers[id_]: name for id_, name in names.items() if id_ in numbers})

    def name(self, phrase: str) -> None:
        """Say what the chosen objects are."""
        layer = self._census.own_layer
        if layer is not None and (chosen := self._chosen):
            known = names_of(layer, self._census.shown.table["id"].tolist()) if self._census.shown else None
            _rename(layer, {**(known or {}), **dict.fromkeys(chosen, phrase)})
            self._census.refresh()

    def undo(self) -> None:
        """Take back what was done last: to the layer of the user's own, or to what is wanted of the image."""
        layer = self._census.own_layer
        if layer is None:
            self._controller.undo()
        else:
            layer.undo()

    def _draw(self, on: bool) -> None:
        layer = self._census.own_layer
        if on and layer is not None:
            self._census.paused = True
            self._knife.start(layer)
            self._section.say(DRAWING)
        else:
            self._knife.stop()

    def _put_away(self) -> None:
        self._section.show_drawing(False)
        self._census.paused = False
        self._census.refresh()

    def _cut(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Cut along a line; the parts are what the whole was."""
        layer = self._census.own_layer
        changed = self._change(lambda ids: cut(ids, start, end))
        names = None if layer is None or changed is None else names_of(layer, np.unique(changed[0]).tolist())
        if changed is None or not names:
            return
        old, new = changed
        parts = old != new
        parents = dict(zip(new[parts].tolist(), old[parts].tolist(), strict=True))
        _rename(layer, {**names, **{part: names[whole] for part, whole in parents.items() if whole in names}})

    @property
    def _chosen(self) -> list[int]:
        return self._section.table.chosen_ids()

    def _change(self, make: Callable[[IdArray], IdArray]) -> tuple[IdArray, IdArray] | None:
        """Change the plane that is in the table, and return it before and after; what is refused is said."""
        shown, layer = self._census.shown, self._census.own_layer
        if shown is None or layer is None:
            return None
        plane = shown.subject.plane
        old = np.array(layer.data[plane] if plane else layer.data)
        try:
            new = make(old)
        except ValueError as error:
            self.said.emit(listing.sentence(error))
            return None
        self._write(layer, old, new, plane)
        return old, new

    def _write(self, layer: Any, old: IdArray, new: IdArray, plane: tuple[int, ...]) -> None:
        """Write what changed, as one entry of the layer's history."""
        where = np.nonzero(old != new)
        if len(where[0]):
            full = (*(np.full(len(where[0]), at) for at in plane), *where)
            layer.data_setitem(full, new[where])
        self._census.refresh()


def _working(work: Callable[[], Accepted]) -> Generator[None, None, Accepted | Exception]:
    """What is accepted, in the worker: an error is returned."""
    try:
        yield
        return work()
    except Exception as error:  # the worker's boundary: whatever it is, the panel says it
        return error


def _rename(layer: Any, names: dict[int, str]) -> None:
    """Note what objects are; what was noted before is kept for when numbers are undone."""
    kept = layer.metadata.get(OBJECTS, [])
    layer.metadata[OBJECTS] = [names, *kept]
    layer.features = {"index": list(names), "prompt": list(names.values())}
