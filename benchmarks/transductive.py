"""What self-training brings a small student (MaskCLIP+) where some words are labelled and the others are not.

``python -m benchmarks transductive [SCENES] [STEPS] [SHARE]`` trains two students on 100 drawn micrographs in which
every other word (nuclei, filaments, crystals) is labelled with the truth, and the rest (rods, vesicles, granules,
backgrounds) by the bundled model. They differ in one thing: one learns CLIP's labels in all STEPS (1400), the other in
the first SHARE of them (0.1, as in the paper), and then its own. Labels, seed, crops and number of steps are the same.

Over SCENES (60) unseen scenes, with 95 % bootstrap intervals, in percent: ``guided_miou`` and ``selftrained_miou`` of
all words, ``..._labelled_miou`` and ``..._unlabelled_miou`` of the two halves; ``selftraining_gain``,
``selftraining_labelled_gain`` and ``selftraining_unlabelled_gain`` are the differences. The candidates are the scene's
own names and the kind's distractors, as in ``student``. ``transductive_cpu_minutes`` is what all of it took.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.student import FIRST_SEED, FIRST_TRAINED, STUDY, labelling, report
from napari_clearclip import domains
from napari_clearclip.edits import View
from napari_clearclip.evaluate.cases import scene_case
from napari_clearclip.evaluate.metrics import confusion_matrix, iou
from napari_clearclip.material import Example
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import DISTRACTORS, make_scene, vocabulary
from napari_clearclip.schooling import train_steps
from napari_clearclip.settings import Model, Prompt, Settings
from napari_clearclip.study import Study

KIND = "micrograph"
TRAINED = 100
NAMES = vocabulary(KIND)
LABELLED = NAMES[::2]


def main(arguments: list[str]) -> None:
    """Train both, measure and print."""
    count, steps, share = (float(value) for value in (*arguments, *("60", "1400", "0.1")[len(arguments) :]))
    began = time.process_time()
    confusions = np.stack([_confusions(_study(int(steps), guided), int(count)) for guided in (1.0, share)], axis=1)
    halves = {
        "": slice(1, None),
        "labelled_": [NAMES.index(name) + 1 for name in LABELLED],
        "unlabelled_": [number for number, name in enumerate(NAMES, 1) if name not in LABELLED],
    }
    for half, numbers in halves.items():
        for place, name in enumerate(("guided", "selftrained")):
            report(f"{name}_{half}miou", confusions, lambda sums, p=place, n=numbers: _mean(sums[p], n), "%")
        report(
            f"selftraining_{half}gain",
            confusions,
            lambda sums, n=numbers: _mean(sums[1], n) - _mean(sums[0], n),
            "points",
        )
    print(f"transductive_cpu_minutes: {(time.process_time() - began) / 60:.1f} min", flush=True)


def _study(steps: int, guided: float) -> Study:
    return STUDY.replace(iterations=steps, guided=guided, transductive=True)


def _confusions(study: Study, count: int) -> np.ndarray:
    """What a student that was trained as a study says makes of unseen scenes (scenes, classes, classes)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "student.safetensors"
        for _ in train_steps(Pipeline(), list(_examples()), _settings(), study, out):
            pass
        model, pipeline = Model(name="", pretrained=str(out)), Pipeline()
        cases = [scene_case(make_scene(KIND, seed), model=model) for seed in range(FIRST_SEED, FIRST_SEED + count)]
        found = [confusion_matrix(case.truth, case.predicted(pipeline, case.settings), case.classes) for case in cases]
    return np.array(found)


def _examples() -> Iterator[Example]:
    """Training images with the truth of the labelled words."""
    for seed in range(FIRST_TRAINED, FIRST_TRAINED + TRAINED):
        scene = make_scene(KIND, seed, split="train")
        table = np.array([0, *(NAMES.index(name) + 1 if name in LABELLED else 0 for name in scene.names)], np.uint8)
        yield Example(f"{KIND} {seed}", scene.image, View(channel_axis=-1), labels=table[scene.truth])


def _settings() -> Settings:
    objects = tuple(Prompt(id=f"object-{place}", phrase=name) for place, name in enumerate(NAMES))
    return labelling(Settings(prompts=(*objects, *domains.as_prompts(DISTRACTORS[KIND]))))


def _mean(confusion: np.ndarray, numbers: Any) -> float:
    """The mean IoU of some classes."""
    return float(np.nanmean(iou(confusion)[numbers]))
