"""Where images are evaluated: in this process, one after the other, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from napari_clearclip.evaluate.blocks import curves_over
from napari_clearclip.evaluate.evaluation import Measured, Record, Sample, evaluate_steps
from napari_clearclip.evaluate.methods import Method
from napari_clearclip.inspection.curves import Curves
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress


class Place(Protocol):
    """What can evaluate images; wherever that is, the same comes out."""

    def measure(
        self, samples: Sequence[Sample], methods: Sequence[Method], record: Record, outlines: bool = True
    ) -> Generator[Progress, None, list[list[Measured]]]:
        """What each method makes of each image; see `evaluate_steps`."""

    def curves(self, samples: Sequence[Sample]) -> Generator[Progress, None, list[Curves]]:
        """The curves of each image over the blocks; see `curves_over`."""


@dataclass(frozen=True)
class Here:
    """A pipeline of this process."""

    pipeline: Pipeline

    def measure(
        self, samples: Sequence[Sample], methods: Sequence[Method], record: Record, outlines: bool = True
    ) -> Generator[Progress, None, list[list[Measured]]]:
        """What each method makes of each image, one after the other."""
        return evaluate_steps(self.pipeline, samples, methods, record, outlines)

    def curves(self, samples: Sequence[Sample]) -> Generator[Progress, None, list[Curves]]:
        """The curves of each image, one after the other."""
        return curves_over(self.pipeline, samples)


@contextmanager
def place_of(scheduler: str | None, pipeline: Pipeline) -> Iterator[Place]:
    """The pipeline itself, or where a scheduler is named its workers, each with one like it.

    Parameters
    ----------
    scheduler : str or None
        As for `napari_clearclip.batch.cluster.client_of`.
    pipeline : Pipeline
        Of this process.

    Raises
    ------
    ImportError
        If the library for clusters is missing.
    OSError
        If there is no scheduler at the address.
    """
    if scheduler is None:
        yield Here(pipeline)
        return
    from napari_clearclip.batch.cluster import client_of
    from napari_clearclip.evaluate.cluster import Workers

    with client_of(scheduler) as client:
        yield Workers(client, pipeline.runtime)
