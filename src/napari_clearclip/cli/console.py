"""What the command line says: sentences on standard error, results on standard output."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from napari_clearclip.batch.outcome import sentence as sentence
from napari_clearclip.progress import Notice

if TYPE_CHECKING:
    from types import FrameType

    from rich.progress import Progress as Bar
    from rich.table import Table

    from napari_clearclip.progress import Progress

T = TypeVar("T")

_ERRORS, _RESULTS = Console(stderr=True, highlight=False), Console(highlight=False)

# Where no terminal says how wide it is, nothing is cut.
_WIDE = 160


class UsageError(ValueError):
    """A wrong use of the command line: exit code 2."""


@contextmanager
def options() -> Iterator[None]:
    """While options are read: what is not allowed, or needs a library that is missing, is a wrong use.

    Raises
    ------
    UsageError
        With the sentence of the error.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        raise UsageError(sentence(error)) from error


def quiet_libraries() -> None:
    """Keep libraries from writing between our lines; what matters comes as an exception."""
    for name in ("tifffile", "PIL", "imageio", "huggingface_hub", "open_clip"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def tell(text: str) -> None:
    """A line for the user, on standard error."""
    _ERRORS.print(text, markup=False, soft_wrap=True)


def show(text: str) -> None:
    """A line of the result, on standard output."""
    _RESULTS.print(text, markup=False, soft_wrap=True)


def show_table(table: Table) -> None:
    """A table on standard output, as wide as it needs where that is no terminal."""
    _RESULTS.print(table, width=None if _RESULTS.is_terminal else _WIDE, crop=_RESULTS.is_terminal)


def meter() -> Bar:
    """A progress bar on standard error for `follow`, shown while a ``with`` block runs; silent without a terminal."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=_ERRORS, transient=True, disable=not _ERRORS.is_terminal)
    bar.add_task("", total=None)
    return bar


_INTERRUPTED = threading.Event()


@contextmanager
def interruptible() -> Iterator[None]:
    """While this lasts, Ctrl-C ends what `follow` runs even where a library swallows it, as some do when imported."""

    def note(number: int, frame: FrameType | None) -> None:
        _INTERRUPTED.set()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _INTERRUPTED.clear()


def follow(bar: Bar, name: str, steps: Generator[Progress, None, T]) -> T:
    """Run `steps` to their end, showing `name` and how far they are; their result is returned."""
    (task,) = bar.task_ids
    stage = None
    while True:
        try:
            state = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if _INTERRUPTED.is_set():
            raise KeyboardInterrupt
        if isinstance(state, Notice):
            tell(f"{name}: {state.text}")
        if state.stage != stage:
            stage = state.stage
            bar.reset(task, description=f"{name} · {stage}", total=state.total or None)
        bar.update(task, completed=state.done, total=state.total or None)


def counting(bar: Bar, name: str, total: int) -> Callable[[int, int], None]:
    """What shows `name` and how many are done of how many, at first of `total`."""
    (task,) = bar.task_ids
    bar.reset(task, description=name, total=total)

    def told(done: int, total: int) -> None:
        if _INTERRUPTED.is_set():
            raise KeyboardInterrupt
        bar.update(task, completed=done, total=total)

    return told
