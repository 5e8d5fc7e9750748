"""Peak memory and cost of large images from zarr files, each case in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WORDS = ("red circle", "blue square", "green ring", "yellow star", "purple cross", "black circle")
GB = 1e9


def draw(path: Path, side: int) -> None:
    """A zarr (side, side, 3) of scenes beside each other."""
    import zarr

    from napari_clearclip.scenes import make_scene

    scenes = [make_scene("shapes", seed=seed).image for seed in range(16)]
    size = len(scenes[0])
    random = np.random.default_rng(0)
    array = zarr.open_array(path, mode="w", shape=(side, side, 3), chunks=(1024, 1024, 3), dtype="u1")
    for top in range(0, side, 1024):
        rows = np.zeros((min(1024, side - top), side, 3), np.uint8)
        for y in range(0, len(rows), size):
            for x in range(0, side, size):
                part = rows[y : y + size, x : x + size]
                part[:] = scenes[random.integers(len(scenes))][: len(part), : part.shape[1]]
        array[top : top + len(rows)] = rows


def case(folder: Path, side: int, again: bool) -> dict[str, float]:
    """What one image takes from its file to its labels: peak over the loaded model, and CPU seconds."""
    code = f"from benchmarks.memory import measured; measured({str(folder)!r}, {side}, {again})"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(folder: str, side: int, again: bool) -> None:
    """Print as JSON what one image takes; with `again` for other phrases, of which nothing is known."""
    import resource

    import psutil

    from napari_clearclip.batch.planes import silently
    from napari_clearclip.batch.work import Task, Wish, runtime_of, work
    from napari_clearclip.edits import View
    from napari_clearclip.io.session import Session
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.settings import Model, Prompt, Runtime, Settings, Tiling

    words = WORDS[1:] if again else WORDS[:-1]
    prompts = tuple(Prompt(phrase=word) for word in words)
    settings = Settings(model=Model(), prompts=prompts, tiling=Tiling(short_side="native", window=64, stride=32))
    out = Path(folder)
    runtime = runtime_of(Runtime(device="cpu", cache_folder=str(out / "cache"), store_bytes=2**34, storage="float16"))
    pipeline = Pipeline(runtime)
    wish = Wish(Session(settings=settings), out, out / "spool", ("tiff",), results=False)
    pipeline.run(np.zeros((64, 64, 3), np.uint8), settings, View(channel_axis=2))  # loads all
    process = psutil.Process()
    loaded, began, clock = process.memory_info().rss, time.process_time(), time.perf_counter()
    outcome = work(pipeline, Task(out / f"{side}.zarr", f"{side}"), wish, silently)
    if outcome.error:
        raise RuntimeError(outcome.error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    about: dict[str, Any] = {"peak": peak - loaded, "cpu": time.process_time() - began, "loaded": loaded}
    print(json.dumps(about | {"seconds": time.perf_counter() - clock}))


def main(arguments: list[str]) -> int:
    """Measure, print, and say 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    parser.add_argument("--large", type=int, default=20_000, help="side of the large image; less for a short run")
    parser.add_argument("--small", type=int, default=4096)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for side in (asked.small, asked.large):
            draw(Path(folder) / f"{side}.zarr", side)
            found[side] = [case(Path(folder), side, again) for again in (False, True)]
            for name, one in zip(("first", "second"), found[side], strict=True):
                print(f"{name}_{side}: {one}")
    small, large = found[asked.small], found[asked.large]
    growth = large[0]["cpu"] / asked.large**2 / (small[0]["cpu"] / asked.small**2)
    print(f"peak_{asked.small}_gb: {small[0]['peak'] / GB:.2f} GB")
    print(f"peak_{asked.large}_gb: {large[0]['peak'] / GB:.2f} GB")
    print(f"cost_growth: {growth:.2f}")
    print(f"second_phrase_ratio: {large[1]['cpu'] / large[0]['cpu']:.3f}")
    return 0
