"""Edits and views: JSON and back, and what a stroke does."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from napari_clearclip.edits import Edits, Exemplar, Lock, Painted, Region, Strokes, View
from napari_clearclip.engine.apply import apply_edits, combine
from napari_clearclip.settings import Prompt

Mask = np.ndarray[Any, np.dtype[np.bool_]]
SHAPE = (5, 9)
masks = hnp.arrays(bool, SHAPE)


def mask_of(*rows: str) -> Mask:
    """A mask drawn with # on dots."""
    return np.array([[letter == "#" for letter in row] for row in rows])


# ----------------------------------------------------------------------------------------------------------------------
# Regions


@run(deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_a_region_is_its_mask(mask: Mask) -> None:
    region = Region.of(mask)
    assert np.array_equal(region.mask(mask.shape), mask)  # type: ignore[arg-type]
    assert Region.model_validate_json(region.model_dump_json()) == region
    if not mask.any():
        assert region == Region()


def test_a_region_keeps_only_the_tiles_that_it_touches() -> None:
    mask = np.zeros((2000, 3000), bool)
    mask[100:103, 200:210] = True
    mask[300, 255:257] = True
    region = Region.of(mask)
    assert [tile[:2] for tile in region.tiles] == [(0, 0), (1, 0), (1, 1)]
    assert sum(len(bits) for *_, bits in region.tiles) < 300


def test_a_mask_can_lie_anywhere() -> None:
    region = Region.of(np.ones((300, 2), bool), (200, 255))
    expected = np.zeros((600, 600), bool)
    expected[200:500, 255:257] = True
    assert np.array_equal(region.mask((600, 600)), expected)
    part = np.zeros((50, 10), np.uint8)
    region.paint(part, 3, (470, 250))
    assert np.array_equal(part == 3, expected[470:520, 250:260])


def test_what_lies_outside_is_left_out() -> None:
    region = Region.of(np.ones((4, 6), bool))
    assert region.mask((3, 4)).all()
    assert region.mask((5, 8)).sum() == 24


def test_painting_leaves_the_rest() -> None:
    target = np.arange(6).reshape(2, 3)
    Region.of(mask_of("#..", "..#")).paint(target, 9)
    assert target.tolist() == [[9, 1, 2], [3, 4, 9]]


@run(deadline=None)
@given(masks, masks)
def test_sets_of_pixels(one: Mask, two: Mask) -> None:
    first, second = Region.of(one), Region.of(two)
    assert first | second == Region.union([first, second]) == Region.of(one | two)
    assert first - second == Region.of(one & ~two)
    assert (first | first) is first
    assert (first - Region()) is first


def test_equal_sets_are_equal_values_however_they_came_about() -> None:
    mask = np.zeros((600, 600), bool)
    mask[250:260, 250:260] = True
    painted = Region.of(mask[:, :300]) | Region.of(mask[:, 300:], (0, 300)) | Region.of(mask[:255])
    assert painted == Region.of(mask)
    assert hash(painted) == hash(Region.of(mask))
    other = [(row, col, zlib.compress(zlib.decompress(bits), 9)) for row, col, bits in reversed(painted.tiles)]
    assert Region(tiles=(*other, (7, 7, zlib.compress(bytes(8192))))) == painted


@pytest.mark.parametrize(
    ("tiles", "message"),
    [
        (((0, 0, b"junk"),), "the bits of a region are damaged"),
        (((0, 3, zlib.compress(b"1")),), r"tile \(0, 3\) of a region has 1 bytes of bits, not 8192"),
        (((0, 3, zlib.compress(bytes(8192))),) * 2, r"tile \(0, 3\) of a region is given twice"),
        (((-1, 3, zlib.compress(bytes(8192))),), "greater than or equal to 0"),
    ],
)
def test_regions_that_make_no_sense(tiles: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Region(tiles=tiles)


# ----------------------------------------------------------------------------------------------------------------------
# Views


@run(deadline=None)
@given(
    st.builds(
        View,
        plane=st.lists(st.integers(0, 9), max_size=3).map(tuple),
        channel_axis=st.none() | st.integers(-3, 2),
        channels=st.lists(st.integers(0, 9), max_size=3).map(tuple),
        limits=st.none() | st.lists(st.tuples(st.floats(-1e9, 0), st.floats(1, 1e9)), max_size=3).map(tuple),
        gamma=st.floats(0.1, 10),
        nodata=st.none() | st.floats(-1e9, 1e9),
        alpha=st.none() | st.integers(0, 9),
        scale=st.just(()) | st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9)),
        unit=st.text(max_size=40),
    )
)
def test_views_survive_json(view: View) -> None:
    assert View.model_validate_json(view.model_dump_json()) == view


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"plane": (-1,)}, r"plane \(-1,\) and channels \(\) must not be negative"),
        ({"channels": (0, -2)}, r"channels \(0, -2\) must not be negative"),
        ({"channels": (0, 1, 2, 3)}, "at most 3 items"),
        ({"channel_axis": 3}, "less than or equal to 2"),
        ({"limits": ((1, 1),)}, r"contrast limits \(1.0, 1.0\) must rise"),
        ({"gamma": 0}, "greater than 0"),
        ({"nodata": float("inf")}, "finite number"),
        ({"alpha": -1}, "greater than or equal to 0"),
        ({"scale": (1, 0)}, "greater than 0"),
        ({"scale": (1,)}, "Field required"),
        ({"unit": "m" * 41}, "at most 40 characters"),
        ({"chanels": (0,)}, "Extra inputs are not permitted"),
    ],
)
def test_views_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        View(**fields)


def test_the_size_of_a_pixel_does_not_change_what_is_seen() -> None:
    view = View(plane=(3,), gamma=2)
    assert view.pixel == (1, 1)
    assert view.look is view
    measured = view.replace(scale=(0.5, 0.25), unit="µm")
    assert measured.pixel == (0.5, 0.25)
    assert measured.look == view


# ----------------------------------------------------------------------------------------------------------------------
# Strokes

strokes = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([(), (3,)]), masks, st.booleans()), max_size=5)


@run(deadline=None, max_examples=50)
@given(strokes, st.booleans())
def test_edits_survive_json_and_the_last_stroke_wins(found: list[Any], exclusive: bool) -> None:
    edits = Edits()
    state: dict[tuple[str, tuple[int, ...]], Any] = {}  # by prompt and plane: 1 on, -1 off, 0 untouched
    for prompt, plane, stroke, on in found:
        edits = edits.paint(prompt, plane, stroke, on, exclusive=exclusive)
        state.setdefault((prompt, plane), np.zeros(SHAPE, int))[stroke] = 1 if on else -1
        other = state.get(("b" if prompt == "a" else "a", plane))
        if exclusive and on and other is not None:
            other[stroke & (other == 1)] = 0
    assert Edits.model_validate_json(edits.model_dump_json()) == edits
    assert Edits.model_validate(json.loads(json.dumps(edits.model_dump(mode="json")))) == edits
    for (prompt, plane), expected in state.items():
        painted = edits.painting(prompt, plane)
        assert np.array_equal(painted.on.mask(SHAPE), expected == 1)
        assert np.array_equal(painted.off.mask(SHAPE), expected == -1)


def test_nothing_painted_is_empty() -> None:
    assert Edits().painting("a", (1,)) == Painted(prompt="a", plane=(1,))


def test_a_stroke_that_changes_nothing_is_no_change() -> None:
    stroke = Region.of(np.ones(SHAPE, bool))
    edits = Edits().paint("a", (), stroke, True).paint("b", (1,), stroke, False)
    assert edits.paint("a", (), np.ones(SHAPE, bool), True) is edits
    assert edits.paint("a", (), np.zeros(SHAPE, bool), False) is edits
    assert [item.prompt for item in edits.paint("a", (), stroke, False).painted] == ["b", "a"]  # the later one is last


def test_tiles_that_changed() -> None:
    stroke = np.zeros((600, 600), bool)
    stroke[10, 250:260] = True
    edits = Edits().paint("a", (), stroke, True)
    later = edits.paint("a", (), np.roll(stroke, 300, axis=0), False)
    assert edits.changed_tiles(Edits()) == {(0, 0), (0, 1)}
    assert later.changed_tiles(edits) == edits.changed_tiles(later) == {(1, 0), (1, 1)}
    assert edits.lock("a", (), stroke).changed_tiles(edits) == {(0, 0), (0, 1)}
    assert later.planes == {()}


def test_clearing_forgets_one_prompt_on_all_planes() -> None:
    stroke = np.ones(SHAPE, bool)
    edits = Edits().paint("a", (), stroke, True).paint("a", (1,), stroke, True).paint("b", (2,), stroke, False)
    cleared = edits.clear("a")
    assert [item.prompt for item in cleared.painted] == ["b"]
    assert len(edits.painted) == 3  # a value is never changed


def test_locking_replaces_and_unlocking_forgets() -> None:
    first, second = mask_of("#.", ".."), mask_of("..", ".#")
    edits = Edits().lock("a", (), first).lock("b", (), first).lock("a", (), second).lock("a", (4,), first)
    lock = edits.lock_of("a", ())
    assert lock is not None
    assert np.array_equal(lock.mask.mask((2, 2)), second)
    assert edits.lock_of("a", (9,)) is None
    assert [item.prompt for item in edits.unlock("a").locked] == ["b"]


@run(deadline=None, max_examples=50)
@given(strokes)
def test_what_was_taught_survives_json_and_the_last_stroke_wins(found: list[Any]) -> None:
    edits = Edits()
    state: dict[tuple[str, tuple[int, ...]], Any] = {}
    for prompt, plane, stroke, positive in found:
        edits = edits.teach(prompt, plane, stroke, positive)
        state.setdefault((prompt, plane), np.zeros(SHAPE, int))[stroke] = 1 if positive else -1
    assert Edits.model_validate_json(edits.model_dump_json()) == edits
    for (prompt, plane), expected in state.items():
        drawn = edits.strokes_of(prompt, plane)
        assert np.array_equal(drawn.positive.mask(SHAPE), expected == 1)
        assert np.array_equal(drawn.negative.mask(SHAPE), expected == -1)


def test_what_was_taught_counts_on_every_plane_and_changes_no_pixel() -> None:
    stroke = mask_of("#.", "..")
    edits = Edits().teach("a", (1,), stroke, True).find_similar("b", (2,), stroke).paint("c", (3,), stroke, True)
    assert edits.planes == {(3,)}
    assert edits.changed_tiles(Edits().paint("c", (3,), stroke, True)) == set()
    assert edits.at((9,)) == Edits(strokes=edits.strokes, exemplars=edits.exemplars)
    assert edits.at((3,)) == edits
    assert edits.teach("a", (1,), stroke, True) is edits
    assert edits.of("a") == Edits(strokes=edits.strokes)
    assert edits.of("b") == Edits(exemplars=edits.exemplars)
    assert edits.clear("a") == edits.clear("b") == edits
    assert edits.forget("a") == Edits(painted=edits.painted, exemplars=edits.exemplars)
    assert edits.forget("b") == Edits(painted=edits.painted, strokes=edits.strokes)


def test_strokes_are_erased_pixel_by_pixel() -> None:
    edits = Edits().teach("a", (), mask_of("##", ".."), True).teach("a", (), mask_of("..", "#."), False)
    erased = edits.unteach("a", (), mask_of("#.", "#."))
    assert np.array_equal(erased.strokes_of("a", ()).positive.mask((2, 2)), mask_of(".#", ".."))
    assert not erased.strokes_of("a", ()).negative.tiles
    assert erased.unteach("a", (), mask_of(".#", "..")) == Edits()
    assert erased.unteach("a", (), mask_of("..", "##")) is erased
    assert erased.unteach("b", (), mask_of("##", "##")) is erased


def test_a_prompt_has_one_exemplar() -> None:
    first, second = mask_of("#.", ".."), mask_of("..", ".#")
    edits = Edits().find_similar("a", (), first).find_similar("b", (), first).find_similar("a", (4,), second)
    assert edits.exemplar_of("a") == Exemplar(prompt="a", plane=(4,), region=Region.of(second))
    assert edits.exemplar_of("c") is None
    assert len(edits.exemplars) == 2
    with pytest.raises(ValueError, match="an example has no pixels; click or paint inside the image"):
        edits.find_similar("a", (), np.zeros((2, 2), bool))


def test_edits_of_earlier_versions_still_load() -> None:
    old = {"painted": [{"prompt": "a", "plane": [1], "on": {"tiles": []}, "off": {"tiles": []}}], "locked": []}
    assert Edits.model_validate(old) == Edits(painted=(Painted(prompt="a", plane=(1,)),))


@pytest.mark.parametrize("kind", [Edits, Painted, Lock, Strokes, Exemplar, Region])
def test_unknown_keys_are_refused(kind: type[Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        kind(**({} if kind in (Edits, Region) else {"prompt": "a"}), colour="red")


# ----------------------------------------------------------------------------------------------------------------------
# Edits on top of the model

A, B = Prompt(id="a", phrase="a"), Prompt(id="b", phrase="b")


def rows(*lines: str) -> Any:
    return np.array([[int(letter) for letter in line] for line in lines], np.uint8)


def packed(*found: Mask) -> Any:
    return np.packbits(np.stack(found), axis=-1)


def unpacked(overlaps: Any, width: int) -> Any:
    return np.unpackbits(overlaps, axis=-1, count=width).view(bool)


def test_painted_pixels_win_over_the_model() -> None:
    labels = rows("0112", "0122")
    edits = Edits().paint("a", (), mask_of("#..#", "...."), True).paint("b", (), mask_of("....", "##.#"), False)
    changed, overlaps = apply_edits(labels, None, (A, B), edits, ())
    assert changed.tolist() == rows("1111", "0120").tolist()  # erasing b leaves the pixel of a
    assert overlaps is None
    assert labels.tolist() == rows("0112", "0122").tolist()


def test_a_locked_mask_wins_over_everything() -> None:
    labels = rows("0112", "0122")
    edits = Edits().paint("b", (), np.ones((2, 4), bool), True).lock("a", (), mask_of("#...", "#..."))
    locked = A.replace(locked=True)
    changed, _ = apply_edits(labels, None, (locked, B), edits, ())
    assert changed.tolist() == rows("1222", "1222").tolist()
    unlocked, _ = apply_edits(labels, None, (A, B), edits, ())  # the mask of a lock counts only while it is locked
    assert unlocked.tolist() == rows("2222", "2222").tolist()


def test_a_locked_prompt_loses_what_the_model_says_now() -> None:
    edits = Edits().lock("a", (), mask_of("#...", "...."))
    changed, _ = apply_edits(rows("0111", "0122"), None, (A.replace(locked=True), B), edits, ())
    assert changed.tolist() == rows("1000", "0022").tolist()


def test_edits_of_other_planes_do_not_count() -> None:
    edits = Edits().paint("a", (1,), np.ones((2, 4), bool), True).lock("b", (1,), np.ones((2, 4), bool))
    labels = rows("0112", "0122")
    changed, _ = apply_edits(labels, None, (A, B.replace(locked=True)), edits, (0,))
    assert np.array_equal(changed, labels)


def test_edits_of_overlapping_masks() -> None:
    overlaps = packed(mask_of("##......#", "........."), mask_of(".##......", "........#"))
    labels = combine(overlaps, 9)
    edits = (
        Edits()
        .paint("a", (), mask_of("...#.....", "........."), True, exclusive=False)
        .paint("a", (), mask_of("#........", "........."), False)
        .lock("b", (), mask_of("#........", "........#"))
    )
    changed, after = apply_edits(labels, overlaps, (A, B.replace(locked=True)), edits, ())
    assert np.array_equal(unpacked(after, 9)[0], mask_of(".#.#....#", "........."))
    assert np.array_equal(unpacked(after, 9)[1], mask_of("#........", "........#"))
    assert changed.tolist() == rows("210100001", "000000002").tolist()
    assert np.array_equal(unpacked(overlaps, 9)[0], mask_of("##......#", "........."))  # the argument is as it was
