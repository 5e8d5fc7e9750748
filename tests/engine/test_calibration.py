"""Patches that stand out, against scikit-learn; what they are mended by and share, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import LocalOutlierFactor

from napari_clearclip.engine.calibration import attention_by, mended, outliers, sharing


@pytest.mark.parametrize("count", [9, 60, 200])
@pytest.mark.filterwarnings("ignore:n_neighbors .* is greater than")
def test_patches_that_stand_out_are_those_of_scikit_learn(count: int) -> None:
    patches = torch.randn(2, count, 7, generator=torch.Generator().manual_seed(count))
    patches[0, 3] += 5
    patches[1, : count // 15] += 40  # a small group far away: alike among themselves
    found = outliers(patches)
    for image, expected in zip(patches, found, strict=True):
        factor = LocalOutlierFactor(n_neighbors=30, contamination=0.05)
        np.testing.assert_array_equal(factor.fit_predict(image.double().numpy()) < 0, expected.numpy())
    assert found[0, 3] or count == 9  # where all are neighbours of each other


def test_neighbours_that_are_right_mend() -> None:
    patches = torch.tensor([[1.0, 2, 3, 4, 50, 60, 7, 8, 9]])[..., None]
    wrong = torch.tensor([[False] * 4 + [True, True] + [False] * 3])
    right = [1, 2, 3, 4, sum((1, 2, 3, 4, 7, 8, 9)) / 7, sum((2, 3, 8, 9)) / 4, 7, 8, 9]
    torch.testing.assert_close(mended(patches, wrong, (3, 3))[0, :, 0], torch.tensor(right))
    torch.testing.assert_close(mended(patches, torch.ones(1, 9, dtype=torch.bool), (3, 3)), patches)


def test_only_what_is_alike_is_shared() -> None:
    cosines = torch.tensor([[[1, 0.6, 0.39], [0.6, 1, -0.5], [0.39, -0.5, 1]]])
    expected = torch.tensor([[[1 / 1.6, 0.6 / 1.6, 0], [0.6 / 1.6, 1 / 1.6, 0], [0, 0, 1]]])
    torch.testing.assert_close(sharing(cosines), expected)
    mean = (3 + 2 * 0.6 + 2 * 0.39 - 1) / 9
    attention = attention_by(cosines)[0]
    weights = np.exp(3 * (np.array([1, 0.6]) - mean))
    np.testing.assert_allclose(attention[0], [*(weights / weights.sum()), 0], atol=1e-6)
    np.testing.assert_allclose(attention[2], [0, 0, 1], atol=1e-6)
