"""The history of what the user wants, the one running job, and the guard against late results: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from napari_clearclip.gui.history import History, State
from napari_clearclip.gui.jobs import Job, Outcome, Reading, Source, Spot, question
from napari_clearclip.settings import Runtime, Settings

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.progress import Progress

Work = Generator["Progress", None, "Outcome | Exception | None"]


class Executor(Protocol):
    """Runs a generator to its end somewhere else and reports in the caller's thread."""

    def __call__(
        self, work: Generator[Any, None, Any], progress: Callable[[Any], None], finished: Callable[[Any], None]
    ) -> None:
        """Start `work`; call `progress` with each value it yields and `finished` once, with what it returns."""


class Controller:
    """Holds the value, runs the pipeline for it, and tells what came out.

    Parameters
    ----------
    executor : Executor
        Where work is done.
    open_pipeline : callable, optional
        Makes the pipeline for a `Runtime`; called in the worker.
    state : State, optional
        What to start with.

    Notes
    -----
    One job runs at a time and at most one waits. A change of prompts, thresholds, variant or edits is shown by itself
    once an image has been run; a change of model, tiling or contrast waits for `run`, and until then what is asked
    for is answered from the reading of the last run.
    """

    changed = Signal(State, State)
    source_changed = Signal(object)
    result_changed = Signal(Outcome)
    progress = Signal(object)
    failed = Signal(Exception)
    busy_changed = Signal(bool)

    def __init__(
        self,
        executor: Executor,
        open_pipeline: Callable[[Runtime], Pipeline] | None = None,
        state: State | None = None,
    ) -> None:
        self._executor = executor
        self._open_pipeline = open_pipeline or _default_pipeline
        self._pipeline: tuple[Runtime, Pipeline] | None = None
        self._runtime = Runtime()
        self._device: tuple[str, str] | None = None
        self._history = History(state or State())
        self._generation = 0
        self._running: Job | None = None
        self._pending: Job | None = None
        self._source: Source | None = None
        self._readings: dict[Spot, Reading] = {}
        self._shown: dict[Spot, Hashable] = {}
        self._closed = False

    # What stands

    @property
    def state(self) -> State:
        """The value as it stands."""
        return self._history.state

    @property
    def settings(self) -> Settings:
        """The settings as they stand."""
        return self.state.settings

    @property
    def source(self) -> Source | None:
        """The image and plane that are looked at, or None."""
        return self._source

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    @property
    def has_run(self) -> bool:
        """Whether the image and plane that are looked at have been run, or are being run."""
        return self._source is not None and self._source.spot in self._readings

    @property
    def stale(self) -> bool:
        """Whether model, tiling or the look of the image have changed since the last Run."""
        if self._source is None or not self.has_run:
            return False
        return self._readings[self._source.spot] != Reading.of(self.settings, self._source)

    @property
    def device(self) -> tuple[str, str] | None:
        """The device that is used and why, once a job has found out in the worker."""
        return self._device

    @property
    def runtime(self) -> Runtime:
        """Device and memory of the next job."""
        return self._runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._runtime = runtime

    # What the user does

    def update(self, settings: Settings | None = None, state: State | None = None, tag: str = "") -> None:
        """Make another value the current one, and show what it gives if the image has been run.

        Parameters
        ----------
        settings : Settings, optional
            The new settings.
        state : State, optional
            The new state, where edits change.
        tag : str
            Consecutive changes with the same tag (one slider being moved) are one entry of the history.
        """
        new = state or self.state
        new = new if settings is None else replace(new, settings=settings)
        old = self.state
        if new == old:
            return
        self._history.push(new, tag)
        self._announce(old)

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier value."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a value that was undone."""
        return self._history.can_redo

    def undo(self) -> None:
        """Go back to the value before."""
        old = self.state
        self._history.undo()
        self._announce(old)

    def redo(self) -> None:
        """Take back an undo."""
        old = self.state
        self._history.redo()
        self._announce(old)

    def look_at(self, source: Source | None) -> None:
        """Say which image and plane are looked at, and how."""
        self._source = source
        self.source_changed.emit(source)
        if source is not None and self._shown.get(source.spot, None) not in (None, self._question(source)):
            self._refresh()

    def run(self) -> None:
        """Segment what is looked at with the settings as they stand; a running job is cancelled for it."""
        source = self._source
        if source is None:
            self.failed.emit(ValueError("There is no image to look at; open one, or File > Open Sample > ClearCLIP."))
            return
        if not self.settings.objects:
            self.failed.emit(ValueError("There is nothing to look for; type a phrase and press Enter."))
            return
        self._stop()
        before = self._readings.get(source.spot)
        self._readings[source.spot] = Reading.of(self.settings, source)
        self._submit(Job(source, self.settings, self.state.edits_of(source.key), before))

    def cancel(self) -> None:
        """Stop the running job; the last result stays."""
        self._stop()

    def forget(self, key: Hashable) -> None:
        """Drop all that belongs to an image that is gone; its running job is stopped."""
        for job in (self._running, self._pending):
            if job is not None and job.source.key == key:
                self._stop()
        for spots in (self._readings, self._shown):
            for spot in [spot for spot in spots if spot[0] == key]:
                del spots[spot]

    def close(self) -> None:
        """Stop for good and free the model, now or as soon as the worker has stopped."""
        self._closed = True
        self._stop()
        if self._running is None:
            self._release()

    # How it is done

    def _announce(self, old: State) -> None:
        if old == self.state:
            return
        self.changed.emit(old, self.state)
        source = self._source
        if source is not None and self._shown.get(source.spot) != self._question(source):
            self._refresh()

    def _question(self, source: Source) -> Hashable:
        """What was asked about an image, in short."""
        return question(self.settings, self.state.edits_of(source.key))

    def _refresh(self) -> None:
        """Ask again about what is looked at, read as in its last Run; nothing before the first."""
        source = self._source
        if source is None or not self.settings.objects or (reading := self._readings.get(source.spot)) is None:
            return
        settings = reading.applied(self.settings)
        seen = replace(source, view=reading.view)
        waiting = self._pending or self._running
        before = waiting.before if waiting is not None and waiting.spot == source.spot else reading
        self._submit(Job(seen, settings, self.state.edits_of(source.key), before))

    def _submit(self, job: Job) -> None:
        if not self._closed:
            self._pending = job
            self._next()

    def _next(self) -> None:
        """Start the job that waits, unless one is running."""
        if self._running is not None or self._pending is None:
            return
        job, self._pending = self._pending, None
        self._running = job
        self._generation += 1
        self.busy_changed.emit(True)
        generation = self._generation
        self._executor(
            self._work(job), partial(self._on_progress, generation), partial(self._on_finished, generation, job)
        )

    def _work(self, job: Job) -> Work:
        """The job's steps, in the worker: an error is returned, and None when it was stopped."""
        try:
            pipeline = self._opened()
            steps = pipeline.steps(job.source.read(), job.settings, job.source.view, job.edits)
            try:
                while not job.stop.is_set():
                    yield next(steps)
            except StopIteration as end:
                self._device = pipeline.device, pipeline.device_reason
                return Outcome.of(job.source, end.value)
            finally:
                steps.close()
        except Exception as error:  # the worker's boundary: whatever it is, the panel says it
            return error
        return None

    def _opened(self) -> Pipeline:
        """The pipeline for the chosen device."""
        if self._pipeline is None or self._pipeline[0] != self._runtime:
            self._release()
            self._pipeline = (self._runtime, self._open_pipeline(self._runtime))
        return self._pipeline[1]

    def _release(self) -> None:
        if self._pipeline is not None:
            self._pipeline[1].release()
            self._pipeline = None

    def _stop(self) -> None:
        """Cancel what runs and what waits; a result that still comes is late."""
        for job in (self._pending, self._running):
            if job is not None:
                job.stop.set()
                self._fall_back(job)
        self._generation += 1
        self._pending = None

    def _fall_back(self, job: Job) -> None:
        if job.before is None:
            self._readings.pop(job.spot, None)
        else:
            self._readings[job.spot] = job.before

    def _on_progress(self, generation: int, progress: Progress) -> None:
        if generation == self._generation:
            self.progress.emit(progress)

    def _on_finished(self, generation: int, job: Job, result: Outcome | Exception | None) -> None:
        """Tell the result unless it is late, then start the job that waits."""
        if generation == self._generation and not self._closed:
            if isinstance(result, Outcome):
                self._accept(job, result)
            else:
                self._give_up(job, result)
        self._running = None
        self._next()
        if self._closed:
            self._release()
        elif self._running is None:
            self.busy_changed.emit(False)

    def _accept(self, job: Job, outcome: Outcome) -> None:
        """Tell a result; what waits for the same image may now fall back on its reading."""
        spot = job.spot
        self._shown[spot] = job.question
        if self._pending is not None and self._pending.spot == spot:
            self._pending = replace(self._pending, before=job.reading)
        self.result_changed.emit(outcome)

    def _give_up(self, job: Job, error: Exception | None) -> None:
        """Go back to the reading before, without what waits for the one that failed, and say why."""
        self._fall_back(job)
        waiting = self._pending
        if waiting is not None and self._readings.get(waiting.spot) != waiting.reading:
            self._pending = None
        if error is not None:
            self.failed.emit(error)


def _default_pipeline(runtime: Runtime) -> Pipeline:
    from napari_clearclip.pipeline import Pipeline

    return Pipeline(runtime)
