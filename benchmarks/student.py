"""Whether a small student (MaskCLIP+) is better than the CLIP that taught it, on scenes that neither has seen.

``python -m benchmarks student [SCENES] [KIND...]`` trains one student a kind of scene from what the bundled model
says about 150 training scenes, without their truth, and prints, over SCENES (60) unseen scenes a kind,
``student_<kind>_teacher_miou``, ``student_<kind>_miou`` and ``student_<kind>_gain`` with 95 % bootstrap intervals, and
their means over the kinds as ``student_teacher_miou``, ``student_miou`` and ``student_gain``. One word a kind is never
a prompt of the training: ``student_<kind>_held_out_iou`` and ``student_<kind>_held_out_teacher_iou`` are for that word.
The candidates are, as in ``demo``, the scene's own names and the kind's distractors. ``student_<kind>_seconds`` is what
labelling and training took by the clock, ``student_<kind>_cpu_seconds`` by the processor, and ``student_<kind>_speed``
how many times as fast the student is as its teacher.

In the kind ``shapes`` 48 names look alike to the teacher, so each training image comes with the names that are in it,
as a caption would tell them; the other kinds are trained with all names for all images.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip import domains
from napari_clearclip.edits import View
from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.evaluate.methods import ABLATION
from napari_clearclip.evaluate.metrics import iou, mean_iou
from napari_clearclip.evaluate.scenes import scene_confusions
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import DISTRACTORS, KINDS, Scene, make_scene, vocabulary
from napari_clearclip.schooling import Example, train_steps
from napari_clearclip.settings import Model, Prompt, Settings
from napari_clearclip.study import Study

TRAINED = 150
HELD_OUT = {"shapes": "blue star", "aerial": "solar panels", "micrograph": "rods"}
ITERATIONS = 700


def main(arguments: list[str]) -> None:
    """Train, measure and print."""
    count = int(arguments[0]) if arguments else 60
    means = []
    for kind in arguments[1:] or KINDS:
        confusions = measured(kind, Study.of("small", iterations=ITERATIONS), count)
        student, teacher = (100 * _miou(confusions[:, row].sum(axis=0)) for row in (0, 1))
        means.append((teacher, student))
    for name, values in zip(("teacher_miou", "miou"), np.mean(means, axis=0), strict=True):
        print(f"student_{name}: {values:.1f} %")
    print(f"student_gain: {np.mean([student - teacher for teacher, student in means]):.1f} points", flush=True)


def measured(kind: str, study: Study, count: int) -> np.ndarray:
    """Train a student of a kind and print how it does; confusions (scenes, student and teacher, classes, classes)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{kind}.safetensors"
        clock, work = time.perf_counter(), time.process_time()
        for _ in train_steps(Pipeline(), list(_examples(kind)), _settings(kind), study, out):
            pass
        print(f"student_{kind}_seconds: {time.perf_counter() - clock:.0f} s")
        print(f"student_{kind}_cpu_seconds: {time.process_time() - work:.0f} s", flush=True)
        scenes = [make_scene(kind, seed) for seed in range(count)]
        found, seconds = [], []
        for model in (Model(name="", pretrained=str(out)), Model()):
            pipeline = Pipeline()
            list(scene_confusions(pipeline, scenes[:1], [ABLATION["clearclip"]], model=model))  # loads the model
            work = time.process_time()
            rows = scene_confusions(pipeline, scenes, [ABLATION["clearclip"]], model=model)
            found.append([row for (row,) in rows])
            seconds.append(time.process_time() - work)
    confusions = np.stack([np.array(part) for part in found], axis=1)
    _print(f"student_{kind}_teacher_miou", confusions, lambda sums: _miou(sums[1]), "%")
    _print(f"student_{kind}_miou", confusions, lambda sums: _miou(sums[0]), "%")
    _print(f"student_{kind}_gain", confusions, lambda sums: _miou(sums[0]) - _miou(sums[1]), "points")
    held = vocabulary(kind).index(HELD_OUT[kind]) + 1
    _print(f"student_{kind}_held_out_iou", confusions, lambda sums: float(iou(sums[0])[held]), "%")
    _print(f"student_{kind}_held_out_teacher_iou", confusions, lambda sums: float(iou(sums[1])[held]), "%")
    print(f"student_{kind}_speed: {seconds[1] / seconds[0]:.2f} ratio", flush=True)
    return confusions


def _examples(kind: str) -> Iterator[Example]:
    for seed in range(TRAINED):
        scene = make_scene(kind, seed, split="train")
        yield Example(f"{kind} {seed}", scene.image, View(channel_axis=-1), present=_present(scene))


def _present(scene: Scene) -> tuple[str, ...] | None:
    """What a caption says is in a scene; None where every name is asked for."""
    if scene.kind != "shapes":
        return None
    return (*(name for name in scene.names if name != HELD_OUT[scene.kind]), *DISTRACTORS[scene.kind])


def _settings(kind: str) -> Settings:
    names = [name for name in vocabulary(kind) if name != HELD_OUT[kind]]
    objects = tuple(Prompt(id=f"object-{place}", phrase=name) for place, name in enumerate(names))
    return Settings(prompts=(*objects, *domains.as_prompts(DISTRACTORS[kind])))


def _miou(confusion: Any) -> float:
    return mean_iou(confusion, exclude=(0,))


def _print(name: str, confusions: np.ndarray, statistic: Any, unit: str) -> None:
    """A figure of summed confusions with its interval."""
    low, high = bootstrap_interval(confusions, statistic)
    print(f"{name}: {100 * statistic(confusions.sum(axis=0)):.1f} {unit}")
    print(f"{name}_low: {100 * low:.1f} {unit}")
    print(f"{name}_high: {100 * high:.1f} {unit}", flush=True)
