"""Band expressions on real images, against numpy and against the truth where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.filters import threshold_otsu

from napari_clearclip.edits import View
from napari_clearclip.io.images import read_image
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Index, Prompt, Runtime, Settings


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path)))


def looking_for(expression: str, threshold: float = 0.6, otsu: bool = False) -> Settings:
    return Settings(
        prompts=(Prompt(id="it", phrase="it", threshold=threshold, index=Index(expression=expression, otsu=otsu)),)
    )


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_otsu_finds_nuclei_as_well_as_scikit_image_does(pipeline: Pipeline, test_data: Path) -> None:
    """Of a threshold for the whole image no more can be had: nuclei are unevenly bright."""
    image = tifffile.imread(test_data / "microscopy/nuclei_2d.tif")
    truth = tifffile.imread(test_data / "microscopy/nuclei_2d_labels.tif") > 0
    found = pipeline.run(image, looking_for("b1", otsu=True), View()).mask("it")
    theirs = image > threshold_otsu(image)
    assert overlap(found, theirs) > 0.95
    assert overlap(found, truth) > overlap(theirs, truth) - 0.02


def test_a_landsat_scene_with_a_border_without_data(pipeline: Pipeline, test_data: Path) -> None:
    picture = read_image(test_data / "geo/RGB.byte.tif")
    result = pipeline.run(picture.data, looking_for("(green - red) / (green + red)", 0.55), picture.view)
    red, green = picture.data[..., 0].astype(np.float64), picture.data[..., 1].astype(np.float64)
    there = (red != 0) & (green != 0)
    expected = there & ((green - red) / np.where(there, green + red, 1) >= 0.1 - 1e-9)
    assert np.array_equal(result.mask("it"), expected)
    assert 0.1 < result.coverage()["it"] < 0.9


def test_bands_by_their_names_whatever_their_order(pipeline: Pipeline, test_data: Path) -> None:
    picture = read_image(test_data / "geo/RGBA.uint16.tif")  # blue, green, red, alpha
    result = pipeline.run(picture.data, looking_for("(red - blue) / (red + blue)", 0.5), picture.view)
    blue, red = picture.data[..., 0].astype(np.float64), picture.data[..., 2].astype(np.float64)
    expected = (picture.data[..., 3] > 0) & (red + blue > 0) & (red >= blue)
    assert np.array_equal(result.mask("it"), expected)


def test_planes_of_a_stack(pipeline: Pipeline, test_data: Path) -> None:
    picture = read_image(test_data / "microscopy/nuclei_3d.tif")
    for plane in ((0,), (15,)):
        result = pipeline.run(picture.data, looking_for("b1", 0.5), picture.view.replace(plane=plane))
        low, high = np.percentile(picture.data[plane].astype(np.float64), (0.1, 99.9))
        # Of plane 0 a grey value lies just halfway, which counts, but for the last digit of what is computed.
        expected = 2 * (picture.data[plane] - low) >= (high - low) - 1e-9
        assert np.array_equal(result.mask("it"), expected)
