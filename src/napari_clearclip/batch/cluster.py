"""Images, and parts of large ones, on the workers of a dask.distributed cluster.

What it schedules, repeats and restarts is dask's business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import Any, cast

from napari_clearclip.batch.outcome import Outcome, sentence
from napari_clearclip.batch.planes import Block, Part
from napari_clearclip.batch.work import FAULTS, Task, Wish, cut, failed, read_part, work_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime
from napari_clearclip.steps import drain

try:
    from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
    from distributed.comm.addressing import get_address_host_port
except ImportError as error:
    raise ImportError('a cluster needs dask.distributed: pip install "napari-clearclip[cluster]"') from error

_PLUGIN = "napari-clearclip"
_RETRIES = 2
_PATIENCE = 30  # seconds
_PARTS = 4  # for each worker, so that none waits long for the others


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

    @contextmanager
    def busy(self) -> Iterator[Pipeline]:
        """The pipeline, for one task at a time, however many threads the worker has."""
        with self._lock:
            yield self._pipeline

    def __getstate__(self) -> dict[str, Any]:
        return {"_runtime": self._runtime}


def check_scheduler(text: str) -> int | None:
    """How many workers `local:N` asks for, or None where the text is the address of a scheduler.

    Raises
    ------
    ValueError
        If N is no number from 1 on, or the address has no host and port.
    """
    kind, _, number = text.partition(":")
    if kind == "local" and number.isdecimal() and int(number):
        return int(number)
    if kind != "local":
        with suppress(ValueError):
            get_address_host_port(text)
            return None
    wanted = "give local:N with a number of workers, or a scheduler's address as tcp://HOST:8786"
    raise ValueError(f"--scheduler is {text!r}; {wanted}")


@contextmanager
def client_of(scheduler: str) -> Iterator[Client]:
    """A client of the scheduler at an address, or of one with N workers on this machine, which ends with the block.

    Raises
    ------
    OSError
        If no scheduler answers at the address.
    """
    count = check_scheduler(scheduler)
    if count is None:
        with _connected(scheduler) as client:
            yield client
        return
    served = {"dashboard_address": "127.0.0.1:0"}  # or dask warns of the port of another run on this machine
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None, scheduler_kwargs=served) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _connected(address: str) -> Client:
    try:
        return Client(address, timeout=f"{_PATIENCE}s")
    except OSError as error:
        raise OSError(
            f"no scheduler answers at {address} within {_PATIENCE} seconds; check host and port, or start one there "
            "with: dask scheduler"
        ) from error


def equip(client: Client, runtime: Runtime) -> None:
    """Give each worker of a client, and each that comes later, a pipeline; see `engine_here`."""
    client.register_plugin(Engine(runtime), name=_PLUGIN)


def work_on(
    client: Client, tasks: Sequence[Task], wish: Wish, runtime: Runtime, told: Callable[[int, int], None] | None = None
) -> Iterator[Outcome]:
    """What became of each image, as they end.

    Parameters
    ----------
    client : distributed.Client
        Its workers read the images and write to the folder by the same paths.
    tasks, wish
        As for `napari_clearclip.batch.work.work_through`.
    runtime : Runtime
        Of each worker.
    told : callable, optional
        Called with how many images and parts of images are done, and how many there are as far as is known.

    Notes
    -----
    Where there are few images for the workers, the planes of a stack are parts of it, and so are blocks of rows where
    windows do not fit into memory: each part is a task that gives maps on its cells, and a last task makes the masks.
    It is the same to the bit as without.

    An image or a part of a worker that is lost goes to another; one that has ended several workers has failed. Files
    are written beside their places and moved there, so that one that is written twice is written whole.
    """
    equip(client, runtime)
    count = -(-_PARTS * max(len(client.nthreads()), 1) // max(len(tasks), 1))
    futures: dict[Future[Any], Task] = {submit(client, task.name, _work, task, wish, count): task for task in tasks}
    going, total, cut_at = as_completed(list(futures), raise_errors=False), len(futures), dict[Task, float]()
    for done, future in enumerate(going, 1):
        task, outcome = futures.pop(future, None), None  # no task is that of a part
        if task is not None:
            error = future.exception()
            found = future.result() if error is None else _failed(task, error)
            if isinstance(found, Outcome):
                seconds = round(time.perf_counter() - cut_at[task], 3) if task in cut_at else found.seconds
                outcome = found.replace(seconds=seconds)
            else:
                more = [submit(client, task.name, _read, task, part) for part in found]
                more.append(submit(client, task.name, _finish, task, wish, more.copy()))
                futures[more[-1]], cut_at[task], total = task, time.perf_counter(), total + len(more)
                going.update(more)
                more.clear()  # so that what a part gives is let go
        if told is not None:
            told(done, total)
        if outcome is not None:
            yield outcome


def submit(client: Client, name: str, do: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """What a worker will have made; `name` is what the cluster shows of it."""
    return client.submit(do, *arguments, retries=_RETRIES, pure=False, key=f"{name}-{token_hex(6)}")


def _work(task: Task, wish: Wish, count: int) -> Outcome | tuple[Part, ...]:
    """What became of an image, or the parts in which it is to be read, on a worker."""
    with engine_here().busy() as pipeline:
        parts: tuple[Part, ...] = ()
        if count > 1:
            with suppress(*FAULTS):  # which are found again, and told
                parts = cut(pipeline, task, wish, count)
        return parts or drain(work_steps(pipeline, task, wish))


def _read(task: Task, part: Part) -> Block:
    """What is found in a part of an image, on a worker."""
    with engine_here().busy() as pipeline:
        return read_part(pipeline, task, part)


def _finish(task: Task, wish: Wish, blocks: Sequence[Block]) -> Outcome:
    """What became of an image whose parts are read, on a worker."""
    with engine_here().busy() as pipeline:
        return drain(work_steps(pipeline, task, wish, blocks))


def engine_here() -> Engine:
    """The engine of the worker that this runs on."""
    return cast("Engine", get_worker().plugins[_PLUGIN])


def _failed(task: Task, error: BaseException) -> Outcome:
    """An image that ended its workers or has a part that cannot be read, or the error that all would end with."""
    from napari_clearclip.engine.model import ModelError

    if isinstance(error, KilledWorker):
        reason = f"it ended {_RETRIES + 1} workers or more, perhaps for lack of memory; {sentence(error)}"
        return failed(task, reason)
    if isinstance(error, ModelError) or not isinstance(error, FAULTS):
        raise error
    return failed(task, sentence(error))
