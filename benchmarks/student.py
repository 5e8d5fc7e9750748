"""Whether a small student (MaskCLIP+) is better than the CLIP that taught it, on scenes that neither has seen.

``python -m benchmarks student [SCENES] [KIND...]`` trains one student a kind of scene from what the bundled model
says about 200 training scenes, without their truth, and prints, over SCENES (60) unseen scenes a kind and with 95 %
bootstrap intervals, ``student_<kind>_teacher_miou``, ``student_<kind>_miou`` and ``student_<kind>_gain``, the
difference. One word a kind is never a prompt of the training: ``student_<kind>_heldout_iou`` and
``student_<kind>_heldout_teacher_iou`` are for that word. ``student_gain`` and the like are means over the kinds.
``student_<kind>_seconds`` is what labelling and training took by the clock, ``student_<kind>_cpu_minutes`` by the
processor (10 minutes on two cores are 20), and ``student_<kind>_speed`` how many times as fast the student is as its
teacher, by the processor.

The teacher is ClearCLIP as it comes: the bundled model with the windows it is recommended with, nothing refined. For
labelling it is set as in `labelling`; ``student_<kind>_labelling_teacher_miou`` is what it reaches like that on the
unseen scenes. The candidates are for all, as in ``demo``, the scene's own names and the kind's distractors.

Labels are made of all names of a kind for every image. Only in the kind ``shapes``, of whose 48 names the teacher
cannot tell which are there, each training image comes with the names that are in it, as a caption would tell them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip import domains
from napari_clearclip.chains import CHAINS, DEFAULT
from napari_clearclip.edits import View
from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.evaluate.cases import scene_case
from napari_clearclip.evaluate.methods import ABLATION
from napari_clearclip.evaluate.metrics import confusion_matrix, iou, mean_iou
from napari_clearclip.material import Example
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import DISTRACTORS, KINDS, Scene, make_scene, vocabulary
from napari_clearclip.schooling import train_steps
from napari_clearclip.settings import Model, Prompt, Settings, Tiling
from napari_clearclip.study import Study

TRAINED = 200
FIRST_TRAINED = 4000  # the bundled model learned from those before
FIRST_SEED = 30_000  # settings were chosen on seeds from 9000 and with looks at seeds from 20000
UNITS = {"gain": "points"}
HELD_OUT = {"shapes": "blue star", "aerial": "solar panels", "micrograph": "rods"}
SMALL_WINDOWS = Tiling(short_side=288, window=64, stride=32)
STUDY = Study.of("small", iterations=3500, turned=True)  # seen from above there is no up and down


def main(arguments: list[str]) -> None:
    """Train, measure and print."""
    count = int(arguments[0]) if arguments else 60
    rows = []
    for kind in arguments[1:] or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            student = Path(folder) / f"{kind}.safetensors"
            train(kind, STUDY, student)
            rows.append(compare(kind, student, range(FIRST_SEED, FIRST_SEED + count)))
    for name in rows[0]:
        print(f"student_{name}: {np.mean([row[name] for row in rows]):.1f} {UNITS.get(name, '%')}", flush=True)


def train(kind: str, study: Study, out: Path) -> None:
    """Train a student of a kind and print what it took."""
    clock, work = time.perf_counter(), time.process_time()
    for _ in train_steps(Pipeline(), list(_examples(kind)), _settings(kind), study, out):
        pass
    print(f"student_{kind}_seconds: {time.perf_counter() - clock:.0f} s")
    print(f"student_{kind}_cpu_minutes: {(time.process_time() - work) / 60:.1f} min", flush=True)


def compare(kind: str, student: Path, seeds: Iterable[int]) -> dict[str, float]:
    """Print how a student does on scenes beside its teacher; mIoU and the IoU of the held out word, in percent."""
    scenes = [make_scene(kind, seed) for seed in seeds]
    trained = Model(name="", pretrained=str(student))
    found = [_confusions(scenes, model, change) for model, change in ((Model(), _as_it_comes), (trained, _as_it_comes))]
    (teacher, slow), (pupil, quick) = found
    labeller, _ = _confusions(scenes, Model(), labelling)
    confusions = np.stack([teacher, pupil, labeller], axis=1)  # (scenes, 3, classes, classes)
    held = vocabulary(kind).index(HELD_OUT[kind]) + 1
    statistics: dict[str, Callable[[Any], float]] = {
        "teacher_miou": lambda sums: _miou(sums[0]),
        "labelling_teacher_miou": lambda sums: _miou(sums[2]),
        "miou": lambda sums: _miou(sums[1]),
        "gain": lambda sums: _miou(sums[1]) - _miou(sums[0]),
        "heldout_teacher_iou": lambda sums: float(iou(sums[0])[held]),
        "heldout_iou": lambda sums: float(iou(sums[1])[held]),
    }
    for name, statistic in statistics.items():
        report(f"student_{kind}_{name}", confusions, statistic, UNITS.get(name, "%"))
    print(f"student_{kind}_speed: {slow / quick:.2f} ratio", flush=True)
    return {name: 100 * statistic(confusions.sum(axis=0)) for name, statistic in statistics.items()}


def _as_it_comes(settings: Settings) -> Settings:
    return settings


def _confusions(scenes: Sequence[Scene], model: Model, change: Callable[[Settings], Settings]) -> tuple[Any, float]:
    """What a model makes of scenes (scenes, classes, classes), and the processor time it took, without loading."""
    cases = [scene_case(scene, model=model) for scene in scenes]
    pipeline = Pipeline()
    pipeline.run(np.zeros((64, 64), np.uint8), cases[0].settings)  # loads the model
    work = time.process_time()
    predicted = [case.predicted(pipeline, change(case.settings)) for case in cases]
    seconds = time.process_time() - work
    pairs = zip(cases, predicted, strict=True)
    return np.array([confusion_matrix(case.truth, labels, case.classes) for case, labels in pairs]), seconds


def _examples(kind: str) -> Iterator[Example]:
    for seed in range(FIRST_TRAINED, FIRST_TRAINED + TRAINED):
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
    prompts = (*objects, *domains.as_prompts(DISTRACTORS[kind]))
    return labelling(Settings(prompts=prompts))


def labelling(settings: Settings) -> Settings:
    """How the teacher reads what it labels: MaskCLIP's attention as in the paper, small windows, *Clean edges*."""
    return CHAINS[DEFAULT].on(settings.replace(attention=ABLATION["maskclip"], tiling=SMALL_WINDOWS))


def _miou(confusion: Any) -> float:
    return mean_iou(confusion, exclude=(0,))


def report(name: str, confusions: np.ndarray, statistic: Any, unit: str) -> None:
    """A figure of summed confusions with its interval."""
    low, high = bootstrap_interval(confusions, statistic)
    print(f"{name}: {100 * statistic(confusions.sum(axis=0)):.1f} {unit}")
    print(f"{name}_low: {100 * low:.1f} {unit}")
    print(f"{name}_high: {100 * high:.1f} {unit}", flush=True)
