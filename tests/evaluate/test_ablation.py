"""What is compared of the last block, what is measured of it by hand, and what is drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_clearclip.evaluate.ablation import (
    ALPHAS,
    FIRST,
    PARTS,
    SWEEP,
    TABLE,
    Ablation,
    findings_of,
    rows,
    sweep,
    table,
    text,
)
from napari_clearclip.evaluate.blocks import Curve
from napari_clearclip.evaluate.evaluation import Measured
from napari_clearclip.evaluate.methods import ABLATION
from napari_clearclip.evaluate.plots import draw_ablation
from napari_clearclip.evaluate.recipes import Recipe
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.settings import Attention, Settings


def measured(right: int) -> Measured:
    """Two classes of ten pixels, so many of each right, and a third class that has what is wrong."""
    overlaps = np.array([[right, right, 0], [10, 10, 0], [right, right, 20 - 2 * right]])
    return Measured.of(str(right), "a", "m", overlaps, np.zeros(0))


@pytest.fixture(scope="module")
def study() -> Ablation:
    """Two data sets, two seeds and two images, in which the n-th way finds more the larger n is."""
    found = [
        [[[measured(min(base + seed + place // 8, 10)) for place in range(len(PARTS))]] * 2 for seed in range(2)]
        for base in (1, 3)
    ]
    findings = findings_of(found, (3, 3), ((2,), (2,)), samples=50)
    curve = Curve(part="x_res", quantity="entropy", mean=(0.5, 0.25), interval=((0.4, 0.6), (0.2, 0.3)))
    return Ablation(
        datasets=("low", "high"),
        seeds=2,
        images=(2, 2),
        model="demo",
        findings=findings,
        curves=(curve, curve.replace(quantity="maximum")),
    )


def test_the_rows_are_those_of_the_table_of_variants() -> None:
    assert FIRST.method.attention == ABLATION["clearclip"] == PARTS[0].method.attention
    by_name = {part.name: part.method.attention for part in TABLE}
    assert by_name["qq rc ffn"] == ABLATION["qq_rc_ffn"]
    assert by_name["qq ffn"] == ABLATION["qq_ffn"]
    assert by_name["qk rc ffn"] == ABLATION["vanilla"]
    assert by_name["qq+kk rc ffn"] == ABLATION["sclip"]
    assert by_name["identity"] == ABLATION["maskclip"]
    assert len(set(TABLE)) == 6 * 4
    swept = {part.name: part.method.attention for part in SWEEP}
    assert swept["qk rc alpha=10"] == Attention(terms=("qk",), residual=1, alpha=10)
    assert swept["qq"] == ABLATION["clearclip"]
    assert len(swept) == 2 * (len(ALPHAS) + 1)
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_findings_by_hand(study: Ablation) -> None:
    first, ninth = study.findings[0], study.findings[8]
    assert first.by_dataset == (pytest.approx(1.5 / 10), pytest.approx(3.5 / 10))  # 1 and 2 of 10, 3 and 4 of 10
    assert first.by_seed == (pytest.approx(0.2), pytest.approx(0.3))
    assert first.miou == pytest.approx(0.25)
    assert first.lead is None
    assert ninth.miou == pytest.approx(0.35)
    assert ninth.lead == pytest.approx(0.1)
    assert ninth.lead_interval == (pytest.approx(0.1), pytest.approx(0.1))  # it is better by the same on each image
    assert first.interval is not None
    assert 0.2 <= first.interval[0] < 0.25 < first.interval[1] <= 0.3


def test_one_image_has_no_interval() -> None:
    findings = findings_of([[[[measured(5)] * len(PARTS)]]], (3,), ((2,),), samples=5)
    assert findings[1].interval is None
    assert findings[1].lead_interval is None
    assert findings[1].lead == 0


def test_tables_hold_every_way(study: Ablation) -> None:
    first = next(row for row in table(study) if row[:3] == ["qq", "no", "no"])
    assert first[3:5] == ["15.0", "35.0"]
    assert first[-2:] == ["20.0 / 30.0", "-"]
    assert len(list(table(study))) == 1 + len(TABLE)
    assert [row[1] for row in sweep(study)][-2:] == ["100", "attention alone"]
    written = list(rows(study))
    assert len(written) == 1 + len(PARTS)
    assert all(len(row) == len(written[0]) for row in written)
    assert dict(zip(*written[:2], strict=True))["low"] == "0.15"
    assert "2 + 2 images for each of 2 seeds of the scenes (the model is one training)" in text(study)
    assert "| 2 | 0.250 (0.200 to 0.300) |" in text(study)
    assert Ablation.model_validate_json(study.model_dump_json()) == study


def test_draws_of_scenes_share_none() -> None:
    draws = [source_of("scenes-shapes", None, Settings(), Recipe(), limit=3, draw=draw) for draw in range(3)]
    names = [sample.name for source in draws for sample in source.samples]
    assert names == [f"shapes-{seed}" for seed in range(9)]


def test_pictures_are_drawn(study: Ablation, tmp_path: Path) -> None:
    names = draw_ablation(study, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_without_matplotlib_it_is_said(study: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "napari-clearclip\[plots\]"'):
        draw_ablation(study, tmp_path)
    assert not list(tmp_path.iterdir())
