"""From images and phrases to a student's file: CLIP labels the images, the student learns them (MaskCLIP+)."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_clearclip import domains
from napari_clearclip.cache import key_of
from napari_clearclip.job import filled_tiling
from napari_clearclip.material import Example, Material, material_steps, student_side
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Settings
from napari_clearclip.study import Card, Study

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.training.student import Learning

TRAINING = "Training"
_WINDOW = {"window": 512, "stride": 384}
_CHECKPOINT_SECONDS = 60.0


def train_steps(
    pipeline: Pipeline,
    examples: Sequence[Example],
    settings: Settings,
    study: Study,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
) -> Generator[Progress, None, Card]:
    """Train a student and write its file and card, yielding how far it is.

    Closing the generator stops; what was learned so far is in the checkpoint, from which `resume` goes on.

    Parameters
    ----------
    pipeline : Pipeline
        Labels the images; its device is used for the training too, before which it forgets what it has kept.
    examples : sequence of Example
        The images.
    settings : Settings
        The teacher, the phrases (objects and distractors alike), and how pseudo-labels are made.
    study : Study
        How the student learns.
    out : Path
        The student's file (.safetensors); the card lies beside it as .json, the checkpoint as .checkpoint.
    resume : bool
        Whether to go on from the checkpoint, if there is one.
    minutes : float, optional
        How long the training may take; the number of steps follows from the first ones, instead of the study's. A
        training that is resumed keeps the number it was started with.

    Returns
    -------
    Card
        What was written.

    Raises
    ------
    ValueError
        If something does not fit: no image or phrase, labels of another shape, a checkpoint of another training.
    """
    from napari_clearclip.training.student import Learning, paced, planned

    out = out.expanduser().with_suffix(".safetensors")
    checkpoint = out.with_suffix(".checkpoint")
    material = yield from material_steps(pipeline, examples, settings, study)
    pipeline.release()
    yield Progress(TRAINING, 0, study.iterations)
    known = resume and checkpoint.is_file()
    if minutes is not None:
        if known:
            study = study.replace(iterations=planned(checkpoint))
        else:
            study = paced(study, material.subject, material.lessons, pipeline.device, minutes)
    name = key_of(study, material.key)
    learning = Learning.start(study, material.subject, pipeline.device)
    if known:
        learning.resume(checkpoint, name)
    seconds = yield from _learning_steps(study, material, learning, checkpoint, name)
    card = _card(material, settings, study, learning, [example.name for example in examples], seconds)
    write_student(out, learning, card)
    checkpoint.unlink(missing_ok=True)
    return card


def _learning_steps(
    study: Study, material: Material, learning: Learning, checkpoint: Path, name: str
) -> Generator[Progress, None, float]:
    """Train to the end, keeping a checkpoint from time to time and when stopped; the seconds it took."""
    from napari_clearclip.training.student import train_steps as learn

    began = saved = time.monotonic()
    try:
        for state in learn(study, material.subject, material.lessons, learning):
            yield Progress(TRAINING, state.step, study.iterations)
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                state.save(checkpoint, name, study)
                saved = time.monotonic()
    except GeneratorExit:
        learning.save(checkpoint, name, study)
        raise
    return time.monotonic() - began


def _card(
    material: Material, settings: Settings, study: Study, learning: Learning, names: Sequence[str], seconds: float
) -> Card:
    """What there is to say about a student."""
    from napari_clearclip.training.examination import examine

    teacher = domains.recommendations(settings.model)
    kept = {key: teacher[key] for key in ("vocabulary",) if key in teacher}
    templates = settings.comparing.templates or material.clip.templates
    kept |= {} if isinstance(templates, str) else {"templates": list(templates)}
    tiling = filled_tiling(settings.tiling, material.clip.tiling)
    shapes = np.array([lesson.image.shape[:2] for lesson in material.lessons])
    typical = int(np.median(shapes.min(axis=1)))  # one side for all images that are still to come
    side = student_side(study, tiling, (typical, typical))
    examined = examine(learning.result, material.subject, material.lessons)
    return Card(
        architecture=study.architecture,
        width=material.clip.width,
        teacher=settings.model,
        teacher_key=material.clip.weights,
        phrases=material.phrases,
        images=tuple(names),
        study=study,
        start="ImageNet" if learning.known else "nothing",
        figures={
            "loss": round(learning.loss, 4),
            "agreement": round(examined.agreement, 4),
            "seconds": round(seconds, 1),
        },
        clearclip={
            **kept,
            "tiling": {"short_side": side, **_WINDOW},
            "distractors": [phrase for prompt in settings.distractors for phrase in prompt.words],
            "scale": examined.scale,
        },
    )


def write_student(out: Path, learning: Learning, card: Card) -> None:
    """Write weights and card, each whole or not at all.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    from napari_clearclip.io.files import replacing
    from napari_clearclip.training.student import save_weights

    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        save_weights(learning.result, file)
    with replacing(out.with_suffix(".json")) as file:
        file.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
