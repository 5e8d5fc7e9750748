"""The dock widget: sections on one side, controller and layers on the other, and nothing of its own but wiring."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_clearclip.domains import unknown_in
from napari_clearclip.engine.automatic import Counts
from napari_clearclip.gui.actions import ACTIONS, bind, callbacks
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Outcome, Source
from napari_clearclip.gui.control.runner import Executor, default_pipeline
from napari_clearclip.gui.control.worker import in_thread
from napari_clearclip.gui.exporting.batches import Batches
from napari_clearclip.gui.exporting.exporter import Exporter
from napari_clearclip.gui.exporting.section import ExportSection
from napari_clearclip.gui.images.channel_section import ChannelSection
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.ruler import Ruler
from napari_clearclip.gui.images.section import ImageSection
from napari_clearclip.gui.images.sources import KEY, describe, key_of
from napari_clearclip.gui.inspect.inspector import Inspector
from napari_clearclip.gui.inspect.section import InspectSection
from napari_clearclip.gui.layers.graphics import CanvasContext
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.styles import left_behind
from napari_clearclip.gui.models.equipment import Equipment
from napari_clearclip.gui.models.section import ModelSection
from napari_clearclip.gui.models.tutor import Tutor
from napari_clearclip.gui.objects.census import Census
from napari_clearclip.gui.objects.editing import Editor
from napari_clearclip.gui.objects.section import ObjectSection
from napari_clearclip.gui.preferences import read_preferences
from napari_clearclip.gui.prompts import listing
from napari_clearclip.gui.prompts.indices import missing_bands
from napari_clearclip.gui.prompts.prompting import Prompting
from napari_clearclip.gui.prompts.section import PromptSection
from napari_clearclip.gui.queue.export_all import ExportAll
from napari_clearclip.gui.queue.section import QueueSection
from napari_clearclip.gui.queue.walk import Walk
from napari_clearclip.gui.readout import Readout
from napari_clearclip.gui.segment.refining import RefineSection
from napari_clearclip.gui.segment.scope import Scope
from napari_clearclip.gui.segment.section import SegmentSection
from napari_clearclip.gui.sessions.autosave import Autosave
from napari_clearclip.gui.sessions.rescue import Notice, Rescue
from napari_clearclip.gui.sessions.section import SessionSection
from napari_clearclip.gui.sessions.sessions import Sessions
from napari_clearclip.gui.teaching.lessons import Lessons
from napari_clearclip.io.sessions import volumes
from napari_clearclip.settings import Model, Runtime, Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_clearclip.pipeline import Pipeline

_LOG = logging.getLogger(__name__)
NO_IMAGE = "File > Open Sample > ClearCLIP has some."
NOTHING_FOUND = "Nothing scored above its threshold: lower the thresholds, mute distractors, or use other words."


def start_settings() -> Settings:
    """What the panel opens with: the model and the sentences of the preferences, and the model's distractors."""
    return read_preferences().settings


class Panel(QWidget):
    """The ClearCLIP panel.

    Parameters
    ----------
    napari_viewer : ViewerModel
        The viewer whose images are segmented.
    executor : Executor, optional
        Where work is done; a worker thread of napari by default.
    open_pipeline : callable, optional
        Makes the pipeline for a `Runtime`.
    """

    def __init__(
        self,
        napari_viewer: ViewerModel,
        executor: Executor = in_thread,
        open_pipeline: Callable[[Runtime], Pipeline] | None = None,
    ) -> None:
        super().__init__()
        known = left_behind(napari_viewer.layers)
        self.controller = Controller(executor, open_pipeline, State(start_settings()), known)
        self.results = Results(napari_viewer, self.controller)
        self.readout = Readout(napari_viewer, self.controller, self.results)
        self._context = CanvasContext(napari_viewer, self)
        self.images, self.ruler = Images(napari_viewer), Ruler(napari_viewer)
        self.image, self.channels, self.model = ImageSection(), ChannelSection(), ModelSection()
        self.prompts, self.segment, self.refine = PromptSection(), SegmentSection(), RefineSection()
        self.objects = ObjectSection()
        self.census = Census(napari_viewer, self.controller, self.results, self.images, self.objects, executor)
        self.editor = Editor(napari_viewer, self.controller, self.results, self.objects, self.census, executor)
        self.lessons = Lessons(napari_viewer, self.prompts, self.controller, self.images)
        self.exports = ExportSection()
        self.session = SessionSection()
        about = (self.session, self.controller, self.results, self.images, self.prompts.table)
        self.sessions = Sessions(napari_viewer, *about, executor)
        self.exporter = Exporter(napari_viewer, self.exports, self.controller, self.results, self.images, executor)
        self.autosave = Autosave(napari_viewer, self.controller, volumes.folder(), known)
        self.notice = Notice()
        self.rescue = Rescue(self.notice, volumes.folder(), self.sessions.restore, self.autosave.flush, executor)
        self.queue = QueueSection()
        places = (self.images, self.sessions, self.run)
        self.walk = Walk(napari_viewer, self.queue, self.controller, self.results, *places, executor)
        opened = open_pipeline or default_pipeline
        self.exports_all = ExportAll(self.walk, self.queue, self.controller, opened, executor)
        self.inspect = InspectSection()
        self.inspector = Inspector(napari_viewer, self.controller, self.images, self.inspect)
        self.message = self.segment.message
        preferences = read_preferences()
        self.controller.runtime = preferences.runtime
        asking = self.model, self.segment.question
        self.equipment = Equipment(*asking, self.controller, executor, preferences.offer_models)
        self.tutor = Tutor(self, self.controller, lambda: self.images.sources, executor, opened)
        asked = (lambda: self.prompting.taught(), self._folder_of_images)
        self.batches = Batches(self, self.controller, *asked, executor, opened)
        self._taken: set[str] = set()
        self._coverage: dict[Hashable, Mapping[str, float]] = {}
        self._scores: dict[Hashable, Mapping[str, Counts]] = {}
        self._found: dict[Hashable, Mapping[str, float]] = {}
        self._asked = False
        self._lay_out()
        self._connect_sections()
        self._connect_values()
        self._actions = callbacks(self)
        self._unbind = bind(napari_viewer, self, self._actions)
        drawn = (self._context, self.ruler, self.lessons, self.inspector)
        shown = (self.images, self.editor, self.census, self.results, self.readout)
        parts = (
            self.exports_all,
            self.walk,
            *drawn,
            *shown,
            self.equipment,
            self.tutor,
            self.batches,
            self.autosave,
            self.controller,
        )
        self._let_go = partial(_let_go, (self._unbind, *(part.close for part in parts)))
        self.destroyed.connect(self._let_go)
        self.segment.show_busy(False)
        self._show()
        self.images.refresh()
        if preferences.problem:
            self.message.say(preferences.problem)

    def sizeHint(self) -> QSize:
        """Wide enough that a phrase and its slider can be read."""
        return QSize(380, 840)

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(14)
        self.image.body.addWidget(self.channels)
        column.addWidget(self.notice)
        above = (self.queue, self.image, self.model, self.prompts, self.segment, self.refine, self.objects)
        for section in (*above, self.inspect, self.exports, self.session):
            column.addWidget(section, int(section is self.prompts))
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(scroll, 1)
        outer.addWidget(self.segment.footer)
        self.setMinimumWidth(300)
        self.queue.show_keys({name: action.shown_keys for name, action in ACTIONS.items()})
        self.segment.run_button.setText(f"Run   {ACTIONS['run'].shown_keys}")
        self.segment.cancel_button.setText(f"Cancel   {ACTIONS['cancel'].shown_keys}")

    # Wiring

    def _connect_sections(self) -> None:
        self.image.image_chosen.connect(self.images.choose)
        self.image.help_wanted.connect(partial(self.do, "help"))
        self.image.folder_wanted.connect(partial(self.do, "open_folder"))
        self.equipment.chosen.connect(self._choose_model)
        self.equipment.failed.connect(self._on_failed)
        self.model.training_wanted.connect(self.tutor.open)
        self.tutor.trained.connect(self.equipment.choose)
        self.equipment.said.connect(self.message.say)
        self.scope = Scope(
            self.segment, self.channels, self.images, self.ruler, self.controller, self._change, self.message
        )
        self.prompting = Prompting(self.prompts, lambda: self.controller.settings, self._change, self.message)
        self.prompts.lock_toggled.connect(lambda *_: self.message.clear())
        self.prompts.lock_toggled.connect(self.results.lock)
        self.prompts.clear_edits.connect(self.results.clear_edits)
        self.prompts.accept.connect(self.results.accept)
        self.prompts.accept_all.connect(lambda: self.results.accept())
        self.results.said.connect(self.message.say)
        self.lessons.said.connect(self._tell)
        self.prompts.thresholds.changed.connect(self._change_part)
        self.prompts.selected.connect(self.results.select)
        self.prompts.undo.connect(self.controller.undo)
        self.prompts.redo.connect(self.controller.redo)
        self.segment.changed.connect(self._change_part)
        self.segment.variant_chosen.connect(self._choose_variant)
        self.objects.changed.connect(self._change_part)
        self.exporter.said.connect(self.message.say)
        self.exports.folder_wanted.connect(self.batches.open)
        self.queue.batch_wanted.connect(self.batches.open)
        for part in (self.sessions, self.autosave, self.rescue, self.exports_all, self.batches):
            part.said.connect(self.message.say)
        self.walk.said.connect(self._tell)
        self.prompts.selected.connect(self.census.select)
        self.prompts.selected.connect(self.inspector.select)
        self.census.said.connect(self.message.say)
        self.inspector.said.connect(self.message.say)
        self.editor.said.connect(self.message.say)
        self.prompts.accept_objects.connect(self.editor.accept)
        self.segment.run.connect(self.run)
        self.refine.changed.connect(self._change_part)
        self.refine.chain_chosen.connect(lambda chain: self._change(chain.on))
        self.segment.cancel.connect(self.controller.cancel)

    def _connect_values(self) -> None:
        self.images.listed.connect(self._on_listed)
        self.images.looked.connect(self._on_looked)
        self.images.reshaped.connect(self.results.drop)
        self.controller.changed.connect(self._on_changed)
        self.controller.source_changed.connect(self._on_source)
        self.controller.result_changed.connect(self._on_result)
        self.controller.withdrawn.connect(self._on_withdrawn)
        self.controller.progress.connect(self._on_progress)
        self.controller.failed.connect(self._on_failed)
        self.controller.busy_changed.connect(self._on_busy)

    # What the user does

    def _change(self, make: Callable[[Settings], Settings], tag: str = "") -> bool:
        """Apply a change of the settings; what is refused is said in a sentence."""
        try:
            settings = make(self.controller.settings)
        except ValueError as error:
            self.message.say(listing.sentence(error))
            self._show()
            return False
        self.message.clear()
        self.controller.update(settings, tag=tag)
        return True

    def _change_part(self, part: str, fields: dict[str, Any]) -> None:
        self._change(lambda s: s.replace(**{part: getattr(s, part).replace(**fields)}), f"{part} {sorted(fields)}")

    def _tell(self, text: str) -> None:
        """Say a sentence, or take the one away that is there."""
        self.message.say(text) if text else self.message.clear()

    def _folder_of_images(self) -> Path | None:
        """The folder that is open, else that of the image that is looked at."""
        if self.walk.folder is not None:
            return Path(self.walk.folder.queue.folder)
        path = None if self.images.current is None else self.images.current.source.path
        return Path(path).parent if path and Path(path).parent.is_dir() else None

    def _choose_variant(self, row: Any) -> None:
        if row is not None:
            self._change(lambda settings: settings.replace(attention=row))

    def _choose_model(self, model: Model) -> None:
        self._change(lambda settings: listing.with_model(settings, model))

    def do(self, name: str) -> None:
        """Do one of `ACTIONS`."""
        self._actions[name]()

    def run(self) -> None:
        """Segment the image as it is looked at now."""
        self.message.clear()
        if self.images.problem:
            self.message.say(self.images.problem)
            return
        self.ruler.stop()
        self.controller.look_at(self.images.source)
        self.controller.run(self.scope.planes())

    # Images

    def _on_listed(self) -> None:
        current = self.images.current
        names = [(layer.name, key_of(layer)) for layer in self.images.layers]
        self.image.set_images(names, None if current is None else key_of(current))
        self.scope.show()

    def _on_looked(self, image: Image | None) -> None:
        source = self.images.source
        about = NO_IMAGE if image is None or source is None else describe(image, source.view.plane)
        self.image.about_image.setText(about)
        self.controller.look_at(source)
        self._take_prompts(image)  # after looking at it, so that they are not looked for in the image before

    def _take_prompts(self, image: Image | None) -> None:
        """Take over the prompts that a sample carries, once."""
        carried = {} if image is None else image.metadata.get(KEY, {})
        if image is None or not carried.get("prompts") or key_of(image) in self._taken:
            return
        self._taken.add(key_of(image))
        others = carried.get("distractors", ())
        if self.controller.can_undo or self.results.shows(key_of(image)):
            return
        if self._change(lambda settings: listing.with_phrases(settings, carried["prompts"], others)):
            self.prompts.table.select_prompt(self.controller.settings.objects[0].id)

    # The controller

    def _show(self, *_: object) -> None:
        """Show the settings as they stand."""
        self._show_prompts()
        self._show_parts()

    def _show_prompts(self) -> None:
        """Show the prompts, and what depends on them alone."""
        settings, source = self.controller.settings, self.controller.source
        bands = () if source is None or source.bands is None else source.bands.names
        self.prompts.set_bands(bands)
        found = {} if source is None else self._found.get(source.spot, {})
        self.prompts.show_settings(listing.as_found(settings, found))
        said = unknown_in(settings.prompts, settings.model)
        unknown = {
            prompt.id: (
                *(word for phrase in prompt.words for word in said.get(phrase, ())),
                *missing_bands(prompt, bands),
            )
            for prompt in settings.prompts
        }
        for model in (self.prompts.objects, self.prompts.distractors):
            model.set_unknown({of: words for of, words in unknown.items() if words})
        self.prompts.undo_button.setEnabled(self.controller.can_undo)
        self.prompts.redo_button.setEnabled(self.controller.can_redo)
        self._show_stale()

    def _show_parts(self) -> None:
        """Show the settings beside the prompts, and what a run costs."""
        settings, source = self.controller.settings, self.controller.source
        self.equipment.follow()
        self.segment.show_settings(settings)
        view = None if source is None else source.view
        for section in (self.refine, self.objects):
            section.show_pixel(view)
        self.refine.show_settings(settings)
        self.objects.show_settings(settings)
        self.scope.show()

    def _show_stale(self) -> None:
        self.segment.stale.setVisible(self.controller.stale)
        self.segment.run_button.setEnabled(self.controller.source is not None)

    def _on_changed(self, key: Hashable, old: State, new: State) -> None:
        """What was found is forgotten where the run was undone."""
        for plane in set(old.readings) - set(new.readings):
            self._on_withdrawn((key, plane))
        self._show_prompts()
        if _parts(old.settings) != _parts(new.settings):
            self._show_parts()

    def _on_source(self, source: Source | None) -> None:
        self._show_found(source)
        self._show()

    def _show_found(self, source: Source | None) -> None:
        """Show what was found on what is looked at."""
        self.prompts.objects.set_coverage({} if source is None else self._coverage.get(source.spot, {}))
        outcome = None if source is None else self.results.outcome(source.spot)
        ranges = {} if outcome is None else outcome.segmentation.scores.ranges
        self.prompting.set_scores({} if source is None else self._scores.get(source.spot, {}), ranges)
        self.prompting.set_learned({} if outcome is None else outcome.segmentation.learned)

    def _on_result(self, outcome: Outcome) -> None:
        self._coverage[outcome.source.spot] = outcome.coverage
        self._scores[outcome.source.spot] = outcome.scores
        made = outcome.segmentation.settings.objects
        found = {prompt.id: prompt.threshold for prompt in made if prompt.index}
        before = self._found.get(outcome.source.spot, {})
        self._found[outcome.source.spot] = found
        source = self.controller.source
        if source is None or source.spot != outcome.source.spot:
            return
        (self._show_found if found == before else self._on_source)(source)
        if outcome.segmentation.unlearned and not outcome.preview:
            self.message.say(listing.unlearned(outcome.segmentation.unlearned))
        elif not any(outcome.coverage.values()) and not outcome.preview:
            self.message.say(NOTHING_FOUND)
        elif self.message.label.text() == NOTHING_FOUND:
            self.message.clear()

    def _on_withdrawn(self, spot: Hashable) -> None:
        self._coverage.pop(spot, None)
        self._scores.pop(spot, None)
        self._found.pop(spot, None)
        self._on_source(self.controller.source)

    def _on_progress(self, progress: Any) -> None:
        self.scope.note(progress)

    def _on_busy(self, busy: bool) -> None:
        self.scope.show_busy(busy)
        self.equipment.show_held()
        self._show_stale()

    def _on_failed(self, error: Exception) -> None:
        from napari.utils.notifications import show_error

        _LOG.debug("A run failed", exc_info=error)
        text = listing.sentence(error)
        self.message.say(text)
        self._show_stale()
        show_error(text)

    # Device and models, found out in a worker because torch takes seconds to import

    def showEvent(self, event: Any) -> None:
        """Find out device and models once the panel is seen."""
        super().showEvent(event)
        if not self._asked:
            self._asked = True
            QTimer.singleShot(0, self.equipment.ask)

    # The end

    def hideEvent(self, event: Any) -> None:
        """Write what was done to an image of a folder: when the window closes, its layers go before the panel does."""
        super().hideEvent(event)
        self.walk.keep()

    def event(self, event: QEvent) -> bool:
        """Stop the worker when the dock is closed, which a docked widget notices by losing its parent only."""
        if event.type() == QEvent.Type.ParentAboutToChange:
            self._context.make_current()  # a closed dock takes layers with it, and has no window any more
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_down()
        return bool(super().event(event))

    def close_down(self) -> None:
        """Stop the worker, free the model and let go of the viewer."""
        self._let_go()


def _parts(settings: Settings) -> tuple[object, ...]:
    """The settings beside the prompts, and of these what the other sections show."""
    rest = [getattr(settings, name) for name in Settings.model_fields if name != "prompts"]
    return (*rest, bool(settings.objects), bool(settings.worded))


def _let_go(ends: Iterable[Callable[[], None]], *_: object) -> None:
    """End what a panel has started; once is enough, more does no harm."""
    for end in ends:
        end()
