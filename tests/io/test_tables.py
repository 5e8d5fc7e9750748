"""Tables of objects read back equal, and what is no table is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.engine.objects import measure
from napari_clearclip.io.tables import read_objects, write_objects
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
        ("area,id\n", "is no table of objects"),
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
