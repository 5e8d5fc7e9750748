"""How fast runs are, learnt from what they tell, with a clock of the test's own."""

from __future__ import annotations

import pytest

from napari_clearclip.gui.segment.pace import Paces
from napari_clearclip.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def windows(done: int, total: int, rate: float = 0.0) -> Progress:
    return Progress("Reading windows", done, total, "windows", rate)


def test_nothing_is_known_at_first() -> None:
    paces = Paces(Clock())
    assert paces.rate("vit", 35) == 0
    assert paces.note("vit", windows(0, 35), 0).rate == 0
    assert paces.rate("vit", 35) == 0


def test_the_rate_of_windows_is_learnt_for_each_model() -> None:
    paces = Paces(Clock())
    assert paces.note("vit", windows(5, 35, 2.0), 0).rate == 2
    assert paces.rate("vit", 100) == 2
    assert paces.rate("other", 100) == 0


def test_other_progress_teaches_nothing() -> None:
    paces = Paces(Clock())
    download = Progress("Downloading the model", 5, 100, "bytes", 10.0)
    assert paces.note("vit", download, 0) is download
    assert paces.rate("vit", 35) == 0


def stack(paces: Paces, clock: Clock, planes: int) -> list[float]:
    """Planes of 10 windows at 2 a second and 5 seconds more; the rates that are told at the beginning of each."""
    told = []
    for following in reversed(range(planes)):
        told.append(paces.note("vit", windows(0, 10), following).rate)
        clock.now += 5
        paces.note("vit", windows(10, 10, 2.0), following)
        clock.now += 5
    return told


def test_planes_take_longer_than_their_windows() -> None:
    clock = Clock()
    paces = Paces(clock)
    told = stack(paces, clock, 3)
    assert told[0] == 0
    assert told[1] == pytest.approx(1)  # 10 windows in 10 seconds
    assert paces.rate("vit", 10) == pytest.approx(1)
    assert paces.rate("vit", 40) == pytest.approx(40 / 25)  # 20 seconds of windows and 5 more


def test_time_between_runs_does_not_count() -> None:
    clock = Clock()
    paces = Paces(clock)
    paces.note("vit", windows(0, 10), 3)
    paces.note("vit", windows(10, 10, 2.0), 3)
    paces.rest()
    clock.now += 1000
    paces.note("vit", windows(0, 10), 1)
    assert paces.rate("vit", 10) == 2


def test_windows_that_were_kept_promise_nothing() -> None:
    paces = Paces(Clock())
    paces.note("vit", windows(10, 10, 2.0), 0)
    assert paces.note("vit", windows(0, 10), 0).rate == 0
