"""What is read of an image layer beside its values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_clearclip.gui.images.channels import set_axis
from napari_clearclip.gui.images.sources import pixel_of, source_of, view_of

PLAIN = np.zeros((3, 8, 12), np.uint8)
PYRAMID = [np.zeros((8192, 16384), np.uint8), np.zeros((4096, 4096), np.uint8)]
HALF_TURN = np.diag([1.0, 2.0, 3.0, 1.0])

PIXELS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "pixels": (PLAIN, {}, {}),
    "a scale without a unit": (PLAIN, {"scale": (5, 0.5, 0.25)}, {"scale": (0.5, 0.25)}),
    "a unit": (PLAIN, {"scale": (5, 2, 2), "units": ("s", "um", "um")}, {"scale": (2, 2), "unit": "µm"}),
    "a unit that is the pixel's side": (PLAIN, {"units": ("s", "nm", "nm")}, {"scale": (1, 1), "unit": "nm"}),
    "two units": (PLAIN, {"units": ("s", "nm", "um")}, {}),
    "an affine": (PLAIN, {"scale": (1, 2, 2), "affine": HALF_TURN}, {"scale": (4, 6)}),
    "turned": (PLAIN, {"scale": (1, 2, 3), "rotate": (0, 90, 0)}, {"scale": (2, 3)}),
    "moved": (PLAIN, {"scale": (1, 2, 3), "translate": (7, 8, 9)}, {"scale": (2, 3)}),
    "a coarser level": (PYRAMID, {"scale": (0.5, 0.5), "multiscale": True}, {"scale": (1, 2)}),
}


@pytest.mark.parametrize("case", PIXELS)
def test_the_size_of_a_pixel(case: str) -> None:
    data, options, expected = PIXELS[case]
    layer = Image(data, **options)
    found = pixel_of(layer)
    assert found.get("unit") == expected.get("unit")
    assert found.get("scale") == pytest.approx(expected.get("scale"))
    view = view_of(layer, (0,) * layer.ndim)
    assert (view.scale, view.unit) == (found.get("scale", ()), found.get("unit", ""))


def test_mixed_colours_have_the_size_of_the_image() -> None:
    layer = Image(PLAIN, scale=(1, 0.5, 0.5))
    set_axis(layer, 0)
    view = source_of(layer, (0, 0, 0), [layer]).view
    assert (view.channel_axis, view.scale) == (0, (0.5, 0.5))
