"""Images that are evaluated on the workers of a dask.distributed cluster, each a task; the same as one by one."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from distributed import Client, as_completed

from napari_clearclip.batch.cluster import engine_here, equip, submit
from napari_clearclip.evaluate.evaluation import Measured, Record, Sample, Unmeasured, measure, unmeasured
from napari_clearclip.evaluate.methods import Method
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Runtime

Matrices = Mapping[str, npt.NDArray[np.float32]]


def evaluate_on(
    client: Client,
    samples: Sequence[Sample],
    methods: Sequence[Method],
    record: Record,
    runtime: Runtime,
    outlines: bool = True,
) -> Generator[Progress, None, list[list[Measured]]]:
    """As `evaluate_steps`, on the workers of a client, which read images and weights by the same paths.

    What is done of an image is in the record as soon as the image is, whatever the order; an image of a worker that is
    lost goes to another, and an error in one ends the evaluation.
    """
    from napari_clearclip.engine.projections import matrix_of

    equip(client, runtime)
    learned = [method.attention.projection for method in methods if method.attention.projection]
    matrices = {name: matrix_of(name) for name in learned}
    todo = [part for sample in samples if (part := unmeasured(sample, methods, record, outlines)).methods]
    done = len(samples) - len(todo)
    yield Progress("Evaluating", done, len(samples), "images")
    futures = [submit(client, part.sample.name, _measure, part, matrices) for part in todo]
    for future in as_completed(futures):
        for measured in future.result():
            record.add(measured)
        future.release()
        done += 1
        yield Progress("Evaluating", done, len(samples), "images")
    return record.of(samples, methods, outlines)


def _measure(part: Unmeasured, matrices: Matrices) -> list[Measured]:
    """What methods make of an image, on a worker."""
    from napari_clearclip.engine.projections import register_matrix

    for matrix in matrices.values():
        register_matrix(matrix)
    with engine_here().busy() as pipeline:
        return list(measure(pipeline, part))
