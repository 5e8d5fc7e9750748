"""Downloads from a hub on this machine: bytes, what stops them, and what is said when they fail."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download

from napari_clearclip.engine import download
from napari_clearclip.engine.download import download_folder, downloaded, fetch
from napari_clearclip.engine.weights import ModelError
from napari_clearclip.progress import Cancelled

NAMES = ("weights.safetensors", "weights.bin")
CONTENT = bytes(range(256)) * 20_000  # 5 MB


@pytest.fixture
def hub(hub_server: Any) -> Any:
    hub_server.offer("somebody/plain", "weights.bin", CONTENT)  # the second of the names that are tried
    return hub_server


def partial(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "incomplete" in path.name]


def test_bytes_are_told_as_they_come(hub: Any) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done > 0:  # the first half is here, although the second has not been sent
            hub.go.set()

    assert downloaded("somebody/plain", NAMES) is None
    path = fetch("somebody/plain", NAMES, progress)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(download_folder())
    assert downloaded("somebody/plain", NAMES) == path
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) > 3


def test_a_file_that_is_there_is_not_asked_for(hub: Any) -> None:
    hub.go.set()
    fetch("somebody/plain", NAMES, None)
    asked = len(hub.asked)
    fetch("somebody/plain", NAMES, None)
    assert len(hub.asked) == asked


def test_what_the_report_raises_stops_the_download_and_leaves_no_half_file(hub: Any) -> None:
    def stop(done: int, total: int) -> None:
        if done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch("somebody/plain", NAMES, stop)
    assert not hub.go.is_set()  # nobody waited for the second half
    assert downloaded("somebody/plain", NAMES) is None
    if int(huggingface_hub.__version__.split(".")[0]) > 0:  # clients before that keep the part, to go on from there
        assert not partial(download_folder())


def test_the_clients_settings_are_put_back(hub: Any) -> None:
    def options() -> tuple[Any, ...]:
        return constants.HF_HUB_DISABLE_XET, constants.DOWNLOAD_CHUNK_SIZE, file_download.http_get

    before, during = options(), []

    def look(done: int, total: int) -> None:
        during.append(options()[:2])
        hub.go.set()

    fetch("somebody/plain", NAMES, look)
    assert during[0] == (True, 2**20)
    assert options() == before


def test_a_client_that_takes_no_progress_bar(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those before version 1.2, which many an environment has."""
    take = huggingface_hub.hf_hub_download

    def older(repo_id: str, filename: str, *, local_files_only: bool = False) -> str:
        return take(repo_id, filename, local_files_only=local_files_only)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", older)
    get, seen = file_download.http_get, []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        hub.go.set()

    fetch("somebody/plain", NAMES, progress)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert file_download.http_get is get


def test_downloads_of_other_threads_are_not_reported(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    take = huggingface_hub.hf_hub_download
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda repo_id, filename, **options: take(repo_id, filename, **options)
    )
    hub.go.set()
    hub.offer("other/plain", "weights.bin", CONTENT)
    seen: list[int] = []
    with download._reported(lambda done, total: seen.append(done)):
        other = threading.Thread(target=take, args=("other/plain", "weights.bin"))
        other.start()
        other.join()
    assert downloaded("other/plain", NAMES) is not None
    assert not seen


@pytest.mark.parametrize(("status", "words"), [(503, "503"), (403, "403"), (401, "401")])
def test_a_server_that_refuses(status: int, words: str, hub: Any) -> None:
    hub.refuses = status
    with pytest.raises(ModelError, match=f"could not be downloaded: .*{words}.* or load a weights file instead"):
        fetch("somebody/plain", NAMES, None)
    hub.refuses = 0
    hub.go.set()
    assert fetch("somebody/plain", NAMES, None).is_file()


def test_a_repository_without_the_file(hub: Any) -> None:
    with pytest.raises(ModelError, match="somebody/plain has no other.bin, so it is no open_clip checkpoint"):
        fetch("somebody/plain", ("other.bin",), None)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full. Make room in .*hub, or let HF_HOME name a folder on another disk"),
        (errno.EDQUOT, "your quota is used up. Make room in"),
        (errno.EACCES, "hub cannot be written to. Let HF_HOME name a folder that can"),
    ],
)
def test_no_place_for_the_file(number: int, words: str, hub: Any) -> None:
    def full(done: int, total: int) -> None:
        raise OSError(number, "no")

    with pytest.raises(ModelError, match=words):
        fetch("somebody/plain", NAMES, full)
