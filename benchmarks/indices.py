"""What band expressions cost on a large image of many bands.

``python -m benchmarks indices [SIDE]`` prints, for NDVI on SIDE x SIDE pixels of eight uint16 bands (4096), the highest
memory over that of the image itself and the times of a first run and of a moved threshold over that of plain numpy.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from napari_clearclip.edits import View
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Index, Prompt, Settings


def main(arguments: list[str]) -> None:
    """Print the figures."""
    side = int(arguments[0]) if arguments else 4096
    image = np.random.default_rng(0).integers(1, 4000, (8, side, side), np.uint16)
    index = Index(expression="(b8 - b4) / (b8 + b4)")
    settings = Settings(prompts=(Prompt(id="ndvi", phrase="NDVI", threshold=0.6, index=index),))
    moved = settings.replace(prompts=(settings.prompts[0].replace(threshold=0.7),))
    view = View(channel_axis=0, limits=((0, 4000),) * 3)
    plain = _seconds(lambda: _plain(image))
    Pipeline().run(image[:, :64, :64], settings, view)  # imports
    pipeline = Pipeline()
    first = _seconds(lambda: pipeline.run(image, settings, view))
    second = _seconds(lambda: pipeline.run(image, moved, view))
    tracemalloc.start()
    Pipeline().run(image, settings, view)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"indices_memory_over_image: {peak / image.nbytes:.2f} ratio")
    print(f"indices_first_over_numpy: {first / plain:.1f} ratio")
    print(f"indices_moved_over_numpy: {second / plain:.1f} ratio")


def _plain(image: np.ndarray) -> np.ndarray:
    nir, red = image[7].astype(np.float32), image[3].astype(np.float32)
    mask: np.ndarray = (nir - red) / (nir + red) >= 0.2
    return mask


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
