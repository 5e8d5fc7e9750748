"""What the command line says: sentences on standard error, results on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from rich.console import Console

from napari_clearclip.io.session import explain

if TYPE_CHECKING:
    from rich.table import Table

    from napari_clearclip.progress import Progress

T = TypeVar("T")

# Where no terminal says how wide it is, nothing is cut.
_WIDE = 160


class UsageError(ValueError):
    """A wrong use of the command line: exit code 2."""


def quiet_libraries() -> None:
    """Keep libraries from writing between our lines; what matters comes as an exception."""
    for name in ("tifffile", "PIL", "imageio", "huggingface_hub", "open_clip"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def tell(text: str) -> None:
    """A line for the user, on standard error."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


def show(text: str) -> None:
    """A line of the result, on standard output."""
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


def show_table(table: Table) -> None:
    """A table on standard output, as wide as it needs where that is no terminal."""
    console = Console(highlight=False)
    console.print(table) if console.is_terminal else Console(highlight=False, width=_WIDE).print(table)


def sentence(error: BaseException) -> str:
    """What an exception says, as one line."""
    if isinstance(error, ValidationError):
        return explain(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory; try a smaller --short-side or --device cpu"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


class Meter:
    """A progress bar on standard error; silent where that is no terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("", total=None)

    def follow(self, name: str, steps: Generator[Progress, None, T]) -> T:
        """Run `steps` to their end, showing `name` and how far they are; their result is returned."""
        stage = None
        while True:
            try:
                state = next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if state.stage != stage:
                stage = state.stage
                self._bar.reset(self._task, description=f"{name} · {stage}", total=state.total or None)
            self._bar.update(self._task, completed=state.done, total=state.total or None)


@contextmanager
def metering() -> Iterator[Meter]:
    """A meter that is shown while the block runs."""
    meter = Meter()
    with meter._bar:
        yield meter
