"""Variants over the bundled scenes, whose truth is known to the pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from napari_clearclip.evaluate.cases import scene_case
from napari_clearclip.evaluate.evaluation import predictions
from napari_clearclip.evaluate.methods import Method
from napari_clearclip.evaluate.metrics import Counts, confusion_matrix
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import Scene
from napari_clearclip.settings import Attention, Model


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
    methods = [Method(str(place), row) for place, row in enumerate(rows)]
    for scene in scenes:
        case = scene_case(scene, candidates, model)
        found = dict(predictions(pipeline, case, methods))
        yield [confusion_matrix(case.truth, found[place], case.classes) for place in range(len(methods))]
