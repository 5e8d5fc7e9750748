"""Strokes and examples through the pipeline: what they reach, what they leave, and what they cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from napari_clearclip import domains
from napari_clearclip.edits import Edits, Region, View
from napari_clearclip.engine import correct, encoder
from napari_clearclip.gui.prompts.listing import unlearned
from napari_clearclip.io.prompt_bank import read_prompts, write_prompts
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.result import Segmentation
from napari_clearclip.scenes import DISTRACTORS, make_scene
from napari_clearclip.settings import Comparing, Learned, Model, Prompt, Runtime, Settings
from napari_clearclip.steps import drain

RGB = View(channel_axis=-1)
STACK = np.random.default_rng(5).integers(0, 256, (3, 64, 96, 3), np.uint8)
CAT = Prompt(id="cat", phrase="cat", threshold=0)
DOG = Prompt(id="dog", phrase="dog", threshold=0)
SKY = Prompt(id="sky", phrase="sky", kind="distractor")
STROKE = np.zeros(STACK.shape[1:3], bool)
STROKE[10:14, 10:30] = True


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"))


@pytest.fixture
def settings(tiny: Path) -> Settings:
    model = Model(name="", pretrained=str(tiny))
    return Settings(model=model, prompts=(CAT, DOG, SKY), comparing=Comparing(templates="single"))


def at(plane: int) -> View:
    return RGB.replace(plane=(plane,))


def same(one: Segmentation, two: Segmentation) -> bool:
    return np.array_equal(one.scores.values, two.scores.values) and np.array_equal(one.labels, two.labels)


# ----------------------------------------------------------------------------------------------------------------------
# On scenes


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def test_a_stroke_finds_what_the_word_did_not(runtime: Runtime) -> None:
    """Buildings that the demo model misses; what it finds by words is found as before."""
    scene = make_scene("aerial", 6001)
    prompts = tuple(Prompt(id=name, phrase=name) for name in scene.names)
    settings = Settings(prompts=prompts + domains.as_prompts(DISTRACTORS["aerial"]))
    truths = {name: scene.truth == index + 1 for index, name in enumerate(scene.names)}
    pipeline = Pipeline(runtime)
    before = pipeline.run(scene.image, settings, RGB)
    stroke = binary_erosion(truths["building"], iterations=3)
    after = pipeline.run(scene.image, settings, RGB, Edits().teach("building", (), stroke, True))
    assert iou(before.mask("building"), truths["building"]) < 0.1
    assert iou(after.mask("building"), truths["building"]) > 0.7
    for name in ("field", "water", "forest"):
        assert iou(after.mask(name), truths[name]) > iou(before.mask(name), truths[name]) - 0.02


def test_an_example_finds_what_a_strange_word_does_not(runtime: Runtime) -> None:
    """A word of another world for water: words alone fail, a click on one pixel of it does not."""
    scene = make_scene("aerial", 6001)
    water = scene.truth == scene.names.index("water") + 1
    prompts = (Prompt(id="it", phrase="granules", mix=0), *domains.as_prompts(("field", "forest", "road", "building")))
    pipeline, click = Pipeline(runtime), np.zeros(water.shape, bool)
    click[tuple(np.argwhere(binary_erosion(water, iterations=8))[0])] = True
    edits = Edits().find_similar("it", (), click)
    words, example = (
        pipeline.run(scene.image, Settings(prompts=(prompts[0].replace(mix=mix), *prompts[1:])), RGB, edits)
        for mix in (0.0, 1.0)
    )
    assert iou(words.mask("it"), water) < 0.1
    assert iou(example.mask("it"), water) > 0.7


# ----------------------------------------------------------------------------------------------------------------------
# What counts


def test_without_strokes_nothing_is_another_bit(settings: Settings, runtime: Runtime) -> None:
    plain = Pipeline(runtime).run(STACK, settings, at(0))
    gone = Edits().teach("emu", (0,), STROKE, True).find_similar("emu", (1,), STROKE)
    erased = Edits().teach("cat", (0,), STROKE, True).forget("cat")
    outside = Edits().teach("cat", (0,), Region.of(STROKE, (900, 900)), True)
    outside = outside.find_similar("dog", (0,), Region.of(STROKE, (900, 900)))
    unmixed = Edits().find_similar("cat", (0,), STROKE)
    for edits in (gone, erased, outside):
        assert same(Pipeline(runtime).run(STACK, settings, at(0), edits), plain)
    words = settings.replace(prompts=(CAT.replace(mix=0), DOG, SKY))
    assert same(Pipeline(runtime).run(STACK, words, at(0), unmixed), plain)


def test_the_order_in_which_was_drawn_does_not_matter(settings: Settings, runtime: Runtime) -> None:
    steps = [
        ("cat", (0,), STROKE, True),
        ("dog", (1,), STROKE[::-1], True),
        ("cat", (0,), STROKE[:, ::-1], False),
        ("cat", (2,), STROKE, False),
    ]
    forth, back = Edits(), Edits()
    for step in steps:
        forth = forth.teach(*step)
    for step in reversed(steps):
        back = back.teach(*step)
    assert same(
        Pipeline(runtime).run(STACK, settings, at(1), forth), Pipeline(runtime).run(STACK, settings, at(1), back)
    )


def test_nothing_is_learned_where_nothing_competes(settings: Settings, runtime: Runtime) -> None:
    alone = settings.replace(prompts=(CAT,))
    edits = Edits().teach("cat", (0,), STROKE, True).find_similar("cat", (0,), STROKE)
    assert same(Pipeline(runtime).run(STACK, alone, at(0), edits), Pipeline(runtime).run(STACK, alone, at(0)))


@pytest.mark.parametrize("exclusive", [True, False])
def test_what_one_prompt_learns_leaves_the_scores_of_others(
    exclusive: bool, settings: Settings, runtime: Runtime
) -> None:
    settings = settings.replace(deciding=settings.deciding.replace(exclusive=exclusive))
    pipeline, edits = Pipeline(runtime), Edits().teach("cat", (0,), STROKE, True).find_similar("cat", (1,), STROKE)
    before = pipeline.run(STACK, settings, at(0), edits)
    after = pipeline.run(STACK, settings, at(0), edits.teach("dog", (2,), STROKE[::-1], True))
    assert np.array_equal(after.scores.of("cat"), before.scores.of("cat"))
    assert not np.array_equal(after.scores.of("dog"), before.scores.of("dog"))


# ----------------------------------------------------------------------------------------------------------------------
# Planes


def test_a_stroke_on_one_plane_teaches_the_others(settings: Settings, runtime: Runtime) -> None:
    edits = Edits().teach("cat", (0,), STROKE, True).find_similar("dog", (2,), STROKE)
    pipeline = Pipeline(runtime)
    before, after = pipeline.run(STACK, settings, at(1)), pipeline.run(STACK, settings, at(1), edits)
    assert not same(before, after)
    assert same(Pipeline(runtime).run(STACK, settings, at(1), edits.at((1,))), after)
    assert same(Pipeline(runtime).run(STACK, settings, at(1), edits), after)  # whatever is kept


def test_few_windows_are_read_of_other_planes(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows: list[int] = []
    original = encoder.encode_steps

    def counting(clip: object, pixels: np.ndarray, *rest: object) -> object:
        windows.append(len(pixels))
        return original(clip, pixels, *rest)

    monkeypatch.setattr(encoder, "encode_steps", counting)
    monkeypatch.setattr(correct, "MOST_WINDOWS", 3)
    speck = np.zeros_like(STROKE)
    speck[0, 0] = True
    Pipeline(runtime).run(STACK, settings, at(1))
    whole, windows[:] = sum(windows), []
    Pipeline(runtime).run(STACK, settings, at(1), Edits().teach("cat", (0,), speck, True))
    assert sum(windows) == whole + 3  # the corner is in the first of them


def test_planes_that_are_not_in_memory_are_asked_for(settings: Settings, runtime: Runtime) -> None:
    edits = Edits().teach("cat", (0,), STROKE, True)
    asked: list[tuple[int, ...]] = []

    def read(plane: tuple[int, ...]) -> np.ndarray:
        asked.append(plane)
        found = np.zeros_like(STACK)
        found[plane] = STACK[plane]
        return found

    found = drain(Pipeline(runtime).steps(read((1,)), settings, at(1), edits, read=read))
    assert same(found, Pipeline(runtime).run(STACK, settings, at(1), edits))
    assert asked == [(1,), (0,)]


def test_a_stroke_on_a_plane_that_does_not_exist_is_said(settings: Settings, runtime: Runtime) -> None:
    with pytest.raises(ValueError, match=r"plane \(7,\) lies outside an image of shape"):
        Pipeline(runtime).run(STACK, settings, at(0), Edits().teach("cat", (7,), STROKE, True))


# ----------------------------------------------------------------------------------------------------------------------
# What is taken elsewhere


def test_what_was_learned_is_the_same_without_what_was_drawn(settings: Settings, runtime: Runtime) -> None:
    edits = Edits().teach("cat", (0,), STROKE, True).find_similar("dog", (0,), STROKE[::-1])
    pipeline = Pipeline(runtime)
    taught = pipeline.run(STACK, settings, at(0), edits)
    assert set(taught.learned) == {"cat", "dog"}
    assert not pipeline.run(STACK, settings, at(0)).learned
    carried = settings.replace(prompts=(*(item.replace(learned=taught.learned[item.id]) for item in (CAT, DOG)), SKY))
    again = Pipeline(runtime).run(STACK, carried, at(0))
    assert same(again, taught)
    assert again.learned == taught.learned
    assert not again.unlearned
    elsewhere = Pipeline(runtime).run(STACK, carried, at(2))
    assert not np.array_equal(elsewhere.scores.values, Pipeline(runtime).run(STACK, settings, at(2)).scores.values)


def test_what_another_model_learned_counts_nothing_and_is_said(settings: Settings, runtime: Runtime) -> None:
    other = Learned.of("other", "ViT-B-16/openai", {"cat": np.ones(24, np.float32)})
    strange = Settings(**{**dict(settings), "prompts": (CAT.replace(learned=other), DOG, SKY)})
    found = Pipeline(runtime).run(STACK, strange, at(0))
    assert same(found, Pipeline(runtime).run(STACK, settings, at(0)))
    assert [item.phrase for item in found.unlearned] == ["cat"]
    assert unlearned(found.unlearned) == (
        "What “cat” learned with ViT-B-16/openai means nothing to this one: only the words count."
    )


def test_lists_carry_what_was_learned(tmp_path: Path) -> None:
    vectors = {"cat": np.linspace(-1, 1, 24, dtype=np.float32)}
    prompt = CAT.replace(learned=Learned.of("abc", "demo", vectors))
    write_prompts(tmp_path / "a.json", (prompt, DOG))
    read, plain = read_prompts(tmp_path / "a.json")
    assert read.learned is not None
    np.testing.assert_array_equal(read.learned.vector("cat"), vectors["cat"])
    assert read.learned.vector("dog") is None
    assert (read, plain) == (prompt, DOG)


@pytest.mark.parametrize(
    "vector", [b"", b"abc", np.array([np.nan], "<f4").tobytes(), bytes(4 * 65537)], ids=["none", "odd", "nan", "huge"]
)
def test_vectors_that_are_none_are_refused(vector: bytes) -> None:
    with pytest.raises(ValueError, match=r"the vector of 'cat' has \d+ bytes that are no list of numbers"):
        Learned(weights="abc", vectors=(("cat", vector),))
