"""The GPU's benchmark runs on a CPU too, which is how it is tested where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu import figures, main, operations
from benchmarks.speed import AGREE, Turns

WINDOW, STRIDE, SIDE = 48, 24, 96


@pytest.fixture
def turns(deep: Path, tmp_path: Path) -> Turns:
    return Turns.of(deep, tmp_path, WINDOW, STRIDE, half=True)


def test_both_ways_agree_and_all_figures_are_there(turns: Turns) -> None:
    found = figures(turns, SIDE, pairs=1, size=64)
    assert 0 < found["gpu_score_difference"] < AGREE
    assert found["gpu_images_ratio"] == pytest.approx(
        found["gpu_images_a_second"] / found["gpu_plain_images_a_second"], rel=1e-6
    )
    assert found["gpu_matmul_share"] > 0


def test_operations_are_those_that_torch_counts(turns: Turns) -> None:
    from napari_clearclip.engine.encoder import encode, project
    from napari_clearclip.engine.variants import variant

    clip = turns.clip
    clip.model.train()  # else torch takes a shortcut through the blocks that it does not count
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        project(clip, encode(clip, torch.zeros(1, 3, WINDOW, WINDOW)), variant("clearclip"))
    assert operations(clip, WINDOW) == counter.get_total_flops()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "device 'cuda' cannot be used" in capsys.readouterr().err
