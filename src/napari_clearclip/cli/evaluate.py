"""``evaluate``: variants on images with known truth, as files with figures and a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_clearclip.cli.console import UsageError, follow, meter, options, show, tell
from napari_clearclip.cli.request import check_scheduler, find_model
from napari_clearclip.cli.segment import runtime_for
from napari_clearclip.evaluate.evaluation import RECORD, Record, Sample, segmented_by
from napari_clearclip.evaluate.figure import confidence_row, head_of, page_of, row_of
from napari_clearclip.evaluate.methods import Method, methods_of
from napari_clearclip.evaluate.places import place_of
from napari_clearclip.evaluate.plots import draw_report
from napari_clearclip.evaluate.recipes import RECOMMENDED, recipe_of
from napari_clearclip.evaluate.report import Report, class_rows, figures_of, image_rows, markdown, with_published, worst
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.io.files import replacing, writable_folder
from napari_clearclip.io.raster import write_photograph
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Settings

_SHOWN = 3  # images that are named as the worst
SUREST = "surest"  # in the place of a class


@dataclass(frozen=True)
class Wishes:
    """What `evaluate` was told besides data set, device and folder."""

    variants: tuple[str, ...] = ("clearclip", "vanilla")
    protocol: str = RECOMMENDED
    names: str = "official"
    scales: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    exact: bool = False
    outlines: bool = True
    ignore: int = 255
    limit: int | None = None
    figure: int = 0
    confidence: str | None = None


def run_evaluation(
    dataset: str,
    root: Path | None,
    model: str | None,
    wishes: Wishes,
    device: str,
    out: Path,
    threads: int | None = None,
    scheduler: str | None = None,
) -> int:
    """Measure each variant on each image; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong or files are not where they should be; nothing is done then.
    """
    with options():
        recipe = recipe_of(wishes.protocol, dataset)
        methods = methods_of(wishes.variants, wishes.scales, wishes.thresholds)
        settings = asked_of(dataset, model, wishes.names, wishes.exact, device)
        where = root if root is None else root.absolute()  # workers may be in other folders
        source = source_of(dataset, where, settings, recipe, wishes.names, wishes.exact, wishes.ignore, wishes.limit)
        wanted = _class_wanted(wishes.confidence, source.classes)
    check_scheduler(scheduler)
    samples = unseen(source.samples, methods)
    pipeline = Pipeline(runtime_for(device, threads))
    folder = writable_folder(out)
    record = Record(folder / RECORD)
    with meter() as bar, place_of(scheduler, pipeline) as place:
        found = follow(bar, dataset, place.measure(samples, methods, record, wishes.outlines))
    figures = figures_of(found, source.classes, source.exclude)
    report = Report(
        dataset=dataset,
        protocol=wishes.protocol,
        names=wishes.names,
        model=str(settings.model),
        exact=wishes.exact,
        images=len(found),
        methods=with_published(figures, wishes.protocol, dataset),
    )
    write_text(folder / "results.json", report.model_dump_json(indent=2) + "\n")
    write_text(folder / "table.md", markdown(report))
    write_rows(folder / "classes.csv", class_rows(report))
    write_rows(folder / "images.csv", image_rows(found, len(source.classes), source.exclude))
    show(markdown(report))
    bad = worst(found, len(source.classes), 0, source.exclude)
    tell(f"Worst images of {methods[0].name}: {', '.join(bad[:_SHOWN])}")
    written = ["table.md", "results.json", "classes.csv", "images.csv"]
    try:
        written += draw_report(report, folder)
    except ImportError as error:
        tell(f"No plot: {error}")
    if wishes.figure:
        chosen = [sample for name in bad[: wishes.figure] for sample in samples if sample.name == name]
        write_photograph(folder / "worst.png", _figure(pipeline, chosen, methods, wishes.confidence, wanted))
        written.append("worst.png")
    show(f"Written to {folder.resolve()}: {', '.join(written)}")
    return 0


def unseen(samples: Sequence[Sample], methods: Sequence[Method]) -> Sequence[Sample]:
    """The images that no method has learned from, so that all are measured on the same.

    Raises
    ------
    UsageError
        If there are none.
    """
    seen = {name for method in methods for name in method.learned_from}
    kept = [sample for sample in samples if sample.name not in seen]
    if len(kept) < len(samples):
        tell(f"{len(samples) - len(kept)} of {len(samples)} images are left out, since a method learned from them.")
    if not kept:
        raise UsageError("a method has learned from all images; measure it on others, or learn it from fewer")
    return kept


def _class_wanted(confidence: str | None, classes: Sequence[str]) -> int | None:
    """The class whose confidence is shown; None for the surest.

    Raises
    ------
    ValueError
        If there is no such class.
    """
    if confidence in (None, SUREST):
        return None
    known = [name for name in classes if name and name != "-"]
    if confidence not in known:
        raise ValueError(f"--confidence {confidence} is no class; there are {', '.join(known)}, and {SUREST}")
    return list(classes).index(str(confidence))


def _figure(
    pipeline: Pipeline, samples: Sequence[Sample], methods: Sequence[Method], confidence: str | None, wanted: int | None
) -> npt.NDArray[np.uint8]:
    """Images, truth and what methods make of them, an image a row; below each how sure they are, if that is asked."""
    rows, names = [], ["image", "truth", *(method.name for method in methods)]
    for sample in samples:
        case = sample.load()
        rows.append(head_of(names, case.truth.shape[1]))
        found = [segmented_by(pipeline, case, method) for method in methods]
        rows.append(row_of(case, [case.classified(item) for item in found]))
        if confidence is not None:
            rows.append(confidence_row(case, wanted, [case.confidence(item, wanted) for item in found]))
        pipeline.forget()
    return page_of(rows)


def asked_of(dataset: str, model: str | None, names: str, exact: bool, device: str) -> Settings:
    """The settings with the model that is measured on a data set, and with the precision of `exact`.

    Raises
    ------
    ValueError
        If the names are of no kind that there is, or there is no such model.
    """
    if names not in ("official", "natural"):
        raise ValueError(f"--names {names} is not known; there are official and natural")
    chosen = find_model("demo" if model is None and dataset.startswith("scenes") else model)
    if exact and device != "cpu":  # as the published code computes on a GPU
        chosen = chosen.replace(precision="float16")
    return Settings(model=chosen)


def write_text(path: Path, text: str) -> None:
    """Write a text, which is there as a whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_rows(path: Path, rows: Iterable[list[str]]) -> None:
    """Write a table as CSV, which is there as a whole or not at all."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
