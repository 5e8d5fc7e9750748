"""Several methods in one pass, going on after an interruption, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion

from napari_clearclip.engine import encoder
from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.evaluation import Measured, Record, evaluate_steps, predictions, segmented_by
from napari_clearclip.evaluate.figure import confidence_row, head_of, page_of, palette, row_of
from napari_clearclip.evaluate.methods import Method, method_of, methods_of
from napari_clearclip.evaluate.metrics import boundary_f, confusion_matrix, iou, iou_of, mean_iou, overlaps_of
from napari_clearclip.evaluate.recipes import Recipe
from napari_clearclip.evaluate.report import Report, class_rows, figures_of, image_rows, markdown, with_published, worst
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Attention, Runtime, Settings
from napari_clearclip.steps import drain


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path_factory.mktemp("cache"))))


# ----------------------------------------------------------------------------------------------------------------------
# Measures against scikit-learn


@pytest.mark.parametrize("seed", range(3))
def test_overlap_is_that_of_scikit_learn(seed: int) -> None:
    """With labels that are ignored, a class that is never true, one that is never given, and one that is neither."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 4, 255], (30, 40))
    given = rng.choice([0, 1, 3, 4], (30, 40))
    counted = truth != 255
    expected = sklearn_confusion(truth[counted], given[counted], labels=range(6))
    found = confusion_matrix(truth, given, 6, ignore=255)
    np.testing.assert_array_equal(found, expected)
    both = np.diag(expected)
    with np.errstate(invalid="ignore"):
        values = both / (expected.sum(0) + expected.sum(1) - both)
    np.testing.assert_allclose(iou(found), values)
    np.testing.assert_allclose(iou_of(overlaps_of(found)), values)
    assert np.isnan(values[5])
    assert mean_iou(found) == pytest.approx(np.nanmean(values))


def test_outlines_of_many_classes_are_those_of_few() -> None:
    truth, given = np.random.default_rng(0).integers(0, 3, (2, 20, 20))
    few, many = boundary_f(truth, given, 3), boundary_f(truth, given, 200)
    np.testing.assert_array_equal(many[:3], few)
    assert np.isnan(many[3:]).all()


def test_a_line_says_what_was_counted() -> None:
    overlaps = np.array([[3, 0, 0, 1], [4, 0, 2, 1], [3, 0, 0, 4]])
    line = Measured.of("k", "a", "m", overlaps, np.array([0.5, np.nan, 0.0, np.nan]))
    assert line.classes == (0, 2, 3)
    assert line.boundary == (0.5, 0.0, None)
    assert line.outlines == 0.25
    np.testing.assert_array_equal(line.overlaps(4), overlaps)
    assert np.isnan(Measured.of("k", "a", "m", overlaps, np.zeros(0)).outlines)


# ----------------------------------------------------------------------------------------------------------------------
# Methods


def test_methods_by_name() -> None:
    assert method_of("qq_rc").attention == Attention(terms=("qq",), residual=1)
    assert method_of("random-4").attention == Attention(terms=("random",), residual=1, ffn=1, projections=4)
    assert method_of("random-4-2").attention.seed == 2
    settings = method_of("naclip+naclip").on(Settings())
    assert (settings.attention.bias, settings.refining.pamr) == (5, 10)
    found = methods_of(["clearclip", "sclip"], [40, 50], [0.1])
    assert [method.name for method in found] == [
        "clearclip scale=40 threshold=0.1",
        "clearclip scale=50 threshold=0.1",
        "sclip scale=40 threshold=0.1",
        "sclip scale=50 threshold=0.1",
    ]
    assert found[0].on(Settings()).deciding.scale == 40


def test_unknown_methods_are_told() -> None:
    with pytest.raises(ValueError, match="unknown variant 'clip'; known are"):
        method_of("clip")
    with pytest.raises(ValueError, match="chain 'pamr' is not known; there are off"):
        method_of("naclip+pamr")
    with pytest.raises(ValueError, match="named twice in sclip, sclip"):
        methods_of(["sclip", "sclip"])


# ----------------------------------------------------------------------------------------------------------------------
# One pass

METHODS = [method_of(name) for name in ("clearclip", "gem", "vanilla", "qq_ffn")]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows went through the tower from its first block, call by call."""
    calls: list[int] = []
    stage: Callable[..., Any] = encoder.encode_steps

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(args[1]))
        return stage(*args, **kwargs)

    monkeypatch.setattr(encoder, "encode_steps", counting)
    return calls


def test_all_methods_share_one_reading_and_are_as_alone(pipeline: Pipeline, encoded: list[int]) -> None:
    case = source_of("scenes-shapes", None, Settings(), Recipe(), limit=1).samples[0].load()
    pipeline.forget()
    together = dict(predictions(pipeline, case, METHODS))
    once = sum(encoded)
    for place, method in enumerate(METHODS):
        pipeline.forget()
        encoded.clear()
        alone = dict(predictions(pipeline, case, [method]))[0]
        assert sum(encoded) == once
        np.testing.assert_array_equal(together[place], alone)


def test_what_is_done_stays_done(pipeline: Pipeline, encoded: list[int], tmp_path: Path) -> None:
    samples = source_of("scenes-aerial", None, Settings(), Recipe(), limit=2).samples
    path = tmp_path / "record.jsonl"
    first = drain_all(evaluate_steps(pipeline, samples[:1], METHODS[:2], Record(path)))
    with path.open("a") as file:
        file.write('{"key": "cut o')  # a run that was killed
    encoded.clear()
    again = drain_all(evaluate_steps(pipeline, samples[:1], METHODS[:2], Record(path)))
    assert not encoded
    assert again == first
    more = drain_all(evaluate_steps(pipeline, samples, METHODS[:3], Record(path)))
    assert more[0][:2] == first[0]
    assert [[item.method for item in image] for image in more] == [["clearclip", "gem", "vanilla"]] * 2
    fresh = drain_all(evaluate_steps(pipeline, samples, METHODS[:3], Record(tmp_path / "other.jsonl")))
    assert fresh == more
    assert len(path.read_text().splitlines()) == 6


def drain_all(steps: Any) -> Any:
    return drain(steps)


# ----------------------------------------------------------------------------------------------------------------------
# What is said


def measured(image: str, method: str, right: int) -> Measured:
    overlaps = np.array([[right, right, 0], [10, 10, 0], [10, 10, 10]])
    return Measured.of(f"{image}{method}", image, method, overlaps, np.array([right / 10, 0.5, np.nan]))


FOUND = [
    [measured("a", "clearclip", 8), measured("a", "vanilla", 2)],
    [measured("b", "clearclip", 6), measured("b", "vanilla", 2)],
]


def test_figures_by_hand() -> None:
    first, second = figures_of(FOUND, ["sky", "road", ""], exclude=(2,), samples=50)
    assert first.miou == pytest.approx(14 / 26)
    assert first.accuracy == pytest.approx(14 / 20)
    assert first.boundary_f == pytest.approx((0.65 + 0.55) / 2)
    assert first.iou == {"sky": pytest.approx(14 / 26), "road": pytest.approx(14 / 26)}
    assert first.interval == (pytest.approx(12 / 28), pytest.approx(16 / 24))
    assert first.lead is None
    assert second.lead == pytest.approx(4 / 36 - 14 / 26)
    assert second.lead_interval is not None
    assert second.lead_interval[1] < 0


def test_one_image_has_no_interval() -> None:
    first, second = figures_of(FOUND[:1], ["sky", "road", ""], exclude=(2,))
    assert first.interval is None
    assert second.lead_interval is None


def test_the_table_stands_beside_what_is_published() -> None:
    figures = with_published(figures_of(FOUND, ["sky", "road", ""], (2,), 20), "clearclip", "ade20k")
    report = Report(
        dataset="ade20k", protocol="clearclip", names="official", model="demo", exact=False, images=2, methods=figures
    )
    text = markdown(report)
    assert "| clearclip | 53.8 (42.9 to 66.7) | 70.0 | 60.0 | - | 16.7 |" in text
    assert "| 2.1 |" in text
    assert "ClearCLIP, Tables 1 to 3" in text
    assert list(class_rows(report))[:2] == [["class", "clearclip", "vanilla"], ["sky", "0.538462", "0.111111"]]
    assert list(image_rows(FOUND, 3, (2,)))[1] == ["a", "clearclip", "0.666667", "0.800000", "0.650000"]
    assert worst(FOUND, 3, 0, (2,)) == ["b", "a"]


def test_seeds_of_random_projections_have_a_mean_and_what_is_published_of_it() -> None:
    found = [[measured("a", f"random-1-{seed}", right) for seed, right in enumerate((8, 5, 2))]]
    found[0].append(measured("a", "random-4-0", 5))
    figures = with_published(figures_of(found, ["sky", "road", ""], (2,), 20), "sclip", "stuff")
    assert [item.published for item in figures] == [20.6, 20.6, 20.6, 20.9]
    report = Report(
        dataset="stuff", protocol="sclip", names="official", model="demo", exact=False, images=1, methods=figures
    )
    values = [8 / 12, 5 / 15, 2 / 18]
    assert f"random-1: mean of 3 seeds {100 * sum(values) / 3:.1f} (from 11.1 to 66.7)." in markdown(report)
    assert "random-4: mean" not in markdown(report)


def test_a_threshold_of_a_method_is_that_of_every_prompt(pipeline: Pipeline) -> None:
    case = source_of("scenes-shapes", None, Settings(), Recipe(), limit=1).samples[0].load()
    strict = Method("strict", Attention(), threshold=0.99).on(case.settings)
    assert {prompt.threshold for prompt in strict.prompts} == {0.99}


def test_a_figure_shows_image_truth_and_methods() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    truth = np.array([[0, 1, 255], [0, 1, 255]])
    case = Case(image, Settings(), truth, np.array([0]), 2, 255)
    row = row_of(case, [np.zeros((2, 3), int)])
    assert row.shape == (2, 3 * 3 + 2 * 8, 3)
    assert (row[:, :3] == 100).all()
    assert (row[:, 3:11] == 255).all()
    assert not row[:, 13].any()  # what is not compared is black
    colours = (255 * (0.65 * palette(2) + 0.35 * 100 / 255) + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(row[0, 12], colours[1])
    assert (row[:, 11] == 100).all()  # nothing was found
    assert (row[:, 22:25] == 100).all()
    assert page_of([row, row[:, :5]]).shape == (2 + 8 + 2, 25, 3)


def test_an_ignored_label_is_black_though_it_is_the_number_of_nothing() -> None:
    image, truth = np.full((1, 2, 3), 100, np.uint8), np.array([[0, 1]])
    case = Case(image, Settings(), truth, np.array([1, 0]), 2, ignore=1)
    row = row_of(case, [truth])
    assert not row[0, 11].any()
    assert (row[0, 21] == 100).all()  # what a method gives to nothing
    assert not confidence_row(case, None, [])[0, 11].any()


def test_names_stand_above_their_pictures_and_are_shortened_to_fit() -> None:
    head = head_of(["a", "a name that is much longer than its picture", ""], 60)
    assert head.shape == (22, 3 * 60 + 2 * 8, 3)
    dark = (head < 128).any(axis=(0, 2))
    assert dark[:60].any()
    assert 30 < dark[68:128].nonzero()[0].max() < 60
    assert not dark[128:].any()


def test_confidence_goes_from_violet_to_yellow_and_stands_below_its_method() -> None:
    image, truth = np.full((2, 3, 3), 100, np.uint8), np.array([[0, 1, 255], [0, 1, 255]])
    case = Case(image, Settings(), truth, np.array([0, 1]), 2, 255)
    sure = np.array([[0, 0.125, 1]] * 2, np.float32)
    row = confidence_row(case, 1, [sure])
    assert row.shape == row_of(case, [truth]).shape
    np.testing.assert_array_equal(row[0, 11:14], [[0] * 3, [255] * 3, [0] * 3])  # where the class is
    np.testing.assert_array_equal(row[0, 22:], [[68, 1, 84], [64, 42, 112], [253, 231, 37]])
    assert (confidence_row(case, None, [sure])[0, 11:14] == [[255] * 3, [255] * 3, [0] * 3]).all()


def test_confidence_is_the_score_of_the_class_or_the_highest(pipeline: Pipeline) -> None:
    case = source_of("scenes-shapes", None, Settings(), Recipe(), limit=1).samples[0].load()
    found = segmented_by(pipeline, case, method_of("clearclip"))
    prompts = [prompt.id for prompt in found.settings.objects]
    rows, cols = (slice(0, side) for side in case.truth.shape)
    scores = [found.scores.at(prompt, rows, cols) for prompt in prompts]
    np.testing.assert_array_equal(case.confidence(found, int(case.found[1])), scores[0])
    np.testing.assert_array_equal(case.confidence(found, None), np.max(scores, axis=0))
    assert not case.confidence(found, 99).any()
