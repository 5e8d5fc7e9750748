"""How long work says how far it is, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from napari_clearclip.result import Segmentation

T = TypeVar("T")


class Cancelled(BaseException):
    """Raised inside work that was cancelled; no error, so that no ``except Exception`` on the way takes it for one."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: a stage in words, units done of a total (0 if unknown), what they are and how many a second."""

    stage: str
    done: int = 0
    total: int = 0
    unit: Literal["", "bytes", "windows", "images"] = ""
    rate: float = field(default=0.0, compare=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Preview(Progress):
    """How far a run is, and what it looks like so far: coarse, or detailed in part. It is shown and nothing else."""

    segmentation: Segmentation


@dataclass(frozen=True, eq=False, kw_only=True)
class Notice(Progress):
    """How far a run is, and what the user should know before it goes on; what may be kept is read anew after this.

    Attributes
    ----------
    what : str
        What is to be done, and how long that takes.
    disk : int
        How many bytes it would keep on disk.
    most : int
        How many it may keep as it stands.
    """

    what: str
    disk: int = 0
    most: int = 0

    @property
    def text(self) -> str:
        """All of it, as a sentence."""
        return self.under(self.most)

    def under(self, most: int) -> str:
        """The sentence where so many bytes may be kept on disk."""
        disk, limit = (f"{size / 1e9:.1f} GB" for size in (self.disk, most))
        kept = f"take {disk} of at most {limit} on disk, so that other phrases read none of them"
        if self.disk > most:
            kept = f"would take {disk} on disk, where {limit} are allowed, and are not kept for other phrases"
        return f"{self.what}; their features {kept}."


@dataclass(frozen=True)
class Pace:
    """How much was done in how many seconds."""

    done: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """How much is done a second; 0 before that is known."""
        return self.done / self.seconds if self.done and self.seconds else 0.0

    def after(self, done: int, seconds: float) -> Pace:
        """The pace after some more work; what needed no work says nothing."""
        return Pace(self.done + done, self.seconds + seconds) if done else self


def counted(steps: Generator[None, None, T], state: Progress | Callable[[], Progress]) -> Generator[Progress, None, T]:
    """The same steps and result, yielding `state`, or what it says then, for each."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        yield state() if callable(state) else state


def prefixed(prefix: str, steps: Generator[Progress, None, T]) -> Generator[Progress, None, T]:
    """The same steps and result, with something before the name of each stage."""
    while True:
        try:
            state = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        yield replace(state, stage=f"{prefix}{state.stage}") if prefix else state
