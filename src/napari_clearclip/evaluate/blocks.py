"""How tokens change from block to block, over many images: ClearCLIP's Figures 4 and 5 with intervals."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np

from napari_clearclip.evaluate.bootstrap import percentiles
from napari_clearclip.evaluate.evaluation import Sample
from napari_clearclip.evaluate.report import Row
from napari_clearclip.inspection.curves import Curves, curves_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Value
from napari_clearclip.steps import drain

QUANTITIES = ("entropy", "maximum")
READING = "Reading blocks"


class Curve(Value):
    """A quantity of a part of each block, the mean over images, with its 95 % bootstrap interval.

    `part` is x_res, x_attn or x_sum, `quantity` entropy (0 to 1) or maximum.
    """

    part: str
    quantity: str
    mean: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]


def curves_over(pipeline: Pipeline, samples: Sequence[Sample]) -> Generator[Progress, None, list[Curves]]:
    """The curves of each image, yielding how many are done."""
    found = []
    for done, sample in enumerate(samples):
        yield Progress(READING, done, len(samples), "images")
        found.append(curves_of(pipeline, sample))
    yield Progress(READING, len(samples), len(samples), "images")
    return found


def curves_of(pipeline: Pipeline, sample: Sample) -> Curves:
    """The curves of an image; what the pipeline kept of it is forgotten then."""
    case = sample.load()
    found = drain(curves_steps(pipeline, case.image, case.settings, case.view))
    pipeline.forget()
    return found


def summary(found: Sequence[Curves], samples: int = 1000) -> tuple[Curve, ...]:
    """Means over images with intervals, by drawing the images again with replacement."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(found), (samples, len(found)))
    curves = []
    for quantity in QUANTITIES:
        for part in getattr(found[0], quantity):
            values = np.array([getattr(item, quantity)[part] for item in found])  # (S, N)
            means = values[drawn].mean(axis=1)  # (samples, N)
            curves.append(
                Curve(
                    part=part,
                    quantity=quantity,
                    mean=tuple(float(value) for value in values.mean(axis=0)),
                    interval=tuple(percentiles(column) for column in means.T),
                )
            )
    return tuple(curves)


def block_table(curves: Sequence[Curve], quantity: str) -> Iterator[Row]:
    """One quantity of each block: a head, then a row a block."""
    chosen = [curve for curve in curves if curve.quantity == quantity]
    yield ["block", *(curve.part for curve in chosen)]
    for block in range(len(chosen[0].mean)):
        cells = [
            f"{curve.mean[block]:.3f} ({curve.interval[block][0]:.3f} to {curve.interval[block][1]:.3f})"
            for curve in chosen
        ]
        yield [str(block + 1), *cells]
