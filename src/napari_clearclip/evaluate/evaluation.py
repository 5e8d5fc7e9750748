"""Methods over images with known truth, each image once: the trunk is shared, and what is done stays done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from napari_clearclip.cache import key_of
from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.methods import Method
from napari_clearclip.evaluate.metrics import Counts, Labels, boundary_f, confusion_matrix, overlaps_of
from napari_clearclip.io.files import replacing
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Value

RECORD = "record.jsonl"
EVALUATING = "Evaluating"


@dataclass(frozen=True)
class Sample:
    """An image of a data set that is read when its turn comes; `key` names what it depends on beside the method."""

    name: str
    key: str
    load: Callable[[], Case]


class Measured(Value):
    """What a method made of an image, class by class for those that are there or were given."""

    key: str
    image: str
    method: str
    classes: tuple[int, ...]
    both: tuple[int, ...]
    true: tuple[int, ...]
    given: tuple[int, ...]
    boundary: tuple[float | None, ...] = ()

    @classmethod
    def of(cls, key: str, image: str, method: str, overlaps: Counts, boundary: npt.NDArray[np.float64]) -> Measured:
        """What (3, C) overlaps and (C,) outlines say; outlines may be left out: (0,)."""
        present = np.flatnonzero(overlaps.any(axis=0))
        lines = tuple(None if np.isnan(value) else float(value) for value in boundary[present]) if len(boundary) else ()
        both, true, given = (tuple(int(value) for value in row[present]) for row in overlaps)
        classes = tuple(int(value) for value in present)
        return cls(
            key=key, image=image, method=method, classes=classes, both=both, true=true, given=given, boundary=lines
        )

    def overlaps(self, classes: int) -> Counts:
        """(3, C) int64."""
        found = np.zeros((3, classes), np.int64)
        found[:, list(self.classes)] = self.both, self.true, self.given
        return found

    @property
    def outlines(self) -> float:
        """The mean boundary F of the classes with outlines; not a number without any."""
        values = [value for value in self.boundary if value is not None]
        return float(np.mean(values)) if values else float("nan")


class Record:
    """A file with a line for each image and method that was measured, from which a later run goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Measured] = {}
        if path.exists():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                try:
                    measured = Measured.model_validate_json(line)
                except ValidationError:
                    continue  # cut off when a run was stopped
                self.known[measured.key] = measured
            with replacing(path) as part, part.open("w", encoding="utf-8") as file:  # without what was cut off
                file.writelines(f"{measured.model_dump_json()}\n" for measured in self.known.values())

    def add(self, measured: Measured) -> None:
        """Keep a line; it is on its way to the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{measured.model_dump_json()}\n")
        self.known[measured.key] = measured

    def of(self, samples: Sequence[Sample], methods: Sequence[Method], outlines: bool) -> list[list[Measured]]:
        """What is known of images by methods, all of which must have been measured: a list an image."""
        return [[self.known[key] for key in keys_of(sample, methods, outlines)] for sample in samples]


def keys_of(sample: Sample, methods: Sequence[Method], outlines: bool) -> list[str]:
    """What names the measures of an image, method by method."""
    return [key_of(sample.key, method.key, outlines) for method in methods]


@dataclass(frozen=True)
class Unmeasured:
    """An image with the methods that are not known of it yet, and what will name their measures."""

    sample: Sample
    methods: tuple[Method, ...]
    keys: tuple[str, ...]
    outlines: bool


def unmeasured(sample: Sample, methods: Sequence[Method], record: Record, outlines: bool) -> Unmeasured:
    """What is left to be measured of an image."""
    keys = zip(methods, keys_of(sample, methods, outlines), strict=True)
    left = [(method, key) for method, key in keys if key not in record.known]
    return Unmeasured(sample, tuple(method for method, _ in left), tuple(key for _, key in left), outlines)


def measure(pipeline: Pipeline, part: Unmeasured) -> Iterator[Measured]:
    """What methods make of an image, one after the other; what the pipeline kept of it is forgotten then."""
    case = part.sample.load()
    for place, labels in predictions(pipeline, case, part.methods):
        counts = overlaps_of(confusion_matrix(case.truth, labels, case.classes, case.ignore))
        lines = boundary_f(case.truth, labels, case.classes, ignore=case.ignore) if part.outlines else np.zeros(0)
        yield Measured.of(part.keys[place], part.sample.name, part.methods[place].name, counts, lines)
    pipeline.forget()


def predictions(pipeline: Pipeline, case: Case, methods: Sequence[Method]) -> Generator[tuple[int, Labels], None, None]:
    """The class (H, W) of each pixel by each method, with the method's place; the trunk is shared by all.

    Those that begin earlier in the tower come first, since the others go on from what they leave.
    """
    order = sorted(range(len(methods)), key=lambda place: -methods[place].attention.entry)
    for place in order:
        yield place, case.classified(segmented_by(pipeline, case, methods[place]))


def segmented_by(pipeline: Pipeline, case: Case, method: Method) -> Segmentation:
    """What a method makes of an image."""
    return case.segmented(pipeline, method.on(case.settings), method.see)


def evaluate_steps(
    pipeline: Pipeline, samples: Sequence[Sample], methods: Sequence[Method], record: Record, outlines: bool = True
) -> Generator[Progress, None, list[list[Measured]]]:
    """What each method makes of each image: a list an image, in the order of the methods.

    Parameters
    ----------
    pipeline : Pipeline
        Runs the methods; what it keeps of an image is forgotten after it.
    samples : sequence of Sample
        The images.
    methods : sequence of Method
        What is compared.
    record : Record
        What is in it already is not computed again; what is new is added.
    outlines : bool
        Whether outlines are compared too, which takes about as long as a method.

    Yields
    ------
    Progress
        How many images are done.
    """
    for done, sample in enumerate(samples):
        yield Progress(EVALUATING, done, len(samples), "images")
        part = unmeasured(sample, methods, record, outlines)
        for measured in measure(pipeline, part) if part.methods else ():
            record.add(measured)
    yield Progress(EVALUATING, len(samples), len(samples), "images")
    return record.of(samples, methods, outlines)
