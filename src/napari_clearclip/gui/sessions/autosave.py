"""Autosave: what is wanted of each image and was done to it, on the disk a moment later."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.images.sources import is_source, key_of
from napari_clearclip.gui.sessions.describing import saved_labels
from napari_clearclip.gui.sessions.taking import Draft, ground_of, is_accepted, one_of
from napari_clearclip.io.sessions import Layer as Saved
from napari_clearclip.io.sessions import fingerprint
from napari_clearclip.io.sessions.volumes import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel

LARGEST = 2**26  # bytes of an accepted layer that is written after each stroke
_EVENTS = ("paint", "labels_update", "data", "features", "name")
DELAY = 1.0  # seconds from a change until it is written: a stroke or a moved slider is many changes
FAILED = "What you do is not saved by itself any more, so save the session: {folder} cannot be written to ({reason})."


class Autosave:
    """Writes journals of what a controller is told, in a thread of its own.

    Parameters
    ----------
    viewer : ViewerModel
        Where the images are.
    controller : Controller
        What is wanted of them.
    parent : Path
        The folder of all journals.
    known : iterable of hashable
        The images of which something is wanted already, by key.
    delay : float
        Seconds from a change until it is written.

    Notes
    -----
    A worker of napari's would wait until a run lets it in, hence a thread of its own. There is one write at a time, of
    what stands when it begins. Nothing that goes wrong here stops the work: it is said once, and tried again.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        controller: Controller,
        parent: Path,
        known: Iterable[Hashable] = (),
        delay: float = DELAY,
    ) -> None:
        self._viewer, self._controller, self._parent = viewer, controller, parent
        self._dirty = {str(key) for key in known}
        self._gone: set[str] = set()
        self._writer = _Writer(parent)
        self._thread = ThreadPoolExecutor(1, "clearclip-autosave")
        self._running: tuple[set[str], Future[None]] | None = None
        self._told = ""
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(round(1000 * delay))
        self._timer.timeout.connect(self._go_on)
        controller.changed.connect(self._on_changed)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self._accepted: dict[str, Saved | None] = {}
        for layer in viewer.layers:
            self._follow(layer, True)
        if self._dirty:
            self._timer.start()

    @property
    def delay(self) -> float:
        """Seconds from a change until it is written."""
        return self._timer.interval() / 1000

    @delay.setter
    def delay(self, delay: float) -> None:
        self._timer.setInterval(round(1000 * delay))

    def close(self) -> None:
        """Stop, and remove the journals; once is enough, more does no harm."""
        self._controller.changed.disconnect(self._on_changed, missing_ok=True)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        for layer in self._viewer.layers:
            self._follow(layer, False)
        with suppress(RuntimeError):  # at the end of the application Qt has deleted it
            self._timer.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._writer.close()

    def flush(self) -> bool:
        """Write what is not written yet, now; whether it could be written."""
        while self._dirty or self._gone or self._running:
            if self._running is not None:
                self._running[1].exception()
            if not self._go_on():
                return False
        return True

    def _on_changed(self, key: Hashable, old: State | None = None, new: State | None = None) -> None:
        if key is not None:
            self._dirty.add(str(key))
            self._wait()

    def _on_removed(self, event: Any) -> None:
        """What was done to an image goes with it."""
        layer = event.value
        if is_source(layer):
            self._dirty.discard(key_of(layer))
            self._gone.add(key_of(layer))
            self._wait()
        elif self._accepted.pop(key_of(layer), None) is not None or is_accepted(layer):
            self._follow(layer, False)
            self._on_changed(ground_of(layer))

    def _on_inserted(self, event: Any) -> None:
        self._follow(event.value, True)

    def _follow(self, layer: Any, on: bool) -> None:
        """Hear what is done to a layer that was accepted, unless it is too large to be written again and again."""
        if not is_accepted(layer) or getattr(layer.data, "nbytes", LARGEST + 1) > LARGEST:
            return
        for name in _EVENTS:
            emitter = getattr(layer.events, name)
            emitter.disconnect(self._on_touched)
            if on:
                emitter.connect(self._on_touched)
        if on:
            self._touch(layer)

    def _on_touched(self, event: Any) -> None:
        self._touch(event.source)

    def _touch(self, layer: Any) -> None:
        self._accepted[key_of(layer)] = None
        self._on_changed(ground_of(layer))

    def _labels(self, key: str) -> list[Saved]:
        """What was accepted on an image, copied where it was changed."""
        for layer in self._viewer.layers:
            if self._accepted.get(key_of(layer), True) is None:
                self._accepted[key_of(layer)] = saved_labels(layer, None)
        found = [self._accepted.get(key_of(layer)) for layer in self._viewer.layers if ground_of(layer) == key]
        return [saved for saved in found if saved is not None]

    def _wait(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _go_on(self) -> bool:
        """See how the last write went, and start the next; False if it failed."""
        if self._running is not None:
            keys, future = self._running
            if not future.done():
                self._wait()
                return True
            self._running = None
            error = future.exception()
            self._tell(error)
            if error is not None:
                self._dirty |= keys
                self._wait()
                return False
        layers = {key_of(layer): layer for layer in self._viewer.layers if is_source(layer)}
        wanted = self._dirty & layers.keys()
        drafts = {key: one_of(self._viewer, self._controller, layers[key], self._labels(key)) for key in wanted}
        gone, self._dirty, self._gone = self._gone, set(), set()
        if drafts or gone:
            self._running = wanted, self._thread.submit(self._writer.write, drafts, gone)
            self._wait()
        return True

    def _tell(self, error: BaseException | None) -> None:
        """Say what goes wrong, once."""
        reason = "" if error is None else getattr(error, "strerror", None) or str(error)
        if reason and reason != self._told:
            self.said.emit(FAILED.format(folder=self._parent, reason=reason))
        self._told = reason


class _Writer:
    """What is done in the thread."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._volume: Volume | None = None
        self._digests: dict[int, tuple[Any, str]] = {}

    def write(self, drafts: dict[str, Draft], gone: set[str]) -> None:
        if self._volume is None:
            if not drafts:
                return
            self._volume = Volume(self._parent)
        for key in gone:
            self._volume.drop(key)
        for key, draft in drafts.items():
            self._volume.write(key, draft.complete(self._name, copy=False))

    def _name(self, data: Any) -> str:
        """The digest of an image, made once as long as it is the same array."""
        known = self._digests.get(id(data))
        if known is None or known[0] is not data:
            known = self._digests[id(data)] = data, fingerprint(data)
        return known[1]

    def close(self) -> None:
        if self._volume is not None:
            self._volume.close()
            self._volume = None
