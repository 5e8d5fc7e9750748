"""The dock widget: sections on one side, controller and layers on the other, and nothing of its own but wiring."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_clearclip.domains import as_prompts, distractors_for, unknown_words
from napari_clearclip.gui import prompt_list
from napari_clearclip.gui.controller import Controller, Executor, Outcome, State
from napari_clearclip.gui.layers import Results
from napari_clearclip.gui.prompt_list import sentence
from napari_clearclip.gui.sections import ImageSection, Message, PromptSection, SegmentSection
from napari_clearclip.gui.sources import KEY, is_source, key_of, shape_of, source_of
from napari_clearclip.gui.worker import in_thread
from napari_clearclip.settings import Model, Runtime, Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel

_LOG = logging.getLogger(__name__)
_SHORTCUT = "Ctrl+Return"


def start_settings() -> Settings:
    """What the panel opens with: the bundled model and its distractors."""
    model = Model()
    return Settings(model=model, prompts=as_prompts(distractors_for(model)))


class Panel(QWidget):
    """The ClearCLIP panel.

    Parameters
    ----------
    napari_viewer : ViewerModel
        The viewer whose images are segmented.
    executor : Executor, optional
        Where work is done; a worker thread of napari by default.
    """

    def __init__(self, napari_viewer: ViewerModel, executor: Executor = in_thread) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.executor = executor
        self.controller = Controller(executor, state=State(start_settings()))
        self.results = Results(napari_viewer, self.controller)
        self._taken: set[str] = set()
        self._coverage: dict[Any, dict[str, float]] = {}
        self._asked = False
        self._closed = False
        self._lay_out()
        self._connect_sections()
        self._connect_controller()
        self._connect_viewer(True)
        self._on_changed(self.controller.state, self.controller.state)
        self._on_layers()
        self.segment.show_busy(False)

    # Layout

    def _lay_out(self) -> None:
        self.image, self.prompts, self.segment, self.message = (
            ImageSection(),
            PromptSection(),
            SegmentSection(),
            Message(),
        )
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(10)
        for at, section in enumerate((self.image, self.prompts, self.segment)):
            if at:
                line = QFrame()
                line.setFrameShape(QFrame.Shape.HLine)
                column.addWidget(line)
            column.addWidget(section)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll, 1)
        outer.addWidget(self.message)
        self.setMinimumWidth(300)
        keys = QKeySequence(_SHORTCUT)
        self._shortcut = QShortcut(keys, self, self._run, context=Qt.ShortcutContext.WindowShortcut)
        self.segment.run_button.setText(f"Run  {keys.toString(QKeySequence.SequenceFormat.NativeText)}")

    # Wiring

    def _connect_sections(self) -> None:
        self.image.image_chosen.connect(self._choose_image)
        self.image.model_chosen.connect(self._choose_model)
        self.image.device_chosen.connect(self._choose_device)
        self.prompts.added.connect(self._add_prompt)
        self.prompts.edited.connect(self._edit_prompt)
        self.prompts.removed.connect(lambda ids: self._change(lambda s: prompt_list.removed(s, ids)))
        self.prompts.selected.connect(self.results.select)
        self.prompts.undo.connect(self.controller.undo)
        self.prompts.redo.connect(self.controller.redo)
        self.segment.changed.connect(self._change_part)
        self.segment.variant_chosen.connect(self._choose_variant)
        self.segment.threshold_moved.connect(self._set_thresholds)
        self.segment.run.connect(self._run)
        self.segment.cancel.connect(self.controller.cancel)

    def _connect_controller(self) -> None:
        self.controller.changed.connect(self._on_changed)
        self.controller.source_changed.connect(self._on_source)
        self.controller.result_changed.connect(self._on_result)
        self.controller.progress.connect(self._on_progress)
        self.controller.failed.connect(self._on_failed)
        self.controller.busy_changed.connect(self._on_busy)

    def _connect_viewer(self, on: bool) -> None:
        layers = self.viewer.layers
        pairs = [
            (layers.events.inserted, self._on_layers),
            (layers.events.removed, self._on_layers),
            (layers.events.reordered, self._on_layers),
            (layers.selection.events.active, self._on_active),
            (self.viewer.dims.events.point, self._look),
        ]
        for emitter, slot in pairs:
            (emitter.connect if on else emitter.disconnect)(slot)
        for layer in layers:
            self._connect_image(layer, on)

    def _connect_image(self, layer: Any, on: bool) -> None:
        if is_source(layer):
            for emitter, slot in (
                (layer.events.name, self._on_layers),
                (layer.events.contrast_limits, self._look),
                (layer.events.gamma, self._look),
                (layer.events.data, self._look),
            ):
                emitter.disconnect(slot)
                if on:
                    emitter.connect(slot)

    # What the user does

    def _change(self, make: Callable[[Settings], Settings], tag: str = "") -> bool:
        """Apply a change of the settings; what is refused is said in a sentence."""
        try:
            settings = make(self.controller.settings)
        except ValueError as error:
            self.message.say(sentence(error))
            self._show(self.controller.state)
            return False
        self.message.clear()
        self.controller.update(settings, tag=tag)
        return True

    def _add_prompt(self, text: str, kind: str) -> None:
        entry = self.prompts.entry if kind == "object" else self.prompts.other_entry
        if self._change(lambda settings: prompt_list.added(settings, text, kind)):  # type: ignore[arg-type]
            entry.line.clear()
            if kind == "object":
                self.prompts.table.select_prompt(self.controller.settings.objects[-1].id)

    def _edit_prompt(self, prompt: str, fields: dict[str, Any]) -> None:
        tag = f"threshold of {prompt}" if "threshold" in fields else ""
        self._change(lambda settings: prompt_list.changed(settings, (prompt,), **fields), tag)

    def _set_thresholds(self, value: float) -> None:
        ids = {prompt.id for prompt in self.controller.settings.objects}
        self._change(lambda settings: prompt_list.changed(settings, ids, threshold=value), "thresholds")

    def _change_part(self, part: str, fields: dict[str, Any]) -> None:
        self._change(lambda s: s.replace(**{part: getattr(s, part).replace(**fields)}), f"{part} {sorted(fields)}")

    def _choose_variant(self, row: Any) -> None:
        if row is not None:
            self._change(lambda settings: settings.replace(attention=row))

    def _choose_model(self, model: Model | None) -> None:
        if model is None:
            self._show(self.controller.state)
        else:
            self._change(lambda settings: prompt_list.with_model(settings, model))

    def _choose_device(self, device: str) -> None:
        self.controller.runtime = Runtime(device=device)
        self._ask_about(device, [])

    def _choose_image(self, key: str | None) -> None:
        image = self.results.image(key) if key else None
        self._take_prompts(image)
        self._source_of(image)

    def _run(self) -> None:
        self.message.clear()
        self._look()
        self.controller.run()

    # The viewer

    def _on_layers(self, event: Any = None) -> None:
        """Keep the list of images; a new image is looked at if it brings prompts or is the first."""
        images = [layer for layer in self.viewer.layers if is_source(layer)]
        for layer in images:
            self._connect_image(layer, True)
        keys = [key_of(layer) for layer in images]
        source = self.controller.source
        current = str(source.key) if source is not None and source.key in keys else (keys[-1] if keys else None)
        self.image.set_images([(layer.name, key_of(layer)) for layer in reversed(images)], current)
        self._choose_image(current)

    def _on_active(self, event: Any = None) -> None:
        """The image that is selected in the layer list is the one that is looked at."""
        active = self.viewer.layers.selection.active
        if active is not None and is_source(active):
            self.image.images.setCurrentIndex(self.image.images.findData(key_of(active)))
            self._choose_image(key_of(active))

    def _look(self, event: Any = None) -> None:
        """Take the image as it is looked at now."""
        key = self.image.images.currentData()
        self._source_of(self.results.image(key) if key else None)

    def _source_of(self, image: Any) -> None:
        source = None if image is None else source_of(image, self.viewer.dims.point)
        self.image.about_image.setText("" if image is None or source is None else _about(image, source.view.plane))
        self.controller.look_at(source)

    def _take_prompts(self, image: Any) -> None:
        """Take over the prompts that a sample carries, once."""
        if image is None or key_of(image) in self._taken:
            return
        carried = image.metadata.get(KEY, {})
        if carried.get("prompts"):
            self._taken.add(key_of(image))
            self._change(lambda s: prompt_list.with_phrases(s, carried["prompts"], carried.get("distractors", ())))
            if self.controller.settings.objects:
                self.prompts.table.select_prompt(self.controller.settings.objects[0].id)

    # The controller

    def _on_changed(self, old: State, new: State) -> None:
        self._show(new)

    def _show(self, state: State) -> None:
        settings = state.settings
        self.prompts.show_settings(settings)
        unknown = {
            prompt.id: words
            for prompt in settings.prompts
            if (words := tuple(w for phrase in prompt.phrases for w in unknown_words(settings.model, phrase)))
        }
        for model in (self.prompts.objects, self.prompts.distractors):
            model.set_unknown(unknown)
        self.image.show_model(settings.model)
        self.segment.show_settings(settings)
        self.prompts.undo_button.setEnabled(self.controller.can_undo)
        self.prompts.redo_button.setEnabled(self.controller.can_redo)
        self._show_stale()

    def _on_source(self, source: Any) -> None:
        self.prompts.objects.set_coverage(self._coverage.get(source.spot, {}) if source is not None else {})
        self._show_stale()

    def _show_stale(self) -> None:
        stale = self.controller.stale
        self.segment.stale.setText(
            "Model, detail or contrast have changed since: press Run to look again." if stale else ""
        )
        self.segment.stale.setVisible(stale)
        self.segment.run_button.setEnabled(self.controller.source is not None)

    def _on_result(self, outcome: Outcome) -> None:
        self._coverage[outcome.source.spot] = dict(outcome.coverage)
        self._on_source(self.controller.source)
        if not any(outcome.coverage.values()):
            self.message.say(
                "Nothing scored above its threshold: lower the thresholds, mute distractors, or use other words."
            )

    def _on_progress(self, progress: Any) -> None:
        self.segment.show_progress(progress.stage, progress.done, progress.total)
        self._show_device()

    def _on_busy(self, busy: bool) -> None:
        self.segment.show_busy(busy)
        if not busy:
            self._show_device()
            self._show_stale()

    def _on_failed(self, error: Exception) -> None:
        from napari.utils.notifications import show_error

        _LOG.debug("A run failed", exc_info=error)
        text = sentence(error)
        self.message.say(text)
        self._show_stale()
        show_error(text)

    # Device and models, found out in a worker because torch takes seconds to import

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Find out device and models once the panel is seen."""
        super().showEvent(event)
        if not self._asked:
            self._asked = True
            QTimer.singleShot(0, lambda: self._ask_about("auto", [Model()]))

    def _ask_about(self, device: str, models: list[Model]) -> None:
        def work() -> Generator[Any, None, Any]:
            try:
                from napari_clearclip.engine.device import resolve_device

                found = resolve_device(device)
                yield None
                from napari_clearclip.engine.model import cached_models

                return found, cached_models()
            except Exception as error:  # the worker's boundary
                return error

        def finished(result: Any) -> None:
            if self._closed or result is None:
                return
            if isinstance(result, Exception):
                self._on_failed(result)
            else:
                self.image.show_device(*result[0])
                self.image.add_models(result[1])

        self.executor(work(), lambda _: None, finished)

    def _show_device(self) -> None:
        if self.controller.device is not None:
            self.image.show_device(*self.controller.device)

    # The end

    def event(self, event: QEvent) -> bool:
        """Stop the worker when the dock is closed: it tells so by taking the widget out of its parent only."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_down()
        return bool(super().event(event))

    def close_down(self) -> None:
        """Stop the worker, free the model and let go of the viewer."""
        if not self._closed:
            self._closed = True
            self._connect_viewer(False)
            self.results.close()
            self.controller.close()


def _about(image: Any, plane: tuple[int, ...]) -> str:
    """Size, type and plane of an image in a line."""
    *leading, height, width = shape_of(image)
    planes = ", ".join(f"plane {at + 1} of {size}" for at, size in zip(plane, leading, strict=True))
    parts = (f"{height} × {width} pixels", "colour" if image.rgb else "", str(image.dtype), planes)
    return ", ".join(part for part in parts if part)
