"""From images and phrases to a student's file: CLIP labels the images, the student learns them (MaskCLIP+)."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.cache import key_of
from napari_clearclip.edits import View
from napari_clearclip.job import filled_tiling
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Prompt, Settings, Tiling
from napari_clearclip.study import Card, Study

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.result import Segmentation
    from napari_clearclip.training.lessons import Lesson
    from napari_clearclip.training.student import Learning, Subject

LABELLING, TRAINING = "Labelling the images", "Training"
_WINDOW = {"window": 512, "stride": 384}
_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Example:
    """An image to learn from.

    Attributes
    ----------
    name : str
        What the card calls it.
    image : array-like
        As stored, with axes as `view` says.
    view : View
        How it is looked at.
    labels : (H, W) integer array or None
        What the user says: 0 = nothing, i + 1 = the object prompt i of the settings.
    present : tuple of str or None
        The phrases that may be in this image, where that is known, as from a caption; None = all.
    """

    name: str
    image: Any
    view: View
    labels: npt.NDArray[np.integer] | None = None
    present: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """All that a training needs: the teacher, the phrases, what is taught, and the lessons; `key` names it."""

    clip: Clip
    phrases: tuple[str, ...]
    subject: Subject
    lessons: tuple[Lesson, ...]
    key: str


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


def material_steps(
    pipeline: Pipeline, examples: Sequence[Example], settings: Settings, study: Study
) -> Generator[Progress, None, Material]:
    """Pseudo-labels of all images, and what else a training needs."""
    from napari_clearclip.training.student import Subject

    if not examples:
        raise ValueError("there is nothing to learn from; give at least one image")
    prompts = (*settings.objects, *settings.distractors)
    phrases = tuple(phrase for prompt in prompts for phrase in prompt.words)
    unlabelled = unlabelled_phrases(settings, examples, study)
    every = _questions(settings, phrases, study)
    lessons = []
    for place, example in enumerate(examples):
        yield Progress(LABELLING, place, len(examples))
        numbers = asked_of(example, phrases, unlabelled)
        asked = _questions(settings, [phrases[number] for number in numbers], study)
        labelling = pipeline.steps(example.image, asked, example.view)
        result = yield from _counted(labelling, place, len(examples))
        teaching = pipeline.teacher_steps(example.image, every, result.view, study.distil > 0)
        clip, texts, means = yield from _counted(teaching, place, len(examples))
        lessons.append(_lesson(example, result, settings, study, numbers, means))
    yield Progress(LABELLING, len(examples), len(examples))
    subject = Subject.of([texts[phrase] for phrase in phrases], unlabelled, clip, lessons, study.balance)
    contents = [part for lesson in lessons for part in (lesson.image, lesson.pseudo, lesson.known)]
    key = key_of(phrases, every, clip.key, *contents)
    return Material(clip, phrases, subject, tuple(lessons), key)


def asked_of(example: Example, phrases: Sequence[str], unlabelled: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the phrases that compete for an image's pixels.

    Raises
    ------
    ValueError
        If none of what is said to be in the image is asked for.
    """
    numbers = tuple(n for n in unlabelled if example.present is None or phrases[n] in example.present)
    if not numbers:
        raise ValueError(f"none of what is in {example.name} is a phrase of the training: {example.present}")
    return numbers


def _counted(steps: Generator[Progress, None, Any], place: int, count: int) -> Generator[Progress, None, Any]:
    """The same steps and result; downloads and loading are told as they are, all else as images done."""
    while True:
        try:
            state = next(steps)
        except StopIteration as stop:
            return stop.value
        yield state if state.unit == "bytes" else Progress(LABELLING, place, count)


def _questions(settings: Settings, phrases: Sequence[str], study: Study) -> Settings:
    """Settings that let all phrases compete for every pixel."""
    prompts = tuple(
        Prompt(id=f"phrase-{number}", phrase=phrase, threshold=study.confidence)
        for number, phrase in enumerate(phrases)
    )
    return settings.replace(prompts=prompts, deciding=settings.deciding.replace(competitors="all", exclusive=True))


def unlabelled_phrases(settings: Settings, examples: Sequence[Example], study: Study) -> tuple[int, ...]:
    """The numbers of the phrases that pseudo-labels may be of.

    Without annotation, or with a few accepted masks, that is all of them; in the transductive setting (``guided`` below
    1) those of prompts of which the user labelled nothing anywhere.
    """
    given = {int(value) for example in examples if example.labels is not None for value in np.unique(example.labels)}
    prompts = (*settings.objects, *settings.distractors)
    owners = [owner for owner, prompt in enumerate(prompts) for _ in prompt.words]
    if study.guided == 1:
        return tuple(range(len(owners)))
    found = tuple(number for number, owner in enumerate(owners) if owner + 1 not in given)
    if not found:
        raise ValueError("every prompt is labelled, so there is nothing for CLIP to label; use guided = 1")
    return found


def _lesson(
    example: Example,
    result: Segmentation,
    settings: Settings,
    study: Study,
    numbers: tuple[int, ...],
    means: npt.NDArray[np.float32] | None,
) -> Lesson:
    """An image at the size at which the student reads it, with its labels there."""
    from napari_clearclip.engine.windows import Frame, cut, resized_shape
    from napari_clearclip.training.lessons import Lesson, as_vectors

    shape = result.labels.shape
    size = resized_shape(shape, student_side(study, result.settings.tiling, shape))
    frame = Frame(shape, size, max(size), max(size), 1, 1)
    pixels = cut(example.image, result.view, frame, frame.boxes)[0]
    table = np.full(256, 255, np.uint8)  # no label, then the phrases that were asked for
    table[1 : len(numbers) + 1] = numbers
    known = None
    if example.labels is not None:
        known = nearest(known_labels(example, shape, settings, study), size)
    image = np.asarray((pixels * 255).round().clamp(0, 255).numpy(), np.uint8)
    vectors = None if means is None else as_vectors(means)
    return Lesson(image, table[nearest(result.labels, size)], known, vectors)


def student_side(study: Study, tiling: Tiling, shape: tuple[int, int]) -> int | str:
    """The shorter side at which the student reads an image (H, W): the study's, else the teacher's, not enlarged.

    A teacher reads small images enlarged because of its large patches; a student that has small ones would see less
    around each for the same work.
    """
    side = tiling.short_side
    return study.short_side or (min(side, *shape) if isinstance(side, int) else "native")


def known_labels(example: Example, shape: tuple[int, int], settings: Settings, study: Study) -> npt.NDArray[np.uint8]:
    """What the user says, by number of the phrase: (H, W) uint8, 255 = nothing.

    Raises
    ------
    ValueError
        If the labels have another shape than the image, or a value that stands for no prompt.
    """
    labels = np.asarray(example.labels)
    if labels.shape != shape:
        raise ValueError(f"the labels of {example.name} have shape {labels.shape}, but the image has {shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() <= len(settings.objects):
        raise ValueError(
            f"the labels of {example.name} have values from {labels.min()} to {labels.max()}; "
            f"0 is nothing, and 1 to {len(settings.objects)} are the prompts in their order"
        )
    counts = [len(prompt.words) for prompt in (*settings.objects, *settings.distractors)]
    firsts = np.cumsum([0, *counts])[: len(settings.objects)]
    table = np.array([sum(counts) if study.background else 255, *firsts], np.uint8)
    return np.asarray(table[labels], np.uint8)


def nearest(labels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Labels at another size: at each new pixel that of the old one in which its centre lies."""
    rows, cols = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(labels.shape, size, strict=True)
    )
    return labels[np.ix_(rows, cols)]


def _card(
    material: Material, settings: Settings, study: Study, learning: Learning, names: Sequence[str], seconds: float
) -> Card:
    """What there is to say about a student."""
    from napari_clearclip.training.student import examine

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
