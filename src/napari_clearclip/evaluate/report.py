"""What an evaluation says: figures with intervals, and the same as tables for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.evaluate.evaluation import Measured
from napari_clearclip.evaluate.metrics import Counts, iou_of, mean_of
from napari_clearclip.evaluate.published import SOURCES, drawn_as, published
from napari_clearclip.settings import Value

Row = list[str]


class Figures(Value):
    """What was measured of a method; shares from 0 to 1, or None where there is nothing to measure.

    `interval` is that of `miou`; `lead` by how much it is above the first method's, with `lead_interval`. Intervals are
    95 % bootstrap intervals over the images.
    """

    method: str
    miou: float | None
    interval: tuple[float, float] | None
    accuracy: float | None
    boundary_f: float | None
    iou: dict[str, float | None]
    lead: float | None = None
    lead_interval: tuple[float, float] | None = None
    published: float | None = None


class Report(Value):
    """An evaluation: what was measured on what, and how."""

    dataset: str
    protocol: str
    names: str
    model: str
    exact: bool
    images: int
    methods: tuple[Figures, ...]


def number(value: float) -> float | None:
    """The value, or None where it is not a number, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def figures_of(
    found: Sequence[Sequence[Measured]], classes: Sequence[str], exclude: Sequence[int] = (), samples: int = 1000
) -> list[Figures]:
    """Figures of each method from what it made of each image.

    Parameters
    ----------
    found : sequence of sequence of Measured
        For each image one a method, as `evaluate_steps` gives them.
    classes : sequence of str
        The classes' names.
    exclude : sequence of int
        Classes that do not count in means, though pixels wrongly given them do.
    samples : int
        Of the bootstrap.
    """
    counts = np.array([[item.overlaps(len(classes)) for item in image] for image in found])  # (S, M, 3, C)

    def miou(overlaps: Counts) -> float:
        return mean_of(iou_of(overlaps), exclude)

    def lead(pair: Counts) -> float:
        return miou(pair[1]) - miou(pair[0])

    made = []
    for place, item in enumerate(found[0]):
        total = counts[:, place].sum(axis=0)
        values, pixels = iou_of(total), total[1].sum()
        outlines = [image[place].outlines for image in found if image[place].boundary]
        against = counts[:, [0, place]]
        enough = len(found) > 1
        made.append(
            Figures(
                method=item.method,
                miou=number(miou(total)),
                interval=bootstrap_interval(counts[:, place], miou, samples) if enough else None,
                accuracy=float(total[0].sum() / pixels) if pixels else None,
                boundary_f=number(_mean(outlines)),
                iou={
                    name: number(value)
                    for index, (name, value) in enumerate(zip(classes, values, strict=True))
                    if index not in exclude
                },
                lead=number(lead(against.sum(axis=0))) if place else None,
                lead_interval=bootstrap_interval(against, lead, samples) if place and enough else None,
            )
        )
    return made


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def with_published(figures: Sequence[Figures], protocol: str, dataset: str) -> tuple[Figures, ...]:
    """The figures with what the paper of the protocol reports."""
    return tuple(item.replace(published=published(protocol, dataset, item.method)) for item in figures)


def percent(value: float | None, signed: bool = False) -> str:
    """A share in per cent with one decimal; a dash where there is none."""
    return "-" if value is None else f"{100 * value:{'+' if signed else ''}.1f}"


def between(interval: tuple[float, float] | None, signed: bool = False) -> str:
    """An interval of shares in per cent, to be put behind a number; nothing where there is none."""
    return "" if interval is None else f" ({percent(interval[0], signed)} to {percent(interval[1], signed)})"


def as_table(rows: Iterable[Row]) -> Iterator[str]:
    """Lines of a Markdown table; the first row is its head."""
    for place, cells in enumerate(rows):
        yield f"| {' | '.join(cells)} |"
        if not place:
            yield f"|{'---|' * len(cells)}"


def markdown(report: Report) -> str:
    """The figures as a Markdown table, beside what is published."""
    first = report.methods[0].method
    head = ["method", "mIoU (95 % interval)", "accuracy", "boundary F", f"lead over {first}", "published mIoU"]
    rows = [
        [
            item.method,
            percent(item.miou) + between(item.interval),
            percent(item.accuracy),
            percent(item.boundary_f),
            "-" if item.lead is None else percent(item.lead, True) + between(item.lead_interval, True),
            "-" if item.published is None else f"{item.published:.1f}",
        ]
        for item in report.methods
    ]
    how = "the papers' resize and pixel grid" if report.exact else "smooth resize, cells of one patch"
    lines = [
        f"# {report.dataset}",
        "",
        f"{report.images} images, model {report.model}, protocol {report.protocol}, {report.names} names, {how}; "
        "per cent, intervals by bootstrap over the images.",
        "",
        *as_table([head, *rows]),
    ]
    for name, values in _trials(report).items():
        low, high = percent(min(values)), percent(max(values))
        lines += ["", f"{name}: mean of {len(values)} seeds {percent(float(np.mean(values)))} (from {low} to {high})."]
    if any(item.published is not None for item in report.methods):
        lines += ["", f"Published: {SOURCES[report.protocol]}, with CLIP ViT-B/16 of OpenAI; not run here."]
    return "\n".join(lines) + "\n"


def _trials(report: Report) -> dict[str, list[float]]:
    """The mIoU of random projections by their number, where there are several seeds."""
    found: dict[str, list[float]] = {}
    for item in report.methods:
        name = drawn_as(item.method)
        if name is not None and item.miou is not None:
            found.setdefault(name, []).append(item.miou)
    return {name: values for name, values in found.items() if len(values) > 1}


def class_rows(report: Report) -> Iterator[Row]:
    """Intersection over union of each class: a head, then a row a class."""
    yield ["class", *(item.method for item in report.methods)]
    for name in report.methods[0].iou:
        yield [name, *("" if item.iou[name] is None else f"{item.iou[name]:.6f}" for item in report.methods)]


def image_rows(found: Sequence[Sequence[Measured]], classes: int, exclude: Sequence[int] = ()) -> Iterator[Row]:
    """Figures of each image: a head, then a row an image and method."""
    yield ["image", "method", "miou", "accuracy", "boundary_f"]
    for image in found:
        for item in image:
            overlaps = item.overlaps(classes)
            pixels = overlaps[1].sum()
            values = (
                mean_of(iou_of(overlaps), exclude),
                overlaps[0].sum() / pixels if pixels else np.nan,
                item.outlines,
            )
            yield [item.image, item.method, *("" if np.isnan(value) else f"{value:.6f}" for value in values)]


def worst(found: Sequence[Sequence[Measured]], classes: int, place: int, exclude: Sequence[int] = ()) -> list[str]:
    """The images from the worst to the best by a method's mean intersection over union."""
    values: npt.NDArray[np.float64] = np.array(
        [mean_of(iou_of(image[place].overlaps(classes)), exclude) for image in found]
    )
    return [found[index][place].image for index in np.argsort(values) if not np.isnan(values[index])]
