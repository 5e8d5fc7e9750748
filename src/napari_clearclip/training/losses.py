"""Which labels a student of MaskCLIP+ learns from, and how far it is from them and from its teacher's vectors.

References
----------
Zhou, Loy and Dai, Extract Free Dense Labels from CLIP, ECCV 2022, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from napari_clearclip.engine.student import classify
from napari_clearclip.training.lessons import IGNORE

_SHORTEST = 1e-12


def own_labels(logits: torch.Tensor, unlabelled: Sequence[int]) -> torch.Tensor:
    """The student's own choice (B, s, s) among the phrases that nobody labelled; of logits (B, Q, s, s)."""
    numbers = torch.tensor(unlabelled, device=logits.device)
    return numbers[logits[:, numbers].argmax(dim=1)]


def merged(known: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
    """What the user says, and elsewhere the pseudo-labels."""
    return torch.where(known == IGNORE, pseudo, known)


def study_logits(vectors: torch.Tensor, texts: torch.Tensor, scale: float) -> torch.Tensor:
    """Logits (B, Q, h, w) of vectors (B, h, w, D): products with the texts (Q, D), or `scale` times the cosines."""
    products = classify(vectors, texts)
    return products * (scale / _lengths(vectors)[:, None]) if scale else products


def label_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the pixels that have a label, by weights (Q,) of the labels; 0 where none has one."""
    total = functional.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    return total / weights[labels[labels != IGNORE]].sum().clamp_min(weights.min())


def distance(vectors: torch.Tensor, wanted: torch.Tensor, scale: float) -> torch.Tensor:
    """How far vectors (B, h, w, D) are from the teacher's unit vectors (B, D, h, w), as the loss reads them.

    That is the paper's mean absolute difference where vectors are compared as they are, and 1 - cosine where only their
    direction counts.
    """
    wanted = wanted.permute(0, 2, 3, 1).contiguous()
    if not scale:
        return (vectors - wanted).abs().mean()
    return (1 - (vectors * wanted).sum(dim=-1) / (_lengths(vectors) * _lengths(wanted))).mean()


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    """Lengths (B, h, w) of vectors (B, h, w, D), not 0: products are divided by them, which are fewer than numbers."""
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return lengths.clamp_min(_SHORTEST)
