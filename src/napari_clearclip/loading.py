"""Loading a model without blocking whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from napari_clearclip.progress import Cancelled, Progress

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.settings import Model

_POLL_SECONDS = 0.1


class Loader:
    """Loads models in a thread of its own and keeps the last one."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "clearclip-load")
        self._kept: tuple[tuple[Model, str], Clip] | None = None

    def release(self) -> None:
        """Forget the model."""
        self._kept = None

    def steps(self, model: Model, device: str) -> Generator[Progress, None, Clip]:
        """The model on a device (a name for `resolve_device`), yielding while it is read or downloaded; closing the generator stops a download.

        Raises
        ------
        napari_clearclip.engine.model.ModelError
            If the model cannot be loaded.
        ValueError
            If the device cannot be used.
        """
        if self._kept is not None and self._kept[0] == (model, device):
            return self._kept[1]
        self._kept = None
        state = Progress("Loading the model")
        cancelled = threading.Event()

        def report(done: int, total: int) -> None:
            nonlocal state
            state = Progress("Downloading the model", done, total)
            if cancelled.is_set():
                raise Cancelled

        def work() -> Clip:
            from napari_clearclip.engine.device import resolve_device
            from napari_clearclip.engine.model import load

            return load(model, resolve_device(device)[0], report)

        future: Future[Clip] = self._thread.submit(work)
        try:
            while not future.done():
                yield state
                try:
                    future.exception(timeout=_POLL_SECONDS)
                except FutureTimeoutError:
                    continue
            clip = future.result()
        finally:
            cancelled.set()
            future.cancel()
        self._kept = ((model, device), clip)
        return clip
