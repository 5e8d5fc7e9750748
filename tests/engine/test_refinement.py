"""The parts in which an image is refined, and maps that are kept in half the memory."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_clearclip.edits import View
from napari_clearclip.engine import refinement
from napari_clearclip.engine.guided import guided
from napari_clearclip.engine.pamr import Affinities, pamr_steps
from napari_clearclip.engine.refinement import guide_of, levels_of, maps_of, parts_of, refine_steps
from napari_clearclip.settings import Refining
from napari_clearclip.steps import drain

NACLIP = Refining(pamr=10)
CLIP: Any = SimpleNamespace(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0), device="cpu")


@pytest.mark.parametrize("shape", [(1, 1), (480, 360), (4096, 4096), (12000, 900), (300, 20000)])
@pytest.mark.parametrize("refining", [NACLIP, Refining(pamr=50, dilations=(1, 2, 4, 8, 12, 24))], ids=["few", "many"])
@pytest.mark.parametrize("phrases", [1, 20, 300])
def test_parts_cover_the_image_once(shape: tuple[int, int], refining: Refining, phrases: int) -> None:
    parts = parts_of(shape, phrases, refining)
    assert parts.halo == refining.pamr * max(refining.dilations)
    for axis in (0, 1):
        sides = parts.along(axis)
        assert sides[0].start == 0
        assert sides[-1].stop == shape[axis]
        assert all(one.stop == other.start for one, other in pairwise(sides))
        lengths = [side.stop - side.start for side in sides]
        assert max(lengths) - min(lengths) <= 1
        assert max(lengths) <= parts.core[axis]


@pytest.mark.parametrize("phrases", [1, 20, 100])
def test_parts_of_large_images_fit_into_memory(phrases: int) -> None:
    parts = parts_of((20000, 20000), phrases, NACLIP)
    around = parts.around((parts.along(0)[3], parts.along(1)[3]))
    pixels = np.prod([side.stop - side.start for side in around])
    assert pixels * (64 + 68) < 320 * 2**20
    assert parts.core[0] * 20000 * phrases * 2 < 320 * 2**20 or parts.core[0] == 64
    assert parts.together * pixels * 12 <= 80 * 2**20


def test_a_part_lies_inside_what_is_around_it() -> None:
    parts = refinement.Parts((100, 90), (50, 30), halo=12)
    rows, cols = slice(50, 100), slice(30, 60)
    assert parts.around((rows, cols)) == (slice(38, 100), slice(18, 72))
    assert parts.inside((rows, cols)) == (slice(12, 62), slice(12, 42))


def test_weights_that_do_not_fit_leave_room_for_more_maps() -> None:
    many = Refining(pamr=50, dilations=(1, 2, 4, 8, 12, 24))
    assert parts_of((2048, 2048), 10, many).core == (2048, 2048)
    assert parts_of((2048, 2048), 10, many).together == 6
    assert parts_of((2048, 2048), 10, NACLIP).together < 6


@pytest.mark.parametrize("limits", [(-0.1, 0.3), (0.25, 0.25), (0, 60)])
def test_levels_are_nearly_the_map(limits: tuple[float, float]) -> None:
    low, high = limits
    map_ = low + (high - low) * torch.rand(7, 5, generator=torch.Generator().manual_seed(0))
    levels = levels_of(map_, limits)
    assert levels.dtype == np.uint16
    half = (high - low) / 65535 / 2
    np.testing.assert_allclose(maps_of([levels], [limits])[0], map_, atol=1.01 * half + 1e-6)
    ends = maps_of([levels_of(torch.tensor([[low, high]], dtype=torch.float32), limits)], [limits])[0]
    np.testing.assert_allclose(ends, [[low, high]], atol=1e-6)


def test_the_guide_is_what_the_view_shows_and_pamr_reads_it_as_the_model_does() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[1:, 2:] = (255, 51, 102)
    view = View(channel_axis=-1, channels=(0, 1, 2), limits=((0, 255),) * 3)
    guide = guide_of(image, view, CLIP, (slice(1, 3), slice(2, 4)), Refining(guided=2))
    assert guide.valid is None
    assert guide.affinities is None
    np.testing.assert_allclose(guide.pixels, np.array([1, 0.2, 0.4])[:, None, None] * np.ones((1, 2, 2)), atol=1e-6)
    guide = guide_of(image, view.replace(nodata=0), CLIP, (slice(0, 2), slice(1, 3)), NACLIP)
    assert guide.valid is not None
    assert guide.valid.tolist() == [[False, False], [False, True]]
    assert guide.affinities is not None
    normalised = (guide.pixels - torch.tensor(CLIP.mean)[:, None, None]) / torch.tensor(CLIP.std)[:, None, None]
    expected = Affinities(normalised, NACLIP.dilations, guide.valid)
    np.testing.assert_array_equal(guide.affinities.of(slice(0, 2)), expected.of(slice(0, 2)))


@pytest.mark.parametrize("refining", [Refining(guided=8), Refining(guided=5, pamr=10)], ids=["alone", "after PAMR"])
@pytest.mark.parametrize("phrases", [1, 20, 100])
def test_windows_of_the_guided_filter_are_around_parts_and_fit_into_memory(refining: Refining, phrases: int) -> None:
    parts = parts_of((20000, 20000), phrases, refining)
    assert parts.halo == 4 * refining.guided + 16 * refining.pamr
    around = parts.around((parts.along(0)[3], parts.along(1)[3]))
    pixels = np.prod([side.stop - side.start for side in around])
    assert pixels * (64 + 260 + 144 * parts.together + bool(refining.pamr) * 68) < 320 * 2**20 or parts.together == 1
    assert parts.together >= min(phrases, 8) or refining.pamr  # the image is looked at anew for each group of maps


def test_pamr_comes_before_the_guided_filter() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 14, 3), np.uint8)
    maps = torch.from_numpy(rng.random((2, 12, 14), np.float32))
    refining = Refining(pamr=2, dilations=(1, 2), guided=2, contrast=0.1)
    view = View(channel_axis=-1, channels=(0, 1, 2), limits=((0, 255),) * 3)
    guide = guide_of(image, view, CLIP, (slice(0, 12), slice(0, 14)), refining)
    assert guide.affinities is not None
    between = drain(pamr_steps(maps, guide.affinities, 2))
    expected = guided(between, guide.pixels, 2, 0.1**2)
    np.testing.assert_array_equal(drain(refine_steps(maps, guide, refining)), expected)
