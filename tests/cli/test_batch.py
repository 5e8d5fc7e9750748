"""``batch`` does what is not done yet, all of it, and writes down what became of each image."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import zarr

from napari_clearclip.batch import work
from napari_clearclip.batch.record import RECORD, Record
from napari_clearclip.io.formats import read
from napari_clearclip.io.raster import read_labels

WORDS = ("-p", "tree", "-p", "road")


def lines(folder="out"):
    return [json.loads(line) for line in Path(folder, RECORD).read_text().splitlines()]


def contents(folder="out"):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != RECORD
    }


@pytest.fixture
def images(photo):
    """Three images in a folder; the second is damaged."""
    Path("in").mkdir()
    for name in ("a", "c"):
        shutil.copy(photo, f"in/{name}.png")
    Path("in/b.png").write_bytes(photo.read_bytes()[:300])
    return Path("in")


@pytest.fixture
def batch(run, tiny):
    """Runs batch on the folder."""
    return lambda *flags, **options: run("batch", "in", *WORDS, "--model", tiny, "-o", "out", *flags, **options)


def test_what_is_written(batch, images, run, tiny):
    result = batch(code=1)
    assert sorted(map(str, contents())) == [
        "a_clearclip_labels.tif",
        "c_clearclip_labels.tif",
        "clearclip_settings.json",
    ]
    by_name = {line["name"]: line for line in lines()}
    assert {name: line["status"] for name, line in by_name.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert "b.png cannot be read as an image" in by_name["b"]["error"]
    assert by_name["a"]["files"] == ["a_clearclip_labels.tif"]
    assert by_name["a"]["image"] == str(Path("in/a.png").absolute())
    labels, names = read_labels(Path("out/a_clearclip_labels.tif"))
    assert names == ("tree", "road")
    for index, found in enumerate(by_name["a"]["prompts"]):
        assert found["prompt"] == names[index]
        assert found["coverage"] == pytest.approx(np.mean(labels == index + 1))
    assert result.stdout.splitlines()[:4] == ["images: 3", "done: 2", "skipped: 0", "failed: 1"]
    assert "1 of 3 images failed" in result.stderr
    run("segment", "in/a.png", *WORDS, "--model", tiny, "-o", "alone")
    np.testing.assert_array_equal(labels, read_labels(Path("alone/a_clearclip_labels.tif"))[0])


def test_what_is_done_is_skipped(batch, images, photo, monkeypatch):
    batch(code=1)
    tried = []
    original = work.read_image
    monkeypatch.setattr(work, "read_image", lambda path, lazy: tried.append(path.name) or original(path, lazy))
    shutil.copy(photo, "in/b.png")
    assert "2 of 3 images are done already" in batch().stderr
    assert tried == ["b.png"]
    assert {line["name"]: line["status"] for line in lines()} == dict.fromkeys("abc", "done")
    batch()
    assert tried == ["b.png"]


CHANGES = {
    "settings": (["--threshold", "0.9"], lambda: None, ["a.png", "c.png"]),
    "format": (["--format", "npz"], lambda: None, ["a.png", "c.png"]),
    "image": ([], lambda: imageio.imwrite("in/c.png", np.zeros((40, 50), np.uint8)), ["c.png"]),
    "a file that is gone": ([], lambda: Path("out/a_clearclip_labels.tif").unlink(), ["a.png"]),
    "nothing": ([], lambda: None, []),
}


@pytest.mark.parametrize(("flags", "change", "wanted"), CHANGES.values(), ids=CHANGES.keys())
def test_what_has_changed_is_made_again(batch, images, monkeypatch, flags, change, wanted):
    Path("in/b.png").unlink()
    batch()
    tried = []
    original = work.read_image
    monkeypatch.setattr(work, "read_image", lambda path, lazy: tried.append(path.name) or original(path, lazy))
    change()
    batch(*flags)
    assert tried == wanted


def test_a_stopped_batch_goes_on(batch, images, photo, monkeypatch):
    shutil.copy(photo, "in/b.png")
    original = work.write_results
    done = []

    def stop(folder, name, *rest):
        if name == "b":
            raise KeyboardInterrupt
        done.append(name)
        return original(folder, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(work, "write_results", stop)
        result = batch("--everything", "--format", "coco", code=130)
    assert "2 of 3 images are left; the same command goes on with them" in result.stderr
    assert done == ["a"]
    assert not list(Path("out").glob(".*.part"))
    batch("--everything", "--format", "coco")
    batch("--everything", "--format", "coco", "-o", "whole")
    assert contents("out") == contents("whole")
    assert [masks.image for masks in read(Path("out/clearclip_coco.json"))] == ["a.png", "b.png", "c.png"]


# Ends its own process where the file that is written as number N is whole, but not in its place yet.
KILLED = """
import os, signal, sys
from napari_clearclip.cli import app
from napari_clearclip.io import files
left = [int(sys.argv.pop(1))]
def replace(*paths, original=os.replace):
    left[0] -= str(paths[0]).endswith(".part")
    os.kill(os.getpid(), signal.SIGKILL) if not left[0] else original(*paths)
files.os.replace = replace
app()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
@pytest.mark.parametrize("number", [3, 11])
def test_a_killed_batch_goes_on(run, tiny, photo, number):
    Path("in").mkdir()
    for name in "abc":
        shutil.copy(photo, f"in/{name}.png")
    flags = ["batch", "in", *WORDS, "--model", str(tiny), "--everything", "--format", "coco", "-o"]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(number), *flags, "out"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(Path("out").glob("*.tif"))) < 9
    assert len(list(Path("out").rglob(".*.part"))) == 1
    run(*flags, "out")
    run(*flags, "whole")
    assert contents("out") == contents("whole")
    assert {line["name"]: line["status"] for line in lines()} == dict.fromkeys("abc", "done")


def test_a_line_that_was_cut_off_costs_one_image(batch, images):
    Path("in/b.png").unlink()
    batch()
    text = Path("out", RECORD).read_text()
    Path("out", RECORD).write_text(text[:-40])
    assert list(Record(Path("out")).outcomes()) == [str(Path("in/a.png").absolute())]
    assert "1 of 2 images are done already" in batch().stderr
    assert [line["name"] for line in lines()] == ["a", "c"]


def test_images_of_a_zarr_group(run, tiny, photo):
    group = zarr.open_group("g.zarr", mode="w")
    data = imageio.imread(photo)
    for name in ("one", "two"):
        group.create_array(name, shape=data.shape, chunks=(20, 20, 3), dtype="u1")[...] = data
    run("batch", "g.zarr", photo, *WORDS, "--model", tiny, "-o", "out")
    found = [read_labels(Path(f"out/{name}_clearclip_labels.tif"))[0] for name in ("one", "two", "photo")]
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[2])


def test_workers_do_the_same(batch, images):
    batch(code=1)
    result = batch("--scheduler", "local:2", "-o", "many", code=1)
    assert "1 of 3 images failed" in result.stderr
    assert contents("many") == contents("out")
    assert {line["name"]: line["status"] for line in lines("many")} == {"a": "done", "b": "failed", "c": "done"}
    assert "2 of 3 images are done already" in batch("-o", "many", code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/*.png", "-p", "a"], "no/*.png matches no file"),
        (["in"], "there is nothing to look for"),
        (["in", "-p", "a", "--format", "gif"], "--format gif is not known"),
        (["in", "-p", "a", "--scheduler", "local:all"], "--scheduler is 'local:all'; give local:N"),
    ],
)
def test_wrong_usage(run, images, tiny, arguments, message):
    result = run("batch", *arguments, "--model", tiny, code=2)
    assert message in " ".join(result.stderr.split())
    assert not Path("clearclip_out").exists()
