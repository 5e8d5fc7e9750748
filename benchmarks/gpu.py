"""What a GPU makes of it: ``python -m benchmarks gpu [--device cuda] [--pairs N] [--side 1024] [--model NAME]``.

The product and the plain way (`benchmarks.plain`) have the same random weights of a ViT-B-16, in half precision, and
take turns on the same image, which neither has kept anything of; windows are 448 with a stride of 224, texts are known.
Times are those of a clock, each measured when the device has nothing left to do; figures are medians over the turns.

- ``gpu_score_difference``: largest difference between the scores of both ways.
- ``gpu_images_a_second``, ``gpu_plain_images_a_second``, ``gpu_images_ratio``: images that either way reads, and their
  ratio.
- ``gpu_matmul_share``: operations a second that the product's image tower needs for that (its matrix products alone),
  over those that the device reaches in one large matrix product of the same precision, measured in the same run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.plain import starts
from benchmarks.speed import Turns, draw, save_weights
from napari_clearclip.engine.device import resolve_device

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip


def clocked(work: Callable[[], Any], device: str) -> float:
    """Seconds until some work has been done, also by the device."""
    import torch

    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def operations(clip: Clip, window: int) -> float:
    """Operations of the matrix products of one window: all blocks but the last, and that as ClearCLIP has it."""
    from torch.nn import Conv2d

    tower, conv = clip.tower, clip.model.visual.conv1
    assert isinstance(conv, Conv2d)
    length, width = (window // clip.patch) ** 2 + 1, tower.channels
    hidden = clip.model.visual.transformer.resblocks[0].mlp.c_fc.out_features
    attention = 4 * length**2 * width  # logits, and values summed up
    whole = attention + 2 * length * width * (4 * width + 2 * hidden)
    last = attention + 2 * length * width * 3 * width  # queries, values and the output projection
    ends = 2 * width * ((length - 1) * conv.in_channels * clip.patch**2 + length * tower.width)
    return float((tower.depth - 1) * whole + last + ends)


def matmul_rate(device: str, half: bool, size: int, turns: int = 9) -> float:
    """Operations a second of one large matrix product."""
    import torch

    square = torch.randn(size, size, device=device, dtype=torch.float16 if half else torch.float32)
    clocked(lambda: square @ square, device)
    return float(2 * size**3 / median(clocked(lambda: square @ square, device) for _ in range(turns)))


def figures(turns: Turns, side: int, pairs: int, size: int = 8192) -> dict[str, float]:
    """The figures above, of an image of so many pixels a side; `size` is that of the matrix product."""
    image, device = draw(side), turns.clip.device
    tiling = turns.settings.tiling
    window, stride = tiling.window or 0, tiling.stride or 0
    apart = float(np.abs(turns.run(image).scores.values - turns.plain(image)).max())  # and what is done but once
    quick, slow = [], []
    for _ in range(pairs):
        turns.pipeline.forget()
        quick.append(clocked(lambda: turns.run(image), device))
        slow.append(clocked(lambda: turns.plain(image), device))
    needed = operations(turns.clip, window) * len(starts(side, window, stride)) ** 2
    half = turns.settings.model.precision == "float16" and device != "cpu"
    return {
        "gpu_score_difference": apart,
        "gpu_images_a_second": 1 / median(quick),
        "gpu_plain_images_a_second": 1 / median(slow),
        "gpu_images_ratio": median(there / here for here, there in zip(quick, slow, strict=True)),
        "gpu_matmul_share": needed / median(quick) / matmul_rate(device, half, size),
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or mps")
    parser.add_argument("--pairs", type=int, default=9, help="turns of each figure")
    parser.add_argument("--side", type=int, default=1024, help="of the image, in pixels")
    parser.add_argument("--model", default="ViT-B-16", help="one of open_clip's architectures")
    asked = parser.parse_args(arguments)
    try:
        device, reason = resolve_device(asked.device)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"# {reason}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = save_weights(Path(folder), asked.model)
        turns = Turns.of(weights, Path(folder) / "cache", device=device, half=True)
        units = {"gpu_score_difference": "score", "gpu_images_ratio": "times", "gpu_matmul_share": "ratio"}
        for name, value in figures(turns, asked.side, asked.pairs).items():
            print(f"{name}: {value:.3g} {units.get(name, 'images/s')}", flush=True)
    return 0
