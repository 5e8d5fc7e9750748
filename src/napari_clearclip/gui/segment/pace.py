"""How fast windows and planes are read, from what runs have told: no Qt, no napari."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import replace

from napari_clearclip.progress import Progress


class Paces:
    """Learns from progress how long windows take, and how much longer whole planes.

    Parameters
    ----------
    clock : callable
        The time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._rates: dict[Hashable, float] = {}
        self._extra: dict[Hashable, float] = {}
        self._began: tuple[Hashable, float] | None = None

    def rate(self, key: Hashable, total: int) -> float:
        """Windows a second where a plane has `total` of them, masks and all; 0 before that is known."""
        rate = self._rates.get(key, 0.0)
        return total / (total / rate + self._extra.get(key, 0.0)) if rate and total else 0.0

    def note(self, key: Hashable, progress: Progress, following: int) -> Progress:
        """Learn from the progress of a run; what is known is filled in.

        Parameters
        ----------
        key : hashable
            What the time for a window depends on.
        progress : Progress
            What the run told.
        following : int
            How many planes come after this one.
        """
        if progress.unit != "windows":
            return progress
        if progress.rate:
            self._rates[key] = progress.rate
        now = self._clock()
        if progress.done == 0 and (self._began is None or progress.rate == 0):
            if self._began is not None and self._began[0] == key and key in self._rates:
                self._extra[key] = max(now - self._began[1] - progress.total / self._rates[key], 0.0)
            self._began = (key, now) if following else None
        known = bool(progress.rate) or following > 0
        return replace(progress, rate=self.rate(key, progress.total)) if known else progress

    def rest(self) -> None:
        """Learn nothing from the time until the next run."""
        self._began = None
