"""Loading and downloading models without blocking whoever waits for them."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_clearclip.progress import Cancelled, Progress

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.engine.towers import Plain
    from napari_clearclip.settings import Model

T = TypeVar("T")
Report = Callable[[int, int], None]

_POLL_SECONDS = 0.1
_PACE_SECONDS = 5.0
_LAST_SECONDS = 10.0  # a server may not answer at all

_at_work: weakref.WeakSet[_Thread[Any]] = weakref.WeakSet()


class _Thread(Generic[T]):
    """One piece of work in a thread of its own, since nothing stops reading a file or waiting for a server."""

    def __init__(self, key: Hashable, work: Callable[[Report], T], what: str) -> None:
        self.key = key
        self._what = what
        self.state = Progress(f"Loading {what}")
        self.left = threading.Event()
        self._lock = threading.Lock()
        self._waiting = 0
        self.future: Future[T] = Future()
        self._seen: deque[tuple[float, int]] = deque()
        self.thread = threading.Thread(target=self._run, args=(work,), name="clearclip-load", daemon=True)
        _at_work.add(self)
        self.thread.start()

    def _run(self, work: Callable[[Report], T]) -> None:
        try:
            self.future.set_result(work(self._report))
        except BaseException as error:  # whatever it is, it belongs to the one who waits
            self.future.set_exception(error)

    def _report(self, done: int, total: int) -> None:
        """Take note of downloaded bytes; stops the download while nobody waits for it."""
        if self.left.is_set():
            raise Cancelled
        now = time.perf_counter()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _PACE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = (done - before) / (now - since) if now > since else 0.0
        self.state = Progress(f"Downloading {self._what}", done, total, "bytes", rate)

    def steps(self) -> Generator[Progress, None, T]:
        """The result, yielding how far it is; closing leaves, and coming back goes on if it is still at work."""
        self._wait(1)
        try:
            while not self.future.done():
                yield self.state
                try:
                    self.future.exception(timeout=_POLL_SECONDS)
                except FutureTimeoutError:
                    continue
        finally:
            self._wait(-1)
        return self.future.result()

    def _wait(self, more: int) -> None:
        """Count who waits; the work is left when nobody does."""
        with self._lock:
            self._waiting += more
            if self._waiting:
                self.left.clear()
            else:
                self.left.set()


@atexit.register
def _finish() -> None:
    """Leave downloads, and let what is read come to its end: torch aborts a process that ends under its thread."""
    for work in list(_at_work):
        work.left.set()
        work.thread.join(_LAST_SECONDS)


class Background(Generic[T]):
    """Does one piece of work at a time where it blocks nobody, and keeps the last result."""

    def __init__(self) -> None:
        self._thread: _Thread[T] | None = None

    @property
    def kept(self) -> T | None:
        """The last result, or None."""
        thread = self._thread
        if thread is None or not thread.future.done() or thread.future.exception() is not None:
            return None
        return thread.future.result()

    def forget(self) -> None:
        """Let go of the result."""
        self._thread = None

    def steps(self, key: Hashable, work: Callable[[Report], T], what: str) -> Generator[Progress, None, T]:
        """What `work` returns, yielding progress; not done again for the same key.

        Closing the generator answers at once, whatever the work waits for. A download then ends with its next bytes;
        a file that is being read is read to its end and kept.

        Parameters
        ----------
        key : hashable
            Names the work.
        work : callable
            Called in a thread with a function to report bytes done and total to.
        what : str
            What is loaded, or downloaded, as progress calls it.
        """
        while True:
            thread = self._thread
            if thread is None or thread.key != key:
                thread = self._thread = _Thread(key, work, what)
            try:
                return (yield from thread.steps())
            except Cancelled:  # it had ended already when we came back to it
                self._thread = None
            except GeneratorExit:
                raise
            except BaseException:
                self._thread = None
                raise


class Loader:
    """Loads models and keeps the last one."""

    def __init__(self) -> None:
        self._background: Background[Clip] = Background()

    @property
    def held(self) -> int:
        """Bytes of the model that is kept."""
        clip = self._background.kept
        return 0 if clip is None else clip.nbytes

    def release(self) -> None:
        """Forget the model."""
        self._background.forget()

    def steps(self, model: Model, device: str) -> Generator[Progress, None, Clip]:
        """The model on a device (a name for `resolve_device`), yielding while it is read or downloaded.

        Raises
        ------
        napari_clearclip.engine.model.ModelError
            If the model cannot be loaded.
        ValueError
            If the device cannot be used.
        """

        def work(report: Report) -> Clip:
            from napari_clearclip.engine.device import resolve_device
            from napari_clearclip.engine.model import load

            return load(model, resolve_device(device)[0], report)

        return self._background.steps((model, device), work, "the model")


class Fetcher:
    """Downloads models, one at a time."""

    def __init__(self) -> None:
        self._background: Background[None] = Background()

    def steps(self, model: Model) -> Generator[Progress, None, None]:
        """Bring all that a model needs onto this machine, yielding while it is downloaded.

        Raises
        ------
        napari_clearclip.engine.model.ModelError
            If they cannot be had.
        """

        def work(report: Report) -> None:
            from napari_clearclip.engine.model import download

            download(model, report)

        yield from self._background.steps(model, work, "the model")
        self._background.forget()  # the file may be gone when it is asked for again


class Towers:
    """Loads towers of timm's to look at beside a model, one at a time."""

    def __init__(self) -> None:
        self._background: Background[Plain] = Background()

    def steps(self, name: str, weights: Path | None) -> Generator[Progress, None, Plain]:
        """A tower, yielding while it is read or downloaded.

        Parameters
        ----------
        name : str
            As timm calls it.
        weights : Path or None
            A local file of its weights; None for those that timm has, which are downloaded once.

        Raises
        ------
        ValueError
            If there is no such tower, or its weights cannot be had.
        """

        def work(report: Report) -> Plain:
            from napari_clearclip.engine.towers import plain_tower

            return plain_tower(name, weights, pretrained=True, progress=report)

        tower = yield from self._background.steps((name, weights), work, name)
        self._background.forget()  # it is large, and needed once
        return tower
