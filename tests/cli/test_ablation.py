"""``ablation``: scenes and a folder in, tables and plots out, and what is told when it cannot be."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_clearclip.cli.ablation import Choice, run_ablation


def test_scenes_are_studied_and_what_is_done_stays_done(
    run: Callable[..., Any], bundled: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("ablation", "scenes-shapes", "--limit", 1, "--seeds", 2, "--device", "cpu", "--threads", 1)
    result = run(*arguments)
    out = folder / "clearclip_ablation"
    assert "## Attention, residual connection (RC)" in result.stdout
    found = json.loads((out / "ablation.json").read_text())
    assert found["datasets"] == ["shapes"]
    assert (found["seeds"], found["images"]) == (2, [1])
    lines = (out / "record.jsonl").read_text().splitlines()
    assert len(lines) == 2 * len(found["findings"])
    assert {curve["quantity"] for curve in found["curves"]} == {"entropy", "maximum"}
    assert len(found["curves"][0]["mean"]) == 3  # blocks
    assert (out / "table.png").stat().st_size > 1000
    monkeypatch.setattr("napari_clearclip.evaluate.evaluation.predictions", None)  # nothing is computed again
    assert run(*arguments).stdout == result.stdout


def test_workers_find_what_one_process_does(root: Path, tmp_path: Path) -> None:
    for name, scheduler in (("one", None), ("many", "local:1")):
        assert run_ablation("folder", root, "demo", Choice(), "cpu", tmp_path / name, 1, scheduler) == 0
    for file in ("ablation.json", "ablation.csv", "ablation.md"):
        assert (tmp_path / "many" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    lines = [(tmp_path / name / "record.jsonl").read_text().splitlines() for name in ("one", "many")]
    assert sorted(lines[0]) == sorted(lines[1])


def test_a_missing_library_for_workers_is_told_before_anything_is_done(
    run: Callable[..., Any], bundled: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "napari_clearclip.batch.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    for command in (("ablation", "scenes-shapes"), ("evaluate", "scenes-shapes")):
        told = run(*command, "--model", "demo", "--scheduler", "local:1", code=2).stderr
        assert 'a cluster needs dask.distributed: pip install "napari-clearclip[cluster]"' in told
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("folder", "--seeds", 2, "--model", "demo"), "--seeds 2 is for drawn scenes"),
        (("voc20", "--names", "latin", "--model", "demo"), "--names latin is not known"),
        (("scenes-moon",), "data set 'scenes-moon' is not known"),
        (("voc20", "--model", "demo"), "voc20 needs --root"),
        (("scenes-shapes", "--scheduler", "local:0"), "--scheduler is 'local:0'; give local:N"),
    ],
)
def test_wrong_choices_are_told(
    arguments: tuple[object, ...], message: str, run: Callable[..., Any], bundled: None
) -> None:
    assert message in run("ablation", *arguments, code=2).stderr
    assert not Path("clearclip_ablation").exists()
