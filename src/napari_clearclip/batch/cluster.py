"""Images on the workers of a dask.distributed cluster; what it schedules, repeats and restarts is dask's business."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from napari_clearclip.batch.outcome import Outcome, sentence
from napari_clearclip.batch.planes import silently
from napari_clearclip.batch.work import Task, Wish, work
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime

try:
    from distributed import Client, KilledWorker, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
except ImportError as error:
    raise ImportError('a cluster needs dask.distributed: pip install "napari-clearclip[cluster]"') from error

_PLUGIN = "napari-clearclip"
_RETRIES = 2


class Engine(WorkerPlugin):
    """A worker's pipeline: made when the worker starts, also anew after it was killed, so that a model is loaded once.

    Parameters
    ----------
    runtime : Runtime
        Device, memory and storage of each worker.
    """

    name = _PLUGIN

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def setup(self, worker: Worker) -> None:
        """Make the pipeline; dask calls this on each worker."""
        self._pipeline, self._lock = Pipeline(self._runtime), threading.Lock()

    def work(self, task: Task, wish: Wish) -> Outcome:
        """What became of an image; one at a time, however many threads the worker has."""
        with self._lock:
            return work(self._pipeline, task, wish, silently)

    def __getstate__(self) -> dict[str, Any]:
        return {"_runtime": self._runtime}


def check_scheduler(text: str) -> int | None:
    """How many workers `local:N` asks for, or None where the text is the address of a scheduler.

    Raises
    ------
    ValueError
        If N is no number from 1 on.
    """
    kind, _, number = text.partition(":")
    if kind != "local":
        return None
    if not number.isdecimal() or not int(number):
        raise ValueError(f"--scheduler is {text!r}; give local:N with a number of workers, or a scheduler's address")
    return int(number)


@contextmanager
def client_of(scheduler: str) -> Iterator[Client]:
    """A client of the scheduler at an address, or of one with N workers on this machine, which ends with the block.

    Raises
    ------
    OSError
        If there is no scheduler at the address.
    """
    count = check_scheduler(scheduler)
    if count is None:
        with Client(scheduler, timeout="30s") as client:
            yield client
        return
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def work_on(client: Client, tasks: Sequence[Task], wish: Wish, runtime: Runtime) -> Iterator[Outcome]:
    """What became of each image, as they end.

    Parameters
    ----------
    client : distributed.Client
        Its workers read the images and write to the folder by the same paths.
    tasks, wish
        As for `napari_clearclip.batch.work.work_through`.
    runtime : Runtime
        Of each worker.

    Notes
    -----
    An image of a worker that is lost goes to another; one that has ended several workers has failed. Files are written
    beside their places and moved there, so that one that is written twice is written whole.
    """
    client.register_plugin(Engine(runtime), name=_PLUGIN)
    futures = {
        client.submit(_work, task, wish, retries=_RETRIES, pure=False, key=f"{task.name}-{place}"): task
        for place, task in enumerate(tasks)
    }
    for future in as_completed(list(futures), raise_errors=False):
        task, error = futures.pop(future), future.exception()
        yield future.result() if error is None else _failed(task, error)
        future.release()


def _work(task: Task, wish: Wish) -> Outcome:
    """What became of an image, on a worker."""
    engine = cast("Engine", get_worker().plugins[_PLUGIN])
    return engine.work(task, wish)


def _failed(task: Task, error: BaseException) -> Outcome:
    """An image that ended its workers, or the error that every image would end with."""
    if not isinstance(error, KilledWorker):
        raise error
    reason = f"it ended {_RETRIES + 1} workers or more, perhaps for lack of memory; {sentence(error)}"
    return Outcome(
        image=str(task.path.absolute()), name=task.name, key=task.key, status="failed", seconds=0, error=reason
    )
