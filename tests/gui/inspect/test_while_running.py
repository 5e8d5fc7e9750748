"""In a real viewer, with real workers: what is inspected while a run goes on, and that the run is not disturbed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.qt.threading import WorkerBase

from napari_clearclip.edits import View
from napari_clearclip.encoding import READING
from napari_clearclip.gui.inspect.shelf import is_inspection
from napari_clearclip.gui.panel import Panel
from napari_clearclip.inspection import attention_map
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Comparing, Model, Prompt, Runtime, Settings, Tiling

IMAGE = np.random.default_rng(3).integers(0, 256, (40, 60), np.uint8)


class HeldPipeline(Pipeline):
    """Its runs stop in the middle of their windows until `go` is set."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.go = threading.Event()

    def steps(self, *arguments: Any, **hints: Any) -> Generator[Progress, None, Any]:
        steps, tick = super().steps(*arguments, **hints), threading.Event()
        try:
            while True:
                state = next(steps)
                yield state
                while (state.stage, state.done) == (READING, 1) and not self.go.is_set():
                    tick.wait(0.01)  # stands for work
                    yield state
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()


@pytest.fixture
def settings(tiny: Path) -> Settings:
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=(Prompt(id="cat", phrase="cat", threshold=0.3), Prompt(id="dog", phrase="dog", threshold=0.3)),
        tiling=Tiling(short_side=40, window=32, stride=16),
        comparing=Comparing(templates="single"),
    )


def test_a_point_and_parts_are_shown_while_a_run_goes_on(
    make_napari_viewer: Callable[..., Any], qtbot: Any, tmp_path: Path, settings: Settings
) -> None:
    runtime = Runtime(device="cpu", batch_size=1, cache_folder=str(tmp_path / "cache"))
    viewer, pipeline = make_napari_viewer(), HeldPipeline(runtime)
    viewer.add_image(IMAGE, name="photo")
    panel = Panel(viewer, open_pipeline=lambda _: pipeline)
    viewer.window.add_dock_widget(panel, name="ClearCLIP")
    panel.controller.update(settings)
    panel.run()
    qtbot.waitUntil(lambda: panel.controller.busy and panel.segment.stage.text().startswith(READING), timeout=20000)
    panel.inspector.look_at((35, 20))
    qtbot.waitUntil(lambda: not panel.inspector.busy, timeout=20000)
    panel.inspector.show_parts()
    qtbot.waitUntil(lambda: not panel.inspector.busy, timeout=20000)
    assert panel.controller.busy
    assert not pipeline.go.is_set()
    made = [layer for layer in viewer.layers if is_inspection(layer)]
    assert len(made) == 2 + 6
    expected = attention_map(IMAGE, settings, (35, 20), View(), None, Pipeline(runtime))
    shown = next(layer for layer in made if "ClearCLIP, window 4 of 6" in layer.name)
    np.testing.assert_allclose(shown.data, expected.mean, atol=1e-6)
    pipeline.go.set()
    qtbot.waitUntil(lambda: not panel.controller.busy and panel.results.idle, timeout=20000)
    result = Pipeline(runtime).run(IMAGE, settings)
    for place, name in enumerate(("cat", "dog")):
        mask = viewer.layers[f"photo · {name}"].data
        np.testing.assert_array_equal(np.asarray(mask) > 0, result.labels == place + 1)
    assert all(layer in viewer.layers for layer in made)
    viewer.close()
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=20000)
