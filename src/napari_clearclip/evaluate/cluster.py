"""Images that are evaluated on the workers of a dask.distributed cluster, each a task; the same as one by one."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from distributed import Client, as_completed

from napari_clearclip.batch.cluster import engine_here, equip, submit
from napari_clearclip.evaluate.blocks import READING, curves_of
from napari_clearclip.evaluate.evaluation import EVALUATING, Measured, Record, Sample, Unmeasured, measure, unmeasured
from napari_clearclip.evaluate.methods import Method
from napari_clearclip.inspection.curves import Curves
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Runtime

Matrices = Mapping[str, npt.NDArray[np.float32]]


class Workers:
    """The workers of a client, which read images and weights by the same paths; a `Place`.

    Parameters
    ----------
    client : distributed.Client
        Each of its workers has one pipeline for all that is asked of it.
    runtime : Runtime
        Device, memory and storage of each worker.

    Notes
    -----
    An image of a worker that is lost goes to another, and an error in one ends the evaluation.
    """

    def __init__(self, client: Client, runtime: Runtime) -> None:
        self._client = client
        equip(client, runtime)

    def measure(
        self, samples: Sequence[Sample], methods: Sequence[Method], record: Record, outlines: bool = True
    ) -> Generator[Progress, None, list[list[Measured]]]:
        """As `evaluate_steps`; what is done of an image is in the record at once, whatever the order."""
        from napari_clearclip.engine.projections import matrix_of

        learned = [method.attention.projection for method in methods if method.attention.projection]
        matrices = {name: matrix_of(name) for name in learned}
        todo = [part for sample in samples if (part := unmeasured(sample, methods, record, outlines)).methods]
        done = len(samples) - len(todo)
        yield Progress(EVALUATING, done, len(samples), "images")
        futures = [submit(self._client, part.sample.name, _measure, part, matrices) for part in todo]
        for future in as_completed(futures):
            for measured in future.result():
                record.add(measured)
            future.release()
            done += 1
            yield Progress(EVALUATING, done, len(samples), "images")
        return record.of(samples, methods, outlines)

    def curves(self, samples: Sequence[Sample]) -> Generator[Progress, None, list[Curves]]:
        """As `curves_over`."""
        yield Progress(READING, 0, len(samples), "images")
        futures = [submit(self._client, sample.name, _curves, sample) for sample in samples]
        found = {}
        for done, (future, curves) in enumerate(as_completed(futures, with_results=True), 1):
            found[future.key] = curves
            yield Progress(READING, done, len(samples), "images")
        return [found[future.key] for future in futures]


def _measure(part: Unmeasured, matrices: Matrices) -> list[Measured]:
    """What methods make of an image, on a worker."""
    from napari_clearclip.engine.projections import register_matrix

    for matrix in matrices.values():
        register_matrix(matrix)
    with engine_here().busy() as pipeline:
        return list(measure(pipeline, part))


def _curves(sample: Sample) -> Curves:
    """The curves of an image, on a worker."""
    with engine_here().busy() as pipeline:
        return curves_of(pipeline, sample)
