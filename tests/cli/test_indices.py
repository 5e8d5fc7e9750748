"""Band expressions from the command line: no model, names of bands, Otsu, stacks, and what is wrong said."""

from __future__ import annotations

import os
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_clearclip.engine.bands import FINEST
from napari_clearclip.engine.model import load
from napari_clearclip.io.raster import read_labels
from napari_clearclip.io.settings_file import read_settings

NDVI = "NDVI=(nir - red) / (nir + red)"
FOUR = np.random.default_rng(6).integers(1, 3000, (30, 40, 4)).astype(np.uint16)


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.setattr("napari_clearclip.engine.model.load", lambda *_: 1 / 0)


@pytest.fixture
def four(folder):
    tifffile.imwrite(folder / "four.tif", FOUR, photometric="minisblack", planarconfig="contig")
    return Path("four.tif")


def ndvi(image):
    red, nir = image[..., 0].astype(np.float32), image[..., 3].astype(np.float32)
    return ((nir - red) / (nir + red) + 1) / 2


def test_an_index_needs_no_model(run, four):
    result = run("segment", four, "--index", NDVI, "--bands", "red,green,blue,nir")
    assert "published model" not in result.output
    labels, names = read_labels(Path("four_clearclip_labels.tif"))
    assert names == ("NDVI",)
    np.testing.assert_array_equal(labels, ndvi(FOUR) >= 0.6)
    np.testing.assert_array_equal(imageio.imread("four_clearclip_ndvi_mask.png"), labels * 255)
    short = ndvi(FOUR) - tifffile.imread("four_clearclip_ndvi_similarity.tif")
    assert -1e-6 < short.min() <= short.max() < 1 / FINEST + 1e-6  # scores are rounded down to a step


def test_the_settings_file_makes_the_same_again(run, four):
    run("segment", four, "--index", "bright=(b1 + b2) / 2", "--otsu", "--bands", "red,green", "-o", "one")
    kept = read_settings(Path("one/four_clearclip_settings.json"))
    (prompt,) = kept.settings.prompts
    assert prompt.index.low is not None
    assert not prompt.index.otsu
    assert kept.view.bands == ("red", "green")
    run("segment", four, "--settings", "one/four_clearclip_settings.json", "-o", "two")
    for name in os.listdir("one"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_a_threshold_by_hand_and_one_by_otsu(run, four):
    run("segment", four, "--index", "a=b1", "--threshold", "0.5")
    low, high = np.percentile(FOUR[..., 0].astype(float), (0.1, 99.9))
    expected = np.clip((FOUR[..., 0] - low) / (high - low), 0, 1) >= 0.5
    np.testing.assert_array_equal(read_labels(Path("four_clearclip_labels.tif"))[0], expected)
    run("segment", four, "--index", "a=b1 ** 2", "--threshold", "0.9", "--otsu")
    (prompt,) = read_settings(Path("four_clearclip_settings.json")).settings.prompts
    assert prompt.threshold not in (0.5, 0.9)
    run("segment", four, "--settings", "four_clearclip_settings.json", "--threshold", "0.9")
    (prompt,) = read_settings(Path("four_clearclip_settings.json")).settings.prompts
    assert prompt.threshold == 0.9


def test_a_stack_has_one_range_and_one_threshold(run, folder):
    """An empty plane is not stretched until its noise is found."""
    rng = np.random.default_rng(1)
    stack = rng.normal(100, 3, (3, 40, 50))
    stack[0, 5:20, 5:20] += 500
    tifffile.imwrite(folder / "stack.tif", stack.astype(np.float32), metadata={"axes": "ZYX"})
    run("segment", "stack.tif", "--index", "cells=b1", "--otsu")
    labels = read_labels(Path("stack_clearclip_labels.tif"))[0]
    np.testing.assert_array_equal(labels[0], stack[0] > 300)
    assert not labels[1:].any()


def test_words_and_an_index_together(run, photo, tiny, monkeypatch):
    monkeypatch.setattr("napari_clearclip.engine.model.load", load)
    run("segment", photo, "-p", "tree", "--index", "dark=0 - red", "--distractor", "sky", "-m", tiny)
    assert read_labels(Path("photo_clearclip_labels.tif"))[1] == ("tree", "dark")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--index", "(nir - red) / (nir + red)"), "give NAME=EXPRESSION, such as"),
        (("--index", "=b1"), "give NAME=EXPRESSION, such as"),
        (("--index", "x=__import__('os').system('true')"), "is not allowed; use numbers, band names"),
        (("--index", "x=b1", "--index", "X=b2"), "the phrase 'X' is given twice; remove one"),
    ],
)
def test_wrong_usage(run, four, options, reason):
    assert reason in " ".join(run("segment", four, *options, code=2).output.split())
    assert os.listdir() == ["four.tif"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--index", "x=nir"), "there is no band 'nir'; this image has b1, b2, b3, b4"),
        (("--index", "x=b1", "--bands", "a,b,c,d,e"), "--bands has 5 names, but the image 4 channels"),
    ],
)
def test_an_image_without_the_bands_fails_alone(run, four, photo, options, reason):
    result = run("segment", four, *options, code=1)
    assert reason in " ".join(result.output.split())


def test_nothing_found_says_what_to_try(run, four):
    output = " ".join(run("segment", four, "--index", "x=b1 - b1 + 1").output.split())
    assert "Nothing was found for 'x'" in output
    assert "another --index, or --otsu" in output
    assert "short-side" not in output
