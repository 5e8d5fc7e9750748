"""Losses equal loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_clearclip.training import losses
from napari_clearclip.training.lessons import IGNORE


def test_the_loss_is_the_mean_over_labelled_pixels() -> None:
    logits = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[0, :2] = IGNORE
    wanted = [
        -torch.log_softmax(logits[place[0], :, place[1], place[2]], 0)[int(labels[place])]
        for place in np.ndindex(2, 4, 5)
        if labels[place] != IGNORE
    ]
    alike = torch.ones(3)
    counts = torch.tensor([1.0, 4.0, 0.5])
    given = torch.stack([counts[value] for value in labels.flatten() if value != IGNORE])
    mean = (torch.stack(wanted) * given).sum() / given.sum()
    torch.testing.assert_close(losses.label_loss(logits, labels, counts), mean)
    torch.testing.assert_close(losses.label_loss(logits, labels, alike), torch.stack(wanted).mean())
    assert losses.label_loss(logits, torch.full((2, 4, 5), IGNORE), alike) == 0


def test_logits_are_products_or_scaled_cosines() -> None:
    vectors, texts = torch.randn(1, 2, 3, 5), torch.nn.functional.normalize(torch.randn(4, 5), dim=1)
    products, cosines = (losses.study_logits(vectors, texts, scale) for scale in (0, 30))
    for row, col, word in np.ndindex(2, 3, 4):
        product = float(vectors[0, row, col] @ texts[word])
        assert float(products[0, word, row, col]) == pytest.approx(product, abs=1e-5)
        assert float(cosines[0, word, row, col]) == pytest.approx(
            30 * product / float(vectors[0, row, col].norm()), abs=1e-4
        )


def test_what_the_user_says_counts_more() -> None:
    known, pseudo = torch.tensor([[1, IGNORE], [IGNORE, 0]]), torch.tensor([[0, 2], [IGNORE, 2]])
    assert losses.merged(known, pseudo).tolist() == [[1, 2], [IGNORE, 0]]


def test_the_student_labels_only_what_nobody_labelled() -> None:
    logits = torch.tensor([9.0, 1.0, 2.0, 8.0]).reshape(1, 4, 1, 1)
    assert losses.own_labels(logits, (1, 2)).tolist() == [[[2]]]
    assert losses.own_labels(logits, (0, 1, 2)).tolist() == [[[0]]]
