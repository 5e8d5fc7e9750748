"""Thresholds that follow from the scores (numpy and scikit-image, no torch)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask

BINS = 100
Counts = npt.NDArray[np.int64]


def histogram(scores: npt.NDArray[np.float32], valid: Mask | None = None) -> Counts:
    """How many cells have which score.

    Parameters
    ----------
    scores : (h, w) float32 array
        Scores in [0, 1].
    valid : (H, W) bool array, optional
        Pixels with data; a cell counts if its middle has.

    Returns
    -------
    (BINS,) int64 array
        Bin i has the scores in [i / BINS, (i + 1) / BINS), the last one 1 as well.
    """
    if valid is not None:
        rows, cols = (
            (np.arange(cells) * 2 + 1) * pixels // (2 * cells)
            for cells, pixels in zip(scores.shape, valid.shape, strict=True)
        )
        scores = scores[valid[np.ix_(rows, cols)]]
    bins = np.minimum((scores * np.float32(BINS)).astype(np.intp), BINS - 1)
    return np.bincount(bins.ravel(), minlength=BINS)


def otsu(counts: Counts) -> float | None:
    """The threshold between low and high scores, or None where all scores are about the same.

    Parameters
    ----------
    counts : (BINS,) int64 array
        As from `histogram`.

    References
    ----------
    Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9 (1), 1979.
    """
    if np.count_nonzero(counts) < 2:
        return None
    from skimage.filters import threshold_otsu

    # What comes out is the last bin of the lower class.
    last = threshold_otsu(hist=(counts, np.arange(BINS)))
    return float((last + 1) / BINS)
