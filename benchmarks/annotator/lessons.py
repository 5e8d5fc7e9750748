"""Strokes from which something learns: which are drawn, and when they are taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.annotator.strokes import GOAL, Brush, Mask, Stroke, iou, next_stroke

MOST = 3  # corrections of a prompt that are tried one by one

# A stroke with the position of the prompt with which it is drawn; -1 is what has no name.
Lesson = tuple[int, Stroke]

# The masks, one a prompt, that all lessons so far make of the image.
Learn = Callable[[Sequence[Lesson]], list[Mask]]


@dataclass(frozen=True)
class State:
    """How far an annotator is: masks (H, W) by prompt, the lessons that they come from, and what was done."""

    masks: list[Mask]
    lessons: tuple[Lesson, ...] = ()
    actions: int = 0


class Teacher:
    """An annotator who corrects what learns, and looks whether that did more than paint.

    Parameters
    ----------
    truths : sequence of (H, W) bool array
        What should be there, by prompt.
    brushes : sequence of Brush
        What is drawn with, by prompt.
    learn : callable
        What makes masks from lessons.
    """

    def __init__(self, truths: Sequence[Mask], brushes: Sequence[Brush], learn: Learn) -> None:
        self._truths, self._brushes, self._learn = truths, brushes, learn

    def begin(self) -> State:
        """After a stroke on each prompt's largest object and one on what has no name, where there is any."""
        tasks = [(prompt, *item) for prompt, item in enumerate(zip(self._truths, self._brushes, strict=True))]
        tasks.append((-1, ~np.any(self._truths, axis=0), max(self._brushes, key=lambda brush: brush.reach)))
        strokes = [(prompt, next_stroke(np.zeros_like(truth), truth, brush)) for prompt, truth, brush in tasks]
        lessons = tuple((prompt, stroke) for prompt, stroke in strokes if stroke is not None)
        return State(self._learn(lessons), lessons, len(lessons))

    def correct_all(self, state: State) -> State:
        """After a correction of each prompt that is not good enough, all before anything is learned from them."""
        corrections = [self._correction(prompt, state.masks) for prompt in range(len(self._truths))]
        return self._after([lessons for lessons in corrections if lessons], state)

    def correct_each(self, state: State) -> State:
        """After corrections one by one, prompt by prompt, until each is good enough or one was taken back."""
        for prompt in range(len(self._truths)):
            for _ in range(MOST):
                before = state
                lessons = self._correction(prompt, state.masks)
                state = self._after([lessons] if lessons else [], state)
                if state.lessons == before.lessons:
                    break
        return state

    def _correction(self, prompt: int, masks: Sequence[Mask]) -> tuple[Lesson, ...]:
        """The next stroke on a prompt and, last, as it is drawn; empty where the prompt is good enough.

        What is too much for one prompt and belongs to another is drawn with that one, on its pixels only.
        """
        if iou(masks[prompt], self._truths[prompt]) >= GOAL:
            return ()
        stroke = next_stroke(masks[prompt], self._truths[prompt], self._brushes[prompt])
        if stroke is None:
            return ()
        shares = [np.count_nonzero(stroke.pixels & truth) for truth in self._truths]
        owner = int(np.argmax(shares))
        if stroke.on or 2 * shares[owner] <= np.count_nonzero(stroke.pixels):
            return ((prompt, stroke),)
        return (prompt, stroke), (owner, Stroke(stroke.pixels & self._truths[owner], True))

    def _after(self, corrections: Sequence[tuple[Lesson, ...]], state: State) -> State:
        """After some corrections, an action each, and one more to take them back.

        They are kept if the masks' mean IoU is higher than if they had only been painted.
        """
        if not corrections:
            return state
        painted = list(state.masks)
        for prompt, stroke in (lesson for lessons in corrections for lesson in lessons):
            painted[prompt] = stroke.painted(painted[prompt])
        lessons = (*state.lessons, *(drawn[-1] for drawn in corrections))
        found, actions = self._learn(lessons), state.actions + len(corrections)
        if self._mean_iou(found) > self._mean_iou(painted):
            return State(found, lessons, actions)
        return replace(state, actions=actions + 1)

    def _mean_iou(self, masks: Sequence[Mask]) -> float:
        return float(np.mean([iou(mask, truth) for mask, truth in zip(masks, self._truths, strict=True)]))
