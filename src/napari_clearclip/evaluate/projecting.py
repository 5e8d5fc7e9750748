"""What a projection is learned from: windows of images with known truth, as the evaluation reads them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.engine.variants import variant
from napari_clearclip.engine.windows import Frame
from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.evaluation import Sample
from napari_clearclip.evaluate.metrics import Labels
from napari_clearclip.looking import looking_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress, counted

if TYPE_CHECKING:
    from napari_clearclip.training.projection import Course, Window

_POINTS = 5  # along a patch, at which its class is looked up


def project_steps(
    pipeline: Pipeline, samples: Sequence[Sample], steps: int, seed: int
) -> Generator[Progress, None, Course]:
    """A projection for the attention of SCLIP, learned from images whose truth is known.

    Parameters
    ----------
    pipeline : Pipeline
        Reads the images.
    samples : sequence of Sample
        At least one; all of the same classes.
    steps : int
        Of the training.
    seed : int
        Of the matrix that it starts with, and of the order.
    """
    from napari_clearclip.engine.correct import spread_windows
    from napari_clearclip.training.projection import Lesson, Window, learn_steps

    windows: list[Window] = []
    for done, sample in enumerate(samples):
        yield Progress("Reading images", done, len(samples), "images")
        case = sample.load()
        settings = case.settings.replace(attention=variant("sclip"))
        looking = yield from looking_steps(pipeline, case.image, settings, case.view)
        for number in spread_windows(looking.job.frame):
            trunk = yield from looking.trunk(number)
            windows.append(Window(trunk, patch_classes(case, looking.job.frame, number)))
        texts = yield from looking.words(looking.job.wording)
        pipeline.forget()
    job = looking.job
    vectors = np.stack([texts[phrase] for _, phrase in job.phrases])
    owners = np.array([class_of(case, owner) for owner, _ in job.phrases])
    lesson = Lesson(windows, vectors, owners, job.settings.deciding.scale)
    return (yield from counted(learn_steps(job.clip, lesson, steps, seed), Progress("Learning")))


def class_of(case: Case, owner: int) -> int:
    """The class that a phrase speaks for, by its prompt's position among objects and then distractors."""
    return int(case.found[owner + 1 if owner < len(case.settings.objects) else 0])


def patch_classes(case: Case, frame: Frame, number: int) -> npt.NDArray[np.int64]:
    """The class that has most of each patch of a window, (gh * gw,); -1 where none that is asked for has any."""
    y0, x0, y1, x1 = frame.patches_of(number)
    rows, cols = frame.grid
    down, across = _points(y0, y1, rows), _points(x0, x1, cols)
    inside = (down >= 0) & (down < frame.image[0]), (across >= 0) & (across < frame.image[1])
    seen: Labels = case.truth[np.ix_(down.clip(0, frame.image[0] - 1), across.clip(0, frame.image[1] - 1))]
    asked = case.found if case.settings.distractors else case.found[1:]
    compared = inside[0][:, None] & inside[1] & np.isin(seen, asked) & (seen != case.ignore)
    counts = np.zeros((rows, cols, case.classes), np.int64)
    places = np.repeat(np.arange(rows), _POINTS)[:, None], np.repeat(np.arange(cols), _POINTS)[None]
    at = tuple(np.broadcast_to(place, seen.shape)[compared] for place in places)
    np.add.at(counts, (*at, seen[compared]), 1)
    return np.where(counts.any(axis=2), counts.argmax(axis=2), -1).ravel()


def _points(start: float, stop: float, count: int) -> npt.NDArray[np.int64]:
    """Pixels under points that are spread evenly over `count` patches between two edges."""
    middles = (np.arange(count * _POINTS) + 0.5) / (count * _POINTS)
    return np.floor(start + middles * (stop - start)).astype(np.int64)
