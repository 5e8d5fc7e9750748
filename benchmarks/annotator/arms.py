"""Ways to begin masks, each with the actions until all are good: sums over the prompts of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.forest import Forest
from benchmarks.annotator.lessons import State, Teacher
from benchmarks.annotator.strokes import GOAL, Brush, Mask, iou, next_stroke, strokes_until
from benchmarks.annotator.tasks import Task, Words
from napari_clearclip.chains import CHAINS, DEFAULT
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Settings


def brush_only(pipeline: Pipeline, task: Task) -> float:
    """Actions from empty masks."""
    return sum(strokes_left([np.zeros_like(truth) for truth in task.truths], task))


def threshold_then_brush(pipeline: Pipeline, task: Task) -> float:
    """Actions with phrases and thresholds only."""
    words = Words(pipeline, task, Settings())
    moves, masks = thresholds_moved(words.masks(), words.slide(), task)
    return moves + sum(strokes_left(masks, task))


def words_then_lessons(pipeline: Pipeline, task: Task) -> float:
    """Actions with phrases, the default chain, lessons, and thresholds where they are still needed."""
    words = Words(pipeline, task, CHAINS[DEFAULT].on(Settings()))
    teacher = Teacher(task.truths, task.brushes, words.learn)
    state = teacher.correct_each(teacher.correct_all(State(words.masks())))
    moves, masks = thresholds_moved(state.masks, words.slide(state.lessons), task)
    return state.actions + moves + sum(strokes_left(masks, task))


def without_words(pipeline: Pipeline, task: Task) -> float:
    """Actions with, prompt by prompt, the better of Otsu's threshold and a random forest."""
    otsu = [best_mask(otsu_masks(task.channels), truth) for truth in task.truths]
    by_otsu = [1 + left for left in strokes_left(otsu, task)]
    teacher = Teacher(task.truths, task.brushes, Forest(task.channels, len(task.names)).learn)
    state = teacher.correct_each(teacher.begin())
    shared = state.actions / len(task.names)
    by_forest = [shared + left for left in strokes_left(state.masks, task)]
    return sum(min(pair) for pair in zip(by_otsu, by_forest, strict=True))


def strokes_left(masks: Sequence[Mask], task: Task) -> list[int]:
    """For each prompt, the strokes of the brush that take its mask to the goal.

    Raises
    ------
    RuntimeError
        If a mask cannot be brought there, which would make counts of strokes meaningless.
    """
    counts = []
    for mask, truth, brush in zip(masks, task.truths, task.brushes, strict=True):
        count, reached = strokes_until(mask, truth, brush)
        if not reached:
            raise RuntimeError(f"no stroke of a brush of {brush.diameter:.1f} pixels makes the mask better")
        counts.append(count)
    return counts


def thresholds_moved(masks: Sequence[Mask], moved: Sequence[Sequence[Mask]], task: Task) -> tuple[int, list[Mask]]:
    """How many thresholds are moved, and the masks (H, W) by prompt after that.

    Parameters
    ----------
    masks : sequence of (H, W) bool array
        By prompt, at the thresholds where they are.
    moved : sequence of sequences of (H, W) bool array
        By position of the slider and by prompt.
    task : Task
        What should be there. The best position is taken where a mask is not good enough and that does more than a
        stroke would.
    """
    count, chosen = 0, list(masks)
    for prompt, (mask, truth, brush) in enumerate(zip(masks, task.truths, task.brushes, strict=True)):
        best = best_mask([position[prompt] for position in moved], truth)
        if iou(mask, truth) < GOAL and iou(best, truth) > _painted_iou(mask, truth, brush):
            count, chosen[prompt] = count + 1, best
    return count, chosen


def _painted_iou(mask: Mask, truth: Mask, brush: Brush) -> float:
    stroke = next_stroke(mask, truth, brush)
    return iou(mask if stroke is None else stroke.painted(mask), truth)


def best_mask(masks: Sequence[Mask], truth: Mask) -> Mask:
    """The mask that the eye finds best of several; of equals, the first."""
    return max(masks, key=lambda mask: iou(mask, truth))


def otsu_masks(image: npt.NDArray[np.generic]) -> list[Mask]:
    """What is above and what is below Otsu's threshold of each channel of an image (H, W, C).

    References
    ----------
    Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    from skimage.filters import threshold_otsu

    above = [channel > threshold_otsu(channel) for channel in np.moveaxis(image, -1, 0)]
    return [*above, *(~mask for mask in above)]


ARMS = {"a": brush_only, "b": threshold_then_brush, "c": words_then_lessons, "d": without_words}
