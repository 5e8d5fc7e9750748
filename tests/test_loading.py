"""Loading without blocking whoever waits, and stopping a download."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from napari_clearclip.engine.model import Clip
from napari_clearclip.loading import Loader
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Model

PUBLISHED = Model(name="ViT-Tiny", pretrained="plain")


def loaded(loader: Loader, model: Model, device: str = "cpu") -> tuple[Clip, list[Progress]]:
    """The model, and the states that were yielded on the way."""
    steps, states = loader.steps(model, device), []
    while True:
        try:
            states.append(next(steps))
        except StopIteration as stop:
            return stop.value, states


class Download:
    """A hub whose file arrives in two halves, the second when `go` is set."""

    def __init__(self, weights: Path) -> None:
        self.weights, self.go, self.ended, self.started = weights, threading.Event(), threading.Event(), 0

    def __call__(self, repository: str, name: str, local_files_only: bool = False, tqdm_class: Any = None) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        self.started += 1
        try:
            with tqdm_class(total=10) as bar:
                bar.update(5)
                self.go.wait(30)
                bar.update(5)
            return str(self.weights)
        finally:
            self.ended.set()


@pytest.fixture
def download(tiny: Path, architectures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Download:
    """open_clip as if it had published a small model that is not in the cache."""
    found = Download(tiny)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-Tiny", architectures["patch8"])
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-Tiny", {"plain": {"hf_hub": "somebody/plain/"}})
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", found)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [])
    return found


def test_the_last_model_is_kept(tiny: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    loader, model = Loader(), Model(name="", pretrained=str(tiny))
    first, states = loaded(loader, model)
    assert states[0] == Progress("Loading the model")
    assert loaded(loader, model) == (first, [])
    for name in ("copy.safetensors", "copy.json"):
        shutil.copy(tiny.with_suffix(Path(name).suffix), tmp_path / name)
    other, _ = loaded(loader, Model(name="", pretrained=str(tmp_path / "copy.safetensors")))
    assert other is not first
    assert other.key == first.key
    assert loaded(loader, model)[0] is not first


def test_a_released_model_is_read_again(tiny: Path) -> None:
    loader, model = Loader(), Model(name="", pretrained=str(tiny))
    first, _ = loaded(loader, model)
    loader.release()
    assert loaded(loader, model)[0] is not first


def test_a_download_says_its_bytes(download: Download) -> None:
    steps = Loader().steps(PUBLISHED, "cpu")
    while (state := next(steps)) != Progress("Downloading the model", 5, 10):
        assert state in (Progress("Loading the model"), Progress("Downloading the model"))
    download.go.set()
    assert list(steps)[-1:] in ([], [Progress("Downloading the model", 10, 10)])


def test_closing_stops_a_download_and_the_next_one_starts_anew(download: Download) -> None:
    loader = Loader()
    steps = loader.steps(PUBLISHED, "cpu")
    while next(steps).total == 0:
        pass
    steps.close()
    download.go.set()
    assert download.ended.wait(30)
    clip, _ = loaded(loader, PUBLISHED)
    assert clip.patch == 8
    assert download.started == 2


def test_closing_while_a_file_is_read_keeps_what_was_read(tiny: Path) -> None:
    loader, model = Loader(), Model(name="", pretrained=str(tiny))
    steps = loader.steps(model, "cpu")
    next(steps)
    running = loader._load
    steps.close()
    clip, _ = loaded(loader, model)
    assert running is not None
    assert running.future.result() is clip


def test_an_error_reaches_the_one_who_waits_and_is_not_kept(tiny: Path, tmp_path: Path) -> None:
    loader, model = Loader(), Model(name="", pretrained=str(tmp_path / "later.safetensors"))
    with pytest.raises(ValueError, match="does not exist; check the path"):
        loaded(loader, model)
    shutil.copy(tiny, tmp_path / "later.safetensors")
    shutil.copy(tiny.with_suffix(".json"), tmp_path / "later.json")
    assert loaded(loader, model)[0].patch == 8
