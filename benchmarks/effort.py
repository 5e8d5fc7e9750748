"""How much drawing is left to an annotator, on scenes that nothing was trained on or tuned on.

``python -m benchmarks effort [SCENES]`` lets a simulated annotator who sees the truth bring every prompt of a scene to
an IoU of 0.9, SCENES (20) scenes a kind, and prints actions an image. ``docs/effort.md`` has the rules with reasons; in
short: the brush is a tenth of the object's diameter wide; a stroke is one straight drag of at most a diameter, on the
largest connected error, where it puts most right; it is one action, and so is choosing a threshold or taking back. An
object's diameter is that of the circle as large as the connected part of the truth in which the middle pixel lies.

- ``effort_a_strokes``: brush only, from an empty mask.
- ``effort_b_strokes``: a phrase, its best threshold, brush; nothing refined, cleaned or taught.
- ``effort_c_strokes``: a phrase, the default chain, corrections from which it learns, thresholds, brush.
- ``effort_d_strokes``: without words, prompt by prompt the better of Otsu's threshold of the best channel and a random
  forest that learns from strokes, then brush.
- ``effort_ratio``: c over a; ``effort_ratio_to_forest``: c over d.

Each is the mean over images (``_median``, and 95 % bootstrap intervals ``_low`` and ``_high`` over the images), also
``effort_<kind>_...``. ``effort_nuclei_...`` is a real image where ``CLEARCLIP_TEST_DATA`` names its folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.arms import ARMS
from benchmarks.annotator.tasks import Task, nuclei_task, scene_task
from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import KINDS

Counts = npt.NDArray[np.float64]

RATIOS = {"ratio": ("c", "a"), "ratio_to_forest": ("c", "d")}


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else 20
    pipeline = Pipeline()
    found = []
    for kind in KINDS:
        found.append(_actions(pipeline, (scene_task(kind, seed) for seed in range(count))))
        _print_all(f"effort_{kind}", found[-1])
    if "CLEARCLIP_TEST_DATA" in os.environ:
        (actions,) = _actions(pipeline, [nuclei_task(Path(os.environ["CLEARCLIP_TEST_DATA"]))])
        for arm, value in zip(ARMS, actions, strict=True):
            print(f"effort_nuclei_{arm}_strokes: {value:.1f} actions", flush=True)
    _print_all("effort", np.mean(found, axis=0))


def _actions(pipeline: Pipeline, tasks: Iterable[Task]) -> Counts:
    """The actions that each image takes by each arm, (S, A)."""
    return np.array([[arm(pipeline, task) for arm in ARMS.values()] for task in tasks])


def _print_all(name: str, actions: Counts) -> None:
    """Actions an image (S, A) and their ratios, with intervals."""
    places = {arm: place for place, arm in enumerate(ARMS)}
    for arm, place in places.items():
        _print(f"{name}_{arm}_strokes", actions, lambda sums, at=place: sums[at] / len(actions), "actions", 1)
        print(f"{name}_{arm}_strokes_median: {np.median(actions[:, place]):.1f} actions")
    for ratio, (over, under) in RATIOS.items():
        top, bottom = places[over], places[under]
        _print(f"{name}_{ratio}", actions, lambda sums, at=top, by=bottom: sums[at] / sums[by], "ratio", 2)


def _print(name: str, actions: Counts, statistic: Callable[[Counts], float], unit: str, digits: int) -> None:
    """A figure of sums over images with its interval."""
    low, high = bootstrap_interval(actions, statistic)
    for ending, value in (("", statistic(actions.sum(axis=0))), ("_low", low), ("_high", high)):
        print(f"{name}{ending}: {value:.{digits}f} {unit}", flush=True)
