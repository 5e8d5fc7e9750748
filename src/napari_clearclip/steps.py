"""Work that is done step by step, so that it can be stopped between two of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


def drain(steps: Generator[Any, None, T]) -> T:
    """Run steps to their end and give back what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
