"""Loading a model without blocking whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from napari_clearclip.progress import Cancelled, Progress

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.settings import Model

_POLL_SECONDS = 0.1


class _Load:
    """One model being loaded in a thread of its own."""

    def __init__(self, model: Model, device: str) -> None:
        self.wanted = (model, device)
        self.state = Progress("Loading the model")
        self.abandoned = threading.Event()
        self.future: Future[Clip] = Future()
        threading.Thread(target=self._work, name="clearclip-load", daemon=True).start()

    def _report(self, done: int, total: int) -> None:
        """Take note of downloaded bytes; stops the download once nobody waits for it."""
        self.state = Progress("Downloading the model", done, total)
        if self.abandoned.is_set():
            raise Cancelled

    def _work(self) -> None:
        try:
            from napari_clearclip.engine.device import resolve_device
            from napari_clearclip.engine.model import load

            model, device = self.wanted
            self.future.set_result(load(model, resolve_device(device)[0], self._report))
        except BaseException as error:  # whatever it is, it belongs to the one who waits
            self.future.set_exception(error)


class Loader:
    """Loads models and keeps the last one."""

    def __init__(self) -> None:
        self._load: _Load | None = None

    def release(self) -> None:
        """Forget the model."""
        self._load = None

    def steps(self, model: Model, device: str) -> Generator[Progress, None, Clip]:
        """The model on a device (a name for `resolve_device`), yielding while it is read or downloaded.

        Closing the generator stops a download; a file that is being read is read to its end and kept.

        Raises
        ------
        napari_clearclip.engine.model.ModelError
            If the model cannot be loaded.
        ValueError
            If the device cannot be used.
        """
        load = self._load
        if load is None or load.wanted != (model, device) or load.abandoned.is_set():
            load = self._load = _Load(model, device)
        try:
            while not load.future.done():
                yield load.state
                try:
                    load.future.exception(timeout=_POLL_SECONDS)
                except FutureTimeoutError:
                    continue
            return load.future.result()
        except GeneratorExit:
            if load.state.total:
                load.abandoned.set()
            raise
        except BaseException:
            self._load = None
            raise
