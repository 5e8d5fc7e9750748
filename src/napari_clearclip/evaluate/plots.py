"""Figures of an evaluation as pictures, drawn by matplotlib without a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.evaluate.ablation import ALPHAS, ATTENTIONS, SWEPT, Ablation, Part
from napari_clearclip.evaluate.blocks import QUANTITIES, Curve
from napari_clearclip.evaluate.report import Report
from napari_clearclip.io.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe and Ito's, safe for most eyes
_KEPT = {(None, False): "neither", (None, True): "FFN", (1.0, False): "RC", (1.0, True): "RC and FFN"}


@contextmanager
def _drawing(path: Path, count: int, height: float = 4.0, stretch: float = 1.0) -> Iterator[Sequence[Axes]]:
    """Axes side by side to draw on; the picture is at `path` if the block ends well."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "napari-clearclip[plots]"') from error
    figure = Figure(figsize=(5.6 * count * stretch, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, count, squeeze=False)[0]
    yield axes
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(axis="y", alpha=0.0 if each.images else 0.3)
        each.set_axisbelow(True)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)


def draw_ablation(study: Ablation, folder: Path) -> list[str]:
    """Write table and sweep as pictures to a folder; the files' names are returned.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    with _drawing(folder / "table.png", 1) as (axes,):
        width = 0.8 / len(_KEPT)
        for place, ((alpha, ffn), name) in enumerate(_KEPT.items()):
            parts = [Part(attention=attention, ffn=ffn, alpha=alpha) for attention in ATTENTIONS]
            at = np.arange(len(parts)) + (place - (len(_KEPT) - 1) / 2) * width
            heights, errors = _heights(study, parts)
            axes.bar(at, heights, width, yerr=errors, color=_COLOURS[place], label=name, error_kw={"lw": 1})
        axes.set_xticks(np.arange(len(ATTENTIONS)), list(ATTENTIONS))
        axes.set(xlabel="attention of the last block", ylabel="mIoU in per cent")
        _legend(axes, "kept beside it")
    with _drawing(folder / "alpha.png", 1) as (axes,):
        ticks = np.arange(len(ALPHAS) + 1)
        for place, attention in enumerate(SWEPT):
            heights, errors = _heights(study, [Part(attention=attention, alpha=alpha) for alpha in (*ALPHAS, None)])
            axes.errorbar(ticks, heights, errors, color=_COLOURS[place], marker="o", capsize=3, label=attention)
        axes.set_xticks(ticks, [*(f"{alpha:g}" for alpha in ALPHAS), "alone"])
        axes.set(xlabel="weight of attention beside the residual connection", ylabel="mIoU in per cent")
        axes.set_ylim(bottom=0)
        _legend(axes, "attention")
    with _drawing(folder / "blocks.png", len(QUANTITIES)) as both:
        for axes, quantity in zip(both, QUANTITIES, strict=True):
            _draw_curves(axes, [curve for curve in study.curves if curve.quantity == quantity])
            axes.set(xlabel="block", ylabel=quantity)
        both[0].set_ylim(0, 1.02)
        _legend(both[0], "")
    return ["table.png", "alpha.png", "blocks.png"]


def _draw_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    """A line a part, with its interval; only the first axes name them."""
    for place, curve in enumerate(curves):
        blocks, ends = np.arange(1, len(curve.mean) + 1), np.array(curve.interval)
        name = curve.part if curve.quantity == QUANTITIES[0] else None
        axes.plot(blocks, curve.mean, color=_COLOURS[place], marker="o", label=name)
        axes.fill_between(blocks, ends[:, 0], ends[:, 1], color=_COLOURS[place], alpha=0.25, lw=0)
        axes.set_xticks(blocks)


def draw_report(report: Report, folder: Path) -> list[str]:
    """Write mIoU with its interval and the IoU of each class as pictures to a folder; the files' names are returned.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    methods = report.methods[::-1]  # the first at the top
    with _drawing(folder / "methods.png", 1, height=1.5 + 0.35 * len(methods)) as (axes,):
        for place, method in enumerate(methods):
            value = 100 * (method.miou or 0)
            low, high = method.interval or (value / 100, value / 100)
            axes.barh(place, value, color=_COLOURS[0])
            axes.plot([100 * low, 100 * high], [place, place], color="black", lw=1)
        axes.set_yticks(range(len(methods)), [method.method for method in methods])
        axes.set(xlabel=f"mIoU in per cent, {report.dataset}", xlim=(0, None))
    _draw_classes(report, folder / "classes.png")
    return ["methods.png", "classes.png"]


def _draw_classes(report: Report, path: Path) -> None:
    """The IoU of each class (row) by each method (column), as colours and in per cent."""
    names = list(report.methods[0].iou)
    values = 100 * np.array([[item.iou[name] for item in report.methods] for name in names], float)  # None: no number
    width = (2.5 + 0.5 * len(report.methods)) / 5.6
    with _drawing(path, 1, height=1.8 + 0.22 * len(names), stretch=width) as (axes,):
        axes.grid(visible=False)
        drawn = axes.imshow(values, vmin=0, vmax=100, aspect="auto", cmap="viridis")
        for (row, column), value in np.ndenumerate(values):
            text, colour = ("-", "black") if np.isnan(value) else (f"{value:.0f}", "black" if value > 60 else "white")
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(len(report.methods)), [item.method for item in report.methods], rotation=60, ha="right")
        axes.figure.colorbar(drawn, ax=axes, label=f"IoU in per cent, {report.dataset}")


def _legend(axes: Axes, title: str) -> None:
    """Names in one line above the axes, where nothing is drawn."""
    axes.figure.legend(title=title, ncols=6, frameon=False, loc="outside upper center")


def _heights(study: Ablation, parts: Sequence[Part]) -> tuple[list[float], npt.NDArray[np.float64]]:
    """What was found in per cent, and how far its interval reaches down and up, (2, N)."""
    heights, ends = [], []
    for part in parts:
        finding = study.of(part)
        height = 100 * (finding.miou or 0)
        low, high = finding.interval or (height / 100, height / 100)
        heights.append(height)
        ends.append((max(height - 100 * low, 0), max(100 * high - height, 0)))
    return heights, np.array(ends).T
