"""Peak memory and cost of large images: ``python -m benchmarks memory [--large SIDE] [--small SIDE] [--images N]``.

Images are zarr arrays of drawn scenes, read at their own resolution, and `batch` writes their labels. Each case is a
process of its own. Peaks are over the memory of the process once model and libraries are loaded.

- ``peak_4096_gb``: a ViT-B-16 with random weights, windows of 448 with a stride of 224, 20 prompts, features as
  float32; ``peak_4096_over_plain``: the same as a share of what the published pipeline holds at its peak, read
  literally: image, sums and softmax of all prompts' maps at pixels as float32, counts, and the winners as int64. That
  is computed, not run.
- ``peak_20000_gb``: the bundled model, windows of 64 with a stride of 32, 5 prompts, features as float16; so are those
  below.
- ``cost_growth``: CPU seconds a megapixel of the large image, over those of the small one with the same 5 prompts.
- ``second_phrase_ratio``: CPU seconds of another process that is asked for another phrase too, over the first run's.
- ``batch_slope_kb``: growth of resident memory an image, over images of 48 x 48 after the first hundred; ``batch_gb``:
  resident memory after the first hundred, half and all of them.

With other sides the names have these in them. The large case takes about half an hour of one core, and 3 GB of disk;
the ViT-B-16 about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

COLORS, SHAPES = ("red", "blue", "green", "yellow"), ("circle", "square", "ring", "star", "cross")
WORDS = tuple(f"{color} {shape}" for color, shape in product(COLORS, SHAPES))
FEW, GB = 5, 1e9


def draw(path: Path, side: int) -> None:
    """A zarr (side, side, 3) of scenes beside each other."""
    import zarr

    from napari_clearclip.scenes import make_scene

    scenes = [make_scene("shapes", seed=seed).image for seed in range(16)]
    size, random = len(scenes[0]), np.random.default_rng(0)
    array = zarr.open_array(path, mode="w", shape=(side, side, 3), chunks=(1024, 1024, 3), dtype="u1")
    for top in range(0, side, 1024):
        rows = np.zeros((min(1024, side - top), side, 3), np.uint8)
        for y, x in product(range(0, len(rows), size), range(0, side, size)):
            part = rows[y : y + size, x : x + size]
            part[:] = scenes[random.integers(len(scenes))][: len(part), : part.shape[1]]
        array[top : top + len(rows)] = rows


def draw_many(folder: Path, count: int) -> None:
    """Small images."""
    import imageio.v3 as imageio

    from napari_clearclip.scenes import make_scene

    folder.mkdir()
    scene, random = make_scene("shapes", seed=0).image, np.random.default_rng(0)
    for number in range(count):
        top, left = random.integers(0, len(scene) - 48, 2)
        imageio.imwrite(folder / f"{number:05}.png", scene[top : top + 48, left : left + 48])


def draw_weights(path: Path) -> None:
    """The weights of a ViT-B-16 that has learned nothing."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(open_clip.create_model("ViT-B-16").state_dict(), path)


def case(*arguments: object) -> dict[str, float]:
    """What `measured` prints in a process of its own."""
    code = f"from benchmarks.memory import measured; measured{arguments!r}"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"# {arguments[1:]}: {found}", flush=True)
    return found


def peak_bytes() -> int:
    """The most memory that this process has had since `forget_peak`."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Count the most memory from now on: loading a model takes more than it does once it is loaded."""
    Path("/proc/self/clear_refs").write_text("5")


def measured(folder: str, what: str, first: int, last: int, storage: str, weights: str = "") -> None:
    """Print as JSON what the images `what` of a folder take with some of the words, and with the weights of a ViT-B-16.

    Without these the bundled model is used.
    """
    import psutil

    from napari_clearclip.batch.inputs import expand
    from napari_clearclip.batch.work import Task, Wish, runtime_of, work_through
    from napari_clearclip.edits import View
    from napari_clearclip.io.settings_file import SettingsFile
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.settings import Model, Prompt, Runtime, Settings, Tiling

    prompts = tuple(Prompt(phrase=word) for word in WORDS[first:last])
    model, window = (Model(name="ViT-B-16", pretrained=weights), 448) if weights else (Model(), 64)
    tiling = Tiling(short_side="native", window=window, stride=window // 2)
    settings = Settings(model=model, prompts=prompts, tiling=tiling)
    out = Path(folder)
    runtime = runtime_of(Runtime(device="cpu", cache_folder=str(out / "cache"), store_bytes=2**34, storage=storage))
    pipeline, process = Pipeline(runtime), psutil.Process()
    wish = Wish(SettingsFile(settings=settings), out, out / "spool", ("tiff",), results=False)
    pipeline.run(np.zeros((64, 64, 3), np.uint8), settings, View(channel_axis=2))  # loads all
    forget_peak()
    loaded, began, clock = process.memory_info().rss, time.process_time(), time.perf_counter()
    sizes = []
    tasks = [Task(path, path.stem) for path in expand([str(out / what)])]
    for outcome in work_through(pipeline, tasks, wish):
        if outcome.error:
            raise RuntimeError(outcome.error)
        sizes.append(process.memory_info().rss)
    found = {
        "peak": peak_bytes() - loaded,
        "cpu": time.process_time() - began,
        "seconds": time.perf_counter() - clock,
    }
    if len(sizes) > 100:
        found["slope"] = float(np.polyfit(range(len(sizes) - 100), sizes[100:], 1)[0])
        found |= {"start": sizes[99], "middle": sizes[len(sizes) // 2], "end": sizes[-1]}
    print(json.dumps(found))


def plain_bytes(side: int, phrases: int) -> int:
    """What the plain way holds at its peak of an image (side, side)."""
    return side**2 * (3 * 4 + 2 * phrases * 4 + 4 + 8)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    parser.add_argument("--large", type=int, default=20_000, help="side of the large image, less for a short run")
    parser.add_argument("--small", type=int, default=4096, help="side of the small one")
    parser.add_argument("--images", type=int, default=400, help="small images of a batch, more than 100")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        draw_many(Path(folder) / "many", asked.images)
        many = case(folder, "many", 0, FEW, "float32")
        print(f"batch_slope_kb: {many['slope'] / 1e3:.2f} kB")
        print(f"batch_gb: {', '.join(f'{many[at] / GB:.3f}' for at in ('start', 'middle', 'end'))} GB", flush=True)
        for side in (asked.small, asked.large):
            draw(Path(folder) / f"{side}.zarr", side)
        weights = Path(folder) / "weights.safetensors"
        draw_weights(weights)
        peak = case(folder, f"{asked.small}.zarr", 0, len(WORDS), "float32", str(weights))["peak"]
        print(f"peak_{asked.small}_gb: {peak / GB:.2f} GB")
        print(f"peak_{asked.small}_over_plain: {peak / plain_bytes(asked.small, len(WORDS)):.3f} ratio", flush=True)
        small = case(folder, f"{asked.small}.zarr", 0, FEW, "float16")
        large = case(folder, f"{asked.large}.zarr", 0, FEW, "float16")
        print(f"peak_{asked.large}_gb: {large['peak'] / GB:.2f} GB")
        growth = large["cpu"] / small["cpu"] * asked.small**2 / asked.large**2
        print(f"cost_growth: {growth:.3f} ratio", flush=True)
        second = case(folder, f"{asked.large}.zarr", 1, FEW + 1, "float16")
        print(f"second_phrase_ratio: {second['cpu'] / large['cpu']:.3f} ratio")
    return 0
