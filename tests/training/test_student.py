"""The student's training: its lessons, its schedule, and that it can be interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_clearclip.study import Study
from napari_clearclip.training import examination
from napari_clearclip.training import lessons as material
from napari_clearclip.training import student as training
from napari_clearclip.training.lessons import IGNORE, Lesson
from napari_clearclip.training.student import Learning, Subject

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
STUDY = Study(iterations=6, batch=2, crop=32, seed=3)


def subject(count: int = 3, width: int = 8, unlabelled: tuple[int, ...] = (0, 1, 2)) -> Subject:
    torch.manual_seed(1)
    texts = torch.nn.functional.normalize(torch.randn(count, width), dim=1)
    return Subject(texts, unlabelled, MEAN, STD, torch.ones(count + 1))


def lesson(seed: int, known: bool = False, vectors: bool = False) -> Lesson:
    """Colours say the class: 0 red, 1 green, 2 blue."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (6, 7)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    image = (255 * np.eye(3, dtype=np.uint8))[labels]
    said = np.full_like(labels, IGNORE)
    said[:10] = 0
    dense = torch.nn.functional.normalize(torch.randn(6, 7, 8), dim=-1).half()
    return Lesson(image, labels, said if known else None, dense if vectors else None)


LESSONS = [lesson(seed) for seed in range(3)]


def test_every_lesson_is_had_before_any_comes_again() -> None:
    study = STUDY.replace(batch=4)
    order = [place for step in range(6) for place in material.places(8, study, step)]
    for start in range(0, 24, 8):
        assert sorted(order[start : start + 8]) == list(range(8))
    assert order[:8] != order[8:16]


@pytest.mark.parametrize("turned", [False, True])
def test_labels_stay_with_their_pixels(turned: bool) -> None:
    """Whatever is cut, resized, mirrored and turned: where a crop is red, green or blue, its label says so."""
    study = STUDY.replace(batch=8, crop=32, loss_step=1, distortion=0.0, zoom=(0.5, 2.0), turned=turned)
    outside = compared = 0
    for step in range(6):
        batch = material.deal(LESSONS, study, step, stride=4)
        colours, sure = batch.images.argmax(dim=1), batch.images.max(dim=1).values > 0.9
        inside = ~batch.blank[:, 0]
        assert torch.equal(batch.pseudo == IGNORE, batch.blank[:, 0])
        assert torch.equal(colours[sure & inside], batch.pseudo[sure & inside])
        outside += int((~inside).sum())
        compared += int((sure & inside).sum())
    assert outside > 0
    assert compared > 10_000


def test_vectors_stay_with_their_pixels() -> None:
    """A ramp of vectors over the image is found again at the places of the student's vectors."""
    rows, cols = np.mgrid[0:48, 0:64].astype(np.float32)
    image = np.stack([rows * 4, cols * 3, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    ramp = torch.from_numpy(np.stack([rows, cols], axis=-1)).half()
    study = STUDY.replace(batch=8, zoom=(1.0, 1.0), distortion=0.0)
    batch = material.deal([Lesson(image, np.zeros((48, 64), np.uint8), None, ramp)], study, 0, stride=4)
    assert batch.vectors is not None
    mirrored = 0
    for colours, vectors in zip(batch.images * 255, batch.vectors, strict=True):
        means = torch.nn.functional.avg_pool2d(colours, 4)  # (3, 8, 8)
        torch.testing.assert_close(vectors[0], means[0] / 4, rtol=0, atol=0.3)
        torch.testing.assert_close(vectors[1], means[1] / 3, rtol=0, atol=0.3)
        mirrored += bool(means[1, 0, 0] > means[1, 0, -1])
    assert 0 < mirrored < 8


def test_a_turned_crop_comes_in_all_eight_ways() -> None:
    rows, cols = np.mgrid[0:32, 0:32]
    image = np.stack([rows * 4, cols * 4, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    lessons = [Lesson(image, np.zeros((32, 32), np.uint8))]
    study = STUDY.replace(batch=8, zoom=(1.0, 1.0), distortion=0.0)
    for turned, ways in ((False, 2), (True, 8)):
        seen = {  # how far two corners lie from the first, down and across
            tuple((crop[:2, [0, -1], -1] - crop[:2, :1, 0]).mul(10).round().flatten().tolist())
            for step in range(6)
            for crop in material.deal(lessons, study.replace(turned=turned), step, stride=4).images
        }
        assert len(seen) == ways


def test_distortion_changes_light_and_keeps_the_range() -> None:
    image = torch.rand(3, 9, 9)
    torch.testing.assert_close(material.distort(image, 0.0, np.random.default_rng(0)), image)
    changed = [material.distort(image, 1.0, np.random.default_rng(seed)) for seed in range(8)]
    assert all(float(part.min()) >= 0 and float(part.max()) <= 1 for part in changed)
    assert sum(not torch.equal(part, image) for part in changed) >= 6


def test_rare_phrases_count_more() -> None:
    pseudo = np.array([[0] * 8, [0] * 6 + [1, IGNORE]], np.uint8)
    known = np.full((2, 8), IGNORE, np.uint8)
    known[0, :2] = 3  # background
    found = training.weights_of([Lesson(pseudo, pseudo, known)], 3, 0.5)
    mean = (12 + 1 + 2) / 3  # of those that have pixels
    assert found.tolist() == pytest.approx([(mean / 12) ** 0.5, mean**0.5, 1, (mean / 2) ** 0.5])
    assert training.weights_of([Lesson(pseudo, pseudo, known)], 3, 0).tolist() == [1, 1, 1, 1]
    many = np.repeat(np.array([[0], [1]], np.uint8), 1000, axis=1)
    many[1, 1:] = 0
    assert training.weights_of([Lesson(many, many)], 2, 1)[1] == 8  # no pixel counts without bounds
    nothing = np.full((2, 2), IGNORE, np.uint8)
    assert training.weights_of([Lesson(nothing, nothing)], 2, 1).tolist() == [1, 1, 1]


def test_the_mean_of_weights_follows_them() -> None:
    study = STUDY.replace(average=0.5, optimizer="adamw")
    learning = Learning.start(study, subject())
    name = "last.weight"
    mean = learning.student.state_dict()[name].clone()
    for step, state in enumerate(training.train_steps(study, subject(), LESSONS, learning)):
        new = state.student.state_dict()[name]
        mean = new.clone() if step == 0 else mean + (new - mean) * (1 - min(0.5, (step + 1) / (step + 10)))
        torch.testing.assert_close(state.result.state_dict()[name], mean)
    assert not torch.allclose(mean, new)
    for key, value in learning.result.state_dict().items():
        assert torch.isfinite(value.float()).all(), key
    last = Learning.start(STUDY, subject())
    last.advance(STUDY, subject(), LESSONS)
    for key, value in last.result.state_dict().items():
        torch.testing.assert_close(value, last.student.state_dict()[key])


@pytest.mark.parametrize(("guided", "steps"), [(1.0, 6), (0.5, 3), (0.1, 1), (0.0, 0)])
def test_clip_guides_the_first_steps(monkeypatch: pytest.MonkeyPatch, guided: float, steps: int) -> None:
    asked: list[int] = []
    study, learning = STUDY.replace(guided=guided), Learning.start(STUDY, subject())

    def spy(logits: torch.Tensor, unlabelled: tuple[int, ...]) -> torch.Tensor:
        asked.append(learning.step)
        assert unlabelled == (1,)
        return torch.full((len(logits), *logits.shape[2:]), 1)

    monkeypatch.setattr(training, "own_labels", spy)
    for _ in training.train_steps(study, subject(unlabelled=(1,)), LESSONS, learning):
        pass
    assert asked == list(range(steps, 6))


def test_the_rate_falls_by_the_polynomial() -> None:
    study = Study(iterations=10, rate=0.01, least_rate=1e-4, power=0.9)
    wanted = [(0.01 - 1e-4) * (1 - step / 10) ** 0.9 + 1e-4 for step in range(10)]
    assert [study.rate_at(step) for step in range(10)] == pytest.approx(wanted)
    learning = Learning.start(STUDY, subject())
    for state in training.train_steps(STUDY, subject(), LESSONS, learning):
        (group,) = state.optimizer.param_groups
        assert group["lr"] == pytest.approx(STUDY.rate_at(state.step - 1))
        assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)


def test_text_vectors_are_frozen_and_all_else_learns() -> None:
    taught, learning = subject(), Learning.start(STUDY, subject())
    before = taught.texts.clone()
    weights = {name: value.clone() for name, value in learning.student.named_parameters()}
    learning.advance(STUDY, taught, LESSONS)
    assert torch.equal(taught.texts, before)
    assert not taught.texts.requires_grad
    still = [name for name, value in learning.student.named_parameters() if torch.equal(value, weights[name])]
    assert still == []


def test_every_phrase_starts_with_logits_of_the_same_spread() -> None:
    """Phrases that are nearly alike, too: what parts them is not small at the start."""
    torch.manual_seed(2)
    alike = torch.nn.functional.normalize(torch.ones(4, 16) + 0.4 * torch.randn(4, 16), dim=1)
    assert (alike @ alike.T).min() > 0.7
    learning = Learning.start(STUDY, Subject(alike, (0, 1, 2, 3), MEAN, STD, torch.ones(5)))
    weights = alike @ learning.student.last.weight
    assert torch.corrcoef(weights).sub(torch.eye(4)).abs().max() < 0.5
    assert weights.std(dim=1).max() < 1.5 * weights.std(dim=1).min()


def test_adamw_is_another_way_to_learn() -> None:
    study = STUDY.replace(optimizer="adamw", decay=0.05)
    learning = Learning.start(study, subject())
    learning.advance(study, subject(), LESSONS)
    assert isinstance(learning.optimizer, torch.optim.AdamW)
    assert learning.optimizer.param_groups[0]["weight_decay"] == 0.05


def test_it_learns_colours() -> None:
    study = Study(iterations=60, batch=4, crop=32, rate=0.1, distortion=0.0, zoom=(1.0, 1.5))
    learning = Learning.start(study, subject())
    for _ in training.train_steps(study, subject(), LESSONS, learning):
        pass
    examined = examination.examine(learning.result, subject(), LESSONS)
    assert examined.agreement > 0.8
    assert 10 <= examined.scale <= 200


def test_agreement_is_the_share_of_equal_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines = torch.tensor([[[0.1, 0.1, 0.9, 0.1]], [[0.2, 0.0, 0.1, 0.3]]])[None]  # (1, 2, 1, 4): 1 0 0 1
    labels = torch.tensor([[[1, 1, 0, IGNORE]]])
    monkeypatch.setattr(examination, "_cosines", lambda *_: (cosines, labels))
    examined = examination.examine(Learning.start(STUDY, subject()).student, subject(), LESSONS[:1])
    assert examined.agreement == pytest.approx(2 / 3)

    def surprise(scale: float) -> float:
        return float(torch.nn.functional.cross_entropy(scale * cosines, labels, ignore_index=IGNORE))

    assert examined.scale == min(range(10, 201, 5), key=surprise)


@pytest.mark.parametrize("scale", [0, 20])
def test_distillation_pulls_towards_the_teacher(scale: float) -> None:
    lessons = [
        Lesson(part.image, np.full_like(part.pseudo, IGNORE), None, part.vectors) for part in [lesson(0, vectors=True)]
    ]
    study = Study(iterations=1, batch=2, crop=32, distil=2.0, scale=scale, zoom=(1.0, 1.0), distortion=0.0)
    taught, learning = subject(), Learning.start(study, subject())
    batch = material.deal(lessons, study, 0, stride=4)
    learning.student.train()
    vectors = learning.student(training.normalised(batch, taught))
    assert batch.vectors is not None
    mine, theirs = vectors.detach().numpy(), batch.vectors.permute(0, 2, 3, 1).numpy()
    if scale:
        lengths = np.linalg.norm(mine, axis=-1) * np.linalg.norm(theirs, axis=-1)
        wanted = 2 * (1 - (mine * theirs).sum(axis=-1) / lengths).mean()
    else:
        wanted = 2 * np.abs(mine - theirs).mean()
    learning = Learning.start(study, subject())
    learning.advance(study, taught, lessons)
    assert learning.loss == pytest.approx(float(wanted), rel=1e-4)


def test_a_background_is_learned_only_where_it_is_asked_for() -> None:
    empty = [Lesson(part.image, part.pseudo, np.full_like(part.pseudo, 3)) for part in LESSONS]
    study = STUDY.replace(background=True)
    learning = Learning.start(study, subject())
    before = learning.background.detach().clone()
    learning.advance(study, subject(), empty)
    assert not torch.allclose(learning.background.detach(), before, atol=1e-6)
    learning = Learning.start(STUDY, subject())
    learning.advance(STUDY, subject(), LESSONS)
    assert learning.background.grad is None or not learning.background.grad.any()


@pytest.mark.parametrize(
    "how", [{}, {"optimizer": "adamw", "scale": 50.0, "balance": 0.6, "average": 0.9, "turned": True}]
)
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path, how: dict[str, Any]) -> None:
    lessons = [lesson(seed, known=True, vectors=True) for seed in range(3)]
    study = STUDY.replace(distil=0.5, guided=0.5, background=True, **how)
    whole = Learning.start(study, subject())
    for _ in training.train_steps(study, subject(), lessons, whole):
        pass
    part = Learning.start(study, subject())
    steps = training.train_steps(study, subject(), lessons, part)
    for _ in range(2):
        next(steps)
    steps.close()
    part.save(tmp_path / "part", "name", study)
    assert training.planned(tmp_path / "part") == 6
    again = Learning.start(study.replace(seed=99), subject())  # whatever it starts from
    again.resume(tmp_path / "part", "name")
    assert again.step == 2
    for _ in training.train_steps(study, subject(), lessons, again):
        pass
    assert (again.loss, again.step) == (whole.loss, whole.step)
    assert torch.equal(again.background, whole.background)
    for one, other in ((whole.student, again.student), (whole.average, again.average)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_deeplab_learns() -> None:
    """The paper's recipe on a ResNet: the loss falls in a few steps."""
    study = Study.of("deeplab50", iterations=6, batch=2, crop=64, zoom=(1.0, 1.0), distortion=0.0)
    learning = Learning.start(study, subject())
    losses = [state.loss for state in training.train_steps(study, subject(), LESSONS[:1], learning)]
    assert len(losses) == 6
    assert min(losses[3:]) < 0.7 * losses[0]
    assert np.isfinite(losses).all()


def test_a_phrase_that_nobody_labelled_is_learned_beside_those_that_are() -> None:
    """Transductive: red and green are labelled, CLIP tells blue in the first steps, then the student does."""
    lessons = []
    for part in LESSONS:
        blue = part.pseudo == 2
        told = np.where(blue, 2, IGNORE).astype(np.uint8)  # CLIP labels nothing else
        lessons.append(Lesson(part.image, told, np.where(blue, IGNORE, part.pseudo).astype(np.uint8)))
    study = Study(iterations=60, batch=4, crop=32, rate=0.1, distortion=0.0, zoom=(1.0, 1.5), guided=0.3)
    taught = subject(unlabelled=(2,))
    learning = Learning.start(study, taught)
    for _ in training.train_steps(study, taught, lessons, learning):
        pass
    assert examination.examine(learning.result, taught, LESSONS).agreement > 0.8


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    learning = Learning.start(STUDY, subject())
    learning.save(tmp_path / "other", "other", STUDY)
    with pytest.raises(ValueError, match="is of a training with other images, phrases or settings"):
        learning.resume(tmp_path / "other", "mine")
    (tmp_path / "broken").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="broken cannot be read"):
        learning.resume(tmp_path / "broken", "mine")


def test_there_must_be_a_lesson() -> None:
    with pytest.raises(ValueError, match="nothing to learn from"):
        next(training.train_steps(STUDY, subject(), [], Learning.start(STUDY, subject())))


def test_the_pace_decides_how_many_steps_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.5])  # five steps in two and a half seconds
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(clock))
    assert training.paced(STUDY, subject(), LESSONS, "cpu", minutes=3).iterations == 360
