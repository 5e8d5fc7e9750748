"""Histograms count valid cells, and Otsu's threshold lies between two groups of scores."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_clearclip.engine.automatic import BINS, histogram, otsu


def test_each_score_has_its_bin():
    counts = histogram(np.array([[0, 0.004, 0.011], [0.999, 1, 0.5]], np.float32))
    assert counts.shape == (BINS,)
    assert {int(at): int(counts[at]) for at in np.flatnonzero(counts)} == {0: 2, 1: 1, 50: 1, 99: 2}


def test_only_cells_with_data_count():
    scores = np.array([[0.1, 0.3], [0.5, 0.7]], np.float32)
    valid = np.ones((6, 8), bool)
    valid[:3, :4] = False
    counts = histogram(scores, valid)
    assert np.flatnonzero(counts).tolist() == [30, 50, 70]
    assert histogram(scores, np.zeros((6, 8), bool)).sum() == 0


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.8), (0.02, 0.05), (0.3, 0.995)])
def test_otsu_separates_two_groups(low, high):
    scores = np.where(np.arange(1000) % 10 == 0, np.float32(high), np.float32(low)).reshape(20, 50)
    threshold = otsu(histogram(scores))
    assert low < threshold <= high
    assert threshold == round(threshold, 2)


def test_otsu_is_that_of_scikit_image():
    from skimage.filters import threshold_otsu

    scores = np.random.default_rng(0).beta(2, 5, (50, 50)).astype(np.float32)
    assert otsu(histogram(scores)) == pytest.approx(threshold_otsu(scores), abs=0.015)


@pytest.mark.parametrize("scores", [np.full((3, 3), 0.4, np.float32), np.zeros((0, 0), np.float32)])
def test_scores_that_are_all_the_same_have_no_threshold(scores):
    assert otsu(histogram(scores)) is None


def test_torch_is_not_needed():
    code = "import sys, napari_clearclip.engine.automatic; print('torch' in sys.modules, 'skimage' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
