"""Segments the images of a folder by the present settings, in the worker, as ``napari-clearclip batch`` does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget

from napari_clearclip.batch.inputs import expand
from napari_clearclip.batch.outcome import Outcome, sentence
from napari_clearclip.batch.run import Batch, wish_for
from napari_clearclip.batch.work import runtime_of, work_steps
from napari_clearclip.gui.amounts import progress_text
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.runner import Executor, OpenPipeline
from napari_clearclip.gui.exporting.batch_dialog import BatchDialog
from napari_clearclip.io.masks import TRAITS
from napari_clearclip.io.settings_file import SettingsFile
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Runtime, Settings

_TOLD = 5  # failures that are named in the window


@dataclass(frozen=True)
class Order:
    """What is to be segmented, and what is to be written.

    Attributes
    ----------
    folder, out : Path
        Of the images, and of what is written.
    settings : Settings
        What is wanted of each image.
    format : str
        A key of `FORMATS`.
    leave_out : bool
        Whether what the format cannot hold may be left out.
    stop : Event
        Set to end it; images that are done stay done.
    """

    folder: Path
    out: Path
    settings: Settings
    format: str
    leave_out: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Report:
    """How it went: how many images there are, were done before, and are done now; and why others failed, by name."""

    total: int
    skipped: int
    done: int
    failed: tuple[tuple[str, str], ...]
    stopped: bool


@dataclass(frozen=True)
class State:
    """How far it is: in words, and as images of images."""

    text: str
    progress: Progress


def batch_steps(
    order: Order, open_pipeline: OpenPipeline, runtime: Runtime
) -> Generator[State, None, Report | Exception]:
    """Segment all images of a folder that are not done yet; the error if that fails as a whole."""
    failed: list[tuple[str, str]] = []
    try:
        yield State("Looking for images …", Progress(""))
        paths = expand([str(order.folder)])
        wish = wish_for(
            SettingsFile(settings=order.settings), order.out, (order.format,), TRAITS if order.leave_out else ()
        )
        batch = Batch(paths, wish)
        pipeline = open_pipeline(runtime_of(runtime))
        try:
            for place, task in enumerate(batch.todo):
                shown = f"{task.path.name} ({place + 1} of {len(batch.todo)})"
                at = Progress(shown, place, len(batch.todo), "images")
                outcome = yield from _followed(work_steps(pipeline, task, wish), at, order.stop)
                if outcome is None:
                    break
                batch.add(outcome)
                if outcome.error:
                    failed.append((task.path.name, outcome.error))
            else:
                batch.finish()
        finally:
            pipeline.release()
    except Exception as error:  # the worker's boundary: whatever it is, the window says it
        return ValueError(sentence(error))
    return Report(len(batch.tasks), batch.counts["skipped"], batch.counts["done"], tuple(failed), batch.left > 0)


def _followed(
    steps: Generator[Progress, None, Outcome], at: Progress, stop: threading.Event
) -> Generator[State, None, Outcome | None]:
    """Follow the work on an image; None if it was stopped."""
    try:
        while not stop.is_set():
            state = next(steps)
            yield State(f"{at.stage} · {progress_text(state)}", _within(at, state))
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        steps.close()
    return None


def _within(at: Progress, state: Progress) -> Progress:
    """How many images are done, with the share of windows of the one that is read, in thousandths."""
    share = 1000 * state.done // state.total if state.unit == "windows" and state.total else 0
    return replace(at, done=1000 * at.done + share, total=1000 * at.total)


class Batches:
    """Between the window and a worker; one folder at a time.

    Parameters
    ----------
    parent : QWidget
        Over which the window opens.
    controller : Controller
        Whose device and memory are used.
    settings : callable
        What is wanted of the images.
    start : callable
        The folder that is offered first, if any.
    executor : Executor
        Where work is done.
    open_pipeline : callable
        Makes a pipeline for a `Runtime`; called in the worker.

    Notes
    -----
    `said` carries how it went, where the window was closed meanwhile.
    """

    said = Signal(str)

    def __init__(
        self,
        parent: QWidget,
        controller: Controller,
        settings: Callable[[], Settings],
        start: Callable[[], Path | None],
        executor: Executor,
        open_pipeline: OpenPipeline,
    ) -> None:
        self._parent, self._controller, self._settings, self._start = parent, controller, settings, start
        self._executor, self._open_pipeline = executor, open_pipeline
        self._order: Order | None = None
        self.dialog: BatchDialog | None = None

    def open(self) -> None:
        """Open the window."""
        if self.dialog is None:
            self.dialog = BatchDialog(self._parent)
            self.dialog.started.connect(self.work)
            self.dialog.cancelled.connect(self.stop)
        objects = self._settings().objects
        self.dialog.show_subject([prompt.phrase for prompt in objects], self._start())
        self.dialog.show()
        self.dialog.raise_()

    def work(self, folder: Path, out: Path, format_: str, leave_out: bool) -> None:
        """Segment the images of a folder."""
        if self._order is not None or self.dialog is None:
            return
        self._order = order = Order(folder, out, self._settings(), format_, leave_out)
        self.dialog.show_busy(True)
        work = batch_steps(order, self._open_pipeline, self._controller.runtime)
        self._executor(work, partial(self._on_progress, order), partial(self._on_end, order))

    def stop(self) -> None:
        """Stop; images that are done stay done."""
        if self._order is not None:
            self._order.stop.set()

    def close(self) -> None:
        """Stop, and take no notice of how it ends; the widgets may be gone already."""
        self.stop()
        self._order = None
        if self.dialog is not None and isalive(self.dialog):
            self.dialog.close()

    def _on_progress(self, order: Order, state: State) -> None:
        if order is self._order and self.dialog is not None:
            self.dialog.show_progress(state.text, state.progress)

    def _on_end(self, order: Order, result: Report | Exception | None) -> None:
        if order is not self._order or self.dialog is None:
            return
        self._order = None
        self.dialog.show_busy(False)
        text = told(result, order) if isinstance(result, Report) else f"Not segmented: {result or 'it was stopped'}"
        self.dialog.tell(text)
        if not self.dialog.isVisible():
            self.said.emit(text)


def told(report: Report, order: Order) -> str:
    """How it went, in sentences."""
    text = f"{report.done} of {report.total} images segmented; their masks are in {order.out}."
    if report.skipped:
        text += f" {report.skipped} were done already."
    if report.stopped:
        left = report.total - report.done - report.skipped - len(report.failed)
        text += f" Stopped: {left} {'is' if left == 1 else 'are'} left; Segment goes on."
    if report.failed:
        named = [f"{name}: {why}." for name, why in report.failed[:_TOLD]]
        more = [f"And {len(report.failed) - _TOLD} more."] if len(report.failed) > _TOLD else []
        text = "\n".join([text, f"Failed ({len(report.failed)}); Segment tries them again:", *named, *more])
    return text
