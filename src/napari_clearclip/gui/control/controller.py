"""What is wanted of each image, what is asked next, and the guard against late results: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from psygnal import Signal

from napari_clearclip.edits import Edits, Plane
from napari_clearclip.gui.control.agenda import Agenda
from napari_clearclip.gui.control.asking import Asking
from napari_clearclip.gui.control.beside import Beside
from napari_clearclip.gui.control.history import Histories, History, State
from napari_clearclip.gui.control.jobs import Job, Outcome, Reading, Run, Source, Spot
from napari_clearclip.gui.control.runner import Executor, OpenPipeline, Runner
from napari_clearclip.progress import Notice, Progress
from napari_clearclip.settings import Runtime, Settings


class Controller:
    """Holds what is wanted of each image, runs the pipeline for it, and tells what came out.

    Parameters
    ----------
    executor : Executor
        Where work is done.
    open_pipeline : callable, optional
        Makes the pipeline for a `Runtime`; called in the worker.
    state : State, optional
        What to start with, before there is an image.
    states : mapping, optional
        What is wanted of images by key, where that is known already.

    Notes
    -----
    Each image has its own history; a new one starts with the settings of the image looked at before. `changed` carries
    the key of the image (None before there is one), the old state and the new one.

    One job runs at a time. What is asked of a plane, in short, is its question; whenever nothing runs, the next plane
    whose answer is not the one shown is taken: first the one looked at, then the others of that image, then those of a
    run that goes on elsewhere. So a change of prompts, thresholds, variant or edits is shown by itself once a plane has
    been run; a change of model, tiling or contrast waits for `run`.

    A plane that is looked at and run for the first time is previewed: `result_changed` carries outcomes with `preview`
    set, which enter nothing. When the run ends without a result, `withdrawn` tells the plane whose preview has to go.

    A run that takes long waits until that is agreed to: see `asking`. What is done `beside` the jobs enters nothing.
    """

    changed = Signal(object, State, State)
    source_changed = Signal(object)
    result_changed = Signal(Outcome)
    withdrawn = Signal(object)
    progress = Signal(object)
    failed = Signal(Exception)
    busy_changed = Signal(bool)

    def __init__(
        self,
        executor: Executor,
        open_pipeline: OpenPipeline | None = None,
        state: State | None = None,
        states: Mapping[Hashable, State] | None = None,
    ) -> None:
        self._runner = Runner(executor, open_pipeline)
        self._histories = Histories({None: state or State(), **(states or {})})
        self._agenda = Agenda(self._histories)
        self._runs = 0
        self._previewed: Spot | None = None
        self._closed = False
        self.asking = Asking()
        self.beside = Beside(self._runner)

    # What stands

    @property
    def key(self) -> Hashable:
        """Of the image whose settings are shown; None before there is one."""
        return self._histories.key

    @property
    def state(self) -> State:
        """What is wanted of the image that is looked at."""
        return self._histories.current.state

    @property
    def settings(self) -> Settings:
        """The settings of the image that is looked at."""
        return self.state.settings

    def state_of(self, key: Hashable) -> State:
        """What is wanted of an image; of a new one, what is wanted of the one that is looked at."""
        return self._histories.of(key)

    @property
    def source(self) -> Source | None:
        """The image and plane that are looked at, or None."""
        return self._agenda.source

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._runner.job is not None

    @property
    def reads(self) -> bool:
        """Whether what was asked for by `run` has not all come out yet."""
        return self._agenda.run is not None

    @property
    def has_run(self) -> bool:
        """Whether the image and plane that are looked at have been run, or are being run."""
        return self._agenda.source is not None and self._agenda.reading(self._agenda.source.spot) is not None

    @property
    def stale(self) -> bool:
        """Whether what is shown of the plane that is looked at would be another if Run were pressed."""
        source = self.source
        if source is None or (reading := self._agenda.reading(source.spot)) is None:
            return False
        given_up = self._agenda.given_up.get(source.spot) == self._agenda.question(source.spot, reading)
        return given_up or reading.seen(self.settings) != Reading.of(self.settings, source.view).seen(self.settings)

    @property
    def planes_left(self) -> int:
        """How many planes come after the one that is being read."""
        return 0 if self._agenda.run is None else max(len(self._agenda.run.left) - 1, 0)

    @property
    def device(self) -> tuple[str, str] | None:
        """The device that is used and why, once a job has found out in the worker."""
        return self._runner.device

    @property
    def runtime(self) -> Runtime:
        """Device and memory of the next job."""
        return self._runner.runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._runner.runtime = runtime

    # What the user does

    def update(
        self, settings: Settings | None = None, edits: Edits | None = None, tag: str = "", key: Hashable = None
    ) -> None:
        """Make other settings or edits the current ones, and show what they give where the image has been run.

        Parameters
        ----------
        settings : Settings, optional
            The new settings.
        edits : Edits, optional
            The new edits.
        tag : str
            Consecutive changes with the same tag (one slider being moved) are one entry of the history.
        key : hashable, optional
            Of the image; by default the one that is looked at.
        """
        key = self.key if key is None else key
        old = self.state_of(key)
        new = replace(old, settings=settings or old.settings, edits=old.edits if edits is None else edits)
        if new != old:
            self._histories.push(key, new, tag)
            self._announce(key, old)

    def amend(self, edits: Edits, key: Hashable) -> None:
        """Complete the entry of the history that stands with edits that follow from it."""
        old = self.state_of(key)
        self._histories.amend(key, replace(old, edits=edits))
        self._announce(key, old)

    def knows(self, key: Hashable) -> bool:
        """Whether an image was looked at, or anything is wanted of it."""
        return self._histories.knows(key)

    def is_fresh(self, spot: Spot) -> bool:
        """Whether what is shown of a plane answers what is asked of it."""
        reading = self._agenda.reading(spot)
        return reading is not None and self._agenda.shown.get(spot) == self._agenda.question(spot, reading)

    def adopt(self, key: Hashable, state: State, outcomes: Iterable[Outcome] = ()) -> None:
        """Make a whole state the one that stands for an image, as one entry of its history.

        Parameters
        ----------
        key : hashable
            Of the image.
        state : State
            What is wanted of it.
        outcomes : iterable of Outcome
            What was found for that state earlier; it is shown, and not asked for again.
        """
        old, outcomes = self.state_of(key), list(outcomes)
        self._histories.push(key, state)
        for plane in state.readings:
            self._agenda.shown.pop((key, plane), None)
            self._agenda.given_up.pop((key, plane), None)
        for outcome in outcomes:
            spot = outcome.source.spot
            self._agenda.shown[spot] = self._agenda.question(spot, state.readings[spot[1]])
        self._announce(key, old)
        for outcome in outcomes:
            self.result_changed.emit(outcome)

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state of the image that is looked at."""
        return self._histories.current.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a state of it that was undone."""
        return self._histories.current.can_redo

    def undo(self, key: Hashable = None) -> None:
        """Go back to the state before, of the image that is looked at or of another."""
        self._step(History.undo, key)

    def redo(self, key: Hashable = None) -> None:
        """Take back an undo."""
        self._step(History.redo, key)

    def look_at(self, source: Source | None) -> None:
        """Say which image and plane are looked at, and how."""
        self._agenda.source = source
        if source is not None:
            self._agenda.look_again(source.key)
        self._histories.look_at(None if source is None else source.key)
        self.source_changed.emit(source)
        self._next()

    def run(self, planes: Sequence[Plane] | None = None) -> None:
        """Segment what is looked at with the settings as they stand; a running job is cancelled for it.

        Parameters
        ----------
        planes : sequence of Plane, optional
            The planes to segment; by default the one that is looked at. What is finished stays when the rest is
            cancelled.
        """
        source = self._agenda.source
        if source is None:
            self.failed.emit(ValueError("There is no image to look at; open one, or File > Open Sample > ClearCLIP."))
            return
        if not self.settings.objects:
            self.failed.emit(ValueError("There is nothing to look for; type a phrase and press Enter."))
            return
        self._stop()
        here = source.view.plane
        wanted = tuple(dict.fromkeys((here,) if planes is None else planes))
        wanted = tuple(sorted(wanted, key=lambda plane: plane != here))  # the one that is looked at comes first
        self._agenda.look_again(source.key)
        self._runs += 1
        self._agenda.run = Run(source, Reading.of(self.settings, source.view), wanted, f"run {self._runs}")
        for plane in wanted:
            self._agenda.given_up.pop((source.key, plane), None)
            self._agenda.shown.pop((source.key, plane), None)
        self._next()

    def cancel(self) -> None:
        """Stop the running job; what is finished stays."""
        self._stop()
        for spot, asked in list(self._agenda.stale()):
            self._agenda.given_up[spot] = asked

    def forget(self, key: Hashable) -> None:
        """Drop all that belongs to an image that is gone; its running job is stopped."""
        if self._runner.job is not None and self._runner.job.source.key == key:
            self._runner.stop()
        self._agenda.forget(key)
        self.asking.forget(key)
        self._histories.forget(key)

    @property
    def held(self) -> int:
        """Bytes that `release` would free."""
        return self._runner.held

    def release(self) -> None:
        """Stop what runs and free the model and all that is cached; the next run loads it again."""
        self.cancel()
        self._runner.release()

    def close(self) -> None:
        """Stop for good and free the model, now or as soon as the worker has stopped."""
        self._closed = True
        self._stop()
        self._runner.release()

    # What is asked

    def _step(self, way: Callable[[History], None], key: Hashable) -> None:
        key = self.key if key is None else key
        old = self.state_of(key)
        self._histories.step(way, key)
        self._announce(key, old)

    def _announce(self, key: Hashable, old: State) -> None:
        new = self.state_of(key)
        for plane in set(old.readings) - set(new.readings):  # the run itself was undone
            self._agenda.shown.pop((key, plane), None)
        if old != new:
            self.changed.emit(key, old, new)
            self._next()

    # How it is answered

    def _next(self) -> None:
        """Start the most urgent job; one that is less urgent makes way."""
        if self._closed:
            return
        spot, asked = next(self._agenda.stale(), (None, None))
        running = self._runner.job
        if running is not None:
            # What is previewed is asked anew, since what was read is kept; other jobs of the plane come to their end.
            previewed = spot == self._previewed and asked != running.question
            if spot is not None and (spot != running.spot or previewed):
                running.stop.set()
        elif spot is not None:
            self._start(spot, asked)

    def _start(self, spot: Spot, asked: Hashable) -> None:
        reading, state = self._agenda.reading(spot), self.state_of(spot[0])
        sources = [self._agenda.source, None if self._agenda.run is None else self._agenda.run.source]
        source = next((source for source in sources if source is not None and source.key == spot[0]), None)
        if reading is None or source is None:
            return
        seen = source.at(spot[1], reading.view)
        preview = spot[1] not in state.readings and self._agenda.source is not None and self._agenda.source.spot == spot
        known = self._agenda.known.get(spot, "")
        job = Job(seen, reading.applied(state.settings), state.edits.at(spot[1]), reading, asked, preview, known)
        self.busy_changed.emit(True)
        self._runner.start(job, self._on_progress, self._on_finished)

    def _stop(self) -> None:
        """Drop the run and stop the job; a result that still comes is late."""
        self._agenda.run = None
        self._runner.stop()

    def _on_progress(self, job: Job, progress: Progress | Outcome) -> None:
        if job.stop.is_set():
            return
        if isinstance(progress, Outcome):
            self._previewed = job.spot
            self.result_changed.emit(progress)
        elif isinstance(progress, Notice):
            self.asking.ask(job, progress)
        else:
            run = self._agenda.run
            if run is not None and len(run.planes) > 1 and job.reading == run.reading:
                stage = f"Plane {len(run.done) + 1} of {len(run.planes)}: {progress.stage}"
                progress = replace(progress, stage=stage)
            self.progress.emit(progress)

    def _on_finished(self, job: Job, result: Outcome | Exception | None) -> None:
        """Tell the result unless it is late, then start the next job."""
        if not self._closed:
            self.asking.end()
        if not self._closed and not job.stop.is_set():
            if isinstance(result, Outcome):
                self._accept(job, result)
            else:
                self._give_up(job, result)
        self._next()
        self._withdraw()
        if not self._closed and not self.busy:
            self.busy_changed.emit(False)

    def _withdraw(self) -> None:
        """Take back a preview that no result will replace."""
        spot, run = self._previewed, self._agenda.run
        if spot is not None and (run is None or spot not in {(run.source.key, plane) for plane in run.left}):
            self._previewed = None
            self.withdrawn.emit(spot)

    def _accept(self, job: Job, outcome: Outcome) -> None:
        """Tell a result, and note in the history what was read anew."""
        key, plane = job.spot
        self._agenda.shown[job.spot] = job.question
        self._agenda.known[job.spot] = outcome.segmentation.content
        self._agenda.given_up.pop(job.spot, None)
        if self._previewed == job.spot:
            self._previewed = None
        run, old = self._agenda.run, self.state_of(key)
        if run is not None and run.source.key == key and plane in run.left and run.reading == job.reading:
            run = replace(run, done=run.done | {plane})
            self._agenda.run = run if run.left else None
            new = old.with_reading(plane, job.reading)
            if new != old:
                self._histories.push(key, new, run.tag)
                self.changed.emit(key, old, new)
        self.result_changed.emit(outcome)

    def _give_up(self, job: Job, error: Exception | None) -> None:
        """Leave the plane as it is shown, drop the run that it was part of, and say why."""
        self._agenda.given_up[job.spot] = job.question
        self._agenda.run = None
        if error is not None:
            self.failed.emit(error)
