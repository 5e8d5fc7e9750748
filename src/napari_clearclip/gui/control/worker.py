"""Work in a thread of napari's, reported in the thread of the window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt

from napari_clearclip.gui.layers.graphics import keep_llvm_apart

if TYPE_CHECKING:
    from napari_clearclip.engine.catalogue import Published

MOMENT = 0.04  # seconds, twice what it takes to draw the window


def in_thread(
    work: Generator[Any, None, Any], progress: Callable[[Any], None], finished: Callable[[Any], None]
) -> None:
    """Run a generator in a worker thread.

    Parameters
    ----------
    work : generator
        What to run; it must not raise.
    progress : callable
        Called with each value that is yielded, in the thread of the window.
    finished : callable
        Called once with what is returned, or None if napari stopped the worker, in the thread of the window.

    Notes
    -----
    It waits a moment for the end, though not for `finished`. While napari's window is drawn, no other thread can run
    Python, and drawing it takes as long as a small change of the masks; so that is shown in the same frame as what led
    to it, and not after it.
    """
    from napari.qt.threading import create_worker

    def steps() -> Generator[Any, None, tuple[Any]]:
        keep_llvm_apart()
        return ((yield from work),)  # in a tuple, because an error that is returned bare would be raised

    results: list[tuple[Any]] = []
    worker = create_worker(steps, _start_thread=False, _ignore_errors=True)
    worker.yielded.connect(progress)
    worker.returned.connect(results.append)

    def end() -> None:
        work.close()  # napari leaves a generator that it stops where it is
        finished(results.pop()[0] if results else None)  # the worker, and all it refers to, goes some time later

    ended = threading.Event()
    worker.finished.connect(end)
    worker.finished.connect(ended.set, Qt.ConnectionType.DirectConnection)  # in the worker, once `end` is on its way
    worker.start()
    ended.wait(MOMENT)


@dataclass(frozen=True)
class Machine:
    """What this machine has.

    Attributes
    ----------
    device, reason : str
        Where is computed, and why.
    threads : int
        CPU cores that torch takes by itself.
    published : tuple of Published
        The published models, and which of them are here.
    folder : Path
        Where downloads go.
    """

    device: str
    reason: str
    threads: int
    published: tuple[Published, ...]
    folder: Path


def machine(device: str) -> Generator[None, None, Machine | Exception]:
    """What this machine has, for a device or `auto`; or an error.

    Notes
    -----
    Importing torch takes seconds, hence a generator for `in_thread`.
    """
    try:
        yield
        from napari_clearclip.engine.device import resolve_device, usual_threads

        found = resolve_device(device)
        yield
        from napari_clearclip.engine.catalogue import catalogue
        from napari_clearclip.engine.download import download_folder

        return Machine(*found, usual_threads(), catalogue(), download_folder())
    except (ImportError, OSError, ValueError) as error:
        return error
