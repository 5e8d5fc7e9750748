"""How much masks gain when prompts learn from strokes, on scenes that nothing was trained on.

``python -m benchmarks teach [SCENES [FIRST]]`` lets the simulated annotator of ``docs/effort.md`` correct SCENES (50)
scenes a kind, seeds from FIRST (0) on: in each round every prompt whose IoU is below 0.9 gets one stroke on its largest
connected error, positive where something is missing and negative where there is too much. Thresholds stay where they
are.

- ``teach_<n>_strokes_miou``: after n rounds, what was drawn being learned and nothing painted; the mean IoU of the
  names, mean over scenes and kinds. ``teach_0_strokes_miou`` is by words alone. ``_low`` and ``_high``: 95 % bootstrap
  intervals over the scenes (a scene is one seed of every kind).
- ``teach_paint_<n>_strokes_miou``: the same strokes painted on the words' masks and not learned.
- ``teach_learned_share``: of the pixels of a stroke, how many are as it says once it was learned.
- ``teach_similar_<mix>_miou``: words mixed with the pixel of each name that is farthest from its edge, found similar.
- ``teach_<kind>_...``: the same for one kind of scene.
- ``teach_stroke_over_first_run``: the time from a stroke to its mask over that of a first run, and
  ``teach_stroke_over_new_prompt`` over that of a new phrase (median of five, in the same process): a ViT-B/16 with
  random weights on 1024 x 1024.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.strokes import GOAL, Mask, iou, next_stroke
from benchmarks.annotator.tasks import Task, scene_task
from benchmarks.gui import random_weights
from napari_clearclip import domains
from napari_clearclip.edits import Edits, View
from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.result import Segmentation
from napari_clearclip.scenes import KINDS, make_scene
from napari_clearclip.settings import Model, Prompt, Settings, Tiling

ROUNDS = 3
MIXES = (0.5, 1.0)
REPEATS = 5
Figures = dict[str, npt.NDArray[np.float64]]  # by name, a value a scene


def main(arguments: list[str]) -> None:
    """Print the table."""
    count, first = (int(given) for given in (*arguments, *("50", "0")[len(arguments) :]))
    pipeline, found = Pipeline(), {}
    for kind in KINDS:
        found[kind] = figures(pipeline, (scene_task(kind, seed) for seed in range(first, first + count)))
        _print(f"teach_{kind}", found[kind])
    _print("teach", {name: np.mean([of[name] for of in found.values()], axis=0) for name in found[KINDS[0]]})
    with tempfile.TemporaryDirectory() as folder:
        for name, value in _ratios(random_weights(Path(folder))).items():
            print(f"{name}: {value:.3f} ratio", flush=True)


def figures(pipeline: Pipeline, tasks: Iterable[Task]) -> Figures:
    """Each figure of some images."""
    rows = [{**_corrected(pipeline, task), **_similar(pipeline, task)} for task in tasks]
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


def _print(name: str, of: Figures) -> None:
    """Means over scenes with intervals, in per cent."""
    for figure, values in of.items():
        values = values[~np.isnan(values)]
        low, high = (bound / len(values) for bound in bootstrap_interval(values, float))
        print(f"{name}_{figure}: {100 * values.mean():.1f} %")
        print(f"{name}_{figure}_low: {100 * low:.1f} %")
        print(f"{name}_{figure}_high: {100 * high:.1f} %", flush=True)


def _asked(task: Task, mix: float = 0.0) -> Settings:
    """The names of a task as prompts, at the default threshold."""
    prompts = tuple(Prompt(id=name, phrase=name, mix=mix) for name in task.names)
    return Settings(prompts=prompts + domains.as_prompts(task.distractors))


def _masks(task: Task, result: Segmentation) -> list[Mask]:
    return [result.mask(name) for name in task.names]


def _miou(masks: Iterable[Mask], task: Task) -> float:
    return float(np.mean([iou(mask, truth) for mask, truth in zip(masks, task.truths, strict=True)]))


def _corrected(pipeline: Pipeline, task: Task) -> dict[str, float]:
    """Mean IoU after each round of strokes, learned or painted."""
    view, settings, edits = View(channel_axis=-1), _asked(task), Edits()
    masks = _masks(task, pipeline.run(task.image, settings, view))
    painted = list(masks)
    found, learned = {"0_strokes_miou": _miou(masks, task)}, []
    for number in range(1, ROUNDS + 1):
        drawn = []
        for place, (name, truth, brush) in enumerate(zip(task.names, task.truths, task.brushes, strict=True)):
            stroke = next_stroke(masks[place], truth, brush) if iou(masks[place], truth) < GOAL else None
            if stroke is not None:
                edits = edits.teach(name, (), stroke.pixels, stroke.on)
                painted[place] = stroke.painted(painted[place])
                drawn.append((place, stroke))
        masks = _masks(task, pipeline.run(task.image, settings, view, edits))
        learned += [np.mean(masks[place][stroke.pixels] == stroke.on) for place, stroke in drawn]
        found[f"{number}_strokes_miou"] = _miou(masks, task)
        found[f"paint_{number}_strokes_miou"] = _miou(painted, task)
    return {**found, "learned_share": float(np.mean(learned)) if learned else np.nan}


def _similar(pipeline: Pipeline, task: Task) -> dict[str, float]:
    """Mean IoU with an example of each name: the pixel that is farthest from the edge of its largest object."""
    from scipy.ndimage import distance_transform_edt

    edits = Edits()
    for name, truth in zip(task.names, task.truths, strict=True):
        depth = distance_transform_edt(np.pad(truth, 1))[1:-1, 1:-1]
        edits = edits.find_similar(name, (), depth == depth.max())
    view = View(channel_axis=-1)
    runs = {mix: pipeline.run(task.image, _asked(task, mix), view, edits) for mix in MIXES}
    return {f"similar_{mix}_miou": _miou(_masks(task, result), task) for mix, result in runs.items()}


def _ratios(weights: Path) -> dict[str, float]:
    """The time from a stroke to its mask, over that of other changes."""
    image = np.tile(make_scene("aerial", 0).image, (6, 6, 1))[:1024, :1024]
    stroke = np.zeros(image.shape[:2], bool)
    prompts = tuple(Prompt(id=word, phrase=word) for word in ("road", "tree", "water"))
    tiling = Tiling(short_side=1024, window=448, stride=224)
    settings = Settings(model=Model(name="", pretrained=str(weights)), prompts=prompts, tiling=tiling)
    view, pipeline, edits = View(channel_axis=-1), Pipeline(), Edits()
    first = _seconds(lambda: pipeline.run(image, settings, view))
    strokes, phrases = [], []
    for turn in range(REPEATS):
        stroke[:] = False
        stroke[100 * turn : 100 * turn + 20, 200:400] = True
        edits = edits.teach("road", (), stroke, turn % 2 == 0)
        strokes.append(_seconds(lambda edits=edits: pipeline.run(image, settings, view, edits)))  # type: ignore[misc]
        more = settings.replace(prompts=(*prompts, Prompt(phrase=f"field {turn}")))
        phrases.append(_seconds(lambda more=more: pipeline.run(image, more, view)))  # type: ignore[misc]
    print(f"teach_stroke_seconds: {median(strokes):.2f} s")
    return {
        "teach_stroke_over_first_run": median(strokes) / first,
        "teach_stroke_over_new_prompt": median(strokes) / median(phrases),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
