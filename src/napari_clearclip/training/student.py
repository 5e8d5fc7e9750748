"""MaskCLIP+: a student learns from what CLIP says about images, with CLIP's text vectors as its frozen classifier.

References
----------
Zhou, Loy and Dai, Extract Free Dense Labels from CLIP, ECCV 2022, section 3.3.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from napari_clearclip.engine.student import Student, build_student, load_imagenet
from napari_clearclip.io.files import replacing
from napari_clearclip.study import Study
from napari_clearclip.training.lessons import IGNORE, Batch, Lesson, deal
from napari_clearclip.training.losses import distance, label_loss, merged, own_labels, study_logits

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip

_TRIAL_STEPS = 5
_RANK = 0.05  # smaller differences between phrases, against the largest, are not magnified
_HEAVIEST = 8.0  # most that a pixel of a rare phrase counts


@dataclass(frozen=True)
class Subject:
    """What is taught.

    Attributes
    ----------
    texts : (Q, D) float32 tensor
        The phrases' unit vectors, which are never changed.
    unlabelled : tuple of int
        The phrases of which the user labelled nothing; pseudo-labels are of these.
    mean, std : tuple of 3 float
        Normalisation of images, the teacher's.
    weights : (Q + 1,) float32 tensor
        How much a pixel of each phrase, and of the background, counts.
    """

    texts: torch.Tensor
    unlabelled: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: torch.Tensor

    @classmethod
    def of(
        cls,
        texts: Sequence[npt.NDArray[np.float32]],
        unlabelled: tuple[int, ...],
        clip: Clip,
        lessons: Sequence[Lesson],
        balance: float,
    ) -> Subject:
        """What a teacher teaches with some lessons: the phrases' vectors, its normalisation, what pixels count."""
        weights = weights_of(lessons, len(texts), balance)
        return cls(torch.from_numpy(np.stack(texts)), unlabelled, clip.mean, clip.std, weights)


def weights_of(lessons: Sequence[Lesson], phrases: int, balance: float) -> torch.Tensor:
    """How much a pixel of each phrase, and of the background, counts: (Q + 1,) float32.

    With f_q pixels of phrase q it is (mean of f / f_q) to the power of `balance`, at most 8; the mean is over phrases
    that have pixels, and those without count 1.
    """
    counts = np.zeros(256)
    for lesson in lessons:
        known = lesson.pseudo if lesson.known is None else lesson.known
        labels = np.where(known == IGNORE, lesson.pseudo, known)
        counts += np.bincount(labels.ravel(), minlength=256)
    found = counts[: phrases + 1]
    mean = found[found > 0].mean() if found.any() else 1.0
    relative = np.divide(mean, found, out=np.ones_like(found), where=found > 0)
    return torch.from_numpy(np.minimum(relative**balance, _HEAVIEST).astype(np.float32))


@dataclass
class Learning:
    """All that changes during the training and is kept in a checkpoint.

    Attributes
    ----------
    student : being trained
    average : the running mean of its weights, which is what is kept in the end
    background : (D,) learned vector of what has no phrase, normalised when used
    optimizer : of both
    known : whether it started from ImageNet's weights
    step : steps done
    loss : of the last step
    """

    student: Student
    average: AveragedModel
    background: nn.Parameter
    optimizer: torch.optim.Optimizer
    known: bool = False
    step: int = 0
    loss: float = float("nan")

    @property
    def result(self) -> Student:
        """What the training has made so far."""
        return cast(Student, self.average.module)

    @classmethod
    def start(cls, study: Study, subject: Subject, device: str = "cpu") -> Learning:
        """The untrained state; every phrase starts with logits of the same spread."""
        torch.manual_seed(study.seed)
        student = build_student(study.architecture, subject.texts.shape[1])
        known = load_imagenet(student, study.architecture)
        if isinstance(student.last, nn.Linear):  # text vectors are much alike, and what parts them would start small
            spread = torch.randn(len(subject.texts), student.last.in_features) * student.last.in_features**-0.5
            student.last.weight.data.copy_(torch.linalg.pinv(subject.texts, rtol=_RANK) @ spread)
        student.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
        average = AveragedModel(student, avg_fn=running_mean(study.average), use_buffers=True)
        background = nn.Parameter(torch.randn(subject.texts.shape[1]).to(device))
        return cls(student, average, background, optimizer_of(study, [*student.parameters(), background]), known)

    def save(self, checkpoint: Path, name: str, study: Study) -> None:
        """Write a checkpoint, whole or not at all; `name` says what it is a training of."""
        state: dict[str, Any] = {"name": name, "student": self.student.state_dict(), "background": self.background.data}
        state |= {
            "iterations": study.iterations,
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "loss": self.loss,
        }
        with replacing(checkpoint) as file:
            torch.save(state, file)

    def resume(self, checkpoint: Path, name: str) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            If it is damaged, or of another training.
        """
        state = _read(checkpoint, self.background.device)
        if state["name"] != name:
            raise ValueError(
                f"the checkpoint {checkpoint} is of a training with other images, phrases or settings; "
                "give the same again, or delete it to start anew"
            )
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.background.data.copy_(state["background"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.loss = int(state["step"]), float(state["loss"])

    def advance(self, study: Study, subject: Subject, lessons: Sequence[Lesson]) -> None:
        """Do one step."""
        device = self.background.device
        batch = deal(lessons, study, self.step, self.student.stride)
        for group in self.optimizer.param_groups:
            group["lr"] = study.rate_at(self.step)
        self.student.train()
        images = normalised(batch, subject).to(device, memory_format=torch.channels_last)
        vectors = self.student(images)  # (B, g, g, D)
        texts = torch.cat([subject.texts.to(device), functional.normalize(self.background, dim=0)[None]])
        logits = functional.interpolate(
            study_logits(vectors, texts, study.scale), size=batch.pseudo.shape[1:], mode="bilinear", align_corners=False
        )  # (B, Q + 1, s, s)
        pseudo = batch.pseudo.to(device)
        if not study.is_guided(self.step):
            pseudo = own_labels(logits.detach(), subject.unlabelled)
        labels = merged(batch.known.to(device), pseudo)
        labels = labels.masked_fill(_outside(batch, labels.shape[1]).to(device), IGNORE)
        phrases = len(texts) if study.background else len(subject.texts)
        loss = label_loss(logits[:, :phrases], labels, subject.weights[:phrases].to(device))
        if batch.vectors is not None:
            loss = loss + study.distil * distance(vectors, batch.vectors.to(device), study.scale)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.average.update_parameters(self.student)
        self.step += 1
        self.loss = loss.item()


def optimizer_of(study: Study, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """What changes the weights: SGD as in the paper, or AdamW."""
    if study.optimizer == "adamw":
        return torch.optim.AdamW(parameters, study.rate, (study.momentum, 0.99), weight_decay=study.decay)
    return torch.optim.SGD(parameters, study.rate, study.momentum, weight_decay=study.decay)


def _read(checkpoint: Path, device: torch.device) -> dict[str, Any]:
    """What `Learning.save` wrote."""
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises whatever a damaged file leads it to
        raise ValueError(f"the checkpoint {checkpoint} cannot be read ({error}); delete it") from error
    return state


def planned(checkpoint: Path) -> int:
    """The number of iterations that a checkpoint's training was started with.

    Raises
    ------
    ValueError
        If the checkpoint is damaged.
    """
    return int(_read(checkpoint, torch.device("cpu"))["iterations"])


def normalised(batch: Batch, subject: Subject) -> torch.Tensor:
    """The images (B, 3, S, S) as the student reads them; 0 outside of them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (subject.mean, subject.std))
    return ((batch.images - mean) / std).masked_fill(batch.blank, 0)


def _outside(batch: Batch, side: int) -> torch.Tensor:
    """Where labels (B, side, side) lie outside the image."""
    step = batch.blank.shape[-1] // side
    return batch.blank[:, 0, step // 2 :: step, step // 2 :: step]


def running_mean(stays: float) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor | int], torch.Tensor]:
    """How a mean of weights follows new ones after n steps: less of it stays at first, when they change much."""

    def follow(mean: torch.Tensor, new: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
        count = float(steps)
        return mean + (new - mean) * (1 - min(stays, (count + 1) / (count + 10)))

    return follow


def train_steps(
    study: Study,
    subject: Subject,
    lessons: Sequence[Lesson],
    learning: Learning,
) -> Generator[Learning, None, None]:
    """Train to the end, yielding after each step; what is yielded can be saved, and closing stops."""
    if not lessons:
        raise ValueError("there is nothing to learn from; give at least one image")
    while learning.step < study.iterations:
        torch.set_flush_denormal(True)  # numbers that small make a CPU many times slower
        try:
            learning.advance(study, subject, lessons)
        finally:
            torch.set_flush_denormal(False)  # others in this thread may need them
        yield learning


def paced(study: Study, subject: Subject, lessons: Sequence[Lesson], device: str, minutes: float) -> Study:
    """The study with as many iterations as fit into some minutes, by the pace of its first ones."""
    trial = Learning.start(study, subject, device)
    trial.advance(study, subject, lessons)  # memory is set up
    began = time.perf_counter()
    for _ in range(_TRIAL_STEPS):
        trial.advance(study, subject, lessons)
    seconds = (time.perf_counter() - began) / _TRIAL_STEPS
    return study.replace(iterations=max(int(60 * minutes / seconds), 1))


def save_weights(student: Student, path: Path) -> None:
    """Write a student's weights as safetensors."""
    from safetensors.torch import save_file

    save_file({name: value.detach().cpu().contiguous() for name, value in student.state_dict().items()}, path)
