"""The pipeline and the one job that it works on, somewhere else: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from napari_clearclip.gui.control.jobs import Job, Outcome
from napari_clearclip.progress import Notice, Preview, Progress
from napari_clearclip.settings import Runtime

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline

_WAIT = 0.1  # seconds between two looks for an answer

Work = Generator["Progress | Outcome", None, "Outcome | Exception | None"]
OpenPipeline = Callable[[Runtime], "Pipeline"]


class Executor(Protocol):
    """Runs a generator to its end somewhere else and reports in the caller's thread."""

    def __call__(
        self, work: Generator[Any, None, Any], progress: Callable[[Any], None], finished: Callable[[Any], None]
    ) -> None:
        """Start `work`; call `progress` with each value it yields and `finished` once, with what it returns."""


class Runner:
    """Owns the pipeline and works on one job at a time.

    Parameters
    ----------
    executor : Executor
        Where work is done.
    open_pipeline : callable, optional
        Makes the pipeline for a `Runtime`; called in the worker.

    Attributes
    ----------
    runtime : Runtime
        Device and memory of the next job.
    job : Job or None
        What is being worked on.
    device : tuple of 2 str, or None
        The device that is used and why, once a job has found out in the worker.
    """

    def __init__(self, executor: Executor, open_pipeline: OpenPipeline | None = None) -> None:
        self.runtime = Runtime()
        self.job: Job | None = None
        self.device: tuple[str, str] | None = None
        self.executor = executor
        self._open_pipeline = open_pipeline or default_pipeline
        self._pipeline: tuple[Runtime, Pipeline] | None = None
        self._letting_go = False

    @property
    def held(self) -> int:
        """Bytes of the model and of all that is cached."""
        return 0 if self._pipeline is None else self._pipeline[1].held

    def start(
        self,
        job: Job,
        progress: Callable[[Job, Progress | Outcome], None],
        finished: Callable[[Job, Outcome | Exception | None], None],
    ) -> None:
        """Work on a job; a stopped one reports None, and previews are told as progress."""
        self.job = job
        self.executor(self._work(job), partial(progress, job), partial(self._finish, job, finished))

    def stop(self) -> None:
        """Let the worker leave its job; it says so when it has."""
        if self.job is not None:
            self.job.stop.set()

    def release(self) -> None:
        """Free the model and all that is cached, now or as soon as the worker has left its job."""
        self._letting_go = True
        self._let_go()

    def _finish(
        self,
        job: Job,
        finished: Callable[[Job, Outcome | Exception | None], None],
        result: Outcome | Exception | None,
    ) -> None:
        self.job = None
        self._let_go()
        finished(job, None if job.stop.is_set() else result)

    def _work(self, job: Job) -> Work:
        """The job's steps, in the worker: an error is returned, and None when it was stopped."""
        try:
            pipeline = self.opened()
            source = job.source
            bands = None if source.bands is None else source.bands.at(source.view.plane)
            steps = pipeline.steps(
                partial(source.read, source.view.plane),
                job.settings,
                source.view,
                job.edits,
                preview=job.preview,
                first=source.region,
                bands=bands,
                read=source.read,
                known=job.known,
            )
            try:
                while not job.stop.is_set():
                    state = next(steps)
                    yield Outcome.of(source, state.segmentation, True) if isinstance(state, Preview) else state
                    if isinstance(state, Notice):
                        yield from self._agreed(job)
            except StopIteration as end:
                self.device = pipeline.device, pipeline.device_reason
                return Outcome.of(source, end.value)
            finally:
                steps.close()
        except Exception as error:  # the worker's boundary: whatever it is, the panel says it
            return error
        return None

    def _agreed(self, job: Job) -> Generator[Progress, None, None]:
        """Wait until a long run may go on, or is stopped."""
        while not job.stop.is_set() and not job.agreed.wait(_WAIT):
            yield Progress("Waiting for your answer")
        if self._pipeline is not None:
            pipeline = self._pipeline[1]
            pipeline.runtime = pipeline.runtime.replace(store_bytes=self.runtime.store_bytes)

    def opened(self) -> Pipeline:
        """The pipeline for the chosen device, as many cores and as much disk as are chosen by now."""
        light = {"threads": self.runtime.threads, "store_bytes": self.runtime.store_bytes}
        if self._pipeline is None or self._pipeline[0].replace(**light) != self.runtime:
            self._free()
            self._pipeline = (self.runtime, self._open_pipeline(self.runtime))
        pipeline = self._pipeline[1]
        pipeline.runtime = pipeline.runtime.replace(**light)
        return pipeline

    def _let_go(self) -> None:
        if self._letting_go and self.job is None:
            self._letting_go = False
            self._free()

    def _free(self) -> None:
        if self._pipeline is not None:
            self._pipeline[1].release()
            self._pipeline = None


def default_pipeline(runtime: Runtime) -> Pipeline:
    """The pipeline of this process."""
    from napari_clearclip.pipeline import Pipeline

    return Pipeline(runtime)
