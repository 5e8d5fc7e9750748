"""How well a student of MaskCLIP+ has learned its lessons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from napari_clearclip.engine.student import Student, classify
from napari_clearclip.training.lessons import IGNORE, Lesson
from napari_clearclip.training.student import Subject


@dataclass(frozen=True)
class Examination:
    """How well a student agrees with its pseudo-labels.

    Attributes
    ----------
    agreement : share of labelled places where its best phrase is the pseudo-label
    scale : of 10, 15, 20, ... 200, the factor on its cosines at which a softmax over all phrases fits them best
    """

    agreement: float
    scale: float


def examine(student: Student, subject: Subject, lessons: Sequence[Lesson], most: int = 16) -> Examination:
    """How well a student does on at most `most` of its own lessons, whole images, by cosines as when it is used."""
    scales = np.arange(10, 201, 5)
    surprise = torch.zeros(len(scales), dtype=torch.float64)
    right = count = 0
    student.eval()
    for lesson in lessons[:: max(len(lessons) // most, 1)][:most]:
        cosines, labels = _cosines(student, subject, lesson)
        right += int((cosines.argmax(dim=1) == labels).sum())
        count += int((labels != IGNORE).sum())
        for place, scale in enumerate(scales.tolist()):
            surprise[place] += functional.cross_entropy(scale * cosines, labels, ignore_index=IGNORE, reduction="sum")
    return Examination(right / max(count, 1), float(scales[int(surprise.argmin())]))


@torch.no_grad()
def _cosines(student: Student, subject: Subject, lesson: Lesson) -> tuple[torch.Tensor, torch.Tensor]:
    """The student's cosines (1, Q, h, w) on a whole image, and the pseudo-labels (1, h, w) at the same places."""
    device = next(student.parameters()).device
    shape = [length // student.stride * student.stride for length in lesson.image.shape[:2]]
    image = torch.from_numpy(lesson.image[: shape[0], : shape[1]]).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (subject.mean, subject.std))
    vectors = functional.normalize(student(((image - mean) / std).to(device)), dim=-1)
    half = student.stride // 2
    pseudo = lesson.pseudo[half : shape[0] : student.stride, half : shape[1] : student.stride]
    return classify(vectors, subject.texts.to(device)).cpu(), torch.from_numpy(pseudo.astype(np.int64))[None]
