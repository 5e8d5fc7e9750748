"""Figures show what they are given."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_clearclip.edits import View
from napari_clearclip.inspection import attention_map, block_curves, compare_variants, last_block_norms
from napari_clearclip.inspection.plots import plot_attention, plot_curves, plot_last_block, plot_variants
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Settings

from .conftest import IMAGE

pytest.importorskip("matplotlib")
RGB = View(channel_axis=-1)


def test_curves_of_two_towers_are_beside_each_other(settings: Settings, pipeline: Pipeline) -> None:
    curves = block_curves(IMAGE, settings, RGB, pipeline=pipeline)
    entropy, maximum, channels = plot_curves({"one": curves, "other": curves}).axes
    assert [line.get_label() for line in entropy.lines][:4] == [
        "one, X_res",
        "one, X_attn",
        "one, X_sum",
        "other, X_res",
    ]
    np.testing.assert_array_equal(entropy.lines[2].get_ydata(), curves.entropy["x_sum"])
    np.testing.assert_array_equal(maximum.lines[0].get_ydata(), curves.maximum["x_res"])
    maximum.figure.draw_without_rendering()
    ticks = [float(tick.get_text()) for tick in maximum.get_yticklabels() if tick.get_text()]
    assert sum(maximum.get_ylim()[0] <= tick <= maximum.get_ylim()[1] for tick in ticks) >= 2  # so that it can be read
    strongest = int(np.abs(curves.channels[-1]).argmax())
    np.testing.assert_array_equal(channels.lines[0].get_ydata(), curves.channels[:, strongest])


def test_norms_and_angles_stand_beside_each_other(settings: Settings, pipeline: Pipeline) -> None:
    found = last_block_norms(IMAGE, settings, ("qk", "sclip_clear", "clearclip"), RGB, pipeline)
    figure = plot_last_block(found)
    frobenius, lengths, angles = figure.axes
    heights = [patch.get_height() for patch in lengths.patches]
    assert heights == [
        *(block.residual[1] for block in found.values()),
        *(block.attended[1] for block in found.values()),
    ]
    assert [patch.get_height() for patch in angles.patches] == [block.angle for block in found.values()]
    assert [tick.get_text() for tick in frobenius.get_xticklabels()] == [
        "q-k",
        "q-q + k-k (SCLIP)",
        "ClearCLIP",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["X_res", "X_attn"]


def test_each_point_has_a_row_and_each_variant_a_column(settings: Settings, pipeline: Pipeline) -> None:
    maps = [[attention_map(IMAGE, settings, point, RGB, None, pipeline)] * 2 for point in ((35, 20), (3, 3))]
    figure = plot_attention(IMAGE, maps)
    assert len(figure.axes) == 6
    shown = figure.axes[1].images[1]
    np.testing.assert_array_equal(shown.get_array(), maps[0][0].mean)
    assert shown.get_extent() == [-0.5, 31.5, 39.5, 7.5]
    assert figure.axes[1].get_title() == "ClearCLIP, window 4 of 6"


def test_variants_stand_between_image_and_disagreement(settings: Settings, pipeline: Pipeline) -> None:
    found = compare_variants(IMAGE, settings, ("clearclip", "vanilla"), RGB, pipeline)
    figure = plot_variants(IMAGE, found, (("cat", "#ff0000"), ("dog", "#00ff00")))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Image", "ClearCLIP", "CLIP, unchanged", "Disagreement"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog"]
    np.testing.assert_array_equal(figure.axes[3].images[0].get_array(), found.disagreement)


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "napari-clearclip\[plots\]"'):
        plot_curves({})
