"""ClearCLIP's own questions asked of any images: which attention, with what kept beside it, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from napari_clearclip.evaluate.blocks import QUANTITIES, Curve, block_table
from napari_clearclip.evaluate.bootstrap import percentiles, resampled
from napari_clearclip.evaluate.evaluation import Measured
from napari_clearclip.evaluate.methods import Method
from napari_clearclip.evaluate.metrics import Counts, iou_of, mean_of
from napari_clearclip.evaluate.report import Row, as_table, between, number, percent
from napari_clearclip.settings import Attention, Value

# The attentions of ClearCLIP's Figure 2, by name; the last is each patch's own value.
ATTENTIONS: dict[str, tuple[str, ...]] = {
    "qq": ("qq",),
    "qk": ("qk",),
    "kk": ("kk",),
    "vv": ("vv",),
    "qq+kk": ("qq", "kk"),
    "identity": ("identity",),
}
# Of Figure 6, beside attention alone; the paper does not say which it took.
ALPHAS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
SWEPT = ("qq", "qk")


class Part(Value):
    """A way to put the last block together: what attends to what, and what is kept beside it.

    `alpha` is the weight of attention beside the residual connection; None is attention alone, its limit.
    """

    attention: str
    ffn: bool = False
    alpha: float | None = None

    @property
    def name(self) -> str:
        """A name for the record of what was measured."""
        kept = ("" if self.alpha is None else " rc", " ffn" if self.ffn else "")
        return f"{self.attention}{''.join(kept)}" + (f" alpha={self.alpha:g}" if self.alpha not in (None, 1) else "")

    @property
    def method(self) -> Method:
        """The same as what `evaluate_steps` compares."""
        row = {"terms": ATTENTIONS[self.attention], "ffn": int(self.ffn)}
        if self.alpha is not None:
            row |= {"residual": 1, "alpha": self.alpha}
        return Method(self.name, Attention.model_validate(row))


TABLE = tuple(
    Part(attention=name, ffn=ffn, alpha=alpha) for name, alpha, ffn in product(ATTENTIONS, (1, None), (True, False))
)
SWEEP = tuple(Part(attention=name, alpha=alpha) for name, alpha in product(SWEPT, (*ALPHAS, None)))
FIRST = Part(attention="qq")  # ClearCLIP, with which all others are compared
PARTS = tuple(dict.fromkeys((FIRST, *TABLE, *SWEEP)))
_HEAD = ("mean (95 % interval)", "by seed", f"lead over {FIRST.attention} alone")


class Finding(Value):
    """What was measured of a way to put the last block together; shares from 0 to 1.

    Attributes
    ----------
    part : Part
        What it is.
    by_dataset, by_seed : tuple of float or None
        mIoU of each data set, over all seeds; and of each seed, the mean over data sets.
    miou : float or None
        The mean over data sets.
    lead : float or None
        By how much `miou` is above ClearCLIP's.
    interval, lead_interval : tuple of 2 float, or None
        95 % bootstrap intervals over the images, which are drawn data set by data set.
    """

    part: Part
    by_dataset: tuple[float | None, ...]
    by_seed: tuple[float | None, ...]
    miou: float | None
    interval: tuple[float, float] | None
    lead: float | None
    lead_interval: tuple[float, float] | None


class Ablation(Value):
    """All that the study found, and on what."""

    datasets: tuple[str, ...]
    seeds: int
    images: tuple[int, ...]
    model: str
    findings: tuple[Finding, ...]
    curves: tuple[Curve, ...] = ()

    def of(self, part: Part) -> Finding:
        """What was found of one way."""
        return next(finding for finding in self.findings if finding.part == part)


def findings_of(
    found: Sequence[Sequence[Sequence[Sequence[Measured]]]],
    sizes: Sequence[int],
    excludes: Sequence[Sequence[int]],
    samples: int = 1000,
) -> tuple[Finding, ...]:
    """Findings of each of `PARTS` from what they made of each image.

    Parameters
    ----------
    found : nested sequences of Measured
        Of each data set, each seed, each image and each of `PARTS`.
    sizes : sequence of int
        The number of classes of each data set.
    excludes : sequence of sequence of int
        Classes of each data set that do not count in means.
    samples : int
        Of the bootstrap.
    """
    measured, by_seed, drawn = [], [], []
    for place, (seeds, size, exclude) in enumerate(zip(found, sizes, excludes, strict=True)):
        counts = np.array([[[item.overlaps(size) for item in image] for image in seed] for seed in seeds])

        def mious(overlaps: Counts, exclude: Sequence[int] = exclude) -> npt.NDArray[np.float64]:
            return np.array([mean_of(iou_of(part), exclude) for part in overlaps])

        images = counts.reshape(-1, *counts.shape[2:])  # (seeds * S, M, 3, C)
        measured.append(mious(images.sum(axis=0)))
        by_seed.append([mious(seed.sum(axis=0)) for seed in counts])
        drawn.append(resampled(images, mious, samples, seed=place))
    enough = min(len(seed) for seeds in found for seed in seeds) * len(found[0]) > 1
    means, spread = np.mean(measured, axis=0), np.mean(drawn, axis=0)  # (M,), (samples, M)
    return tuple(
        Finding(
            part=part,
            by_dataset=tuple(number(values[place]) for values in measured),
            by_seed=tuple(number(values[place]) for values in np.mean(by_seed, axis=0)),
            miou=number(means[place]),
            interval=percentiles(spread[:, place]) if enough else None,
            lead=number(means[place] - means[0]) if place else None,
            lead_interval=percentiles(spread[:, place] - spread[:, 0]) if place and enough else None,
        )
        for place, part in enumerate(PARTS)
    )


def table(ablation: Ablation) -> Iterator[Row]:
    """ClearCLIP's Table 1 for each attention: a head, then a row a way to put the last block together."""
    yield ["attention", "RC", "FFN", *ablation.datasets, *_HEAD]
    for part in TABLE:
        finding = ablation.of(part)
        kept = ("no" if part.alpha is None else "yes", "yes" if part.ffn else "no")
        yield [part.attention, *kept, *_cells(finding)]


def sweep(ablation: Ablation) -> Iterator[Row]:
    """ClearCLIP's Figure 6 as a table: a head, then a row an attention and alpha."""
    yield [
        "attention",
        "alpha",
        *ablation.datasets,
        "mean (95 % interval)",
        "by seed",
        f"lead over {FIRST.attention} alone",
    ]
    for part in SWEEP:
        alpha = "attention alone" if part.alpha is None else f"{part.alpha:g}"
        yield [part.attention, alpha, *_cells(ablation.of(part))]


def _cells(finding: Finding) -> Row:
    lead = "-" if finding.lead is None else percent(finding.lead, True) + between(finding.lead_interval, True)
    return [
        *map(percent, finding.by_dataset),
        percent(finding.miou) + between(finding.interval),
        " / ".join(map(percent, finding.by_seed)),
        lead,
    ]


def rows(ablation: Ablation) -> Iterator[Row]:
    """All that was measured, for programs: a head, then a row a way to put the last block together."""
    ends = ("interval_low", "interval_high")
    seeds = (f"seed_{seed}" for seed in range(ablation.seeds))
    leads = ("lead", *(f"lead_{end}" for end in ends))
    yield ["attention", "rc", "ffn", "alpha", "miou", *ends, *leads, *ablation.datasets, *seeds]
    for finding in ablation.findings:
        part, missing = finding.part, (None, None)
        values = (finding.miou, *(finding.interval or missing), finding.lead, *(finding.lead_interval or missing))
        numbers = (part.alpha, *values, *finding.by_dataset, *finding.by_seed)
        written = ["" if value is None else f"{value:.6g}" for value in numbers]
        yield [part.attention, str(int(part.alpha is not None)), str(int(part.ffn)), *written]


def _block_lines(ablation: Ablation, quantity: str) -> Iterator[str]:
    """A heading and the table of one quantity of each block."""
    yield from (f"## {quantity.capitalize()} of each block", "")
    yield from as_table(block_table(ablation.curves, quantity))
    yield ""


def text(ablation: Ablation) -> str:
    """The study as Markdown."""
    images = " + ".join(map(str, ablation.images))
    seeds = "1 seed" if ablation.seeds == 1 else f"{ablation.seeds} seeds of the scenes (the model is one training)"
    return "\n".join(
        [
            "# What the last block keeps",
            "",
            f"{', '.join(ablation.datasets)}: {images} images for each of {seeds}, model "
            f"{ablation.model}; mIoU in per cent, intervals by bootstrap over the images of all seeds.",
            "",
            "## Attention, residual connection (RC) and feed-forward network (FFN)",
            "",
            *as_table(table(ablation)),
            "",
            "## Weight of attention beside the residual connection, without FFN",
            "",
            *as_table(sweep(ablation)),
            "",
            *(line for quantity in QUANTITIES if ablation.curves for line in _block_lines(ablation, quantity)),
        ]
    )
