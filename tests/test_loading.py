"""Loading without blocking whoever waits, and leaving a download whatever the server does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from napari_clearclip.engine.catalogue import cached_models
from napari_clearclip.engine.model import Clip
from napari_clearclip.loading import Fetcher, Loader, Towers
from napari_clearclip.progress import Cancelled, Progress
from napari_clearclip.settings import Model


def loaded(loader: Loader, model: Model, device: str = "cpu") -> tuple[Clip, list[Progress]]:
    """The model, and the states that were yielded on the way."""
    steps, states = loader.steps(model, device), []
    while True:
        try:
            states.append(next(steps))
        except StopIteration as stop:
            return stop.value, states


def result_of(steps: Generator[Progress, None, Any]) -> Any:
    """What the steps return."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def hub(hub_server: Any, tiny: Path) -> Any:
    """A hub with the weights of `published`."""
    hub_server.offer("somebody/plain", "open_clip_model.safetensors", tiny.read_bytes())
    return hub_server


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


def until_bytes(steps: Generator[Progress, None, Any]) -> Progress:
    """Go on until the first half of the file has come; its bytes are yielded."""
    while (state := next(steps)).done == 0:
        assert state.stage in ("Loading the model", "Downloading the model")
    return state


def test_a_download_says_its_bytes_and_its_speed(hub: Any, published: Model, tiny: Path) -> None:
    size = tiny.stat().st_size
    steps = Loader().steps(published, "cpu")
    state = until_bytes(steps)
    assert (state.stage, state.total, state.unit) == ("Downloading the model", size, "bytes")
    assert 0 < state.done <= size // 2
    assert state.rate > 0
    hub.go.set()
    assert all(later.done >= state.done for later in steps)


@pytest.mark.parametrize("hangs", ["HEAD", "GET", ""], ids=["before the answer", "before the bytes", "in the middle"])
def test_leaving_does_not_wait_for_a_server_that_hangs(hangs: str, hub: Any, published: Model) -> None:
    hub.hangs = hangs
    steps = Loader().steps(published, "cpu")
    while not any(asked[0] == (hangs or "GET") for asked in hub.asked):
        next(steps)
    steps.close()
    assert not hub.go.is_set()  # it was the server that was left, not the other way round


def test_a_download_that_was_left_ends_with_its_next_bytes(hub: Any, published: Model) -> None:
    loader = Loader()
    steps = loader.steps(published, "cpu")
    until_bytes(steps)
    steps.close()
    thread = loader._background._thread
    assert thread is not None
    hub.go.set()
    assert isinstance(thread.future.exception(30), Cancelled)
    clip, _ = loaded(loader, published)
    assert clip.patch == 8
    assert [method for method, _ in hub.asked].count("GET") == 2


def test_coming_back_goes_on_with_a_download_that_has_not_ended(hub: Any, published: Model) -> None:
    loader = Loader()
    steps = loader.steps(published, "cpu")
    until_bytes(steps)
    steps.close()
    again = loader.steps(published, "cpu")
    assert next(again).done > 0
    hub.go.set()
    assert all(state.done > 0 for state in again)
    assert [method for method, _ in hub.asked].count("GET") == 1


def test_a_download_goes_on_while_one_of_two_waits(hub: Any, published: Model) -> None:
    loader = Loader()
    first, second = loader.steps(published, "cpu"), loader.steps(published, "cpu")
    until_bytes(first)
    until_bytes(second)
    first.close()
    hub.go.set()
    list(second)
    assert [method for method, _ in hub.asked].count("GET") == 1


def test_fetching_brings_a_model_onto_this_machine(hub: Any, published: Model) -> None:
    assert published not in cached_models()
    steps = Fetcher().steps(published)
    until_bytes(steps)
    hub.go.set()
    list(steps)
    assert published in cached_models()


def test_fetching_tells_what_went_wrong_and_can_be_tried_again(hub: Any, published: Model) -> None:
    fetcher, hub.refuses = Fetcher(), 503
    with pytest.raises(ValueError, match="could not be downloaded: .*503"):
        list(fetcher.steps(published))
    hub.refuses = 0
    hub.go.set()
    list(fetcher.steps(published))
    assert published in cached_models()


TIMM = "vit_tiny_patch16_224"


@pytest.fixture
def timm_hub(hub_server: Any) -> Any:
    """A hub with random weights where timm looks for those of a small tower."""
    import timm
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    weights = save(timm.create_model(TIMM).state_dict())
    hub_server.offer("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "model.safetensors", weights)
    hub_server.weights = weights
    return hub_server


def test_a_tower_is_downloaded_once_with_progress(timm_hub: Any) -> None:
    from safetensors.torch import load

    towers = Towers()
    steps = towers.steps(TIMM, None)
    assert next(steps) == Progress(f"Loading {TIMM}")
    while (state := next(steps)).done == 0:
        pass
    size = len(timm_hub.weights)
    assert (state.stage, state.total, state.unit) == (f"Downloading {TIMM}", size, "bytes")
    assert 0 < state.done < size
    timm_hub.go.set()
    plain = result_of(steps)
    weights = load(timm_hub.weights)
    assert all((weights[name] == value).all() for name, value in plain.tower._trunk.state_dict().items())
    assert not plain.tower._trunk.training
    again = result_of(towers.steps(TIMM, None))
    assert again is not plain  # nothing is held
    assert [method for method, _ in timm_hub.asked].count("GET") == 1


def test_leaving_the_download_of_a_tower_stops_it_and_it_goes_on_later(timm_hub: Any) -> None:
    towers = Towers()
    steps = towers.steps(TIMM, None)
    while next(steps).done == 0:
        pass
    thread = towers._background._thread
    assert thread is not None
    steps.close()
    timm_hub.go.set()
    assert isinstance(thread.future.exception(), Cancelled)
    assert result_of(towers.steps(TIMM, None)).tower.depth == 12


def test_a_tower_that_cannot_be_had_is_told(timm_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    towers, timm_hub.refuses = Towers(), 503
    with pytest.raises(ValueError, match=r"timm/vit_tiny_patch16_224.* could not be downloaded: .*503"):
        list(towers.steps(TIMM, None))
    with pytest.raises(ValueError, match="the hub has no weights of vit_base_patch16_18x2_224; give a local file"):
        list(towers.steps("vit_base_patch16_18x2_224", None))


def test_what_a_model_takes_is_counted(tiny: Path) -> None:
    loader = Loader()
    assert loader.held == 0
    clip, _ = loaded(loader, Model(name="", pretrained=str(tiny)))
    assert loader.held == sum(value.numel() for value in clip.model.state_dict().values()) * 4
    loader.release()
    assert loader.held == 0


def test_closing_while_a_file_is_read_keeps_what_was_read(tiny: Path) -> None:
    loader, model = Loader(), Model(name="", pretrained=str(tiny))
    steps = loader.steps(model, "cpu")
    next(steps)
    running = loader._background._thread
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


ENDING = """
import sys, threading, time
from pathlib import Path
from napari_clearclip.loading import Background

def work(report):
    threading.main_thread().join()  # as if the window is closed while a file is read
    time.sleep(0.3)
    Path(sys.argv[1]).write_text("read")

steps = Background().steps("key", work, "model")
next(steps)
steps.close()
"""


LEAVING = """
import sys, threading
from pathlib import Path
from napari_clearclip.loading import Background
from napari_clearclip.progress import Cancelled

def work(report):
    threading.main_thread().join()
    while True:  # bytes come and come
        try:
            report(1, 2)
        except Cancelled:
            Path(sys.argv[1]).write_text("left")
            raise

steps = Background().steps("key", work, "model")
next(steps)  # and nobody closes them, as when the window's loop has ended
"""


def test_a_download_is_left_when_the_process_ends(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVING, str(tmp_path / "done")], check=True)
    assert (tmp_path / "done").read_text() == "left"


def test_what_is_read_comes_to_its_end_before_the_process_does(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ENDING, str(tmp_path / "done")], check=True)
    assert (tmp_path / "done").read_text() == "read"
