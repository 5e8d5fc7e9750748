"""Measures of objects, against sums written from their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_clearclip.measures import measure

RNG = np.random.default_rng(2)
IDS = np.zeros((12, 20), np.int64)
IDS[1:5, 2:10] = 7
IDS[6:12, 15:20] = 4_000_000_000
IDS[8, 3] = 3
SCORE = RNG.random(IDS.shape, np.float32)
IMAGE = RNG.integers(0, 65536, (*IDS.shape, 3), np.uint16)


def test_each_object_is_measured() -> None:
    table = measure(IDS, SCORE, IMAGE, {7: "cell", 3: "dust"}, pixel=(0.5, 2.0), unit="µm")
    assert table["id"].tolist() == [3, 7, 4_000_000_000]
    assert table["prompt"].tolist() == ["dust", "cell", ""]
    assert len(table) == 3
    for at, id_ in enumerate(table["id"]):
        inside = id_ == IDS
        rows, cols = np.nonzero(inside)
        assert table["area"][at] == inside.sum()  # a pixel is 0.5 x 2 µm
        assert table["score"][at] == pytest.approx(SCORE[inside].mean(), rel=1e-6)
        assert table["peak_score"][at] == SCORE[inside].max()
        assert (table["row"][at], table["col"][at]) == pytest.approx((rows.mean(), cols.mean()))
        box = tuple(table[name][at] for name in ("y0", "x0", "y1", "x1"))
        assert box == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        assert table["intensity"][at] == pytest.approx(IMAGE[inside].mean(), rel=1e-6)
    titles = [column.title for column in table.columns]
    assert titles[:5] == ["id", "prompt", "area (µm²)", "score", "peak_score"]
    assert titles[5:] == [
        "elongation",
        "intensity",
        *(f"{name} (px)" for name in ("row", "col", "y0", "x0", "y1", "x1")),
    ]


def test_elongation_is_the_ratio_of_axes_in_the_world() -> None:
    rows, cols = np.indices((401, 401)) - 200
    ellipse = ((rows / 160) ** 2 + (cols / 40) ** 2 <= 1).astype(int)
    assert measure(ellipse)["elongation"][0] == pytest.approx(4, rel=0.02)
    assert measure(ellipse, pixel=(1.0, 4.0))["elongation"][0] == pytest.approx(1, rel=0.02)
    line = np.zeros((5, 30), int)
    line[2, 5:25] = 1
    assert measure(line)["elongation"][0] == pytest.approx(4 * np.sqrt(np.var(np.arange(20))))
    dot = np.zeros((5, 5), int)
    dot[2, 2] = 1
    assert measure(dot)["elongation"][0] == 1


def test_what_is_not_given_is_not_measured() -> None:
    table = measure(IDS)
    assert [column.name for column in table.columns] == [
        "id",
        "area",
        "elongation",
        "row",
        "col",
        "y0",
        "x0",
        "y1",
        "x1",
    ]
    grey = measure(IDS, image=IMAGE[..., 0])
    assert grey["intensity"][0] == IMAGE[8, 3, 0]
    with pytest.raises(KeyError, match="no column is called 'score'; there are \\['id', 'area'"):
        table["score"]


def test_no_objects_are_an_empty_table() -> None:
    table = measure(np.zeros((4, 5), np.int32), SCORE[:4, :5])
    assert len(table) == 0
    assert [len(column.values) for column in table.columns] == [0] * 11


def test_planes_of_another_size_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"score is \(3, 4\) pixels large, but ids are \(12, 20\); give the same plane"
    ):
        measure(IDS, SCORE[:3, :4])
