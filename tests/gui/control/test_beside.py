"""Work beside the jobs: what it returns, its error, or nothing where it was stopped."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.progress import Progress

from ..conftest import Bench, CountingPipeline
from .conftest import Heard


def work(pipeline: Any) -> Generator[Progress, None, Any]:
    yield Progress("Looking", 1, 2)
    yield Progress("Looking", 2, 2)
    return pipeline


def failing(pipeline: Any) -> Generator[Progress, None, Any]:
    yield Progress("Looking", 1, 2)
    raise ValueError("no image")


def test_it_has_the_pipeline_of_the_jobs_and_enters_nothing(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.run()
    told: list[Any] = []
    found: list[Any] = []
    controller.beside.start(work, told.append, found.append)
    assert len(bench.waiting) == 2  # beside the job
    bench.drain()
    assert [progress.done for progress in told] == [1, 2]
    assert found == [pipeline]
    assert len(heard.results) == 1
    assert all(progress.stage != "Looking" for progress in heard.progress)


def test_what_was_stopped_returns_nothing_and_leaves_other_work_alone(controller: Controller, bench: Bench) -> None:
    found: list[Any] = []
    stop = controller.beside.start(work, lambda _: None, lambda result: found.append(("first", result)))
    controller.beside.start(work, lambda _: None, lambda result: found.append(("second", result is None)))
    bench.step()
    stop()
    bench.drain()
    assert found == [("first", None), ("second", False)]


def test_an_error_is_told_as_what_came_out(controller: Controller, bench: Bench, heard: Heard) -> None:
    found: list[Any] = []
    controller.beside.start(failing, lambda _: None, found.append)
    bench.drain()
    assert [str(error) for error in found] == ["no image"]
    assert not heard.errors
