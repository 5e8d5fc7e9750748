"""Specks, gaps, outlines, objects and holes: against loops over pixels, disks and neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from skimage import morphology

from napari_clearclip.engine import tiles
from napari_clearclip.engine.clean import (
    clean_overlap_steps,
    clean_steps,
    close_labels,
    fill_holes,
    keep_objects,
    open_labels,
    smooth_labels,
)
from napari_clearclip.settings import Cleaning
from napari_clearclip.steps import drain

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Place = tuple[int, int]
Pixel = tuple[float, float]
SQUARE = (1.0, 1.0)


def cleaned(labels: Labels, valid: Mask | None = None, pixel: Pixel = SQUARE, **fields: Any) -> Labels:
    before = labels.copy()
    result = drain(clean_steps(labels, Cleaning(**fields), pixel, valid))
    assert np.array_equal(labels, before)
    return result


def drawn(text: str) -> Labels:
    """Labels from rows of digits; a dot is nothing."""
    return np.array([[int(char) if char != "." else 0 for char in row] for row in text.split()], np.uint8)


def blobs(seed: int, shape: tuple[int, int] = (23, 31), prompts: int = 3) -> Labels:
    """Labels in patches, with specks of all kinds."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, prompts + 1, (-(-shape[0] // 5), -(-shape[1] // 5)))
    labels = np.kron(coarse, np.ones((5, 5), int))[: shape[0], : shape[1]].astype(np.uint8)
    specks = rng.random(shape) < 0.08
    labels[specks] = rng.integers(0, prompts + 1, np.count_nonzero(specks))
    return labels


def gaps(seed: int, shape: tuple[int, int] = (23, 31)) -> Mask:
    valid = np.random.default_rng(seed + 100).random(shape) > 0.05
    valid[:4, 10:20] = False
    return valid


# ----------------------------------------------------------------------------------------------------------------------
# Naive loops


def near(at: Place, shape: tuple[int, ...], radius: float, pixel: Pixel) -> list[Place]:
    """The pixels within a radius."""
    return [
        (row, col)
        for row in range(shape[0])
        for col in range(shape[1])
        if (pixel[0] * (row - at[0])) ** 2 + (pixel[1] * (col - at[1])) ** 2 <= radius**2 + 1e-9
    ]


def by_neighbours(mask: Mask, known: Mask, radius: float, pixel: Pixel, rule: Callable[..., bool]) -> Mask:
    """For each pixel, a rule on the pixels with data around it."""
    found = np.zeros_like(mask)
    for at in np.ndindex(mask.shape):
        found[at] = rule(mask[place] for place in near(at, mask.shape, radius, pixel) if known[place])
    return found & known


def naive_opening(labels: Labels, radius: float, pixel: Pixel, known: Mask) -> Labels:
    found = np.zeros_like(labels)
    for label in set(labels.ravel().tolist()) - {0}:
        eroded = (labels == label) & by_neighbours(labels == label, known, radius, pixel, all)
        found[by_neighbours(eroded, known, radius, pixel, any)] = label
    return found


def naive_closing(labels: Labels, radius: float, pixel: Pixel, known: Mask) -> Labels:
    closings = []
    for label in sorted(set(labels.ravel().tolist()) - {0}):
        grown = by_neighbours(labels == label, known, radius, pixel, any)
        closings.append((label, by_neighbours(grown, known, radius, pixel, all)))
    found = labels.copy()
    for at in zip(*np.nonzero((labels == 0) & known), strict=True):
        claims = [label for label, closing in closings if closing[at]]
        found[at] = claims[0] if len(claims) == 1 else 0
    return found


def naive_components(same: Callable[[Place, Place], bool], shape: tuple[int, int]) -> list[set[Place]]:
    """Sets of pixels that hang together by their sides."""
    found = []
    seen: set[Place] = set()
    for start in np.ndindex(shape):
        if start in seen:
            continue
        stack, component = [start], {start}
        while stack:
            row, col = stack.pop()
            for there in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                inside = 0 <= there[0] < shape[0] and 0 <= there[1] < shape[1]
                if inside and there not in component and same(start, there):
                    component.add(there)
                    stack.append(there)
        seen |= component
        found.append(component)
    return found


def naive_objects(labels: Labels, smallest: float, largest: int) -> Labels:
    found = np.zeros_like(labels)
    objects = naive_components(lambda a, b: labels[a] == labels[b], labels.shape)
    for label in set(labels.ravel().tolist()) - {0}:
        own = sorted((item for item in objects if labels[min(item)] == label), key=lambda item: (-len(item), min(item)))
        for item in own[: largest or None]:
            if len(item) >= smallest:
                for at in item:
                    found[at] = label
    return found


def naive_holes(labels: Labels, largest: float, known: Mask) -> Labels:
    found = labels.copy()
    height, width = labels.shape
    for item in naive_components(lambda a, b: labels[a] == labels[b], labels.shape):
        if labels[min(item)] or len(item) > largest:
            continue
        around = {
            (row + down, col + across) for row, col in item for down, across in ((0, 1), (1, 0), (0, -1), (-1, 0))
        } - item
        if any(not (0 <= row < height and 0 <= col < width) for row, col in around):
            continue
        owners = {int(labels[at]) for at in around}
        if len(owners) == 1:
            for at in item:
                found[at] = min(owners) if known[at] else 0
    return found


def naive_majority(labels: Labels, deviation: float, pixel: Pixel, known: Mask) -> Labels:
    found, reach = labels.copy(), [int(3 * deviation / side + 0.5) for side in pixel]
    for row, col in zip(*np.nonzero(known), strict=True):
        votes = dict.fromkeys(range(int(labels.max()) + 1), 0.0)
        for there in zip(*np.nonzero(known), strict=True):
            down, across = there[0] - row, there[1] - col
            if abs(down) <= reach[0] and abs(across) <= reach[1]:
                distance = (down * pixel[0]) ** 2 + (across * pixel[1]) ** 2
                votes[int(labels[there])] += np.exp(-distance / 2 / deviation**2)
        best = max(votes.values())
        if votes[int(labels[row, col])] < best * (1 - 1e-4):
            found[row, col] = next(label for label, vote in votes.items() if vote == best)
    return found


CASES = [(1.0, SQUARE), (2.3, SQUARE), (1.3, (1.0, 0.5)), (0.9, (0.3, 1.0)), (40.0, SQUARE)]


@pytest.mark.parametrize(("radius", "pixel"), CASES)
@pytest.mark.parametrize("holed", [False, True])
def test_opening_and_closing_are_those_of_each_label(radius: float, pixel: Pixel, holed: bool) -> None:
    labels, valid = blobs(1), gaps(1) if holed else None
    known = np.ones(labels.shape, bool) if valid is None else valid
    labels = labels * known
    opened = open_labels(labels, radius, pixel, valid)
    assert np.array_equal(opened, naive_opening(labels, radius, pixel, known))
    closed = close_labels(labels, radius, pixel, valid)
    assert np.array_equal(closed, naive_closing(labels, radius, pixel, known))
    if radius < 40:
        assert 0 < np.count_nonzero(opened) < np.count_nonzero(labels)
        assert np.count_nonzero(closed) > np.count_nonzero(labels)


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_one_mask_is_opened_and_closed_as_by_scikit_image(radius: int) -> None:
    mask = morphology.dilation(np.random.default_rng(0).random((60, 70)) > 0.97, morphology.disk(3))
    disk = morphology.disk(radius)
    labels = mask.astype(np.uint8)
    eroded = morphology.erosion(mask, disk, mode="ignore")
    assert np.array_equal(open_labels(labels, radius, SQUARE, None), morphology.dilation(eroded, disk, mode="ignore"))
    dilated = morphology.dilation(mask, disk, mode="ignore")
    assert np.array_equal(close_labels(labels, radius, SQUARE, None), morphology.erosion(dilated, disk, mode="ignore"))


@pytest.mark.parametrize(("smallest", "largest"), [(0, 0), (4, 0), (4.5, 0), (0, 1), (0, 2), (3, 2), (1e6, 0)])
def test_objects(smallest: float, largest: int) -> None:
    labels = blobs(2)
    assert np.array_equal(keep_objects(labels, smallest, largest), naive_objects(labels, smallest, largest))


def test_of_equal_objects_the_upper_one_stays() -> None:
    labels = drawn("11.22 ..... 22.11")
    assert np.array_equal(keep_objects(labels, 0, 1), drawn("11.22 ..... ....."))


@pytest.mark.parametrize("largest", [0.5, 1, 3, 8, 1000])
def test_holes(largest: float) -> None:
    labels, valid = blobs(3), gaps(3)
    labels[5:18, 3:20] = np.where(labels[5:18, 3:20] == 0, 0, 2)
    labels[~valid] = 0
    filled = fill_holes(labels, largest, valid)
    assert np.array_equal(filled, naive_holes(labels, largest, valid))
    assert np.array_equal(filled, labels) == (largest < 1)


HOLES = {
    "one owner": ("11111 1...1 11111", "11111 11111 11111"),
    "too large": ("111111 1....1 111111", "111111 1....1 111111"),
    "two owners": ("11112 1...2 11112", "11112 1...2 11112"),
    "open at the border": ("11111 1.... 11111", "11111 1.... 11111"),
    "open at a corner only": (".1111 1..11 11111", ".1111 11111 11111"),
    "around another": ("11111 1.2.1 11111", "11111 1.2.1 11111"),
}


@pytest.mark.parametrize("case", HOLES)
def test_what_a_hole_is(case: str) -> None:
    before, after = HOLES[case]
    assert np.array_equal(fill_holes(drawn(before), 3, None), drawn(after))


@pytest.mark.parametrize(("deviation", "pixel"), [(0.8, SQUARE), (1.5, (1.0, 0.7))])
@pytest.mark.parametrize("holed", [False, True])
def test_smoothing_is_a_vote_of_the_surroundings(deviation: float, pixel: Pixel, holed: bool) -> None:
    labels, valid = blobs(4, (13, 17)), gaps(4, (13, 17)) if holed else None
    known = np.ones(labels.shape, bool) if valid is None else valid
    labels = labels * known
    smooth = smooth_labels(labels, deviation, pixel, valid)
    assert np.array_equal(smooth, naive_majority(labels, deviation, pixel, known))
    assert not np.array_equal(smooth, labels)


# ----------------------------------------------------------------------------------------------------------------------
# Invariants

ALL = {"opening": 1.0, "closing": 2.0, "smooth": 0.8, "smallest": 6.0, "largest": 4, "hole": 9.0}
REPEATABLE = {
    "opening": {"opening": 1.5},
    "closing": {"closing": 2.0},
    "small objects": {"smallest": 7},
    "largest objects": {"largest": 2},
    "holes": {"hole": 5},
    "objects and holes": {"smallest": 7, "largest": 3, "hole": 5},
}


@pytest.mark.parametrize("case", REPEATABLE)
@pytest.mark.parametrize("seed", range(5))
def test_cleaning_twice_is_cleaning_once(case: str, seed: int) -> None:
    valid = gaps(seed)
    labels = blobs(seed) * valid
    once = cleaned(labels, valid, **REPEATABLE[case])
    assert not np.array_equal(once, labels)
    assert np.array_equal(cleaned(once, valid, **REPEATABLE[case]), once)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fields", [ALL, *({name: value} for name, value in ALL.items())])
def test_nothing_where_there_are_no_data(seed: int, fields: dict[str, float]) -> None:
    valid = gaps(seed)
    assert not cleaned(blobs(seed) * valid, valid, **fields)[~valid].any()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_prompts_does_not_matter(seed: int) -> None:
    order = np.array([0, 3, 1, 2], np.uint8)
    labels = blobs(seed)
    fields = {**ALL, "largest": 0, "smooth": 0.0}  # of equals, the upper object stays and the first vote counts
    assert np.array_equal(order[cleaned(labels, **fields)], cleaned(order[labels], **fields))


@pytest.mark.parametrize("seed", range(5))
def test_closing_and_holes_take_nothing_from_others(seed: int) -> None:
    labels = blobs(seed)
    after = cleaned(labels, closing=3, hole=50)
    assert np.array_equal(after[labels > 0], labels[labels > 0])
    assert (after > 0).sum() > (labels > 0).sum()


def test_nothing_to_do_gives_back_the_same_array() -> None:
    labels = blobs(0)
    assert drain(clean_steps(labels, Cleaning(), SQUARE, None)) is labels
    assert Cleaning().is_idle
    for name, value in ALL.items():
        assert not Cleaning(**{name: value}).is_idle
        assert cleaned(np.full((6, 8), 2, np.uint8), **{name: value}).all()


def test_guarantees_hold_at_the_end() -> None:
    """Objects that go leave holes in others; those are filled as well."""
    labels = np.full((20, 20), 1, np.uint8)
    labels[:, 10:] = 0
    labels[4:6, 4:6] = 2
    after = cleaned(labels, smallest=5, hole=5)
    assert np.array_equal(after == 1, np.arange(20)[None] < np.full((20, 1), 10))
    assert not (after == 2).any()


def test_sizes_are_in_the_unit_of_the_pixel() -> None:
    labels = drawn("11.... 11.... ...... ....11 ...... ......")
    assert np.array_equal(cleaned(labels, pixel=(0.5, 2.0), smallest=4), drawn("11.... 11.... " + "...... " * 4))
    assert np.array_equal(cleaned(labels, pixel=(0.5, 1.0), smallest=1), labels)


@pytest.mark.parametrize("fields", [{"opening": 2.0}, {"closing": 3.0}, {"smooth": 1.5}, ALL])
def test_tiles_leave_no_seams(fields: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    labels, valid = blobs(5, (97, 83)), gaps(5, (97, 83))
    labels *= valid
    whole = cleaned(labels, valid, **fields)
    monkeypatch.setattr(tiles, "SIDE", 16)
    assert np.array_equal(cleaned(labels, valid, **fields), whole)


def test_overlapping_masks_are_cleaned_one_by_one() -> None:
    valid = gaps(6)
    masks = np.array([(blobs(seed, prompts=1) * valid) for seed in range(3)])
    bits, width = np.packbits(masks, axis=-1), masks.shape[-1]
    after = drain(clean_overlap_steps(bits, width, Cleaning(**ALL), SQUARE, valid))
    for mask, found in zip(masks, np.unpackbits(after, axis=-1, count=width), strict=True):
        assert np.array_equal(found, cleaned(mask, valid, **ALL))
    assert np.array_equal(bits, np.packbits(masks, axis=-1))
