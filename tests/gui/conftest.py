"""Executors that tests step by hand, a pipeline that only counts, and a small model with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_clearclip.cache import Cache
from napari_clearclip.edits import Edits, View
from napari_clearclip.engine.apply import apply_edits
from napari_clearclip.engine.view import plane_shape
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Source
from napari_clearclip.gui.images.sources import key_of, source_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.styles import left_behind
from napari_clearclip.gui.prompts import listing
from napari_clearclip.progress import Notice, Progress
from napari_clearclip.result import Scores, Segmentation
from napari_clearclip.settings import Prompt, Runtime, Settings
from napari_clearclip.splitting import Splitter
from napari_clearclip.tally import Tally


@dataclass
class Bench:
    """An executor whose work goes on only when the test says so."""

    waiting: list[tuple[Generator[Any, None, Any], Callable[[Any], None], Callable[[Any], None]]] = field(
        default_factory=list
    )

    def __call__(
        self, work: Generator[Any, None, Any], progress: Callable[[Any], None], finished: Callable[[Any], None]
    ) -> None:
        self.waiting.append((work, progress, finished))

    def step(self, times: int = 1) -> None:
        """Let the first work go on by some steps."""
        for _ in range(times):
            work, progress, finished = self.waiting[0]
            try:
                state = next(work)
            except StopIteration as end:
                self.waiting.pop(0)
                finished(end.value)
                return
            progress(state)

    def drain(self) -> None:
        """Let everything come to its end."""
        while self.waiting:
            self.step()


def in_line(work: Generator[Any, None, Any], progress: Callable[[Any], None], finished: Callable[[Any], None]) -> None:
    """An executor that does everything at once."""
    bench = Bench()
    bench(work, progress, finished)
    bench.drain()


class CountingPipeline:
    """Stands for the engine: scores rise from left to right, and a mask is where they reach the threshold."""

    device = "cpu"
    device_reason = "The CPU was chosen."
    held = 1_234_000_000

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.runtime = runtime or Runtime()
        self.runs: list[tuple[Settings, View, Edits]] = []
        self.hints: list[dict[str, Any]] = []
        self.long = False  # whether a run says that it takes long
        self.disks: list[int] = []  # how much of the disk each run was given
        self.closed = 0
        self.released = 0
        self._told: dict[Any, tuple[np.ndarray, Tally]] = {}

    def steps(
        self, image: Callable[[], np.ndarray], settings: Settings, view: View, edits: Edits, **hints: Any
    ) -> Generator[Progress, None, Segmentation]:
        self.runs.append((settings, view, edits))
        self.hints.append(hints)
        try:
            if self.long:
                yield Notice(
                    "Reading windows", what="3 windows are to be read", disk=10**9, most=self.runtime.store_bytes
                )
            self.disks.append(self.runtime.store_bytes)
            for done in range(3):
                yield Progress("Reading windows", done, 3)
        except GeneratorExit:
            self.closed += 1
            raise
        if any(prompt.phrase == "refuse" for prompt in settings.objects):
            raise ValueError("this model knows no word of 'refuse'")
        height, width = plane_shape(image(), view)
        ramp = np.linspace(0, 1, width // 4, dtype=np.float32)
        if settings.attention.terms == ("kk",):
            ramp = ramp[::-1]
        scores = np.broadcast_to(ramp, (len(settings.objects), height // 4, width // 4))
        labels = np.zeros((height, width), np.uint8)
        for at, prompt in enumerate(settings.objects, 1):
            labels[:, np.repeat(ramp >= prompt.threshold, 4)] = at
        overlaps = None
        if not settings.deciding.exclusive:
            columns = [np.repeat(ramp >= prompt.threshold, 4) for prompt in settings.objects]
            overlaps = np.packbits(np.repeat(np.stack(columns)[:, None], height, 1), axis=-1)
        labels, overlaps = apply_edits(labels, overlaps, settings.objects, edits, view.plane)
        ids = tuple(prompt.id for prompt in settings.objects)
        parts = (labels, Scores(ids, scores.copy(), (4.0, 4.0)), settings, view, edits, overlaps)
        result = Segmentation(*parts, splitter=Splitter(Cache(2**20)))
        return replace(result, tally=self._tally(result), content="pixels")

    def _tally(self, result: Segmentation) -> Tally:
        """The tally of a result, by that of the one before if they are alike."""
        masks = result.labels if result.overlaps is None else result.overlaps
        alike = len(result.settings.objects), masks.shape
        known = self._told.get(alike)
        tally = result.tallied() if known is None else known[1].followed(known[0], masks)
        self._told[alike] = masks, tally
        return tally

    def forget(self) -> None:
        """Nothing is kept."""

    def release(self) -> None:
        self.released += 1


def looking(phrases: str = "road", **fields: Any) -> Settings:
    """Settings with one object prompt a word; its id is the word."""
    prompts = tuple(Prompt(id=word, phrase=word, threshold=0.5) for word in phrases.split())
    return Settings(prompts=prompts, **fields)


def source(key: str = "image", view: View | None = None) -> Source:
    """An image of 16 x 16 pixels."""
    return Source(key, view or View(), lambda _: np.zeros((16, 16), np.uint8))


class Bound:
    """A viewer with an image, a controller whose engine only counts, and the layers between them."""

    def __init__(self, viewer: ViewerModel, bench: Bench, phrases: str = "road") -> None:
        self.viewer = viewer
        self.bench = bench
        self.pipeline = CountingPipeline()
        self.controller = Controller(
            bench, lambda _: self.pipeline, State(looking(phrases)), left_behind(viewer.layers)
        )
        self.results = Results(viewer, self.controller)

    def run(self, image: Image) -> None:
        self.controller.look_at(source_of(image, self.viewer.dims.point))
        self.controller.run()
        self.settle()

    def settle(self) -> None:
        """Let the worker and the event loop come to rest."""
        self.bench.drain()
        while not self.results.idle:
            QApplication.processEvents()
            self.bench.drain()

    def layer(self, kind: str, image: Image, prompt: str = "road") -> Any:
        found = self.results.find(kind, key_of(image), prompt)
        assert found is not None
        return found

    def change(self, prompt: str, **fields: Any) -> None:
        self.controller.update(listing.changed(self.controller.settings, (prompt,), **fields))
        self.settle()


@pytest.fixture(autouse=True)
def default_preferences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels start as on a new installation, whatever the preferences of whoever runs the tests."""
    monkeypatch.setattr("napari_clearclip.gui.preferences._page", lambda: None)


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Panels keep journals in a folder of the test's."""
    path = tmp_path_factory.mktemp("data") / "journals"
    monkeypatch.setattr("napari_clearclip.io.sessions.volumes.folder", lambda: path)
    return path


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def bound(bench: Bench, qapp: Any) -> Bound:
    return Bound(ViewerModel(), bench)


@pytest.fixture
def pipeline() -> CountingPipeline:
    return CountingPipeline()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with random weights as a local file with its configuration beside it."""
    open_clip = pytest.importorskip("open_clip")
    import torch
    from safetensors.torch import save_file

    config = {
        "embed_dim": 16,
        "vision_cfg": {"layers": 2, "width": 16, "head_width": 8, "patch_size": 8, "image_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    vision = open_clip.CLIPVisionCfg(**config["vision_cfg"])
    text = open_clip.CLIPTextCfg(**config["text_cfg"])
    model = open_clip.model.CLIP(config["embed_dim"], vision, text)
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    path.with_suffix(".json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path
