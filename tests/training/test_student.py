"""The student's training: its lessons, its loss, its schedule, and that it can be interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_clearclip.study import Study
from napari_clearclip.training import lessons as material
from napari_clearclip.training import student as training
from napari_clearclip.training.lessons import IGNORE, Lesson
from napari_clearclip.training.student import Learning, Subject

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
STUDY = Study(iterations=6, batch=2, crop=32, seed=3)


def subject(count: int = 3, width: int = 8, unlabelled: tuple[int, ...] = (0, 1, 2)) -> Subject:
    torch.manual_seed(1)
    return Subject(torch.nn.functional.normalize(torch.randn(count, width), dim=1), unlabelled, MEAN, STD)


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


def test_labels_stay_with_their_pixels() -> None:
    """Whatever is cut, resized and mirrored: where a crop is red, green or blue, its label says so."""
    study = STUDY.replace(batch=8, crop=32, loss_step=1, distortion=0.0, zoom=(0.5, 2.0))
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
        torch.testing.assert_close(vectors[..., 0], means[0] / 4, rtol=0, atol=0.3)
        torch.testing.assert_close(vectors[..., 1], means[1] / 3, rtol=0, atol=0.3)
        mirrored += bool(means[1, 0, 0] > means[1, 0, -1])
    assert 0 < mirrored < 8


def test_distortion_changes_light_and_keeps_the_range() -> None:
    image = torch.rand(3, 9, 9)
    torch.testing.assert_close(material.distort(image, 0.0, np.random.default_rng(0)), image)
    changed = [material.distort(image, 1.0, np.random.default_rng(seed)) for seed in range(8)]
    assert all(float(part.min()) >= 0 and float(part.max()) <= 1 for part in changed)
    assert sum(not torch.equal(part, image) for part in changed) >= 6


def test_the_loss_is_the_mean_over_labelled_pixels() -> None:
    logits = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[0, :2] = IGNORE
    wanted = [
        -torch.log_softmax(logits[place[0], :, place[1], place[2]], 0)[int(labels[place])]
        for place in np.ndindex(2, 4, 5)
        if labels[place] != IGNORE
    ]
    torch.testing.assert_close(training.label_loss(logits, labels), torch.stack(wanted).mean())
    assert training.label_loss(logits, torch.full((2, 4, 5), IGNORE)) == 0


def test_what_the_user_says_counts_more() -> None:
    known, pseudo = torch.tensor([[1, IGNORE], [IGNORE, 0]]), torch.tensor([[0, 2], [IGNORE, 2]])
    assert training.merged(known, pseudo).tolist() == [[1, 2], [IGNORE, 0]]


def test_the_student_labels_only_what_nobody_labelled() -> None:
    logits = torch.tensor([9.0, 1.0, 2.0, 8.0]).reshape(1, 4, 1, 1)
    assert training.own_labels(logits, (1, 2)).tolist() == [[[2]]]
    assert training.own_labels(logits, (0, 1, 2)).tolist() == [[[0]]]


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
    learning = Learning.start(STUDY, Subject(alike, (0, 1, 2, 3), MEAN, STD))
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
    examined = training.examine(learning.student, subject(), LESSONS)
    assert examined.agreement > 0.8
    assert 10 <= examined.scale <= 200


def test_agreement_is_the_share_of_equal_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines = torch.tensor([[[0.1, 0.1, 0.9, 0.1]], [[0.2, 0.0, 0.1, 0.3]]])[None]  # (1, 2, 1, 4): 1 0 0 1
    labels = torch.tensor([[[1, 1, 0, IGNORE]]])
    monkeypatch.setattr(training, "_cosines", lambda *_: (cosines, labels))
    examined = training.examine(Learning.start(STUDY, subject()).student, subject(), LESSONS[:1])
    assert examined.agreement == pytest.approx(2 / 3)

    def surprise(scale: float) -> float:
        return float(torch.nn.functional.cross_entropy(scale * cosines, labels, ignore_index=IGNORE))

    assert examined.scale == min(range(10, 201, 5), key=surprise)


def test_distillation_pulls_towards_the_teacher() -> None:
    lessons = [
        Lesson(part.image, np.full_like(part.pseudo, IGNORE), None, part.vectors) for part in [lesson(0, vectors=True)]
    ]
    study = Study(iterations=1, batch=2, crop=32, distil=2.0, zoom=(1.0, 1.0), distortion=0.0)
    taught, learning = subject(), Learning.start(study, subject())
    batch = material.deal(lessons, study, 0, stride=4)
    learning.student.train()
    vectors = learning.student(training.normalised(batch, taught))
    assert batch.vectors is not None
    wanted = 2 * np.abs(vectors.detach().numpy() - batch.vectors.numpy()).mean()
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


def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    lessons = [lesson(seed, known=True, vectors=True) for seed in range(3)]
    study = STUDY.replace(distil=0.5, guided=0.5, background=True)
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
    for name, value in whole.student.state_dict().items():
        assert torch.equal(value, again.student.state_dict()[name]), name


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
