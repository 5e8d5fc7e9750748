"""From a line across an object to windows and minutes, without Qt."""

from __future__ import annotations

import pytest

from napari_clearclip.engine.sizes import Sizes
from napari_clearclip.gui.segment.detail import MOST_WINDOWS, cost, detail_for, windows
from napari_clearclip.settings import Comparing, Settings, Tiling

VIT = Sizes(16, Tiling(short_side=448, window=448, stride=224))
PLAIN = Settings()


@pytest.mark.parametrize(
    ("length", "shape", "short_side", "patches"),
    [
        (80, (1000, 1000), 1000, 5),
        (160, (1000, 2000), 500, 5),
        (60, (1200, 900), 1200, 5),
        (900, (1000, 1000), 448, 900 * 0.448 / 16),  # not less than a window
        (8, (1000, 1000), 2000, 1),  # not more than twice the image
        (20, (100, 1000), 438, 2.5),  # likewise, where the long side limits
    ],
    ids=["as it is", "half", "columns are shorter", "large object", "tiny object", "strip"],
)
def test_five_patches_lie_across_an_object(
    length: float, shape: tuple[int, int], short_side: int, patches: float
) -> None:
    detail = detail_for(length, shape, PLAIN, VIT)
    assert detail.short_side == short_side
    assert detail.patches == pytest.approx(patches, rel=0.02)


def test_a_long_strip_is_resized_by_its_long_side() -> None:
    """The long side is at most 4.57 short sides, so that more must be asked for than the strip's own short side."""
    detail = detail_for(80, (100, 2000), PLAIN, VIT)
    assert detail.patches == pytest.approx(5.12)
    assert detail.short_side == 448  # 2000 / 4.57 = 438 would do; a window is the least


def test_windows_have_an_end() -> None:
    detail = detail_for(20, (12000, 12000), PLAIN, VIT)
    counted = windows((12000, 12000), Settings(tiling=Tiling(short_side=detail.short_side)), VIT)
    assert 0.8 * MOST_WINDOWS < counted <= MOST_WINDOWS
    assert detail.patches < 5


def test_own_windows_count() -> None:
    dense = Settings(tiling=Tiling(window=224, stride=56))
    assert detail_for(285, (1000, 1000), dense, VIT).short_side == 281
    assert detail_for(2000, (1000, 1000), dense, VIT).short_side == 224


def test_a_small_image_is_read_at_twice_its_size_at_most() -> None:
    assert detail_for(10, (20, 30), PLAIN, VIT).short_side == 40


@pytest.mark.parametrize("length", [0.0, -1.0, float("nan")])
def test_a_line_without_length_is_refused(length: float) -> None:
    with pytest.raises(ValueError, match="has no length"):
        detail_for(length, (100, 100), PLAIN, VIT)


@pytest.mark.parametrize(
    ("settings", "shape", "expected"),
    [
        (PLAIN, (500, 500), 1),
        (PLAIN, (500, 1000), 3),
        (Settings(tiling=Tiling(short_side=1344)), (500, 500), 25),
        (Settings(tiling=Tiling(short_side="native")), (1000, 448), 4),
        (Settings(tiling=Tiling(window=112)), (448, 448), 16),
        (Settings(comparing=Comparing(cell=1)), (500, 500), 1),
    ],
    ids=["square", "wide", "detail", "native", "window smaller than the stride", "cells"],
)
def test_windows_of_an_image(settings: Settings, shape: tuple[int, int], expected: int) -> None:
    assert windows(shape, settings, VIT) == expected


@pytest.mark.parametrize(
    ("count", "planes", "pace", "text"),
    [
        (None, 1, 0, "The number of windows is known once the model is loaded."),
        (1, 1, 0, "1 window; the time is known after the first ones"),
        (35, 1, 0.29, "35 windows, about 2 min"),
        (35, 60, 0, "60 planes of 35 windows; the time is known after the first ones"),
        (35, 60, 35, "60 planes of 35 windows, about 60 s"),
    ],
)
def test_cost(count: int | None, planes: int, pace: float, text: str) -> None:
    assert cost(count, planes, pace) == text
