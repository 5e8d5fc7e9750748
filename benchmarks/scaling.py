"""How cost grows: ``python -m benchmarks scaling [--out FILE.png]``.

Processor seconds of the bundled model on drawn scenes at their own size, in windows of 64 with a stride of 32: the
first run, its texts known; the same with another prompt, text included; and the plain way's image part (see
`benchmarks.plain`), against the image's size, the number of prompts (on 256 x 256) and the number of windows (on
256 x 256, by the stride). Each is the median of three. Without a file the numbers are printed only.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import plain
from benchmarks.memory import WORDS
from benchmarks.speed import RGB, draw, spent
from napari_clearclip.engine.text import embed
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Runtime, Settings, Tiling

WINDOW, STRIDE, SIDE, FEW, TURNS = 64, 32, 256, 5, 3
SIDES, STRIDES, PROMPTS = (128, 256, 384, 512), (64, 48, 32, 16), (1, 5, 10, 19)
WAYS = ("plain way", "first run", "one prompt more")
Row = tuple[float, tuple[float, ...]]


def cost(pipeline: Pipeline, clip: Any, side: int, stride: int, count: int) -> tuple[float, ...]:
    """Seconds of each of the `WAYS`."""
    image, rows = draw(side), []
    prompts = tuple(Prompt(id=word, phrase=word) for word in WORDS[: count + 1])
    settings = Settings(
        prompts=prompts[:-1],
        tiling=Tiling(short_side="native", window=WINDOW, stride=stride),
        comparing=Comparing(cell=1),
        deciding=Deciding(competitors="all"),
    )
    texts = embed(clip, WORDS[:count], clip.templates)
    pipeline.run(image[:WINDOW, :WINDOW], settings, RGB)  # reads the texts
    for turn in range(TURNS):
        pipeline.forget()
        new = Prompt(id="new", phrase=prompts[-1].phrase + " and" * (turn + 1))
        rows.append((
            spent(lambda: plain.score(clip.model, image, texts, window=WINDOW, stride=stride)),
            spent(lambda: pipeline.run(image, settings, RGB)),
            spent(lambda new=new: pipeline.run(image, settings.replace(prompts=(*prompts[:-1], new)), RGB)),
        ))  # fmt: skip
    return tuple(median(column) for column in zip(*rows, strict=True))


def curves() -> dict[str, list[Row]]:
    """By what is varied, its values and the seconds of each of the `WAYS`."""
    from napari_clearclip.engine.model import load

    with tempfile.TemporaryDirectory() as folder:
        pipeline, clip = Pipeline(Runtime(device="cpu", cache_folder=folder)), load(Model())
        cost(pipeline, clip, SIDE, STRIDE, FEW)  # loads and warms up
        return {
            "image, megapixels": [(side**2 / 1e6, cost(pipeline, clip, side, STRIDE, FEW)) for side in SIDES],
            "prompts": [(count, cost(pipeline, clip, SIDE, STRIDE, count)) for count in PROMPTS],
            "windows": [
                (len(plain.starts(SIDE, WINDOW, stride)) ** 2, cost(pipeline, clip, SIDE, stride, FEW))
                for stride in STRIDES
            ],
        }


def plot(found: dict[str, list[Row]], path: Path) -> None:
    """The curves beside each other, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (varied, rows) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        for way, marker, column in zip(WAYS, "so^", np.array([seconds for _, seconds in rows]).T, strict=True):
            axes.plot([value for value, _ in rows], column, marker=marker, markersize=4, label=way)
        axes.set(xlabel=varied, ylabel="processor seconds", ylim=(0, None), xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=100)


def main(arguments: list[str]) -> int:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling")
    parser.add_argument("--out", type=Path, help="a PNG to write")
    asked = parser.parse_args(arguments)
    found = curves()
    for varied, rows in found.items():
        for value, seconds in rows:
            times = ", ".join(f"{way} {second:.3f}" for way, second in zip(WAYS, seconds, strict=True))
            print(f"# {varied} {value:.3g}: {times}")
        first, last = rows[0], rows[-1]
        growth = (last[1][1] / first[1][1]) / (last[0] / first[0])
        print(f"growth {varied}: {growth:.2f} ratio", flush=True)
    if asked.out:
        plot(found, asked.out)
    return 0
