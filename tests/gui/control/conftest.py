"""A controller that is looking at an image, and everything that it tells."""

from __future__ import annotations

from typing import Any

import pytest

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Outcome

from ..conftest import Bench, CountingPipeline, looking, source


class Heard:
    """Everything that a controller has told."""

    def __init__(self, controller: Controller) -> None:
        self.results: list[Outcome] = []
        self.errors: list[Exception] = []
        self.busy: list[bool] = []
        self.progress: list[Any] = []
        self.changes: list[tuple[State, State]] = []
        controller.result_changed.connect(self.results.append)
        controller.failed.connect(self.errors.append)
        controller.busy_changed.connect(self.busy.append)
        controller.progress.connect(self.progress.append)
        controller.changed.connect(lambda key, old, new: self.changes.append((old, new)))


@pytest.fixture
def controller(bench: Bench, pipeline: CountingPipeline) -> Controller:
    controller = Controller(bench, lambda _: pipeline, State(looking()))
    controller.look_at(source())
    return controller


@pytest.fixture
def heard(controller: Controller) -> Heard:
    return Heard(controller)


def threshold(controller: Controller, value: float) -> None:
    prompts = tuple(prompt.replace(threshold=value) for prompt in controller.settings.prompts)
    controller.update(controller.settings.replace(prompts=prompts))
