"""From images to a student's file: pseudo-labels, what the user says, checkpoints, and that the file is a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_clearclip import material as labelling
from napari_clearclip import schooling
from napari_clearclip.edits import View
from napari_clearclip.material import Example
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Comparing, Model, Prompt, Runtime, Settings, Tiling
from napari_clearclip.study import Card, Study, read_card
from napari_clearclip.training import student as training

STUDY = Study(iterations=4, batch=2, crop=32, short_side=48)


@pytest.fixture
def settings(tiny: Path) -> Settings:
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        comparing=Comparing(templates=("a {}",)),
        prompts=(
            Prompt(id="tree", phrase="tree", synonyms=("bush",)),
            Prompt(id="road", phrase="road"),
            Prompt(id="sky", phrase="sky", kind="distractor"),
        ),
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path / "cache")))


def example(seed: int = 0, labels: np.ndarray | None = None) -> Example:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (6, 8, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    return Example(f"{seed}.png", image, View(channel_axis=2), labels)


def drained(steps):
    while True:
        try:
            state = next(steps)
        except StopIteration as stop:
            return stop.value
        assert isinstance(state, Progress)


def test_pseudo_labels_are_the_best_phrase_of_all(pipeline: Pipeline, settings: Settings) -> None:
    shown = example()
    material = drained(labelling.material_steps(pipeline, [shown], settings, STUDY.replace(distil=1.0)))
    assert material.phrases == ("tree", "bush", "road", "sky")
    (lesson,) = material.lessons
    assert lesson.image.shape == (48, 64, 3)
    np.testing.assert_array_equal(lesson.image, shown.image)
    # The same from the teacher's own vectors: windows averaged, compared with each phrase, upsampled, the best taken.
    vectors = lesson.vectors.float()
    cosines = torch.einsum("hwd,qd->qhw", vectors, material.subject.texts)
    upsampled = torch.nn.functional.interpolate(cosines[None], size=(48, 64), mode="bilinear")[0]
    first, second = upsampled.topk(2, dim=0).values
    sure = (first - second > 0.002).numpy()
    assert sure.mean() > 0.5
    agree = lesson.pseudo[sure] == upsampled.argmax(dim=0).numpy()[sure]
    assert agree.mean() > 0.95  # lengths of averaged vectors differ a little from those of averaged cosines


def test_unsure_pixels_are_left_out(pipeline: Pipeline, settings: Settings) -> None:
    all_ = drained(labelling.material_steps(pipeline, [example()], settings, STUDY)).lessons[0].pseudo
    sure = (
        drained(labelling.material_steps(pipeline, [example()], settings, STUDY.replace(confidence=0.5)))
        .lessons[0]
        .pseudo
    )
    assert 0 < (sure == 255).sum() < sure.size
    assert not (all_ == 255).any()
    np.testing.assert_array_equal(sure[sure != 255], all_[sure != 255])


def test_empty_pixels_are_filled_and_unlike_distractors_left_out(pipeline: Pipeline, settings: Settings) -> None:
    def pseudo_of(**fields: float) -> np.ndarray:
        study = STUDY.replace(confidence=0.4, **fields)
        material = drained(labelling.material_steps(pipeline, [example(), example(1)], settings, study))
        assert all(lesson.vectors is None for lesson in material.lessons)  # read, but not to be learned
        return np.stack([lesson.pseudo for lesson in material.lessons])

    plain, filled, both = pseudo_of(), pseudo_of(filling=0.3), pseudo_of(filling=0.3, left_out=0.25)
    changed = filled != plain
    assert changed.any()
    assert set(plain[changed]) == {255}
    assert set(filled[changed]) <= {0, 1, 2}  # objects only
    dropped = both != filled
    assert set(filled[dropped]) == {3}
    assert set(both[dropped]) == {255}
    assert 0.2 < dropped.sum() / (filled == 3).sum() <= 0.25


def test_labels_become_numbers_of_phrases(settings: Settings) -> None:
    labels = np.array([[0, 1], [2, 0]])
    shown = example(labels=labels)
    assert labelling.known_labels(shown, (2, 2), settings, STUDY).tolist() == [[255, 0], [2, 255]]
    empty = STUDY.replace(background=True)
    assert labelling.known_labels(shown, (2, 2), settings, empty).tolist() == [[4, 0], [2, 4]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((3, 3), int), r"labels of 0.png have shape \(3, 3\), but the image has \(48, 64\)"),
        (np.full((48, 64), 3), "values from 3 to 3; 0 is nothing, and 1 to 2 are the prompts"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    pipeline: Pipeline, settings: Settings, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        drained(labelling.material_steps(pipeline, [example(labels=labels)], settings, STUDY))


def test_in_the_transductive_setting_clip_labels_only_the_rest(pipeline: Pipeline, settings: Settings) -> None:
    labels = np.zeros((48, 64), int)
    labels[:10] = 1
    examples = [example(labels=labels), example(1)]
    study = STUDY.replace(transductive=True)
    assert labelling.unlabelled_phrases(settings, examples, STUDY) == (0, 1, 2, 3)
    assert labelling.unlabelled_phrases(settings, examples, study) == (2, 3)
    material = drained(labelling.material_steps(pipeline, examples, settings, study))
    assert material.subject.unlabelled == (2, 3)
    assert all(set(np.unique(lesson.pseudo)) <= {2, 3} for lesson in material.lessons)
    first, second = material.lessons
    assert (first.known[:10] == 0).all()
    assert (first.known[10:] == 255).all()
    assert second.known is None


def test_only_a_student_that_knows_something_labels_for_itself_unless_it_is_told_to() -> None:
    assert [Study.of(name, transductive=True).guided for name in ("small", "deeplab50", "deeplab101")] == [1, 0.1, 0.1]
    assert [Study.of(name).guided for name in ("small", "deeplab50")] == [1, 1]
    assert Study.of("small", transductive=True, guided=0.3).guided == 0.3
    assert Study.of("deeplab50", transductive=True, guided=0.9).guided == 0.9


def test_something_must_be_left_to_label(settings: Settings) -> None:
    labels = np.repeat([1, 2], 2)[None]
    only = settings.replace(prompts=settings.objects)
    with pytest.raises(ValueError, match="every prompt is labelled"):
        labelling.unlabelled_phrases(only, [example(labels=labels)], STUDY.replace(transductive=True))


@pytest.mark.parametrize(
    ("own", "teacher", "shape", "side"),
    [
        (None, 352, (192, 256), 192),  # not enlarged
        (None, 352, (700, 500), 352),
        (64, 352, (192, 256), 64),
        (400, 352, (192, 256), 400),  # what is asked for is done
        (None, "native", (192, 256), "native"),
    ],
)
def test_a_student_reads_as_its_teacher_does_but_enlarges_nothing(
    own: int | None, teacher: int | str, shape: tuple[int, int], side: int | str
) -> None:
    assert labelling.student_side(Study(short_side=own), Tiling(short_side=teacher), shape) == side


def test_there_must_be_an_image(pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give at least one image"):
        drained(schooling.train_steps(pipeline, [], settings, STUDY, tmp_path / "s"))


def test_labels_at_another_size_are_those_of_the_pixel_at_the_centre() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert labelling.nearest(labels, (4, 6)).tolist() == np.kron(labels, np.ones((2, 2))).tolist()
    assert labelling.nearest(labels, (1, 1)).tolist() == [[4]]


def test_a_trained_student_is_a_model(pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "new" / "student"
    seen: list[Progress] = []
    steps = schooling.train_steps(pipeline, [example(), example(1)], settings, STUDY, out)
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            card = stop.value
            break
    assert [(state.done, state.total) for state in seen if state.stage == schooling.TRAINING][-1] == (4, 4)
    assert sorted(path.name for path in out.parent.iterdir()) == ["student.json", "student.safetensors"]
    assert read_card(out.with_suffix(".safetensors")) == card
    assert (card.phrases, card.images) == (("tree", "bush", "road", "sky"), ("0.png", "1.png"))
    assert (card.teacher, card.study) == (settings.model, STUDY)
    assert card.clearclip["templates"] == ["a {}"]
    assert card.clearclip["distractors"] == ["sky"]
    model = Model(name="", pretrained=str(out.with_suffix(".safetensors")))
    result = pipeline.run(example().image, settings.replace(model=model), View(channel_axis=2))
    assert result.labels.shape == (48, 64)
    assert result.scores.values.shape == (2, 12, 16)  # a cell every four pixels
    assert result.settings.tiling.short_side == 48


def test_a_stopped_training_goes_on_to_the_same_file(pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    examples = [example(), example(1)]
    drained(schooling.train_steps(pipeline, examples, settings, STUDY, tmp_path / "whole"))
    steps = schooling.train_steps(pipeline, examples, settings, STUDY, tmp_path / "part")
    while (state := next(steps)).stage != schooling.TRAINING or state.done < 2:
        pass
    steps.close()
    assert [path.name for path in tmp_path.glob("part*")] == ["part.checkpoint"]
    card = drained(schooling.train_steps(pipeline, examples, settings, STUDY, tmp_path / "part", resume=True))
    assert isinstance(card, Card)
    assert (tmp_path / "part.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not (tmp_path / "part.checkpoint").exists()


def test_a_checkpoint_of_other_images_is_refused(pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    steps = schooling.train_steps(pipeline, [example()], settings, STUDY, tmp_path / "part")
    while (state := next(steps)).stage != schooling.TRAINING or state.done < 1:
        pass
    steps.close()
    with pytest.raises(ValueError, match="is of a training with other images"):
        drained(schooling.train_steps(pipeline, [example(5)], settings, STUDY, tmp_path / "part", resume=True))


def test_the_same_again_gives_the_same_file(pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        drained(schooling.train_steps(pipeline, [example()], settings, STUDY, tmp_path / name))
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert {**one, "figures": 0} == {**two, "figures": 0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zoom": (2.0, 1.0)}, "give a smallest and a largest factor"),
        ({"least_rate": 0.1}, "least_rate 0.1 is larger than rate 0.01"),
        ({"crop": 40, "loss_step": 3}, "loss_step 3 does not divide the crop of 40"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Study.model_validate(fields)


def test_only_what_is_present_is_asked_for(pipeline: Pipeline, settings: Settings) -> None:
    shown = example()
    told = Example(shown.name, shown.image, shown.view, present=("bush", "sky"))
    material = drained(labelling.material_steps(pipeline, [told, shown], settings, STUDY))
    first, second = material.lessons
    assert set(np.unique(first.pseudo)) <= {1, 3}
    assert not set(np.unique(second.pseudo)) <= {1, 3}
    with pytest.raises(ValueError, match="none of what is in 0.png is a phrase of the training"):
        labelling.asked_of(Example("0.png", shown.image, shown.view, present=("house",)), material.phrases, (0, 1))


def test_minutes_decide_once_how_many_steps(
    pipeline: Pipeline, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces = iter([5, 50])
    monkeypatch.setattr(training, "paced", lambda study, *_: study.replace(iterations=next(paces)))
    steps = schooling.train_steps(pipeline, [example()], settings, STUDY, tmp_path / "s", minutes=2)
    while (state := next(steps)).stage != schooling.TRAINING or state.done < 2:
        pass
    assert state.total == 5
    steps.close()
    card = drained(schooling.train_steps(pipeline, [example()], settings, STUDY, tmp_path / "s", True, minutes=9))
    assert card.study.iterations == 5


def test_deeplab_is_recommended_as_in_the_paper() -> None:
    study = Study.of("deeplab101", iterations=20_000)
    assert (study.optimizer, study.rate, study.momentum, study.decay) == ("sgd", 0.01, 0.9, 5e-4)
    assert (study.batch, study.crop, study.zoom, study.loss_step, study.iterations) == (4, 512, (0.5, 2.0), 1, 20_000)
    assert Study.of("small").architecture == "small"
