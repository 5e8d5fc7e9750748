"""Which images are meant, what their files are called, and when one has changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_clearclip.batch.inputs import expand, output_names, stamp


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with images, other files, results, and a zarr group."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.tif", "deep/c.JPG", "deep/er/d.npy", "notes.txt", ".hidden.png", "a_clearclip_labels.tif"):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        Path("in", name).touch()
    group = zarr.open_group("in/plate.zarr", mode="w")
    for name in ("A1", "A2"):
        group.create_array(name, shape=(4, 4), dtype="u1")
    return tmp_path


CASES = {
    "a file": (["in/b.png"], ["in/b.png"]),
    "a file that is no image by its name": (["in/notes.txt"], ["in/notes.txt"]),
    "a file that is not there": (["in/no.png"], ["in/no.png"]),
    "a folder": (
        ["in"],
        ["in/a.tif", "in/b.png", "in/deep/c.JPG", "in/deep/er/d.npy", "in/plate.zarr/A1", "in/plate.zarr/A2"],
    ),
    "a pattern": (["in/*.png", "in/**/*.JPG"], ["in/b.png", "in/deep/c.JPG"]),
    "a pattern that matches results": (["in/a*"], ["in/a.tif"]),
    "a group": (["in/plate.zarr"], ["in/plate.zarr/A1", "in/plate.zarr/A2"]),
    "an array": (["in/plate.zarr/A2"], ["in/plate.zarr/A2"]),
    "the same twice": (["in/b.png", "in/*.png"], ["in/b.png"]),
}


@pytest.mark.parametrize(("inputs", "wanted"), CASES.values(), ids=CASES.keys())
def test_inputs_mean(folder, inputs, wanted):
    assert [path.as_posix() for path in expand(inputs)] == wanted


@pytest.mark.parametrize(
    ("given", "message"), [("in/*.gif", "in/*.gif matches no file"), ("empty", "empty has no image in it")]
)
def test_an_input_without_images_is_told(folder, given, message):
    Path("empty").mkdir()
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        expand([given])


def test_names_are_distinct_and_stay():
    north, south, other = Path("north/a.png"), Path("south/a.png"), Path("b.ome.tif")
    assert output_names([north, south, other]) == ("north_a", "south_a", "b")
    known = {str(south.absolute()): "a", str(other.absolute()): "b"}
    assert output_names([north, south, other], known) == ("a-2", "a", "b")


@pytest.mark.parametrize("change", ["bytes", "time", "chunk"])
def test_a_stamp_changes_with_the_file(tmp_path, change):
    path = tmp_path / "a.zarr"
    array = zarr.open_array(path, mode="w", shape=(4, 4), chunks=(2, 2), dtype="u1", fill_value=0)
    array[:2] = 1
    if change != "chunk":
        path = tmp_path / "a.npy"
        np.save(path, np.zeros(3))
    before = stamp(path)
    assert stamp(path) == before
    if change == "bytes":
        np.save(path, np.zeros(4))
    elif change == "time":
        os.utime(path, ns=(0, 5))
    else:
        array[3, 3] = 1
    assert stamp(path) != before
