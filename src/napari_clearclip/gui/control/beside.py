"""Other work with the pipeline beside the jobs, such as inspection, which enters nothing: no Qt, no napari."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from napari_clearclip.gui.control.runner import Runner
from napari_clearclip.progress import Progress

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline

Work = Callable[["Pipeline"], Generator[Progress, None, Any]]


class Beside:
    """Does work with the pipeline of the jobs; several may go on at a time.

    Parameters
    ----------
    runner : Runner
        Has the pipeline, and knows where work is done.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def start(
        self, work: Work, progress: Callable[[Progress], None], finished: Callable[[Any], None]
    ) -> Callable[[], None]:
        """Begin some work; what is returned stops it.

        `finished` is called with what the work returns, with an error, or with None if it was stopped.
        """
        stop = threading.Event()
        self._runner.executor(self._steps(work, stop), progress, finished)
        return stop.set

    def _steps(self, work: Work, stop: threading.Event) -> Generator[Progress, None, Any]:
        try:
            steps = work(self._runner.opened())
            try:
                while not stop.is_set():
                    yield next(steps)
            except StopIteration as end:
                return None if stop.is_set() else end.value
            finally:
                steps.close()
        except Exception as error:  # the worker's boundary: whatever it is, the panel says it
            return error
        return None
