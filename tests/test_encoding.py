"""Previews and the order of windows: what is seen first, and that the result does not depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_clearclip.edits import View
from napari_clearclip.engine.windows import Frame, Region
from napari_clearclip.job import FEW_WINDOWS, milestones, nearest_first
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Pace, Preview, Progress
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Attention, Comparing, Deciding, Model, Prompt, Runtime, Settings, Tiling

RGB = View(channel_axis=-1)
IMAGE = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
CORNER = (30.0, 50.0, 40.0, 60.0)
WINDOWS = 40  # at the model's own tiling the image is read at 96 x 144, in 5 x 8 windows of 32


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"), batch_size=3)


@pytest.fixture
def settings(tiny: Path) -> Settings:
    names = ("cat", "dog")
    prompts = tuple(Prompt(id=name, phrase=name, threshold=0.3) for name in names)
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=(*prompts, Prompt(id="sky", phrase="sky", kind="distractor")),
        comparing=Comparing(templates="single"),
        deciding=Deciding(scale=20),
    )


def watched(pipeline: Pipeline, settings: Settings, **hints: Any) -> tuple[list[Progress], Segmentation]:
    """Everything that a run tells, and its result."""
    steps, seen = pipeline.steps(IMAGE, settings, RGB, **hints), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


def previews(seen: Sequence[Progress]) -> list[Segmentation]:
    return [state.segmentation for state in seen if isinstance(state, Preview)]


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("first", [None, CORNER, (0.0, 0.0, 40.0, 60.0)], ids=["nowhere", "corner", "whole"])
def test_the_result_is_the_same_to_the_last_bit(
    first: Region | None, exclusive: bool, settings: Settings, runtime: Runtime
) -> None:
    settings = settings.replace(deciding=settings.deciding.replace(exclusive=exclusive))
    plain = Pipeline(runtime).run(IMAGE, settings, RGB)
    seen, result = watched(Pipeline(runtime), settings, preview=True, first=first)
    assert np.array_equal(result.labels, plain.labels)
    assert np.array_equal(result.scores.values, plain.scores.values)
    assert (result.settings, result.view) == (plain.settings, plain.view)
    assert len(previews(seen)) >= 1
    assert not np.array_equal(previews(seen)[0].scores.values, plain.scores.values)


def test_a_coarse_answer_of_few_windows_comes_first(settings: Settings, runtime: Runtime) -> None:
    seen, result = watched(Pipeline(runtime), settings, preview=True)
    before = seen[: next(at for at, state in enumerate(seen) if isinstance(state, Preview))]
    read = {(state.stage, state.total) for state in before if state.unit == "windows"}
    assert [stage for stage, _ in read] == ["Taking a first look"]
    assert all(total <= FEW_WINDOWS for _, total in read)
    for preview in previews(seen):
        assert preview.labels.shape == result.labels.shape
        assert preview.scores.values.shape == result.scores.values.shape
        assert preview.scores.cell == result.scores.cell
        assert preview.settings == result.settings
        assert np.isfinite(preview.scores.values).all()


def test_what_is_in_view_is_final_before_the_rest(settings: Settings, runtime: Runtime) -> None:
    """A corner is in view: the first partial preview has its final scores, and coarse ones far away."""
    pipeline = Pipeline(runtime.replace(batch_size=1))
    seen, result = watched(pipeline, settings, preview=True, first=CORNER)
    shown = previews(seen)[1].scores.values
    rows, cols = result.scores.values.shape[1:]
    near = np.s_[:, round(rows * 30 / 40) :, round(cols * 50 / 60) :]
    far = np.s_[:, : rows // 2, : cols // 2]
    assert np.array_equal(shown[near], result.scores.values[near])
    assert not np.array_equal(shown[far], result.scores.values[far])


def test_what_was_read_before_is_not_previewed(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)
    pipeline.run(IMAGE, settings, RGB)
    more = settings.replace(prompts=(*settings.prompts, Prompt(id="horse", phrase="horse")))
    seen, _ = watched(pipeline, more, preview=True)
    assert not previews(seen)


def test_few_windows_are_not_previewed(settings: Settings, runtime: Runtime) -> None:
    seen, _ = watched(
        Pipeline(runtime), settings.replace(tiling=Tiling(short_side=64, window=32, stride=32)), preview=True
    )
    assert {state.total for state in seen if state.unit == "windows"} == {6}
    assert not previews(seen)


def test_what_is_read_in_two_steps_is_not_previewed(settings: Settings, runtime: Runtime) -> None:
    assert not previews(watched(Pipeline(runtime.replace(batch_size=20)), settings, preview=True)[0])
    assert previews(watched(Pipeline(runtime.replace(batch_size=19)), settings, preview=True)[0])


def test_without_being_asked_nothing_is_previewed(settings: Settings, runtime: Runtime) -> None:
    assert not previews(watched(Pipeline(runtime), settings, first=CORNER)[0])


def test_the_rate_is_that_of_windows_that_were_read(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)

    def rates(settings: Settings) -> list[float]:
        return [state.rate for state in watched(pipeline, settings)[0] if state.unit == "windows"]

    first = rates(settings)
    assert first[0] == 0
    assert all(rate > 0 for rate in first[len(first) // 2 :])
    assert set(rates(settings.replace(attention=Attention(terms=("kk",))))) == {0.0}  # the last block only


def test_pace_counts_work_only() -> None:
    pace = Pace().after(0, 5.0)
    assert pace.rate == 0
    assert pace.after(4, 2.0).after(0, 100.0).rate == 2


FRAME = Frame((100, 200), (50, 100), 10, 10, 5, 5)  # 5 x 10 windows, of 20 x 20 image pixels each


def test_windows_nearest_to_the_middle_of_the_view_come_first() -> None:
    chunks = [[number] for number in range(FRAME.count)]
    seen = nearest_first(chunks, FRAME, (60.0, 140.0, 80.0, 160.0))  # exactly the fourth row, the eighth column
    assert seen[0] == [3 * 10 + 7]
    assert {chunk[0] for chunk in seen[1:5]} == {27, 36, 38, 47}
    assert sorted(chunk[0] for chunk in seen) == list(range(50))


def test_chunks_stay_as_they_are() -> None:
    chunks = [[0, 1, 2], [3, 4, 5], [48, 49]]
    assert nearest_first(chunks, FRAME, (90.0, 190.0, 100.0, 200.0)) == [[48, 49], [3, 4, 5], [0, 1, 2]]
    assert nearest_first(chunks, FRAME, None) == chunks


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (None, (12, 24)),
        ((60.0, 140.0, 80.0, 160.0), (1, 2, 4, 8, 16, 32)),
        ((0.0, 0.0, 100.0, 100.0), (25,)),
        ((0.0, 0.0, 100.0, 200.0), (12, 24)),
        ((500.0, 0.0, 600.0, 10.0), (1, 2, 4, 8, 16, 32)),
    ],
    ids=["nowhere", "one window", "half", "all", "outside"],
)
def test_what_is_worth_showing(first: Region | None, expected: tuple[int, ...]) -> None:
    assert milestones(FRAME, first) == expected


def test_overlapping_masks_are_combined_once(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_clearclip.engine import apply

    combined = []
    combine = apply.combine
    monkeypatch.setattr(apply, "combine", lambda *parts: combined.append(1) or combine(*parts))
    Pipeline(runtime).run(IMAGE, settings.replace(deciding=Deciding(scale=20, exclusive=False)), RGB)
    assert len(combined) == 1
