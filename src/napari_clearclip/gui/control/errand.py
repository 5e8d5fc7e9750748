"""Work done beside the runs, such as reading and writing files, one thing at a time: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari_clearclip.gui.control.runner import Executor


class Errand:
    """Does one thing at a time somewhere else, and knows whether it is at it.

    Parameters
    ----------
    executor : Executor
        Where work is done.
    show_busy : callable, optional
        Told True when work begins and False when it has ended.

    Attributes
    ----------
    busy : bool
        Whether there is work; whoever starts some asks first.
    """

    def __init__(self, executor: Executor, show_busy: Callable[[bool], None] = lambda _: None) -> None:
        self._executor, self._show_busy = executor, show_busy
        self.busy = False

    def start(self, work: Generator[None, None, Any], finished: Callable[[Any], None]) -> None:
        """Do something; `finished` is called with what it returns, when this is free again."""
        self._turn(True)

        def finish(result: Any) -> None:
            self._turn(False)
            finished(result)

        self._executor(work, lambda _: None, finish)

    def _turn(self, busy: bool) -> None:
        self.busy = busy
        self._show_busy(busy)
