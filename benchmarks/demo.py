"""How well the bundled model finds what it was taught, by variant, on scenes that training never saw.

``python -m benchmarks demo [SCENES]`` prints ``demo_<kind>_<row>_miou: value %`` with 95 % bootstrap intervals over the
scenes; SCENES (200) is the number of scenes a kind. The candidates are the scene's own names and the kind's
distractors; ``demo_<kind>_all_names_<row>_miou`` lets all names of the kind compete.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from napari_clearclip.evaluate.metrics import iou, mean_iou
from napari_clearclip.evaluate.protocol import ABLATION, bootstrap_interval, scene_confusions
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import KINDS, UNSEEN_PAIRS, make_scene, vocabulary

_miou = partial(mean_iou, exclude=(0,))


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else 200
    pipeline = Pipeline()
    for kind in KINDS:
        scenes = [make_scene(kind, seed) for seed in range(count)]
        for candidates, rows in (("scene", list(ABLATION)), ("kind", ["clearclip", "vanilla"])):
            found = scene_confusions(pipeline, scenes, [ABLATION[row] for row in rows], candidates)
            confusions = np.array(list(found))  # (scenes, rows, classes, classes)
            for index, row in enumerate(rows):
                name = f"demo_{kind}_{row}" if candidates == "scene" else f"demo_{kind}_all_names_{row}"
                low, high = bootstrap_interval(confusions[:, index], _miou)
                print(f"{name}_miou: {100 * _miou(confusions[:, index].sum(axis=0)):.1f} %", flush=True)
                print(f"{name}_miou_low: {100 * low:.1f} %")
                print(f"{name}_miou_high: {100 * high:.1f} %", flush=True)
            if kind == "shapes" and candidates == "scene":
                print(f"demo_unseen_over_seen: {_unseen_over_seen(confusions[:, 0].sum(axis=0)):.2f} ratio", flush=True)


def _unseen_over_seen(confusion: np.ndarray) -> float:
    """ClearCLIP's IoU on colour-shape pairs that training never showed, over that on the others."""
    unseen = np.array([tuple(name.split()) in UNSEEN_PAIRS for name in vocabulary("shapes")])
    values = iou(confusion)[1:]
    return float(np.nanmean(values[unseen]) / np.nanmean(values[~unseen]))
