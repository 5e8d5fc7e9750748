"""Outlines that follow the image: votes of superpixels, floods of doubtful pixels, tile by tile."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_clearclip.engine import tiles
from napari_clearclip.engine.decide import Assignment
from napari_clearclip.engine.edges import (
    HALO,
    doubtful_pixels,
    flood,
    heights,
    redraw_steps,
    segment,
    side_of,
    snap,
    sure_thresholds,
)
from napari_clearclip.settings import Cleaning
from napari_clearclip.steps import drain

Labels = npt.NDArray[np.uint8]
RNG = np.random.default_rng(0)


def halves(size: int = 64, edge: int = 29) -> npt.NDArray[np.float32]:
    """A dark and a bright half."""
    image = np.full((size, size, 3), 0.2, np.float32)
    image[:, edge:] = (0.9, 0.7, 0.5)
    return image


def everywhere(labels: Labels) -> npt.NDArray[np.bool_]:
    return np.ones(labels.shape, bool)


def naive_snap(labels: Labels, segments: npt.NDArray[Any], free: npt.NDArray[np.bool_]) -> Labels:
    found = labels.copy()
    for number in set(segments.ravel().tolist()):
        votes = Counter(labels[(segments == number) & free].tolist())
        if votes:
            most = max(votes.values())
            found[(segments == number) & free] = min(label for label, count in votes.items() if count == most)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_each_superpixel_votes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    segments = rng.integers(0, 40, (5, 6)).astype(np.int32).repeat(4, axis=0).repeat(5, axis=1)
    free = rng.random(labels.shape) > 0.3
    after = snap(labels, segments, free)
    assert np.array_equal(after, naive_snap(labels, segments, free))
    assert not np.array_equal(after, labels)
    assert np.array_equal(after[~free], labels[~free])
    assert np.array_equal(snap(after, segments, everywhere(labels) & free), after)


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
def test_superpixels_end_at_edges(method: str) -> None:
    image = halves() + RNG.normal(0, 0.01, (64, 64, 3)).astype(np.float32)
    segments = segment(image, method, 10, 30)
    assert segments.min() == 0
    assert 2 <= segments.max() + 1 <= 100
    assert set(np.unique(segments[:, :29])).isdisjoint(np.unique(segments[:, 29:]))


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
def test_a_tiny_part_has_superpixels(method: str) -> None:
    for shape in ((1, 1), (1, 9), (3, 2)):
        assert segment(np.zeros((*shape, 3), np.float32), method, 12, 30).shape == shape


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
def test_an_outline_that_is_some_pixels_off_finds_the_edge(method: str) -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 22:] = 2
    after = snap(labels, segment(halves(), method, 12, 30), everywhere(labels))
    if method == "slic":
        assert np.array_equal(after == 2, np.broadcast_to(np.arange(64) >= 29, after.shape))
    assert not after[:, :25].any()  # Felzenszwalb's blur makes an edge some pixels wide
    assert (after[:, 33:] == 2).all()


SIDES = [
    (Cleaning(), (1.0, 1.0), (4.0, 4.0), 11.0),
    (Cleaning(), (0.1, 0.1), (2.0, 8.0), 11.0),
    (Cleaning(superpixel=5), (0.25, 1.0), (4.0, 4.0), 10.0),
    (Cleaning(superpixel=0.1), (1.0, 1.0), (4.0, 4.0), 2.0),
    (Cleaning(), (1.0, 1.0), (400.0, 400.0), 64.0),
]


@pytest.mark.parametrize(("cleaning", "pixel", "cell", "side"), SIDES)
def test_the_side_of_a_superpixel(
    cleaning: Cleaning, pixel: tuple[float, float], cell: tuple[float, float], side: float
) -> None:
    assert side_of(cleaning, pixel, cell) == pytest.approx(side)


def test_doubtful_pixels_go_to_the_edge() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 20:] = 3
    doubtful = np.zeros(labels.shape, bool)
    doubtful[:, 12:50] = True
    after = flood(labels, doubtful, heights(halves()), everywhere(labels))
    assert np.array_equal(after == 3, np.broadcast_to(np.arange(64) >= 29, (64, 64)))


def test_floods_leave_certain_and_bound_pixels_alone() -> None:
    labels = RNG.integers(0, 3, (40, 50)).astype(np.uint8)
    doubtful, free = RNG.random(labels.shape) < 0.4, RNG.random(labels.shape) < 0.8
    after = flood(labels, doubtful, heights(RNG.random((40, 50, 3)).astype(np.float32)), free)
    changed = after != labels
    assert changed.any()
    assert not changed[~doubtful | ~free].any()


def test_without_doubt_or_without_seeds_nothing_changes() -> None:
    labels = RNG.integers(0, 3, (9, 9)).astype(np.uint8)
    none = np.zeros(labels.shape, bool)
    flat = np.zeros(labels.shape, np.float32)
    assert flood(labels, none, flat, ~none) is labels
    assert np.array_equal(flood(labels, ~none, flat, ~none), labels)


def test_what_is_doubtful() -> None:
    """Thresholds 0.5 and 0.2, certainty 0.6: certain from 0.8 and 0.68, and below 0.2 and 0.08."""
    winner = np.array([[0, 0, 1, 1, 1, 1, 2, 2, 2, 2]], np.uint8)
    score = np.array([[0, 0, 0.85, 0.75, 0.3, 0.15, 0.7, 0.6, 0.1, 0.05]], np.float32)
    margin = np.array([[0.7, 0.5] + [0.9] * 8], np.float32)
    expected = [False, True, False, True, True, False, False, True, True, False]
    assert doubtful_pixels(Assignment(winner, score, margin), [0.5, 0.2], 0.0, 0.6)[0].tolist() == expected
    near = doubtful_pixels(Assignment(winner, score, margin), [0.5, 0.2], 0.8, 0.6)[0].tolist()
    assert near == [True, True, *expected[2:]]
    low, high = sure_thresholds([0.5, 0.2], 0.6)
    assert low == pytest.approx((0.2, 0.08))
    assert high == pytest.approx((0.8, 0.68))


@pytest.mark.parametrize("halo", [0, 8])
@pytest.mark.parametrize("packed", [False, True])
def test_only_tiles_with_an_outline_are_drawn(packed: bool, halo: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "SIDE", 16)
    masks = np.zeros((2, 45, 37), np.uint8)
    masks[0, 3:20, 2:9] = masks[1, 40:, 30:] = 1
    layers = masks if packed else masks[:1] + 2 * masks[1:]
    looked: list[tiles.Tile] = []

    def look(tile: tiles.Tile) -> int:
        looked.append(tile)
        return 7

    def draw(part: Labels, aid: int, index: int, tile: tiles.Tile) -> Labels:
        assert aid == 7
        assert np.array_equal(part, layers[index][tile])
        return 1 - part if packed else part + 5

    before = np.packbits(masks, axis=-1)
    overlaps = before.copy() if packed else None
    after = drain(redraw_steps(layers[0], overlaps, look, draw, halo))
    expected, needed = layers.copy(), set()
    for layer, found in zip(layers, expected, strict=True):
        for core, around in tiles.tiles(layer.shape, (halo, halo)):
            if layer[around].min() != layer[around].max():
                found[core] = 1 - layer[core] if packed else layer[core] + 5
                needed.add((around[0].start, around[1].start))
    assert 1 < len(needed) < 9
    assert sorted((rows.start, cols.start) for rows, cols in looked) == sorted(needed)
    if packed:
        assert np.array_equal(overlaps, before)
        after = np.unpackbits(after, axis=-1, count=37)
    assert np.array_equal(after, expected if packed else expected[0])


def test_the_halo_is_whole_bytes() -> None:
    assert HALO % 8 == 0
    assert tiles.SIDE % 8 == 0
