"""A projection learns what it is shown, in the same way each time, and is used as it was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from napari_clearclip.engine.encoder import encode, project
from napari_clearclip.engine.projections import register_projection
from napari_clearclip.engine.variants import variant
from napari_clearclip.steps import drain
from napari_clearclip.training.projection import Course, Lesson, Window, learn_steps

from ..engine.test_towers import TOWERS, Analysed, shaken

STEPS = 12


def lesson_for(clip: Any, classes: int = 3) -> Lesson:
    """Noise whose halves differ, with a class for each; a patch in five has none."""
    rng = np.random.default_rng(0)
    windows = []
    for _ in range(4):
        images = torch.from_numpy(rng.normal(size=(1, 3, 32, 40)).astype(np.float32))
        images[..., 16:] += 1
        labels = np.array([0, 0, 1, 1, -1] * 4)
        windows.append(Window(encode(clip, images), labels))
    vectors = rng.normal(size=(4, clip.width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Lesson(windows, vectors, np.array([0, 1, 1, classes - 1]), 20.0)


def learned(clip: Any, seed: int) -> Course:
    return drain(learn_steps(clip, lesson_for(clip), STEPS, seed))


def test_the_loss_falls_and_all_is_by_the_seed(clips: dict[str, Any]) -> None:
    clip, _, state = clips["patch8"]
    course, again, other = learned(clip, 1), learned(clip, 1), learned(clip, 2)
    assert course.after < 0.8 * course.before
    assert torch.equal(course.matrix, again.matrix)
    assert (course.before, course.after) == (again.before, again.after)
    assert not torch.equal(course.matrix, other.matrix)
    after = clip.model.state_dict()
    assert all(torch.equal(after[name], state[name]) for name in state)


@pytest.mark.parametrize("architecture", ["patch8", "patch14"])
def test_it_is_trained_as_it_is_used(architecture: str, clips: dict[str, Any]) -> None:
    """The loss before and after, from the features of the rows `random` and learned; synonyms by the best."""
    clip = clips[architecture][0]
    if architecture == "patch14":
        images = torch.randn(1, 3, 28, 42, generator=torch.Generator().manual_seed(0))
        plain = lesson_for(clips["patch8"][0])
        vectors = torch.nn.functional.normalize(torch.randn(4, clip.width), dim=1).numpy()
        lesson = Lesson([Window(encode(clip, images), np.array([0, 1, -1, 1, 0, 2]))], vectors, plain.owners, 20.0)
    else:
        lesson = lesson_for(clip)
    course = drain(learn_steps(clip, lesson, 3, 5))
    start = variant("sclip_random").replace(seed=5)
    end = start.replace(projection=register_projection(course.matrix))
    for row, loss in ((start, course.before), (end, course.after)):
        losses = []
        for window in lesson.windows:
            vectors = project(clip, window.trunk, row).vectors[0].flatten(0, 1)
            cosines = vectors @ torch.from_numpy(lesson.vectors).T
            best = torch.stack([cosines[:, lesson.owners == kind].amax(1) for kind in range(3)], dim=1)
            losses.append(float(cross_entropy(20 * best, torch.from_numpy(window.classes), ignore_index=-1)))
        assert loss == pytest.approx(np.mean(losses), abs=1e-4)


def test_without_classes_there_is_nothing_to_learn(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    lesson = lesson_for(clip)
    blank = [Window(window.trunk, np.full_like(window.classes, -1)) for window in lesson.windows]
    with pytest.raises(ValueError, match="no patch of these images has a class to learn from"):
        drain(learn_steps(clip, Lesson(blank, lesson.vectors, lesson.owners, 20.0), 1, 0))


@pytest.mark.parametrize("kind", ["siglip", "eva02"])
def test_other_towers_learn_too(kind: str) -> None:
    torch.manual_seed(0)
    clip: Any = Analysed(shaken(TOWERS[kind]()))
    clip.width = clip.tower.width
    course = drain(learn_steps(clip, lesson_for(clip), 4, 0))
    assert course.matrix.shape == (48, 48)
    assert course.after < course.before


def test_a_tower_without_residual_connection_is_refused() -> None:
    clip: Any = Analysed(shaken(TOWERS["resnet"]()))
    clip.width = clip.tower.width
    trunk = encode(clip, torch.randn(1, 3, 64, 64))
    lesson = Lesson(
        [Window(trunk, np.array([0, 1, 0, 1]))], np.eye(2, clip.width, dtype=np.float32), np.arange(2), 20.0
    )
    with pytest.raises(ValueError, match="keeps residual connection or feed-forward network"):
        drain(learn_steps(clip, lesson, 1, 0))
