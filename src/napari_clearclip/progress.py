"""How long work says how far it is, and how it is stopped."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")


class Cancelled(BaseException):
    """Raised inside work that was cancelled; no error, so that no ``except Exception`` on the way takes it for one."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: a stage in words, units done of a total (0 if unknown), what they are and how many a second."""

    stage: str
    done: int = 0
    total: int = 0
    unit: Literal["", "bytes"] = ""
    rate: float = 0.0


def counted(steps: Generator[None, None, T], state: Progress) -> Generator[Progress, None, T]:
    """The same steps and result, yielding `state` for each."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        yield state
