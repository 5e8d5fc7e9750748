"""How well the bundled model finds what it was taught, by variant, on scenes that training never saw.

``python -m benchmarks demo [SCENES]`` prints ``demo_<kind>_<row>_miou: value %`` with 95 % bootstrap intervals over the
scenes; SCENES (200) is the number of scenes a kind. The candidates are the scene's own names and the kind's
distractors; ``demo_<kind>_all_names_<row>_miou`` lets all names of the kind compete. ``demo_mean_<row>_miou`` is the
mean of the kinds, and ``demo_<kind>_clearclip_over_<row>`` by how many points ClearCLIP is better on the same scenes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.evaluate.methods import ABLATION
from napari_clearclip.evaluate.metrics import iou, mean_iou
from napari_clearclip.evaluate.scenes import scene_confusions
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import KINDS, UNSEEN_PAIRS, make_scene, vocabulary

_miou = partial(mean_iou, exclude=(0,))


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else 200
    pipeline = Pipeline()
    found = {}
    for kind in KINDS:
        scenes = [make_scene(kind, seed) for seed in range(count)]
        for candidates, rows in (("scene", list(ABLATION)), ("kind", ["clearclip", "vanilla"])):
            matrices = scene_confusions(pipeline, scenes, [ABLATION[row] for row in rows], candidates)
            confusions = np.array(list(matrices))  # (scenes, rows, classes, classes)
            for index, row in enumerate(rows):
                name = f"demo_{kind}_{row}" if candidates == "scene" else f"demo_{kind}_all_names_{row}"
                _print(f"{name}_miou", confusions[:, index], _miou, "%")
            if candidates == "scene":
                found[kind] = confusions
        if kind == "shapes":
            print(f"demo_unseen_over_seen: {_unseen_over_seen(found[kind][:, 0].sum(axis=0)):.2f} ratio", flush=True)
    _print_comparisons(found)


def _print_comparisons(found: dict[str, np.ndarray]) -> None:
    """Means over the kinds, and ClearCLIP against each other row on the same scenes."""
    classes = max(confusions.shape[-1] for confusions in found.values())
    padded = [
        np.pad(confusions, [(0, 0), (0, 0), *[(0, classes - confusions.shape[-1])] * 2])
        for confusions in found.values()
    ]
    together = np.stack(padded, axis=2)  # (scenes, rows, kinds, classes, classes)
    for index, row in enumerate(ABLATION):
        _print(f"demo_mean_{row}_miou", together[:, index], lambda sums: float(np.mean([_miou(s) for s in sums])), "%")
    for kind, confusions in found.items():
        for index, row in enumerate(ABLATION):
            if index:
                pairs = confusions[:, [0, index]]
                _print(f"demo_{kind}_clearclip_over_{row}", pairs, lambda s: _miou(s[0]) - _miou(s[1]), "points")


def _print(name: str, confusions: np.ndarray, statistic: Callable[[Any], float], unit: str) -> None:
    """A figure of summed confusion matrices with its interval."""
    low, high = bootstrap_interval(confusions, statistic)
    print(f"{name}: {100 * statistic(confusions.sum(axis=0)):.1f} {unit}")
    print(f"{name}_low: {100 * low:.1f} {unit}")
    print(f"{name}_high: {100 * high:.1f} {unit}", flush=True)


def _unseen_over_seen(confusion: np.ndarray) -> float:
    """ClearCLIP's IoU on colour-shape pairs that training never showed, over that on the others."""
    unseen = np.array([tuple(name.split()) in UNSEEN_PAIRS for name in vocabulary("shapes")])
    values = iou(confusion)[1:]
    return float(np.nanmean(values[unseen]) / np.nanmean(values[~unseen]))
