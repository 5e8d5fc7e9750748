"""What moving outlines and cleaning masks cost, against the threshold of the same image and against plain calls.

``python -m benchmarks tidy [SIDE]`` takes labels of five prompts on SIDE x SIDE pixels (4096). It prints
``tidy_<step>_over_threshold`` and the longest wait between two steps, after which a run can be cancelled, as
``tidy_<step>_longest_wait: value s``; ``tidy_opening_over_scikit_image`` compares with an opening of each prompt by
scikit-image's distance transform; ``tidy_<method>_peak`` is memory beyond labels and image.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from scipy.ndimage import zoom
from skimage.morphology import isotropic_opening

from napari_clearclip.engine import edges
from napari_clearclip.engine.clean import clean_steps, open_labels
from napari_clearclip.engine.decide import Assignment
from napari_clearclip.engine.labelling import threshold
from napari_clearclip.scenes import make_scene
from napari_clearclip.settings import Cleaning

PROMPTS = 5
PIXEL = (1.0, 1.0)
STEPS = {
    "opening": Cleaning(opening=3),
    "closing": Cleaning(closing=3),
    "smooth": Cleaning(smooth=2),
    "smallest": Cleaning(smallest=100),
    "hole": Cleaning(hole=100),
}


def main(arguments: list[str]) -> None:
    """Print the figures."""
    side = int(arguments[0]) if arguments else 4096
    rng = np.random.default_rng(0)
    fields = zoom(rng.standard_normal((PROMPTS + 1, side // 64, side // 64)), (1, 64, 64), order=1)
    labels = fields.argmax(axis=0).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.0005] = 0
    assignment = Assignment(labels, rng.random(labels.shape, np.float32), np.ones(labels.shape, np.float32))
    basis = min(_timed(lambda: threshold(assignment, [0.2] * PROMPTS, 0.0, None)) for _ in range(3))
    for name, cleaning in STEPS.items():
        _print(name, lambda cleaning=cleaning: clean_steps(labels, cleaning, PIXEL, None), basis)
    ours = _timed(lambda: open_labels(labels, 3, PIXEL, None))
    plain = _timed(lambda: [isotropic_opening(labels == label, 3) for label in range(1, PROMPTS + 1)])
    print(f"tidy_opening_over_scikit_image: {ours / plain:.3f} ratio", flush=True)
    scene = make_scene("aerial", 5000, 512).image
    _print_edges(labels, np.tile(scene, (side // 512, side // 512, 1)), basis)


def _print_edges(labels: np.ndarray[Any, Any], image: np.ndarray[Any, Any], basis: float) -> None:
    """Each method, without anything kept."""

    def seen(tile: Any) -> Any:
        return image[tile].astype(np.float32) / 255

    def free(part: Any) -> Any:
        return np.ones(part.shape, bool)

    def snapped(method: str) -> Generator[None, None, Any]:
        return edges.redraw_steps(
            labels,
            None,
            lambda tile: edges.segment(seen(tile), method, 12, 30),
            lambda part, aid, *_: edges.snap(part, aid, free(part)),
        )

    def flooded() -> Generator[None, None, Any]:
        doubt = zoom(np.random.default_rng(1).random((len(labels) // 64,) * 2), 64, order=1) < 0.3
        return edges.redraw_steps(
            labels,
            None,
            lambda tile: edges.heights(seen(tile)),
            lambda part, aid, _, tile: edges.flood(part, doubt[tile], aid, free(part)),
            edges.HALO,
        )

    for name, steps in (
        ("slic", lambda: snapped("slic")),
        ("felzenszwalb", lambda: snapped("felzenszwalb")),
        ("watershed", flooded),
    ):
        tracemalloc.start()
        _print(name, steps, basis)
        print(f"tidy_{name}_peak: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB", flush=True)
        tracemalloc.stop()


def _timed(work: Callable[[], Any]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _print(name: str, make: Callable[[], Generator[None, None, Any]], basis: float) -> None:
    """Time of a step against the threshold's, and the longest wait in it."""
    steps, waits = make(), []
    over = object()
    while True:
        start = time.perf_counter()
        ended = next(steps, over) is over
        waits.append(time.perf_counter() - start)
        if ended:
            break
    print(f"tidy_{name}_over_threshold: {sum(waits) / basis:.1f} ratio")
    print(f"tidy_{name}_longest_wait: {max(waits):.2f} s", flush=True)
