"""What is computed with: the model, from the list to its download, the device and the memory."""

from __future__ import annotations

import threading
from collections.abc import Generator
from functools import partial

from psygnal import Signal
from qtpy.compat import isalive

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.control.worker import Machine, machine
from napari_clearclip.gui.models.choices import entries, entry_of, title_of
from napari_clearclip.gui.models.dialog import ModelDialog
from napari_clearclip.gui.models.disk import DiskQuestion
from napari_clearclip.gui.models.section import ModelSection
from napari_clearclip.gui.preferences import keep_disk, stop_offering_models
from napari_clearclip.loading import Fetcher
from napari_clearclip.progress import Notice, Progress
from napari_clearclip.settings import Model
from napari_clearclip.storing import Store

Download = Generator[Progress, None, "bool | Exception | None"]


class Equipment:
    """Between the model section and the controller: lists, downloads and chooses models, and sets device and memory.

    Parameters
    ----------
    section : ModelSection
        Where it is shown.
    question : DiskQuestion
        Where it is asked whether a long run may go on.
    controller : Controller
        Whose runtime and memory it is.
    executor : Executor
        Where work is done.
    offer : bool
        Whether a model is offered while only the demo is at hand.

    Notes
    -----
    `chosen` carries a model that can be used, `failed` an error to be told, `said` a sentence that is no error.
    """

    chosen = Signal(Model)
    failed = Signal(Exception)
    said = Signal(str)

    def __init__(
        self,
        section: ModelSection,
        question: DiskQuestion,
        controller: Controller,
        executor: Executor,
        offer: bool,
    ) -> None:
        self._section, self._question = section, question
        self._controller, self._executor = controller, executor
        self._offer = offer
        self._machine: Machine | None = None
        self._shown: Model | None = None
        self._fetcher = Fetcher()
        self._stop: threading.Event | None = None
        self._closed = False
        self._dialog: ModelDialog | None = None
        section.list_wanted.connect(self.open_list)
        section.offer_dismissed.connect(self._dismiss)
        section.download_cancelled.connect(self.cancel)
        section.device_chosen.connect(self._choose_device)
        section.threads_chosen.connect(self._choose_threads)
        section.release_wanted.connect(self._release)
        section.machine.button.toggled.connect(self._show_disk)
        question.agreed.connect(controller.asking.agree)
        question.refused.connect(controller.cancel)
        controller.asking.asked.connect(self._ask)
        for part in (section.disk, question.disk):
            part.chosen.connect(self._choose_disk)
            part.clear_wanted.connect(self._clear_disk)

    # What this machine has

    def ask(self) -> None:
        """Find out the device and the models at hand."""
        self._executor(machine(self._controller.runtime.device), lambda _: None, self._on_machine)

    def _on_machine(self, found: Machine | Exception | None) -> None:
        if self._closed or found is None:
            return
        if isinstance(found, Exception):
            self.failed.emit(found)
            return
        self._machine = found
        self._section.show_device(found.device, found.reason)
        self.show()

    def show(self) -> None:
        """Show what is chosen, and what there is to choose from."""
        found, model = self._machine, self._controller.settings.model
        self._shown = model
        published = None if found is None else found.published
        here = any(entry.here for entry in published or ())
        self._section.show_model(entry_of(model, published))
        self._section.show_runtime(self._controller.runtime, 0 if found is None else found.threads)
        self._section.show_held(self._controller.held)
        self._show_disk()
        wanted = self._offer and found is not None and not here and model == Model() and self._stop is None
        self._section.show_offer(wanted)
        if self._dialog is not None and self._dialog.isVisible():
            self._dialog.show_entries(entries(model, published), model, None if found is None else found.folder)

    def follow(self) -> None:
        """Show what is chosen if it is another model than the one shown."""
        if self._controller.settings.model != self._shown:
            self.show()

    def show_held(self) -> None:
        """Show the device that is used and how much memory is held, which a run has changed."""
        if self._controller.device is not None:
            self._section.show_device(*self._controller.device)
        self._section.show_held(self._controller.held)
        if self._section.disk.isVisible():
            self._show_disk()

    # Models

    def open_list(self) -> None:
        """Open the list of models."""
        if self._dialog is None:
            self._dialog = ModelDialog(self._section)
            self._dialog.chosen.connect(self.choose)
        self._dialog.show()
        self._dialog.raise_()
        self.show()

    def _dismiss(self) -> None:
        self._offer = False
        stop_offering_models()

    def choose(self, model: Model) -> None:
        """Use a model, downloaded first if it must be; another download is stopped for it."""
        self._leave()
        published = None if self._machine is None else self._machine.published
        if entry_of(model, published).is_here:
            self.chosen.emit(model)
            return
        self._stop = stop = threading.Event()
        self._section.show_offer(False)
        self._section.show_download(title_of(model), Progress("Connecting"))
        told = partial(self._on_bytes, model, stop), partial(self._on_end, model, stop)
        self._executor(self._download(model, stop), *told)

    def cancel(self) -> None:
        """Stop the download; the model of before stays."""
        if self._stop is not None:
            self._leave()
            self.show()
            self.said.emit(f"The download was stopped. {self._kept()}")

    def _leave(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self._stop = None
            self._section.show_download("", None)

    def _download(self, model: Model, stop: threading.Event) -> Download:
        """The steps of a download, in the worker: True when it is done, None when it was stopped."""
        try:
            steps = self._fetcher.steps(model)
            try:
                while not stop.is_set():
                    yield next(steps)
            except StopIteration:
                return True
            finally:
                steps.close()
        except Exception as error:  # the worker's boundary: whatever it is, the panel says it
            return error
        return None

    def _on_bytes(self, model: Model, stop: threading.Event, progress: Progress) -> None:
        if not stop.is_set():
            self._section.show_download(title_of(model), progress)

    def _on_end(self, model: Model, stop: threading.Event, result: bool | Exception | None) -> None:
        """Use what was downloaded, unless it was left in the meantime."""
        if stop.is_set():
            return
        self._leave()
        if isinstance(result, Exception):
            self.show()
            self.failed.emit(ValueError(f"{str(result).rstrip('.')}. {self._kept()}"))
        elif result:
            self.chosen.emit(model)
            self.ask()

    def _kept(self) -> str:
        title = title_of(self._controller.settings.model)
        return f"The model is still {title}; Choose… > Local file… takes one from this machine."

    # Device and memory

    def _choose_device(self, device: str) -> None:
        self._controller.runtime = self._controller.runtime.replace(device=device)
        self.ask()

    def _choose_threads(self, threads: int | None) -> None:
        self._controller.runtime = self._controller.runtime.replace(threads=threads)

    def _release(self) -> None:
        self._controller.release()
        self._section.show_held(self._controller.held)

    def _ask(self, notice: Notice | None) -> None:
        self._question.ask(notice)
        self._show_disk()

    def _choose_disk(self, most: int) -> None:
        self._controller.runtime = self._controller.runtime.replace(store_bytes=most)
        keep_disk(most)
        self._show_disk()

    def _clear_disk(self) -> None:
        Store.of(self._controller.runtime).clear()
        self._show_disk()

    def _show_disk(self, *_: object) -> None:
        """Show how much of the disk large images may have, and how much they have."""
        runtime = self._controller.runtime
        kept = Store.of(runtime).used
        self._section.disk.show_most(runtime.store_bytes)
        self._section.disk.show_kept(kept)
        self._question.show_disk(runtime.store_bytes, kept)

    def close(self) -> None:
        """Leave the download and close the list; the widgets may be gone already."""
        self._closed = True
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        if self._dialog is not None and isalive(self._dialog):
            self._dialog.close()
