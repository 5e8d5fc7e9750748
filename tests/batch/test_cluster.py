"""A cluster gives what one process gives, also if a worker is killed on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from distributed import Client, LocalCluster

from napari_clearclip.batch.cluster import Engine, _failed, check_scheduler, client_of, work_on
from napari_clearclip.batch.work import Task, Wish, cut, work_through
from napari_clearclip.engine.model import ModelError
from napari_clearclip.io.settings_file import SettingsFile
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Runtime, Settings, Splitting, Tiling

COUNT = 12
LITTLE: dict[str, Any] = {"device": "cpu", "threads": 1, "cache_bytes": 10_000}


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    random = np.random.default_rng(0)
    tasks = []
    for number in range(COUNT):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, random.integers(0, 256, (60, 84, 3)).astype(np.uint8), photometric="rgb")
        tasks.append(Task(path, f"{number}"))
    tasks[3].path.write_bytes(b"II*\0damaged")
    return tasks


@pytest.fixture
def wanted(tiny: Path) -> SettingsFile:
    prompts = tuple(Prompt(phrase=name, threshold=0.3) for name in ("cat", "dog"))
    settings = Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=prompts,
        comparing=Comparing(templates="single"),
        deciding=Deciding(competitors="all"),
    )
    return SettingsFile(settings=settings)


def test_a_worker_that_is_killed_loses_nothing(tasks: list[Task], wanted: SettingsFile, tmp_path: Path) -> None:
    runtime = Runtime(device="cpu", threads=1, cache_folder=str(tmp_path / "cache"))
    wishes = [Wish(wanted, tmp_path / name, tmp_path / "spool") for name in ("one", "many")]
    for wish in wishes:
        wish.folder.mkdir()
    alone = {outcome.name: outcome for outcome in work_through(Pipeline(runtime), tasks, wishes[0])}
    found = {}
    with (
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for outcome in work_on(client, tasks, wishes[1], runtime):
            if not found:
                busy = max(client.processing().items(), key=lambda item: len(item[1]))[0]
                pids = client.run(os.getpid)
                os.kill(pids[busy], signal.SIGKILL)
            assert outcome.name not in found
            found[outcome.name] = outcome
    assert len(found) == COUNT
    for name, outcome in found.items():
        assert outcome.replace(seconds=0) == alone[name].replace(seconds=0)
    assert found["3"].status == "failed"
    assert "3.tif cannot be read as an image" in found["3"].error
    wishes[1].exports.remove_unfinished()  # as a batch does at its end: the worker may have been writing
    files = [{path.name: path.read_bytes() for path in wish.folder.iterdir()} for wish in wishes]
    assert len(files[0]) == (COUNT - 1) * 7
    assert files[0] == files[1]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A zarr with more windows than the memory of `LITTLE` holds."""
    image = np.random.default_rng(3).integers(0, 256, (400, 150, 3), np.uint8)
    zarr.open_array(tmp_path / "large.zarr", mode="w", shape=image.shape, chunks=(64, 64, 3), dtype="u1")[...] = image
    return tmp_path / "large.zarr"


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Three planes of unlike contrast."""
    image = np.random.default_rng(5).integers(0, 80, (3, 400, 90, 3), np.uint8) * np.uint8([[[[1]]], [[[2]]], [[[3]]]])
    zarr.open_array(tmp_path / "stack.zarr", mode="w", shape=image.shape, chunks=(1, 64, 64, 3), dtype="u1")[...] = (
        image
    )
    return tmp_path / "stack.zarr"


def in_windows(wanted: SettingsFile) -> SettingsFile:
    settings = wanted.settings.replace(
        tiling=Tiling(short_side="native", window=32, stride=16), splitting=Splitting(method="shape")
    )
    return SettingsFile(settings=settings)


def test_an_image_in_blocks_is_the_same_though_a_worker_is_killed(
    large: Path, wanted: SettingsFile, tmp_path: Path
) -> None:
    runtimes = [Runtime(cache_folder=str(tmp_path / name), **LITTLE) for name in ("one", "many")]
    wishes = [Wish(in_windows(wanted), tmp_path / name, tmp_path / "spool", ("npz",)) for name in ("one", "many")]
    for wish in wishes:
        wish.folder.mkdir()
    (alone,) = work_through(Pipeline(runtimes[0]), [Task(large, "large")], wishes[0])
    said: list[tuple[int, int]] = []
    with (
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        pids = client.run(os.getpid)

        def told(done: int, total: int) -> None:
            said.append((done, total))
            if done == 2:  # the first block
                os.kill(pids[max(client.processing().items(), key=lambda item: len(item[1]))[0]], signal.SIGKILL)

        (found,) = work_on(client, [Task(large, "large")], wishes[1], runtimes[1], told)
    assert said == [(done, 1 + 3 + 1) for done in range(1, 6)]
    assert found.replace(seconds=0) == alone.replace(seconds=0)
    files = [{path.name: path.read_bytes() for path in wish.folder.iterdir() if path.is_file()} for wish in wishes]
    assert "large_clearclip_masks.npz" in files[0]
    assert files[0] == files[1]


@pytest.mark.parametrize(("in_blocks", "parts"), [(False, 3), (True, 9)])
def test_a_stack_in_planes_is_the_same(
    stack: Path, wanted: SettingsFile, tmp_path: Path, in_blocks: bool, parts: int
) -> None:
    runtime = Runtime(
        cache_folder=str(tmp_path / "cache"), **(LITTLE if in_blocks else {**LITTLE, "cache_bytes": 2**27})
    )
    wishes = [Wish(in_windows(wanted), tmp_path / name, tmp_path / "spool", ("npz",)) for name in ("one", "many")]
    for wish in wishes:
        wish.folder.mkdir()
    (alone,) = work_through(Pipeline(runtime), [Task(stack, "stack")], wishes[0])
    said: list[tuple[int, int]] = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        (found,) = work_on(client, [Task(stack, "stack")], wishes[1], runtime, lambda *state: said.append(state))
    assert said == [(1, 2 + parts), *((done, 2 + parts) for done in range(2, 3 + parts))]
    assert found.status == "done"
    assert found.replace(seconds=0) == alone.replace(seconds=0)
    files = [{path.name: path.read_bytes() for path in wish.folder.iterdir()} for wish in wishes]
    assert len(np.unique(tifffile.imread(wishes[0].folder / "stack_clearclip_labels.tif"))) > 1
    assert files[0] == files[1]


def test_planes_are_not_parted_where_phrases_change_each_other(
    stack: Path, wanted: SettingsFile, tmp_path: Path
) -> None:
    pipeline = Pipeline(Runtime(cache_folder=str(tmp_path / "cache"), device="cpu", threads=1))
    assert len(cut(pipeline, Task(stack, "stack"), Wish(wanted, tmp_path, tmp_path), 8)) == 3
    comparing = wanted.settings.comparing.replace(surgery=True)
    surgery = wanted.replace(settings=wanted.settings.replace(comparing=comparing))
    assert cut(pipeline, Task(stack, "stack"), Wish(surgery, tmp_path, tmp_path), 8) == ()


def test_a_block_that_cannot_be_read_fails_its_image_alone(large: Path, wanted: SettingsFile, tmp_path: Path) -> None:
    chunk = max(large.glob("c/*/*/*"), key=str)
    chunk.write_bytes(b"damaged")
    image = tmp_path / "small.tif"
    tifffile.imwrite(image, np.zeros((40, 40, 3), np.uint8), photometric="rgb")
    wish = Wish(in_windows(wanted), tmp_path / "out", tmp_path / "spool", ("npz",), results=False)
    wish.folder.mkdir()
    runtime = Runtime(cache_folder=str(tmp_path / "cache"), **LITTLE)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        tasks = [Task(large, "large"), Task(image, "small")]
        found = {outcome.name: outcome for outcome in work_on(client, tasks, wish, runtime)}
    assert {name: outcome.status for name, outcome in found.items()} == {"large": "failed", "small": "done"}
    assert found["large"].error


def test_what_one_image_ends_with_and_what_all_do() -> None:
    task = Task(Path("/large.zarr"), "large")
    found = _failed(task, OSError("chunk 3 is damaged"))
    assert (found.name, found.status, found.error) == ("large", "failed", "chunk 3 is damaged")
    with pytest.raises(ModelError, match="no such model"):
        _failed(task, ModelError("no such model"))
    with pytest.raises(KeyError, match="a mistake of ours"):
        _failed(task, KeyError("a mistake of ours"))


@pytest.mark.parametrize(("text", "count"), [("local:3", 3), ("tcp://10.0.0.1:8786", None), ("node7:8786", None)])
def test_schedulers(text: str, count: int | None) -> None:
    assert check_scheduler(text) == count


@pytest.mark.parametrize("text", ["local", "local:", "local:0", "local:many", "node7", "tcp://node7", "udp://node7:1"])
def test_a_number_of_workers_or_a_host_and_its_port_is_needed(text: str) -> None:
    with pytest.raises(ValueError, match="give local:N with a number of workers, or a scheduler's address as tcp://"):
        check_scheduler(text)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.batch.cluster._PATIENCE", 1)
    with pytest.raises(OSError, match="no scheduler answers at tcp:.*:9 within 1 seconds; check host"):
        client_of("tcp://127.0.0.1:9").__enter__()


def test_an_engine_travels_without_its_pipeline() -> None:
    import pickle

    engine = Engine(Runtime(threads=1))
    engine.setup(None)  # type: ignore[arg-type]
    copy = pickle.loads(pickle.dumps(engine))
    assert copy.__dict__ == {"_runtime": Runtime(threads=1)}


@pytest.mark.filterwarnings("error:Port")
def test_two_runs_on_one_machine_do_not_warn_of_each_other() -> None:
    with client_of("local:1") as first, client_of("local:1") as second:
        assert first.submit(sum, (1, 2)).result() == second.submit(sum, (1, 2)).result() == 3
