"""Figures of what inspection finds, with matplotlib: each function returns a `Figure` that is shown or saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.engine.variants import VARIANTS, variant_name
from napari_clearclip.inspection.curves import KINDS, Curves, LastBlock
from napari_clearclip.inspection.maps import Comparison
from napari_clearclip.inspection.points import AttentionMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = {"x_res": "-", "x_attn": ":", "x_sum": "--"}
_NAMES = {"x_res": "X_res", "x_attn": "X_attn", "x_sum": "X_sum"}
_TOP = 3  # channels that are drawn each
MISSING = 'figures need matplotlib; install it with: pip install "napari-clearclip[plots]"'


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed, with what to install.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(MISSING) from error
    return Figure(figsize=(width, height), layout="constrained")


def plot_curves(towers: Mapping[str, Curves]) -> Figure:
    """Entropy, maximum and channel means by block, one tower beside the other (ClearCLIP, Figs. 4 and 5)."""
    figure = new_figure(9, 3.4)
    from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

    left, middle, right = figure.subplots(1, 3)
    for at, (tower, curves) in enumerate(towers.items()):
        blocks = np.arange(1, len(curves.channels) + 1)
        for part, style in _STYLES.items():
            options = {"linestyle": style, "color": f"C{at}", "label": f"{tower}, {_NAMES[part]}"}
            left.plot(blocks, curves.entropy[part], **options)
            middle.plot(blocks, curves.maximum[part], **options)
        order = np.argsort(-np.abs(curves.channels[-1]))[:_TOP]
        for place, channel in enumerate(order):
            label = f"{tower}, channel {channel}"
            right.plot(blocks, curves.channels[:, channel], color=f"C{at}", alpha=1 - 0.3 * place, label=label)
    titles = ("Entropy", "Maximum", "Strongest channels of X_res, mean")
    for axes, title in zip((left, middle, right), titles, strict=True):
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("Block")
        axes.tick_params(labelsize=8)
    right.legend(fontsize=6, framealpha=0.5)
    figure.legend(handles=left.lines, loc="outside lower center", ncols=3, fontsize=7)
    left.set_ylim(bottom=0)
    middle.set_yscale("symlog")
    low, high = middle.get_ylim()
    wide = high > max(10 * low, 4)  # on a short axis there may be no 1, 2 or 5
    middle.yaxis.set_major_locator(
        SymmetricalLogLocator(base=10, linthresh=2, subs=(1, 2, 5)) if wide else MaxNLocator(5)
    )
    middle.yaxis.set_major_formatter("{x:g}")
    return figure


def plot_last_block(found: Mapping[str, LastBlock]) -> Figure:
    """Norms of what the last block adds up and the angle of its network, by kind of attention (ClearCLIP, Fig. 2)."""
    figure = new_figure(9, 3.4)
    axes = figure.subplots(1, 3)
    places, blocks = np.arange(len(found)), list(found.values())
    for one, (at, title) in zip(axes, ((0, "Frobenius norm"), (1, "Mean length of a token")), strict=False):
        for shift, name, part in ((-0.2, "X_res", "residual"), (0.2, "X_attn", "attended")):
            one.bar(places + shift, [getattr(block, part)[at] for block in blocks], 0.38, label=name)
        one.set_title(title, fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=7)
    axes[2].bar(places, [block.angle for block in blocks], 0.6, color="C2")
    axes[2].set_title("Angle of the FFN, degrees", fontsize=9)
    for one in axes:
        one.set_xticks(places, [KINDS.get(name, _title(name)) for name in found], rotation=40, ha="right", fontsize=7)
        one.tick_params(axis="y", labelsize=8)
    return figure


def plot_attention(image: npt.NDArray[Any], points: Sequence[Sequence[AttentionMap]]) -> Figure:
    """An image (H, W) or (H, W, 3) with its points, and each point's attention by each variant (SCLIP, Figs. 2, 4)."""
    variants = len(points[0])
    figure = new_figure(2.2 * (1 + variants), 2.4 * len(points))
    for maps, axes in zip(points, figure.subplots(len(points), 1 + variants, squeeze=False), strict=True):
        for at, one in enumerate(axes):
            one.imshow(image, cmap="gray")
            row, col = maps[0].place.point
            one.plot(col, row, marker="+", color="#56B4E9", markersize=10, markeredgewidth=2)
            if at:
                y0, x0, y1, x1 = maps[at - 1].place.region
                extent = (x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5)
                one.imshow(maps[at - 1].mean, cmap="inferno", alpha=0.75, extent=extent)
                window = maps[at - 1].place
                name = _title(variant_name(maps[at - 1].row))
                one.set_title(f"{name}, window {window.window + 1} of {window.windows}", fontsize=7)
            one.set_xlim(-0.5, image.shape[1] - 0.5)
            one.set_ylim(image.shape[0] - 0.5, -0.5)
            one.set_axis_off()
    return figure


def plot_variants(image: npt.NDArray[Any], comparison: Comparison, prompts: Sequence[tuple[str, str]]) -> Figure:
    """An image, what each variant makes of it, and where they disagree; `prompts` are phrases and their colours."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    count = len(comparison.labels) + 2
    columns = min(4, count)
    rows = -(-count // columns)
    figure = new_figure(2.2 * columns, 2.4 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for one in axes:
        one.set_axis_off()
    axes[0].imshow(image, cmap="gray")
    axes[0].set_title("Image", fontsize=8)
    palette = ListedColormap([color for _, color in prompts])
    for one, (name, labels) in zip(axes[1:], comparison.labels.items(), strict=False):
        one.imshow(image, cmap="gray")
        shown = np.ma.masked_equal(labels, 0)
        one.imshow(shown, cmap=palette, vmin=0.5, vmax=len(prompts) + 0.5, alpha=0.65, interpolation="nearest")
        one.set_title(_title(name), fontsize=8)
    axes[count - 1].imshow(comparison.disagreement, cmap="inferno", vmin=0, vmax=1)
    axes[count - 1].set_title("Disagreement", fontsize=8)
    keys = [Patch(color=color, label=phrase) for phrase, color in prompts]
    figure.legend(handles=keys, loc="outside lower center", ncols=6, fontsize=7)
    return figure


def _title(name: str) -> str:
    return VARIANTS[name].title if name in VARIANTS else "your own variant"
