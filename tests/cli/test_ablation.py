"""``ablation``: scenes and a folder in, tables and plots out, and what is told when it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("folder", "--seeds", 2, "--model", "demo"), "--seeds 2 is for drawn scenes"),
        (("voc20", "--names", "latin", "--model", "demo"), "--names latin is not known"),
        (("scenes-moon",), "data set 'scenes-moon' is not known"),
        (("voc20", "--model", "demo"), "voc20 needs --root"),
    ],
)
def test_wrong_choices_are_told(
    arguments: tuple[object, ...], message: str, run: Callable[..., Any], bundled: None
) -> None:
    assert message in run("ablation", *arguments, code=2).stderr
    assert not Path("clearclip_ablation").exists()
