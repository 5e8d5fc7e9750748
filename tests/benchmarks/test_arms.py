from __future__ import annotations

import numpy as np
import pytest

from benchmarks.annotator.arms import (
    best_mask,
    brush_only,
    otsu_masks,
    strokes_left,
    threshold_then_brush,
    thresholds_moved,
    without_words,
    words_then_lessons,
)
from benchmarks.annotator.forest import Forest
from benchmarks.annotator.strokes import Stroke
from benchmarks.annotator.tasks import Task, scene_task
from benchmarks.effort import main
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime

LEFT, RIGHT = np.zeros((2, 120, 160), bool)
LEFT[:, :60] = True
RIGHT[:, 100:] = True
NONE = np.zeros_like(LEFT)


def task(*objects: np.ndarray, image: np.ndarray | None = None) -> Task:
    names = tuple(f"name {index}" for index in range(len(objects)))
    return Task(np.zeros(LEFT.shape) if image is None else image, names, tuple(map(np.uint8, objects)), ())


def test_the_best_mask_has_the_largest_share_in_common() -> None:
    wide = LEFT.copy()
    wide[:, :80] = True
    assert best_mask([NONE, wide, RIGHT], LEFT) is wide
    assert best_mask([NONE, wide, LEFT], LEFT) is LEFT


def test_otsu_parts_each_channel_both_ways() -> None:
    image = np.stack([np.where(LEFT, 200, 10), np.where(RIGHT, 7, 5)], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(otsu_masks(image), [LEFT, RIGHT, ~LEFT, ~RIGHT])


def test_a_threshold_is_moved_where_that_does_more_than_a_stroke() -> None:
    shifted = LEFT & (np.arange(160) >= 20)  # a third is missing, a stroke paints a tenth
    moved = [[NONE, NONE], [LEFT, RIGHT]]
    count, masks = thresholds_moved([shifted, RIGHT], moved, task(LEFT, RIGHT))
    assert count == 1  # what is good stays
    np.testing.assert_array_equal(masks, [LEFT, RIGHT])
    assert thresholds_moved([shifted, RIGHT], [[NONE, NONE], [shifted, RIGHT]], task(LEFT, RIGHT))[0] == 0


def test_a_mask_that_no_stroke_makes_better_is_not_counted() -> None:
    dots = np.zeros(LEFT.shape, bool)
    dots[::4, ::4] = True  # one object of 1200 single pixels
    with pytest.raises(RuntimeError, match=r"no stroke of a brush of 3\.9 pixels"):
        strokes_left([NONE], task(dots))


def test_a_forest_learns_colours_from_a_stroke_each() -> None:
    rng = np.random.default_rng(0)
    image = np.where(LEFT[..., None], (200, 20, 20), np.where(RIGHT[..., None], (20, 200, 20), (20, 20, 20)))
    image = (image + rng.integers(0, 20, image.shape)).astype(np.uint8)
    areas = (LEFT, RIGHT, ~(LEFT | RIGHT))
    lessons = [(prompt, Stroke(area & (np.arange(120) % 40 == 20)[:, None], True)) for prompt, area in enumerate(areas)]
    lessons[-1] = -1, lessons[-1][1]
    for mask, truth in zip(Forest(image, 2).learn(lessons), (LEFT, RIGHT), strict=True):
        assert np.mean(mask == truth) > 0.95


def test_a_forest_takes_a_stroke_that_takes_away_as_having_no_name() -> None:
    image = np.where(LEFT[..., None], 200, 20).astype(np.uint8)
    (mask,) = Forest(image, 1).learn([(0, Stroke(LEFT, True)), (0, Stroke(~LEFT, False))])
    np.testing.assert_array_equal(mask, LEFT)


def test_what_otsu_finds_takes_one_action(pipeline: Pipeline) -> None:
    image = np.where(LEFT, 200, 20).astype(np.uint8)
    assert without_words(pipeline, task(LEFT, image=image)) == 1


def test_words_leave_less_to_do_than_an_empty_mask(pipeline: Pipeline) -> None:
    scene = scene_task("aerial", 8000)
    alone = brush_only(pipeline, scene)
    assert alone > 2 * threshold_then_brush(pipeline, scene)
    assert alone > 2 * words_then_lessons(pipeline, scene)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path_factory.mktemp("cache"))))


def test_the_table_has_means_and_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"a": 40.0, "b": 20.0, "c": 10.0, "d": 16.0}
    arms = {arm: lambda pipeline, task, count=count: count + len(task.names) for arm, count in counts.items()}
    monkeypatch.setattr("benchmarks.effort.ARMS", arms)
    monkeypatch.delenv("CLEARCLIP_TEST_DATA", raising=False)
    main(["2"])
    lines = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    names = [len(scene_task("aerial", seed).names) for seed in range(2)]
    assert lines["effort_aerial_c_strokes"] == f"{10 + np.mean(names):.1f} actions"
    assert lines["effort_aerial_ratio"] == f"{(10 + np.mean(names)) / (40 + np.mean(names)):.2f} ratio"
    assert float(lines["effort_c_strokes_low"].split()[0]) <= float(lines["effort_c_strokes_high"].split()[0])
    assert "effort_nuclei_a_strokes" not in lines
