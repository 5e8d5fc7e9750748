"""Tables of objects read back equal, and what is no table is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.io.formats import write
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.tables import read_objects, table_of, write_objects
from napari_clearclip.measures import measure
from napari_clearclip.result import ObjectTable

RNG = np.random.default_rng(4)
IDS = RNG.integers(0, 5, (9, 7)) * 1_000_000_007


def table() -> ObjectTable:
    score = RNG.random(IDS.shape, np.float32)
    return measure(IDS, score, score * 700, {1_000_000_007: 'cell, "round"', 2_000_000_014: "7"}, (0.1, 0.3), "µm")


def test_a_table_reads_back_equal(tmp_path: Path) -> None:
    wanted = table()
    write_objects(tmp_path / "objects.csv", wanted)
    found = read_objects(tmp_path / "objects.csv")
    assert [(column.name, column.unit) for column in found.columns] == [(c.name, c.unit) for c in wanted.columns]
    for one, other in zip(found.columns, wanted.columns, strict=True):
        assert one.values.tolist() == other.values.tolist()
        assert one.values.dtype.kind == other.values.dtype.kind
    assert [path.name for path in tmp_path.iterdir()] == ["objects.csv"]


def test_an_empty_table_reads_back_empty(tmp_path: Path) -> None:
    write_objects(tmp_path / "objects.csv", measure(np.zeros((3, 3), int)))
    assert len(read_objects(tmp_path / "objects.csv")) == 0


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "objects.csv"
    path.write_text("kept")
    broken = table()
    broken.columns[2].values.resize(0, refcheck=False)
    with pytest.raises(ValueError, match="argument 3 is shorter"):
        write_objects(path, broken)
    assert path.read_text() == "kept"
    assert [each.name for each in tmp_path.iterdir()] == ["objects.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table of objects"),
        ("area,number\n", "is no table of objects"),
        ("id,area of it\n", "is no table of objects"),
        ("id,area (px²)\n1\n", "line 2 of objects.csv has 1 values; there are 2 columns"),
        ("id,area (px²)\n1,many\n", r"the column area \(px²\) of objects.csv has a value that is no number"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "objects.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_objects(path)


def test_an_export_lists_connected_parts_of_each_name(tmp_path: Path) -> None:
    labels = np.array([[1, 1, 0, 2], [0, 0, 1, 2], [2, 0, 0, 0]], np.uint8)
    scores = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 24
    masks = Masks(("road", "tree"), labels, scores=scores, spacing=(0.5, 2.0), unit="um")
    write(tmp_path / "a.csv", [masks], "table")
    found = read_objects(tmp_path / "a.csv")
    assert found["prompt"].tolist() == ["road", "tree", "tree"]  # corners count as touching
    assert found["id"].tolist() == [1, 2, 3]  # from top to bottom
    assert found["area"].tolist() == [3, 2, 1]  # a pixel is 0.5 x 2 um
    assert found["score"] == pytest.approx([(0 + 1 + 6) / 72, (15 + 19) / 48, 20 / 24])
    assert found["y0"].tolist() == [0, 0, 2]
    assert found["x1"].tolist() == [3, 4, 1]
    assert [column.unit for column in found.columns if column.name == "area"] == ["um²"]


def test_an_export_lists_numbered_objects_of_all_planes(tmp_path: Path) -> None:
    labels = np.array([[[1, 1, 2]], [[0, 2, 2]]], np.uint8)
    masks = Masks(("road", "tree"), labels, instances=np.array([[[7, 8, 9]], [[0, 9, 9]]]))
    write(tmp_path / "a.csv", [masks], "table")
    found = read_objects(tmp_path / "a.csv")
    rows = zip(*(found[name].tolist() for name in ("plane", "id", "prompt", "area")), strict=True)
    assert list(rows) == [(0, 7, "road", 1), (0, 8, "road", 1), (0, 9, "tree", 1), (1, 9, "tree", 2)]
    deeper = table_of(Masks(("a", "b"), labels[:, None]))
    assert deeper["frame"].tolist() == [0, 0, 1]
    assert deeper["slice"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="a table says a frame and a slice, not 3 axes"):
        table_of(Masks(("a", "b"), labels[:, None, None]))


@pytest.mark.parametrize("names", [(), ("a",)])
def test_nothing_found_is_an_empty_table(names: tuple[str, ...]) -> None:
    found = table_of(Masks(names, np.zeros((2, 3, 3), np.uint8)))
    assert len(found) == 0
    assert [column.name for column in found.columns][:3] == ["plane", "id", "prompt"]


def test_overlapping_masks_are_listed_each() -> None:
    one, two = np.zeros((2, 4, 4), bool)
    one[:2], two[1:3] = True, True
    assert table_of(Masks.from_each(("a", "b"), [one, two]))["area"].tolist() == [8, 8]
