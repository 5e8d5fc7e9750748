"""From images and phrases to what a training needs: CLIP labels the images (MaskCLIP+)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import key_of
from napari_clearclip.edits import Edits, View
from napari_clearclip.job import Picture
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Prompt, Settings, Tiling
from napari_clearclip.study import Study

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.result import Segmentation
    from napari_clearclip.training.lessons import Lesson
    from napari_clearclip.training.student import Subject

FloatArray = npt.NDArray[np.float32]

LABELLING = "Labelling the images"


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
    asked, lessons = [asked_of(example, phrases, unlabelled) for example in examples], []
    for place, (example, numbers) in enumerate(zip(examples, asked, strict=True)):
        yield Progress(LABELLING, place, len(examples))
        labelling = pipeline.steps(
            example.image, _questions(settings, [phrases[number] for number in numbers], study), example.view
        )
        result = yield from _counted(labelling, place, len(examples))
        teaching = _teacher_steps(pipeline, example.image, every, result.view, study.reads_vectors)
        clip, texts, means = yield from _counted(teaching, place, len(examples))
        lessons.append(_lesson(example, result, settings, study, numbers, means))
    vectors = [texts[phrase] for phrase in phrases]
    lessons = yield from _mend_steps(lessons, np.stack(vectors), asked, settings, study)
    subject = Subject.of(vectors, unlabelled, clip, lessons, study.balance)
    contents = [part for lesson in lessons for part in (lesson.image, lesson.pseudo, lesson.known)]
    key = key_of(phrases, every, clip.key, *contents)
    return Material(clip, phrases, subject, tuple(lessons), key)


def _teacher_steps(
    pipeline: Pipeline, image: Any, settings: Settings, view: View, dense: bool
) -> Generator[Progress, None, tuple[Clip, dict[str, FloatArray], FloatArray | None]]:
    """What a student learns from: the model, each phrase's unit vector (D,), and the image's own if wanted.

    The image's vectors (h, w, D) are means over the windows that overlap at a cell.
    """
    stages = pipeline.stages
    job = yield from stages.prepare(Picture(image, view), settings, view, Edits())
    texts = yield from stages.vectors(job)
    return job.clip, texts, (yield from stages.encoding.means(job)) if dense else None


def _mend_steps(
    lessons: list[Lesson],
    texts: npt.NDArray[np.float32],
    asked: Sequence[Sequence[int]],
    settings: Settings,
    study: Study,
) -> Generator[Progress, None, list[Lesson]]:
    """The lessons with what the teacher's vectors (Q, D) say about their labels, and with vectors only if learned."""
    from napari_clearclip.training.labels import Likeness, filled

    objects, scale = sum(len(prompt.words) for prompt in settings.objects), settings.deciding.scale
    likeness = Likeness(texts, range(objects, len(texts)))
    for place, numbers in enumerate(asked):
        yield Progress(LABELLING, len(lessons), len(lessons))
        if study.filling:
            lessons[place] = filled(lessons[place], texts, numbers, objects, scale, study.filling)
        if study.left_out:
            likeness.count(lessons[place])
    for place in range(len(lessons) if study.left_out else 0):
        yield Progress(LABELLING, len(lessons), len(lessons))
        lessons[place] = likeness.without_least(lessons[place], study.left_out)
    return lessons if study.distil else [replace(lesson, vectors=None) for lesson in lessons]


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
    deciding = settings.deciding.replace(score="softmax", competitors="all", exclusive=True)
    return settings.replace(prompts=prompts, deciding=deciding)


def unlabelled_phrases(settings: Settings, examples: Sequence[Example], study: Study) -> tuple[int, ...]:
    """The numbers of the phrases that pseudo-labels may be of.

    Without annotation, or with a few accepted masks, that is all of them; in the transductive setting those of prompts
    of which the user labelled nothing anywhere.
    """
    given = {int(value) for example in examples if example.labels is not None for value in np.unique(example.labels)}
    prompts = (*settings.objects, *settings.distractors)
    owners = [owner for owner, prompt in enumerate(prompts) for _ in prompt.words]
    if not study.transductive:
        return tuple(range(len(owners)))
    found = tuple(number for number, owner in enumerate(owners) if owner + 1 not in given)
    if not found:
        raise ValueError("every prompt is labelled, so there is nothing for CLIP to label; use transductive = false")
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
