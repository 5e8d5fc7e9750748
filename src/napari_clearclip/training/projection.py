"""A projection for SCLIP's attention, learned from a few labelled images (its Table 2)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from napari_clearclip.engine.attention import as_long, attend
from napari_clearclip.engine.encoder import tower_for
from napari_clearclip.engine.tower import join_heads
from napari_clearclip.settings import Attention

if TYPE_CHECKING:
    from napari_clearclip.engine.encoder import Trunk
    from napari_clearclip.engine.model import Clip

_ROW = Attention(terms=("random",), residual=1, ffn=1)
_BATCH, _RATE = 8, 0.05  # windows a step; of a matrix whose entries have a spread of 1


@dataclass(frozen=True, eq=False)
class Window:
    """A window to learn from: tokens that enter the last block, and the class of each patch, -1 where none is known."""

    trunk: Trunk
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a projection is learned from.

    Attributes
    ----------
    windows : sequence of Window
        Of all images.
    vectors : (Q, D) float32 array
        The phrases' unit vectors.
    owners : (Q,) int64 array
        The class of each phrase; one of several phrases scores as that which fits best.
    scale : float
        Factor on cosines before the softmax over classes.
    """

    windows: Sequence[Window]
    vectors: npt.NDArray[np.float32]
    owners: npt.NDArray[np.int64]
    scale: float


@dataclass(frozen=True, eq=False)
class Course:
    """What came of it: the matrix (C, C), and the mean loss over all windows before and after."""

    matrix: torch.Tensor
    before: float
    after: float


def learn_steps(clip: Clip, lesson: Lesson, steps: int, seed: int) -> Generator[None, None, Course]:
    """A projection, learned by Adam on the cross-entropy of patches; yields after each step.

    Parameters
    ----------
    clip : Clip
        The model, in float32; it is not modified.
    lesson : Lesson
        Windows, each encoded with one block left.
    steps : int
        How many.
    seed : int
        It starts as the random projection of this seed, and draws its windows by it.

    Raises
    ------
    ValueError
        If no patch has a class, or the model's last block has no residual connection.

    References
    ----------
    SCLIP, Table 2, which does not say on what it was trained, nor how.
    """
    windows = [window for window in lesson.windows if (window.classes >= 0).any()]
    if not windows:
        raise ValueError("no patch of these images has a class to learn from; take others")
    generator = torch.Generator().manual_seed(seed)
    width = tower_for(clip, windows[0].trunk, _ROW).channels
    matrix = torch.randn(width, width, generator=generator).to(clip.device).requires_grad_()
    optimizer = torch.optim.Adam([matrix], lr=_RATE)
    before = _mean_loss(clip, windows, lesson, matrix)
    yield
    for _ in range(steps):
        drawn = torch.randint(len(windows), (_BATCH,), generator=generator).tolist()
        optimizer.zero_grad()
        for place in drawn:
            (_loss(clip, windows[place], lesson, matrix) / _BATCH).backward()
        optimizer.step()
        yield
    return Course(matrix.detach(), before, _mean_loss(clip, windows, lesson, matrix))


def _mean_loss(clip: Clip, windows: Sequence[Window], lesson: Lesson, matrix: torch.Tensor) -> float:
    with torch.no_grad():
        return float(np.mean([float(_loss(clip, window, lesson, matrix)) for window in windows]))


def _loss(clip: Clip, window: Window, lesson: Lesson, matrix: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the patches that have a class."""
    found = functional.normalize(_vectors(clip, window.trunk, matrix), dim=-1)  # (N, D)
    cosines = found @ found.new_tensor(lesson.vectors).T  # (N, Q)
    count = int(lesson.owners.max()) + 1
    places = torch.as_tensor(lesson.owners, device=found.device).expand(len(cosines), -1)
    logits = cosines.new_full((len(cosines), count), -torch.inf).scatter_reduce(1, places, cosines, "amax")
    truth = torch.as_tensor(window.classes, device=found.device)
    return functional.cross_entropy(lesson.scale * logits, truth, ignore_index=-1)


def _vectors(clip: Clip, trunk: Trunk, matrix: torch.Tensor) -> torch.Tensor:
    """The patches' vectors (N, D) with SCLIP's last block and this projection, so that gradients reach the matrix."""
    tower, last = tower_for(clip, trunk, _ROW), clip.depth - 1
    tokens = trunk.tokens.to(clip.device, torch.float32, copy=True)  # (1, L, C)
    normed = tower.norm(last, tokens)
    parts = tower.project(last, normed, "qv")
    side = as_long(normed @ matrix, parts["q"])
    heads = attend({"random": [(side, side)], "v": [(parts["v"], parts["v"])]}, _ROW, None)
    mixed = tokens + tower.scale(last, tower.output(last, join_heads(heads)))
    mixed = mixed + tower.feed(last, mixed)
    return tower.read(mixed)[0, tower.prefix :]
