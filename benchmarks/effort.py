"""How much drawing is left to an annotator, on scenes that nothing was trained on or tuned on.

``python -m benchmarks effort [SCENES]`` lets a simulated annotator who sees the truth bring every prompt of a scene to
an IoU of 0.9, SCENES (20) scenes a kind, and prints actions an image. ``docs/effort.md`` has the rules with reasons; in
short: the brush is a tenth of the object's diameter wide; a stroke is one straight drag of at most a diameter, on the
largest connected error, where it puts most right; it is one action, and so is choosing a threshold or taking back. An
object's diameter is that of the circle as large as the connected part of the truth in which the middle pixel lies.

- ``effort_a_strokes``: brush only, from an empty mask.
- ``effort_b_strokes``: a phrase, its best threshold, brush; nothing refined or cleaned.
- ``effort_d_strokes``: without words, prompt by prompt the better of Otsu's threshold of the best channel and a random
  forest that learns from strokes, then brush.

Each is the mean over images (``_median``, and 95 % bootstrap intervals ``_low`` and ``_high`` over the images), also
``effort_<kind>_...``. ``effort_nuclei_...`` is a real image where ``CLEARCLIP_TEST_DATA`` names its folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.arms import actions_left, best_mask, first_strokes, otsu_masks, taught
from benchmarks.annotator.forest import Forest
from benchmarks.annotator.tasks import Task, Words, nuclei_task, scene_task
from napari_clearclip.evaluate.protocol import bootstrap_interval
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import KINDS
from napari_clearclip.settings import Settings

Counts = npt.NDArray[np.float64]


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else 20
    pipeline = Pipeline()
    found = {}
    for kind in KINDS:
        found[kind] = _actions(pipeline, (scene_task(kind, seed) for seed in range(count)))
        _print(f"effort_{kind}", found[kind])
    if "CLEARCLIP_TEST_DATA" in os.environ:
        folder = Path(os.environ["CLEARCLIP_TEST_DATA"])
        for arm, (actions,) in _actions(pipeline, [nuclei_task(folder)]).items():
            print(f"effort_nuclei_{arm}_strokes: {actions:.1f} actions", flush=True)
    _print("effort", {arm: np.mean([actions[arm] for actions in found.values()], axis=0) for arm in ARMS})


def _actions(pipeline: Pipeline, tasks: Iterable[Task]) -> dict[str, Counts]:
    """By arm, the actions that each image takes, (S,)."""
    counts = np.array([[sum(arm(pipeline, task)) for arm in ARMS.values()] for task in tasks], float)
    return dict(zip(ARMS, counts.T, strict=True))


def _print(name: str, actions: dict[str, Counts]) -> None:
    """Actions an image by arm, (S,) each, with intervals."""
    for arm, counts in actions.items():
        low, high = (bound / len(counts) for bound in bootstrap_interval(counts, float))
        print(f"{name}_{arm}_strokes: {counts.mean():.1f} actions")
        print(f"{name}_{arm}_strokes_median: {np.median(counts):.1f} actions")
        print(f"{name}_{arm}_strokes_low: {low:.1f} actions")
        print(f"{name}_{arm}_strokes_high: {high:.1f} actions", flush=True)


def brush_only(pipeline: Pipeline, task: Task) -> list[int]:
    """Actions by prompt from empty masks."""
    return actions_left([np.zeros_like(truth) for truth in task.truths], task.truths, task.brushes)


def threshold_then_brush(pipeline: Pipeline, task: Task) -> list[int]:
    """Actions by prompt with a phrase and a threshold."""
    moves, masks = Words(pipeline, task, Settings()).chosen()
    return list(map(sum, zip(moves, actions_left(masks, task.truths, task.brushes), strict=True)))


def without_words(pipeline: Pipeline, task: Task) -> list[int]:
    """Actions by prompt with the better of Otsu's threshold and a random forest."""
    otsu = [best_mask(otsu_masks(task.channels), truth) for truth in task.truths]
    by_otsu = [1 + left for left in actions_left(otsu, task.truths, task.brushes)]
    forest, first = Forest(task.channels, len(task.names)), first_strokes(task.truths, task.brushes)
    actions, masks = taught(forest.learn(first), task.truths, task.brushes, forest.learn, first)
    shared = len(first) / len(task.names)
    left = actions_left(masks, task.truths, task.brushes)
    by_forest = [shared + done + more for done, more in zip(actions, left, strict=True)]
    return [min(pair) for pair in zip(by_otsu, by_forest, strict=True)]


ARMS = {"a": brush_only, "b": threshold_then_brush, "d": without_words}
