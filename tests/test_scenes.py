"""Scenes are repeatable, their names and masks agree, and unseen pairs stay unseen in training."""

from __future__ import annotations

import numpy as np
import pytest

from napari_clearclip.scenes import DISTRACTORS, KINDS, UNSEEN_PAIRS, make_scene, vocabulary

SEEDS = range(25)


@pytest.mark.parametrize("kind", KINDS)
def test_same_arguments_give_the_same_scene(kind: str) -> None:
    first, second = make_scene(kind, seed=3), make_scene(kind, seed=3)
    assert first.names == second.names
    assert first.caption == second.caption
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.truth, second.truth)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [{"seed": 4}, {"split": "train"}], ids=["seed", "split"])
def test_another_argument_gives_another_scene(kind: str, change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"kind": kind, "seed": 3, "split": "test"}
    first, second = make_scene(**arguments), make_scene(**(arguments | change))  # type: ignore[arg-type]
    assert (first.image != second.image).any()


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_truth_agree(kind: str) -> None:
    for seed in SEEDS:
        scene = make_scene(kind, seed)
        assert set(scene.names) <= set(vocabulary(kind))
        assert len(set(scene.names)) == len(scene.names) > 0
        assert set(np.unique(scene.truth)) - {0} == set(range(1, len(scene.names) + 1))
        assert all(name in scene.caption for name in scene.names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [96, 192, 320])
def test_arrays_have_the_promised_form(kind: str, size: int) -> None:
    scene = make_scene(kind, seed=1, size=size)
    assert scene.image.shape == (size, size, 3)
    assert scene.truth.shape == (size, size)
    assert scene.image.dtype == scene.truth.dtype == np.uint8
    assert scene.image.std() > 5


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_and_background_occurs(kind: str) -> None:
    scenes = [make_scene(kind, seed, size=48) for seed in range(250)]
    assert {name for scene in scenes for name in scene.names} == set(vocabulary(kind))
    assert all(any(phrase in scene.caption for scene in scenes) for phrase in DISTRACTORS[kind])


def test_training_never_holds_unseen_pairs_and_test_does() -> None:
    pairs = {
        split: [tuple(name.split()) for s in range(200) for name in make_scene("shapes", s, 32, split).names]  # type: ignore[arg-type]
        for split in ("train", "test")
    }
    assert not UNSEEN_PAIRS & set(pairs["train"])
    share = sum(pair in UNSEEN_PAIRS for pair in pairs["test"]) / len(pairs["test"])
    assert 0.5 * 8 / 48 < share < 2 * 8 / 48
    assert {pair[0] for pair in pairs["train"]} == {pair[0] for pair in UNSEEN_PAIRS}


def test_unseen_pairs_are_eight_names_of_the_shapes() -> None:
    assert len(UNSEEN_PAIRS) == 8
    assert {" ".join(pair) for pair in UNSEEN_PAIRS} <= set(vocabulary("shapes"))


@pytest.mark.parametrize(
    ("colour", "strongest", "weakest"),
    [("red", 0, 1), ("green", 1, 0), ("blue", 2, 0), ("yellow", 1, 2), ("orange", 0, 2), ("purple", 2, 1)],
)
def test_objects_have_the_colour_of_their_name(colour: str, strongest: int, weakest: int) -> None:
    seen = 0
    for seed in range(60):
        scene = make_scene("shapes", seed)
        for label, name in enumerate(scene.names, start=1):
            if name.startswith(colour):
                mean = scene.image[scene.truth == label].mean(0)
                assert mean[strongest] > mean[weakest] + 40, (seed, name)
                seen += 1
    assert seen > 5


def test_rings_have_holes_and_discs_do_not() -> None:
    filled = {"circle": [], "ring": []}  # type: dict[str, list[float]]
    for seed in range(80):
        scene = make_scene("shapes", seed)
        for label, name in enumerate(scene.names, start=1):
            if name.split()[1] in filled:
                rows, cols = np.nonzero(scene.truth == label)
                area = np.ptp(rows) * np.ptp(cols)
                filled[name.split()[1]].append(len(rows) / area)
    assert np.median(filled["circle"]) > 0.72 > np.median(filled["ring"]) + 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_background_phrases_are_no_names(kind: str) -> None:
    assert not set(DISTRACTORS[kind]) & set(vocabulary(kind))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "portrait", "seed": 0}, "kind must be one of .*shapes.*got 'portrait'"),
        ({"kind": "shapes", "seed": -1}, "seed must not be negative, got -1"),
        ({"kind": "shapes", "seed": 0, "size": 8}, "size must be between 32 and 2048 pixels, got 8"),
        ({"kind": "shapes", "seed": 0, "split": "val"}, "split must be one of .*train.*got 'val'"),
    ],
    ids=["kind", "seed", "size", "split"],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_scene(**arguments)  # type: ignore[arg-type]


def test_vocabulary_refuses_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        vocabulary("portrait")
