"""The question before a run that takes long: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Hashable

from psygnal import Signal

from napari_clearclip.gui.control.jobs import Job, Reading, Spot
from napari_clearclip.progress import Notice


class Asking:
    """Lets a long run wait until somebody says that it may go on, once for a plane and what it is read with.

    `asked` carries what the run takes, and None once nothing is waited for. Without anyone who is told runs go on by
    themselves.
    """

    asked = Signal(object)

    def __init__(self) -> None:
        self._agreed: set[tuple[Spot, Reading]] = set()
        self._waiting: Job | None = None

    def ask(self, job: Job, notice: Notice) -> None:
        """Ask whether a run may go on that has just said what it takes."""
        if (job.spot, job.reading) in self._agreed or not len(self.asked):
            job.agreed.set()
        else:
            self._waiting = job
            self.asked.emit(notice)

    def agree(self) -> None:
        """Let the run go on that waits, with as much disk as the runtime says by now."""
        if self._waiting is not None:
            self._agreed.add((self._waiting.spot, self._waiting.reading))
            self._waiting.agreed.set()
            self.end()

    def end(self) -> None:
        """Ask no longer: the run has its answer, or is over."""
        if self._waiting is not None:
            self._waiting = None
            self.asked.emit(None)

    def forget(self, key: Hashable) -> None:
        """Drop what was agreed to of an image that is gone."""
        self._agreed = {(spot, reading) for spot, reading in self._agreed if spot[0] != key}
