"""The question before a run that takes long: who is asked, and what becomes of the run."""

from __future__ import annotations

from typing import Any

import pytest

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.settings import Tiling

from ..conftest import Bench, CountingPipeline
from .conftest import Heard, threshold


@pytest.fixture
def asked(controller: Controller, pipeline: CountingPipeline) -> list[Any]:
    """What a controller has asked of whoever looks at it."""
    pipeline.long = True
    asked: list[Any] = []
    controller.asking.asked.connect(asked.append)
    return asked


def test_a_long_run_waits_for_an_answer_and_takes_the_disk_chosen_by_then(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard, asked: list[Any]
) -> None:
    controller.run()
    bench.step(4)
    assert [(notice.what, notice.disk, notice.most) for notice in asked] == [
        ("3 windows are to be read", 10**9, controller.runtime.store_bytes)
    ]
    assert not pipeline.disks
    assert heard.progress[-1].stage == "Waiting for your answer"
    controller.runtime = controller.runtime.replace(store_bytes=7)
    controller.asking.agree()
    bench.drain()
    assert asked[1:] == [None]
    assert pipeline.disks == [7]
    assert len(heard.results) == 1


def test_what_was_agreed_to_is_not_asked_again(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, asked: list[Any]
) -> None:
    controller.run()
    bench.step(2)
    controller.asking.agree()
    bench.drain()
    threshold(controller, 0.9)
    bench.drain()
    assert len(pipeline.disks) == 2
    assert len(asked) == 2
    controller.update(controller.settings.replace(tiling=Tiling(short_side=1000)))  # other windows
    controller.run()
    bench.step(2)
    assert asked[2].disk == 10**9
    controller.cancel()
    bench.drain()


def test_a_long_run_that_is_refused_ends(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard, asked: list[Any]
) -> None:
    controller.run()
    bench.step(2)
    controller.cancel()
    bench.drain()
    assert asked[1:] == [None]
    assert not pipeline.disks
    assert not heard.results
    assert not controller.busy


def test_a_long_run_goes_on_where_nobody_is_asked(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    pipeline.long = True
    controller.run()
    bench.drain()
    assert len(heard.results) == 1
