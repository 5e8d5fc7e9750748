"""How the panel feels in a live viewer: against napari doing the same drawing alone, and against a first run.

``python -m benchmarks gui`` needs a screen (``python tests/with_xvfb.py python -m benchmarks gui`` makes one). Every
figure is the median of five measured in one go. The model is a ViT-B/16 with random weights, windows of 448 pixels
with a stride of 224; for the threshold it is the bundled one.

- ``gui_gap_ratio``: 99th percentile of the time between two turns of the event loop during a run on 2048 x 2048,
  over the same while napari alone adds the same layers and redraws them as often in the same time.
- ``threshold_step_ratio``: a step of 0.01, as a slider makes while it is dragged, of a threshold on 4096 x 4096 until
  that is drawn, over napari drawing the layer; every step changes the mask.
- ``threshold_jump_ratio``: the same for steps each of which takes a sixth of the mask away.
- ``new_prompt_ratio``, ``variant_ratio``: a new phrase or another variant until its mask is drawn, over a first run on
  1024 x 1024.
- ``cancel_seconds``: from Cancel until the worker has stopped.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from napari_clearclip.scenes import make_scene

REPEATS = 5
TICK = 5  # milliseconds between two looks at the clock
WORDS = ("road", "tree", "water")
MORE = ("field", "house", "car", "meadow", "bridge")


def main(_: list[str]) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights(Path(folder))
        for figure in (_gap_ratio, _threshold_ratio, _question_ratios, _cancel_seconds):
            bench = _Bench(weights, Path(folder))
            for name, value, unit in figure(bench):
                print(f"{name}: {value:.2f} {unit}", flush=True)
            bench.viewer.close()


def random_weights(folder: Path) -> Path:
    """A ViT-B/16 with random weights and its configuration."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16")
    path = folder / "random.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    path.with_suffix(".json").write_text(json.dumps(open_clip.get_model_config("ViT-B-16")))
    return path


class _Bench:
    """A viewer with the panel, and clocks."""

    def __init__(self, weights: Path, cache: Path) -> None:
        import napari
        from qtpy.QtOpenGLWidgets import QOpenGLWidget
        from qtpy.QtWidgets import QApplication

        from napari_clearclip.gui.panel import Panel
        from napari_clearclip.settings import Model, Runtime, Settings, Tiling

        self.viewer = napari.Viewer()
        self.app = QApplication.instance()
        self.panel = Panel(self.viewer)
        self.viewer.window.add_dock_widget(self.panel, name="ClearCLIP")
        (self.canvas,) = self.panel.window().findChildren(QOpenGLWidget)
        self.controller = self.panel.controller
        self.controller.runtime = Runtime(cache_folder=str(cache / "cache"))
        model = Model(name="", pretrained=str(weights))
        self.settings = Settings(model=model, tiling=Tiling(short_side=1024, window=448, stride=224))

    def open(self, size: int, seed: int, words: tuple[str, ...] = WORDS, short_side: int = 1024) -> Any:
        """Show another image instead, with its prompts; every phrase has a threshold that splits the image."""
        from napari_clearclip.settings import Prompt

        self.viewer.layers.clear()
        scene = make_scene("aerial", seed, 512).image
        image = self.viewer.add_image(np.kron(scene, np.ones((size // 512, size // 512, 1), np.uint8)), rgb=True)
        prompts = (*(Prompt.parse(word, threshold=0.0) for word in words), Prompt(phrase="sky", kind="distractor"))
        tiling = self.settings.tiling.replace(short_side=short_side)
        self.controller.update(self.settings.replace(prompts=prompts, tiling=tiling))
        self.settle()
        return image

    def change(self, **fields: Any) -> float:
        """Seconds until a change of the settings is drawn."""
        return self.timed(lambda: self.controller.update(self.controller.settings.replace(**fields)))

    def spin(self, until: Callable[[], bool]) -> float:
        """Seconds that the event loop turns, and sleeps in between as it does in a window, until something holds."""
        from qtpy.QtCore import QEventLoop

        start = time.perf_counter()
        while not until():
            self.app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        return time.perf_counter() - start

    def settle(self) -> None:
        """Until nothing runs and a frame has been drawn since."""
        frames: list[None] = []
        connection = self.canvas.frameSwapped.connect(lambda: frames.append(None) if self.rests else None)
        self.spin(lambda: self.rests)
        if not frames:
            self.canvas.update()
        self.spin(lambda: bool(frames))
        self.canvas.frameSwapped.disconnect(connection)

    @property
    def rests(self) -> bool:
        """Whether nothing runs and no layer waits to be written."""
        return not self.controller.busy and self.panel.results.idle

    def timed(self, action: Callable[[], Any]) -> float:
        """Seconds until what an action leads to is drawn."""
        start = time.perf_counter()
        action()
        self.settle()
        return time.perf_counter() - start

    def gaps(self, action: Callable[[], Any], until: Callable[[], bool]) -> float:
        """99th percentile of the seconds between two ticks of a timer in the event loop after an action."""
        from qtpy.QtCore import QEventLoop, QTimer

        turns, loop, clock = [time.perf_counter()], QEventLoop(), QTimer()

        def turn() -> None:
            turns.append(time.perf_counter())
            if until():
                loop.quit()

        clock.timeout.connect(turn)
        clock.start(TICK)
        action()
        loop.exec()
        clock.stop()
        return float(np.percentile(np.diff(turns), 99))


def _gap_ratio(bench: _Bench) -> list[tuple[str, float, str]]:
    with_run, alone = [], []
    for seed in range(REPEATS):
        bench.open(2048, seed, short_side=672)
        redraws: list[Any] = []

        def follow(event: Any, redraws: list[Any] = redraws) -> None:
            event.value.events.set_data.connect(redraws.append)

        bench.viewer.layers.events.inserted.connect(follow)
        start = time.perf_counter()
        with_run.append(bench.gaps(bench.panel.run, lambda: bench.rests))
        seconds = time.perf_counter() - start
        bench.viewer.layers.events.inserted.disconnect(follow)
        layers = [layer.as_layer_data_tuple() for layer in bench.viewer.layers]
        bench.viewer.layers.clear()
        alone.append(bench.gaps(lambda: None, _drawing(bench.viewer, layers, len(redraws), seconds)))
    return [("gui_gap_ratio", median(with_run) / median(alone), "ratio")]


def _drawing(viewer: Any, layers: list[Any], redraws: int, seconds: float) -> Callable[[], bool]:
    """What adds layers to a viewer, one a call, then redraws them as often, evenly over as many seconds."""
    start, added, drawn = time.perf_counter(), [], []

    def step() -> bool:
        if len(added) < len(layers):
            data, options, kind = layers[len(added)]
            added.append(getattr(viewer, f"add_{kind}")(data, **options))
        elif len(drawn) < redraws * (time.perf_counter() - start) / seconds:
            drawn.append(added[len(drawn) % len(added)])
            drawn[-1].refresh()
        return time.perf_counter() > start + seconds

    return step


def _threshold_ratio(bench: _Bench) -> list[tuple[str, float, str]]:
    from napari_clearclip.domains import as_prompts, distractors_for
    from napari_clearclip.gui.layers.styles import LABELS, SIMILARITY, tag_of
    from napari_clearclip.gui.prompts.histogram import STEP
    from napari_clearclip.settings import Deciding, Model, Prompt, Settings

    bench.open(4096, 0)
    tree, others = Prompt(phrase="tree", threshold=0.01), as_prompts(distractors_for(Model()))
    bench.change(**dict(Settings(prompts=(tree, *others), deciding=Deciding(scale=10))))  # so that scores differ widely
    bench.timed(bench.panel.run)
    layers = {tag_of(layer)[0]: layer for layer in bench.viewer.layers}
    labels, scores = layers[LABELS], layers[SIMILARITY].data
    middles = ((np.arange(scores.shape[0]) + 0.5) * (4096 / scores.shape[0])).astype(int)
    won = np.sort(scores[labels.data[np.ix_(middles, middles)] > 0])  # what it does not win is not in its mask anyway

    def ratio(thresholds: list[float]) -> float:
        steps, draws = [], []
        for threshold in thresholds:
            before = np.count_nonzero(labels.data)
            steps.append(bench.change(prompts=(tree.replace(threshold=threshold), *others)))
            draws.append(bench.timed(labels.refresh))
            if np.count_nonzero(labels.data) == before:
                raise RuntimeError(f"the step to {threshold} changed nothing, so that it says nothing")
        return median(steps[-REPEATS:]) / median(draws[-REPEATS:])

    middle = float(np.median(won))
    drag = [middle - STEP * left for left in range(2 * REPEATS, 0, -1)]  # measured once the drag has begun
    jumps = won[:: len(won) // (REPEATS + 1)][1 : REPEATS + 1].tolist()
    return [("threshold_step_ratio", ratio(drag), "ratio"), ("threshold_jump_ratio", ratio(jumps), "ratio")]


def _question_ratios(bench: _Bench) -> list[tuple[str, float, str]]:
    from napari_clearclip.engine.variants import VARIANTS

    bench.open(512, 99)
    bench.timed(bench.panel.run)  # loads the model
    first, phrase, variant = [], [], []
    for seed in range(REPEATS):
        bench.open(1024, seed)
        first.append(bench.timed(bench.panel.run))
        phrase.append(bench.timed(lambda s=seed: bench.panel.prompts.added.emit(MORE[s], "object")))
        variant.append(bench.change(attention=VARIANTS["sclip"].row))
    return [
        ("new_prompt_ratio", median(phrase) / median(first), "ratio"),
        ("variant_ratio", median(variant) / median(first), "ratio"),
    ]


def _cancel_seconds(bench: _Bench) -> list[tuple[str, float, str]]:
    bench.open(512, 99)
    bench.timed(bench.panel.run)  # loads the model
    seconds = []
    for seed in range(REPEATS):
        bench.open(1024, seed)
        bench.panel.run()
        bench.spin(lambda: "windows" in bench.panel.segment.stage.text())
        bench.panel.segment.cancel_button.click()
        seconds.append(bench.spin(lambda: not bench.controller.busy))
    return [("cancel_seconds", median(seconds), "s")]
