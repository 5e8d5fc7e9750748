"""Intervals of what is measured on images, by resampling these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from napari_clearclip.evaluate.metrics import Counts


def bootstrap_interval(
    confusions: npt.NDArray[np.int64], statistic: Callable[[Counts], float], samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a statistic of summed confusion matrices, by resampling the images.

    Parameters
    ----------
    confusions : (S, ..., C, C) int64 array
        One matrix, or several that belong together, an image.
    statistic : callable
        Of the sum (..., C, C) over images.
    samples : int
        Number of resamplings with replacement.
    seed : int
        Of the random choice.

    Returns
    -------
    low, high : float
        The 2.5 and 97.5 percentiles.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
    """
    return percentiles(resampled(confusions, statistic, samples, seed))


def resampled(
    confusions: npt.NDArray[np.int64],
    statistic: Callable[[Counts], float | npt.NDArray[np.float64]],
    samples: int = 1000,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """The statistic of each resampling, (samples, ...); for arguments see `bootstrap_interval`."""
    rng = np.random.default_rng(seed)
    count = len(confusions)
    flat = confusions.reshape(count, -1)
    values = []
    for _ in range(samples):
        weights = np.bincount(rng.integers(0, count, count), minlength=count)
        values.append(statistic((weights @ flat).reshape(confusions.shape[1:])))
    return np.array(values, np.float64)


def percentiles(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of values (samples,), without those that are no numbers."""
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)
