"""Counts the objects of what is looked at in a worker, shows them as a layer, and links that with the table."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.jobs import Outcome, Spot
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.sources import KEY, placement, shape_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.shelf import same_selection
from napari_clearclip.gui.layers.styles import STROKES, tag_of
from napari_clearclip.gui.objects import marking
from napari_clearclip.gui.objects.looking import Look, go_to, plane_at
from napari_clearclip.gui.objects.section import COUNTING, NOTHING, WAITING, ObjectSection
from napari_clearclip.gui.objects.taking import Found, Live, Own, take
from napari_clearclip.gui.prompts import listing
from napari_clearclip.io.files import slug
from napari_clearclip.io.tables import write_objects
from napari_clearclip.result import ObjectTable

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

_PAUSE = 200  # milliseconds without a change until objects are made: a slider that is dragged is not held up
Subject = Live | Own


@dataclass(frozen=True, eq=False)
class Counted:
    """What was found: whose objects these are, the layer with the ids, and their measures."""

    subject: Subject
    layer: Any
    table: ObjectTable


class Census:
    """Follows what is looked at: the objects of the image, or those in a Labels layer that is selected.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    controller : Controller
        What is wanted.
    results : Results
        What is shown of each plane.
    images : Images
        The image that is looked at.
    section : ObjectSection
        The table.
    executor : Executor
        Where objects are made and measured.

    Attributes
    ----------
    paused : bool
        Whether the table stays as it is, whatever is selected.
    """

    said = Signal(str)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        controller: Controller,
        results: Results,
        images: Images,
        section: ObjectSection,
        executor: Executor,
    ) -> None:
        self._viewer, self._controller, self._results = viewer, controller, results
        self._images, self._section, self._executor = images, section, executor
        self._selected: str | None = None
        self._running = self._closed = False
        self.paused = False
        self._shown: Counted | None = None
        self._live: dict[Spot, Counted] = {}
        self._look: Look | None = None
        self._timer = QTimer(section)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._start)
        section.table.chosen.connect(self._on_chosen)
        section.export.connect(self._ask_where)
        section.mark.connect(self.mark)
        self._connect(True)

    def close(self) -> None:
        """Let go of the viewer; once is enough, more does no harm."""
        if not self._closed:
            self._closed = True
            self._timer.stop()
            self._connect(False)
            self._watch(None)

    @property
    def idle(self) -> bool:
        """Whether nothing is being made or waits to be."""
        return not self._running and not self._timer.isActive()

    @property
    def shown(self) -> Counted | None:
        """What is in the table; None if there are no objects to show."""
        return self._shown

    @property
    def image(self) -> Image | None:
        """The image that is looked at."""
        return self._images.current

    @property
    def own_layer(self) -> Labels | None:
        """The Labels layer of the user's own whose objects are in the table, or None."""
        return self._shown.layer if self._shown is not None and isinstance(self._shown.subject, Own) else None

    def select(self, prompt: str | None) -> None:
        """Say which prompt's objects are shown where masks may overlap."""
        if prompt != self._selected:
            self._selected = prompt
            if not self._controller.settings.deciding.exclusive:
                self.refresh()

    def refresh(self, *_: object) -> None:
        """Look again, once nothing has changed for a moment."""
        if not self._closed:
            self._timer.start(_PAUSE)

    # What is looked at

    def _connect(self, on: bool) -> None:
        for emitter, slot in (
            (self._controller.result_changed, self._on_result),
            (self._controller.changed, self.refresh),
            (self._controller.source_changed, self.refresh),
            (self._controller.withdrawn, self.refresh),
            (self._viewer.layers.selection.events.active, self.refresh),
            (self._viewer.layers.events.removed, self.refresh),
        ):
            (emitter.connect if on else emitter.disconnect)(slot)

    def _on_result(self, outcome: Outcome) -> None:
        if not outcome.preview:
            self.refresh()

    @property
    def _waits(self) -> bool:
        """Whether a result that is split as it is wanted is on its way."""
        source, wanted = self._controller.source, self._controller.settings.splitting
        outcome = None if source is None else self._results.outcome(source.spot)
        return outcome is not None and (outcome.preview or outcome.segmentation.settings.splitting != wanted)

    def _wanted(self) -> Live | None:
        """The objects of the image and plane that are looked at, if any are asked for."""
        source, settings = self._controller.source, self._controller.settings
        outcome = None if source is None else self._results.outcome(source.spot)
        if outcome is None or settings.splitting.method == "none":
            return None
        known = set(outcome.segmentation.scores.prompts)
        shown = tuple(item.id for item in settings.objects if item.visible and item.id in known)
        if outcome.segmentation.overlaps is not None:
            shown = tuple(id_ for id_ in shown if id_ == self._selected) or shown[:1]
        return Live(outcome, shown)

    def _own(self) -> Own | None:
        """The objects of a Labels layer of the user's own, if one is selected."""
        from napari.layers import Labels

        layer = self._viewer.layers.selection.active
        drawn = layer is not None and layer.metadata.get(KEY, {}).get("kind") == STROKES
        if not isinstance(layer, Labels) or drawn or tag_of(layer)[0] or layer.multiscale:
            return None
        image, source = self._images.current, self._controller.source
        if image is None or not _fits(layer, image):
            source = None
        outcome = None if source is None else self._results.outcome(source.spot)
        return Own(layer, plane_at(layer, self._viewer.dims.point), source, outcome)

    # Making and measuring

    def _start(self) -> None:
        """Make the objects of the result first, since they have a layer of their own; then show what is looked at."""
        if self._running or self._closed or self.paused:
            return
        self._tidy()
        live, own = self._wanted(), self._own()
        made = None if live is None else self._live.get(live.spot)
        if self._waits and own is None:
            return
        if live is not None and not self._waits and (made is None or made.subject != live):
            self._make(live)
        elif own is not None:
            self._make(own)
        else:
            self._show(made)

    def _tidy(self) -> None:
        """Forget planes that are gone, and take layers away that are no longer asked for."""
        for spot in list(self._live):
            if self._controller.state_of(spot[0]).settings.splitting.method == "none":
                self._results.hide_objects(str(spot[0]))
                del self._live[spot]
            elif self._results.outcome(spot) is None:
                del self._live[spot]

    def _make(self, subject: Subject) -> None:
        self._running = True
        if self._shown is None:
            self._section.say(COUNTING)
        self._executor(_working(subject), lambda _: None, partial(self._finish, subject))

    def _finish(self, subject: Subject, found: Found | Exception | None) -> None:
        self._running = False
        if self._closed or found is None:
            return
        if isinstance(found, Exception):
            self._show(None)
            self.said.emit(f"The objects could not be measured: {listing.sentence(found)}")
        elif isinstance(subject, Own):
            if subject.layer in self._viewer.layers:
                self._show(Counted(subject, subject.layer, found.table))
        else:
            if subject == self._wanted() and (layer := self._results.show_objects(subject.spot, found.ids)) is not None:
                layer.features = found.features
                self._live[subject.spot] = Counted(subject, layer, found.table)
            if not self._timer.isActive():
                self._start()

    def _show(self, counted: Counted | None) -> None:
        self._shown = counted
        self._watch(None if counted is None else counted.layer)
        if counted is None:
            asked = self._controller.settings.splitting.method != "none"
            self._section.show_table(None, WAITING if asked else NOTHING)
        else:
            count = len(counted.table)
            about = f"{count} object{'s' * (count != 1)} in “{counted.layer.name}”"
            self._section.show_table(counted.table, about)
        self.changed.emit()

    def mark(self, what: str) -> None:
        """Add a layer of the ``boxes`` or ``points`` of the objects that are shown."""
        shown = self._shown
        if shown is None or shown.layer not in self._viewer.layers:
            return
        layer, plane, table = shown.layer, shown.subject.plane, shown.table
        colors = {item.phrase: item.color for item in self._controller.settings.objects}
        if what == "boxes":
            marks = marking.shapes_layer(layer, table, plane, colors)
        elif isinstance(shown.subject, Live):
            marks = marking.points_layer(layer, marking.peaks(table, plane, layer.data.shape[-1]), table, colors)
        else:
            ids = np.asarray(layer.data[plane] if plane else layer.data)
            marks = marking.points_layer(layer, marking.middles(table, plane, ids), table, colors)
        with same_selection(self._viewer):
            self._viewer.layers.append(marks)

    # The file

    def _ask_where(self) -> None:
        """Ask for a file, and write the table to it."""
        if self._shown is None:
            return
        image = self._images.current
        name = slug(self._shown.layer.name if image is None or self.own_layer is not None else image.name)
        ask = QFileDialog.getSaveFileName
        path, _ = ask(self._section, "Save the table of objects", f"{name}_clearclip_objects.csv", "CSV (*.csv)")
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the table that is shown to a file."""
        if self._shown is None:
            return
        try:
            write_objects(path, self._shown.table)
        except OSError as error:
            self.said.emit(str(error))
        else:
            self._section.say(f"{len(self._shown.table)} rows saved to {path.name}")

    # Table and layer

    def _watch(self, layer: Any) -> None:
        """Listen to what is clicked in a layer, and to what is drawn into one of the user's own."""
        if self._look is not None and self._look.layer is layer:
            return
        if self._look is not None:
            self._look.close()
        self._look = None if layer is None else Look(layer, self._section.table.choose, self.refresh)

    def _on_chosen(self, ids: Collection[int]) -> None:
        """Go to what was chosen in the table, and let it be seen."""
        shown = self._shown
        if shown is None or not ids or shown.layer not in self._viewer.layers:
            return
        first = next(iter(ids))
        go_to(self._viewer, shown.layer, shown.table, shown.subject.plane, first)
        if self._look is not None:
            self._look.flash(first)


def _working(subject: Subject) -> Generator[None, None, Found | Exception]:
    """What a subject holds, in the worker: an error is returned."""
    try:
        yield
        return take(subject)
    except Exception as error:  # the worker's boundary: whatever it is, the panel says it
        return error


def _fits(layer: Labels, image: Any) -> bool:
    """Whether a layer has the pixels of an image."""
    where = placement(image)
    same = all(abs(a - b) < 1e-9 * max(abs(a), 1) for a, b in zip(layer.scale[-2:], where["scale"][-2:], strict=True))
    return same and tuple(layer.data.shape[-2:]) == shape_of(image)[-2:]
