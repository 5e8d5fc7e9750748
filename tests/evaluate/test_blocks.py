"""Curves over images: their mean and interval by hand, and those of one scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.evaluate.blocks import block_table, curves_over, summary
from napari_clearclip.evaluate.recipes import Recipe
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.inspection.curves import Curves, block_curves
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime, Settings
from napari_clearclip.steps import drain


def curves(value: float) -> Curves:
    """Three blocks with a part that is the same in all images in the last."""
    return Curves({"x_res": np.array([value, 2 * value, 0.5])}, {"x_res": np.array([1.0, 2, value])}, np.zeros((3, 4)))


def test_means_and_intervals_by_hand() -> None:
    entropy, maximum = summary([curves(0.2), curves(0.4)], samples=200)
    assert (entropy.quantity, entropy.part, maximum.quantity) == ("entropy", "x_res", "maximum")
    assert entropy.mean == pytest.approx((0.3, 0.6, 0.5))
    assert entropy.interval[0] == pytest.approx((0.2, 0.4))  # a quarter of the draws has the first image only
    assert entropy.interval[2] == (0.5, 0.5)
    assert maximum.mean == pytest.approx((1, 2, 0.3))
    rows = list(block_table([entropy, maximum], "entropy"))
    assert rows[0] == ["block", "x_res"]
    assert rows[3] == ["3", "0.500 (0.500 to 0.500)"]


def test_each_image_is_read_as_it_is_looked_at(tmp_path: Path) -> None:
    pipeline = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path)))
    samples = source_of("scenes-shapes", None, Settings(), Recipe(), limit=2).samples
    found = drain(curves_over(pipeline, samples))  # type: ignore[arg-type]
    case = samples[1].load()
    alone = block_curves(case.image, case.settings, case.view, pipeline=pipeline)
    assert len(found) == 2
    for part in ("x_res", "x_attn", "x_sum"):
        np.testing.assert_allclose(found[1].entropy[part], alone.entropy[part], rtol=1e-5)
        assert not np.allclose(found[0].entropy[part], alone.entropy[part], rtol=1e-5)
