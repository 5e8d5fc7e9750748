from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.annotator.lessons import MOST, Learn, Lesson, State, Teacher
from benchmarks.annotator.strokes import Brush, Mask

LEFT, RIGHT = np.zeros((2, 30, 40), bool)
LEFT[:, :15] = True
RIGHT[:, 25:] = True
NONE = np.zeros_like(LEFT)
BRUSH = Brush(4, 20)


def teacher(learn: Learn) -> Teacher:
    return Teacher([LEFT, RIGHT], [BRUSH, BRUSH], learn)


def quick(lessons: Sequence[Lesson]) -> list[Mask]:
    """Knows a prompt from its first stroke on."""
    known = {prompt for prompt, _ in lessons}
    return [truth if prompt in known else NONE for prompt, truth in enumerate((LEFT, RIGHT))]


def test_it_begins_with_a_stroke_on_each_prompt_and_one_beside_them() -> None:
    state = teacher(quick).begin()
    assert [prompt for prompt, _ in state.lessons] == [0, 1, -1]
    assert state.actions == 3
    for (_, stroke), area in zip(state.lessons, (LEFT, RIGHT, ~(LEFT | RIGHT)), strict=True):
        assert stroke.on
        assert not (stroke.pixels & ~area).any()
    np.testing.assert_array_equal(state.masks, [LEFT, RIGHT])


def test_no_stroke_is_drawn_beside_prompts_that_cover_everything() -> None:
    state = Teacher([LEFT, ~LEFT], [BRUSH, BRUSH], lambda _: [LEFT, ~LEFT]).begin()
    assert [prompt for prompt, _ in state.lessons] == [0, 1]


def test_each_prompt_that_is_not_good_is_corrected_before_anything_is_learned() -> None:
    asked: list[int] = []

    def learn(lessons: Sequence[Lesson]) -> list[Mask]:
        asked.append(len(lessons))
        return quick(lessons)

    state = teacher(learn).correct_all(State([NONE, NONE]))
    assert (state.actions, asked) == (2, [2])
    np.testing.assert_array_equal(state.masks, [LEFT, RIGHT])


def test_one_by_one_something_is_learned_after_each_stroke() -> None:
    asked: list[int] = []

    def learn(lessons: Sequence[Lesson]) -> list[Mask]:
        asked.append(len(lessons))
        return quick(lessons)

    state = teacher(learn).correct_each(State([NONE, NONE]))
    assert (state.actions, asked) == (2, [1, 2])
    np.testing.assert_array_equal(state.masks, [LEFT, RIGHT])


def test_what_is_good_takes_nothing() -> None:
    good = State([LEFT, RIGHT], actions=7)
    assert teacher(quick).correct_all(good) is good
    assert teacher(quick).correct_each(good) is good


def test_a_stroke_that_teaches_no_more_than_it_paints_is_taken_back() -> None:
    def paint(lessons: Sequence[Lesson]) -> list[Mask]:
        masks = [NONE, RIGHT]
        for prompt, stroke in lessons:
            masks[prompt] = stroke.painted(masks[prompt])
        return masks

    before = State([NONE, RIGHT])
    for after in (teacher(paint).correct_all(before), teacher(paint).correct_each(before)):
        assert after == State(before.masks, (), 2)  # the stroke, and taking it back


def test_a_slow_learner_is_given_so_many_strokes_and_no_more() -> None:
    def learn(lessons: Sequence[Lesson]) -> list[Mask]:
        return [LEFT & (np.arange(40) < 4 * len(lessons)), RIGHT]

    state = teacher(learn).correct_each(State([NONE, RIGHT]))
    assert (state.actions, len(state.lessons)) == (MOST, MOST)
    assert np.count_nonzero(state.masks[0]) == 4 * MOST * 30


def test_what_belongs_to_another_prompt_is_drawn_with_that_one() -> None:
    state = teacher(lambda _: [LEFT, RIGHT]).correct_each(State([LEFT | RIGHT, RIGHT]))
    ((prompt, stroke),) = state.lessons
    assert (prompt, stroke.on) == (1, True)
    assert not (stroke.pixels & ~RIGHT).any()


def test_what_belongs_to_no_prompt_is_taken_away() -> None:
    middle = ~(LEFT | RIGHT)
    state = teacher(lambda _: [LEFT, RIGHT]).correct_each(State([LEFT | middle, RIGHT]))
    ((prompt, stroke),) = state.lessons
    assert (prompt, stroke.on) == (0, False)
