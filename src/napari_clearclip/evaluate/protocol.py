"""Running variants over scenes whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_clearclip.evaluate.cases import scene_case
from napari_clearclip.evaluate.metrics import Counts, confusion_matrix
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import Scene
from napari_clearclip.settings import Attention, Model

# ClearCLIP's Table 1 (query-query attention with and without residual and feed-forward network), and other attentions.
ABLATION: dict[str, Attention] = {
    "clearclip": Attention(terms=("qq",)),
    "qq_rc_ffn": Attention(terms=("qq",), residual=1, ffn=1),
    "qq_rc": Attention(terms=("qq",), residual=1),
    "qq_ffn": Attention(terms=("qq",), ffn=1),
    "vanilla": Attention(terms=("qk",), residual=1, ffn=1),
    "qk": Attention(terms=("qk",)),
    "kk": Attention(terms=("kk",)),
    "vv": Attention(terms=("vv",)),
    "sclip": Attention(terms=("qq", "kk"), residual=1, ffn=1),
    "sclip_clear": Attention(terms=("qq", "kk")),
    "naclip": Attention(terms=("kk",), bias=5),
    "maskclip": Attention(terms=("identity",)),
}


def scene_confusions(
    pipeline: Pipeline,
    scenes: Iterable[Scene],
    rows: Iterable[Attention],
    candidates: Literal["scene", "kind"] = "scene",
    model: Model | None = None,
) -> Iterator[list[Counts]]:
    """For each scene, each variant's confusion matrix over the names of the scene's kind.

    Parameters
    ----------
    pipeline : Pipeline
        Runs the variants; the trunk of a scene is shared by all of them.
    scenes : iterable of Scene
        Scenes with truth.
    rows : iterable of Attention
        The variants.
    candidates : {"scene", "kind"}
        What competes beside the kind's distractors: the names that the scene shows, or all names of its kind.
    model : Model, optional
        The model; the bundled one if left out.

    Yields
    ------
    list of (1 + N, 1 + N) int64 arrays
        One matrix a variant; class 0 is what has no name, class i + 1 is ``vocabulary(kind)[i]``. The best candidate
        has the pixel, without a threshold.
    """
    rows = list(rows)
    for scene in scenes:
        case = scene_case(scene, candidates, model)
        yield [
            confusion_matrix(case.truth, case.predicted(pipeline, case.settings.replace(attention=row)), case.classes)
            for row in rows
        ]


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
    rng = np.random.default_rng(seed)
    count = len(confusions)
    flat = confusions.reshape(count, -1)
    values = []
    for _ in range(samples):
        weights = np.bincount(rng.integers(0, count, count), minlength=count)
        values.append(statistic((weights @ flat).reshape(confusions.shape[1:])))
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)
