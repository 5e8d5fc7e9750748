"""The chain of stages: what each change runs, cancelling, memory, and that a result says how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.measure import label

from napari_clearclip import domains
from napari_clearclip.cache import cache_folder, key_of
from napari_clearclip.edits import Edits, View
from napari_clearclip.engine.projections import register_projection
from napari_clearclip.engine.variants import variant
from napari_clearclip.engine.weights import ModelError, file_hash
from napari_clearclip.job import Picture, frame_of, image_key
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.result import Georeference
from napari_clearclip.settings import (
    Attention,
    Cleaning,
    Comparing,
    Deciding,
    Index,
    Learned,
    Linking,
    Model,
    Prompt,
    Refining,
    Runtime,
    Settings,
    Tiling,
)
from napari_clearclip.steps import drain

RGB = View(channel_axis=-1)
IMAGE = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
CAT = Prompt(id="cat", phrase="cat", threshold=0.3)
DOG = Prompt(id="dog", phrase="dog", synonyms=("hound",), threshold=0.3)
HORSE = Prompt(id="horse", phrase="horse", threshold=0.3)
SKY = Prompt(id="sky", phrase="sky", kind="distractor")
WALL = Prompt(id="wall", phrase="wall", kind="distractor")

# At the model's own tiling the image is read at 96 x 144, in 5 x 8 windows of 32.
WINDOWS = 40


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"))


@pytest.fixture
def settings(tiny: Path) -> Settings:
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=(CAT, DOG, SKY, WALL),
        comparing=Comparing(templates="single"),
        deciding=Deciding(scale=20),
    )


# ----------------------------------------------------------------------------------------------------------------------
# Counting

STAGES = {
    "load": "model.load",
    "view": "view.resolve_view",
    "embed": "text.embed_steps",
    "encode": "encoder.encode_steps",
    "heads": "encoder.heads_of",
    "attend": "encoder.outputs_of",
    "project": "encoder.project",
    "compare": "compare.compare",
    "improbable": "compare.improbable",
    "smooth": "compare.smooth_by_keys",
    "operate": "compare.feature_surgery",
    "refine": "refinement.refine_steps",
    "learn": "correct.learn",
    "liken": "correct.liken",
    "score": "decide.score_cells",
    "assign": "decide.assign_steps",
    "overlap": "decide.overlap_steps",
    "threshold": "labelling.threshold",
    "outline": "edges.redraw_steps",
    "segment": "edges.segment",
    "clean": "clean.clean_steps",
    "split": "instances.split",
    "range": "bands.measure_range",
    "measure": "bands.measure_steps",
    "count": "bands.count_scores",
    "average": "bands.mean_cells",
    "take": "labelling.take",
    "pack": "labelling.pack",
}
OF_INDICES = {"range", "measure", "count", "average", "take", "pack"}
OF_WORDS = {"load", "embed", "encode", "heads", "attend", "project", "compare", "assign", "overlap", "threshold"}

# Stages that nothing asks for by itself.
OPTIONAL = {
    "overlap",
    "improbable",
    "smooth",
    "operate",
    "refine",
    "learn",
    "liken",
    "outline",
    "segment",
    "clean",
    *OF_INDICES,
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each stage was called since the counter was last cleared; the stages do their work as ever."""
    counter: Counter[str] = Counter()

    def counting(name: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            counter[name] += 1
            if name == "encode":
                counter["windows"] += len(args[1])
            return stage(*args, **kwargs)

        return called

    for name, place in (*STAGES.items(), ("threshold", "labelling.move_threshold")):
        module, function = place.split(".")
        owner = import_module(f"napari_clearclip.engine.{module}")
        monkeypatch.setattr(owner, function, counting(name, getattr(owner, function)))
    return counter


def prompt(settings: Settings, id_: str, **changes: Any) -> Settings:
    """The settings with one prompt changed."""
    prompts = tuple(item.replace(**changes) if item.id == id_ else item for item in settings.prompts)
    return settings.replace(prompts=prompts)


def deciding(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(deciding=settings.deciding.replace(**changes))


def comparing(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(comparing=settings.comparing.replace(**changes))


def attention(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(attention=settings.attention.replace(**changes))


def splitting(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(splitting=settings.splitting.replace(**changes))


MASKS = {"score", "assign", "threshold"}
AFTER_COMPARE = MASKS | {"split"}
TABLE: dict[str, tuple[Callable[[Settings], Settings], set[str]]] = {
    "nothing": (lambda s: s, set()),
    "recolours a prompt": (lambda s: prompt(s, "cat", color="#123456"), set()),
    "hides a prompt": (lambda s: prompt(s, "cat", visible=False), set()),
    "moves a threshold": (lambda s: prompt(s, "cat", threshold=0.7), {"threshold", "split"}),
    "asks for a lead": (lambda s: deciding(s, lead=0.2), {"threshold", "split"}),
    "asks for an area": (lambda s: deciding(s, area=0.2), {"assign", "threshold", "split"}),
    "changes the scale": (lambda s: deciding(s, scale=50), AFTER_COMPARE),
    "lets all prompts compete": (lambda s: deciding(s, competitors="all"), AFTER_COMPARE),
    "denoises prompts": (lambda s: comparing(s, denoise=0.999), {"improbable"} | AFTER_COMPARE),
    "smooths by keys": (lambda s: comparing(s, smooth=1), {"project", "compare", "smooth"} | AFTER_COMPARE),
    "changes an axis that nothing reads": (lambda s: comparing(s, smooth_axis="tokens"), set()),
    "turns PAMR on": (
        lambda s: s.replace(refining=Refining(pamr=2)),
        {"refine", "assign", "threshold", "split"},
    ),
    "turns the guided filter on": (
        lambda s: s.replace(refining=Refining(guided=2)),
        {"refine", "assign", "threshold", "split"},
    ),
    "changes the contrast of a filter that is off": (lambda s: s.replace(refining=Refining(contrast=0.1)), set()),
    "changes distances that nothing reads": (lambda s: s.replace(refining=Refining(dilations=(1, 2))), set()),
    "lets masks overlap": (lambda s: deciding(s, exclusive=False), {"overlap"}),
    "moves outlines to edges": (
        lambda s: s.replace(cleaning=Cleaning(edges="slic")),
        {"outline", "segment", "split"},
    ),
    "floods doubtful pixels": (
        lambda s: s.replace(cleaning=Cleaning(edges="watershed", certainty=0.3)),
        {"outline", "split"},
    ),
    "asks for clean masks": (lambda s: s.replace(cleaning=Cleaning(smallest=4)), {"clean", "split"}),
    "mutes a distractor": (lambda s: prompt(s, "sky", muted=True), AFTER_COMPARE),
    "removes a prompt": (lambda s: s.replace(prompts=(CAT, SKY, WALL)), AFTER_COMPARE),
    "reorders prompts": (lambda s: s.replace(prompts=(DOG, CAT, SKY, WALL)), AFTER_COMPARE),
    "adds a prompt": (lambda s: s.replace(prompts=(*s.prompts, HORSE)), {"embed", "compare"} | AFTER_COMPARE),
    "adds a synonym": (lambda s: prompt(s, "cat", synonyms=("kitten",)), {"embed", "compare"} | AFTER_COMPARE),
    "splits by shape": (lambda s: splitting(s, method="shape"), {"split"}),
    "moves the neck": (lambda s: splitting(s, neck=0.5), {"split"}),
    "smooths more": (lambda s: splitting(s, smooth=3), {"split"}),
    "asks for a distance": (lambda s: splitting(s, distance=9), {"split"}),
    "links planes": (lambda s: s.replace(linking=Linking(on=True, overlap=0.5, reach=3)), set()),
    "wants no instances": (lambda s: splitting(s, method="none"), set()),
    "changes the templates": (
        lambda s: s.replace(comparing=s.comparing.replace(templates=("{}",))),
        {"embed", "compare"} | AFTER_COMPARE,
    ),
    "refines the cells": (
        lambda s: s.replace(comparing=s.comparing.replace(cell=4)),
        {"compare"} | AFTER_COMPARE,
    ),
    "switches to SCLIP": (
        lambda s: s.replace(attention=variant("sclip")),
        {"heads", "attend", "project", "compare"} | AFTER_COMPARE,  # its keys; queries and values are there
    ),
    "switches to values": (
        lambda s: s.replace(attention=variant("vv")),
        {"attend", "project", "compare"} | AFTER_COMPARE,
    ),
    "turns RC on": (lambda s: attention(s, residual=1), {"project", "compare"} | AFTER_COMPARE),
    "turns FFN on": (lambda s: attention(s, ffn=1), {"project", "compare"} | AFTER_COMPARE),
    "moves alpha": (lambda s: attention(s, alpha=3, residual=1), {"project", "compare"} | AFTER_COMPARE),
    "switches to two blocks": (lambda s: attention(s, blocks=2), {"encode", "project", "compare"} | AFTER_COMPARE),
    "follows a side path": (
        lambda s: attention(s, origin="first", blocks=2, residual=1),
        {"encode", "project", "compare"} | AFTER_COMPARE,
    ),
    "keeps CLIP's class token": (lambda s: attention(s, own_class=True), {"project", "compare"}),
    "compares unit vectors": (
        lambda s: attention(s, unit=True, iterations=1),
        {"attend", "project", "compare"} | AFTER_COMPARE,
    ),
    "takes off the class token": (lambda s: attention(s, debias=0.3), {"project", "compare"} | AFTER_COMPARE),
    "projects at random": (
        lambda s: attention(s, terms=("random",), projections=2, seed=1),
        {"attend", "project", "compare"} | AFTER_COMPARE,
    ),
    "projects as was learned": (
        lambda s: attention(s, terms=("random",), projection=register_projection(torch.eye(32))),
        {"attend", "project", "compare"} | AFTER_COMPARE,
    ),
    "asks for feature surgery": (lambda s: comparing(s, surgery=True), {"compare", "operate"} | AFTER_COMPARE),
    "resizes as the papers' code": (
        lambda s: s.replace(tiling=Tiling(antialias=False)),
        {
            "encode",
            "heads",
            "attend",
            "project",
            "compare",
            "score",
            "assign",
            "threshold",
        },  # an enlarged image stays the same
    ),
    "changes the working size": (
        lambda s: s.replace(tiling=Tiling(short_side=64)),
        {"encode", "heads", "attend", "project", "compare"} | AFTER_COMPARE,
    ),
}


@pytest.mark.parametrize("change", TABLE)
def test_what_a_change_runs(change: str, settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    pipeline, settings = Pipeline(runtime), splitting(settings, method="score")
    first = pipeline.run(IMAGE, settings, RGB)
    assert set(calls) - {"windows"} == set(STAGES) - OPTIONAL - {"split"}  # instances are made when they are asked for
    assert first.instances is not None
    assert calls["split"] == 1
    calls.clear()
    make, stages = TABLE[change]
    changed = pipeline.run(IMAGE, make(settings), RGB)
    ids = changed.instances
    assert set(calls) - {"windows"} == stages
    alone = Pipeline(runtime.replace(cache_folder=f"{runtime.cache_folder}-other")).run(IMAGE, make(settings), RGB)
    assert np.array_equal(changed.labels, alone.labels)
    assert np.array_equal(changed.scores.values, alone.scores.values)
    assert (ids is None) == (alone.instances is None)
    assert ids is None or np.array_equal(ids, alone.instances)
    calls.clear()
    again = pipeline.run(IMAGE, settings, RGB)  # back to where we were
    assert again.instances is first.instances
    assert set(calls) == set()
    assert np.array_equal(again.labels, first.labels)


def test_what_the_models_own_score_runs(
    settings: Settings,
    runtime: Runtime,
    calls: Counter[str],
    architectures: dict[str, dict[str, Any]],
    save_model: Callable[..., Path],
) -> None:
    config = {**architectures["patch8"], "init_logit_bias": -10}
    state = {**load_file(settings.model.pretrained), "logit_bias": torch.tensor(-3.0)}
    settings = settings.replace(model=Model(name="", pretrained=str(save_model("own", config, state))))
    pipeline = Pipeline(runtime)
    first = pipeline.run(IMAGE, settings, RGB)
    calls.clear()
    sigmoid = pipeline.run(IMAGE, deciding(settings, score="sigmoid"), RGB)
    assert set(calls) == MASKS
    assert not np.array_equal(sigmoid.scores.values, first.scores.values)
    calls.clear()
    for change in ({"scale": 7}, {"competitors": "all"}):  # which it does not read
        same = pipeline.run(IMAGE, deciding(settings, score="sigmoid", **change), RGB)
        assert np.array_equal(same.labels, sigmoid.labels)
        assert not calls
    pipeline.run(IMAGE, deciding(settings, score="sigmoid", lead=0.3), RGB)
    assert set(calls) == {"threshold"}
    calls.clear()
    pipeline.run(IMAGE, settings, RGB)
    assert not calls


def cleaning(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(cleaning=settings.cleaning.replace(**changes))


OUTLINES = {"outline", "clean"}
CLEANED: dict[str, tuple[Callable[[Settings], Settings], View, set[str]]] = {
    "nothing": (lambda s: s, RGB, set()),
    "recolours a prompt": (lambda s: prompt(s, "cat", color="#123456"), RGB, set()),
    "cleans in another way": (lambda s: cleaning(s, hole=9), RGB, {"clean"}),
    "does not clean": (lambda s: cleaning(s, smallest=0, closing=0), RGB, set()),
    "leaves outlines as they are": (lambda s: cleaning(s, edges="none"), RGB, {"clean"}),
    "makes larger superpixels": (lambda s: cleaning(s, superpixel=12), RGB, {"segment"} | OUTLINES),
    "makes rounder superpixels": (lambda s: cleaning(s, compactness=60), RGB, {"segment"} | OUTLINES),
    "moves what another method reads": (lambda s: cleaning(s, certainty=0.5), RGB, set()),
    "merges superpixels": (lambda s: cleaning(s, edges="felzenszwalb"), RGB, {"segment"} | OUTLINES),
    "floods doubtful pixels": (lambda s: cleaning(s, edges="watershed"), RGB, OUTLINES),
    "moves a threshold": (lambda s: prompt(s, "cat", threshold=0.7), RGB, {"threshold"} | OUTLINES),
    "lets masks overlap": (lambda s: deciding(s, exclusive=False), RGB, {"overlap"} | OUTLINES),
    "lets masks overlap, and floods": (
        lambda s: cleaning(deciding(s, exclusive=False), edges="watershed"),
        RGB,
        {"overlap"} | OUTLINES,
    ),
    "measures the pixels": (lambda s: s, RGB.replace(scale=(0.5, 0.25), unit="µm"), {"clean"}),
    "names the unit": (lambda s: s, RGB.replace(unit="µm"), set()),
}


@pytest.mark.parametrize("change", CLEANED)
def test_what_a_change_runs_where_masks_are_cleaned(
    change: str, settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    settings = settings.replace(cleaning=Cleaning(edges="slic", smallest=6, closing=2))
    pipeline = Pipeline(runtime)
    first = pipeline.run(IMAGE, settings, RGB)
    assert calls["clean"] == 2  # neighbourhoods, then objects
    calls.clear()
    make, view, stages = CLEANED[change]
    changed = pipeline.run(IMAGE, make(settings), view)
    assert set(calls) - {"windows"} == stages
    assert (changed.view.scale, changed.view.unit) == (view.scale, view.unit)
    calls.clear()
    again = pipeline.run(IMAGE, settings, RGB)
    assert not calls
    assert np.array_equal(again.labels, first.labels)


@pytest.mark.parametrize("exclusive", [True, False])
def test_what_was_done_by_hand_is_not_cleaned(exclusive: bool, settings: Settings, runtime: Runtime) -> None:
    settings = deciding(settings, exclusive=exclusive).replace(cleaning=Cleaning(smallest=1e6))
    speck, frozen = np.zeros((2, *IMAGE.shape[:2]), bool)
    speck[20, 30] = frozen[5, 5] = True
    edits = Edits().paint("cat", (), speck, True).lock("dog", (), frozen)
    result = Pipeline(runtime).run(IMAGE, prompt(settings, "dog", locked=True), RGB, edits)
    assert np.array_equal(result.mask("cat"), speck)
    assert np.array_equal(result.mask("dog"), frozen)


def test_overlapping_masks_are_cleaned_one_by_one(settings: Settings, runtime: Runtime) -> None:
    settings, pipeline = deciding(settings, exclusive=False), Pipeline(runtime)
    before = pipeline.run(IMAGE, settings, RGB)
    after = pipeline.run(IMAGE, settings.replace(cleaning=Cleaning(largest=1)), RGB)
    for id_ in ("cat", "dog"):
        objects = label(before.mask(id_), connectivity=1)
        biggest = np.argmax(np.bincount(objects[objects > 0]))
        assert objects.max() > 1
        assert np.array_equal(after.mask(id_), objects == biggest)


WATER = Prompt(id="water", phrase="water", threshold=0.5, index=Index(expression="(b2 - b1) / (b2 + b1)"))
BRIGHT = Prompt(id="bright", phrase="bright", index=Index(expression="b3", otsu=True))
MEASURE = {"range", "measure", "count", "average"}


def index(settings: Settings, id_: str, **changes: Any) -> Settings:
    """The settings with the expression of one prompt changed."""
    (found,) = (item.index for item in settings.prompts if item.id == id_)
    assert found is not None
    return prompt(settings, id_, index=found.replace(**changes))


INDEX_TABLE: dict[str, tuple[Callable[[Settings], Settings], set[str]]] = {
    "nothing": (lambda s: s, set()),
    "recolours an index": (lambda s: prompt(s, "water", color="#123456"), set()),
    "moves the threshold of an index": (lambda s: prompt(s, "water", threshold=0.7), {"take"}),
    "moves the threshold of a phrase": (lambda s: prompt(s, "cat", threshold=0.7), {"threshold", "take"}),
    "moves a threshold that Otsu sets": (lambda s: prompt(s, "bright", threshold=0.7), set()),
    "sets a threshold by Otsu": (lambda s: index(s, "water", otsu=True), {"take"}),
    "lets masks overlap": (lambda s: deciding(s, exclusive=False), {"overlap", "pack"}),
    "changes the lower end of a range": (lambda s: index(s, "water", low=0), {"measure", "count", "average", "take"}),
    "changes the upper end of a range": (lambda s: index(s, "water", high=0), {"measure", "count", "average", "take"}),
    "changes the expression": (lambda s: index(s, "water", expression="b2"), MEASURE | {"take"}),
    "adds an index": (
        lambda s: s.replace(prompts=(*s.prompts, Prompt(phrase="dark", index=Index(expression="-b1")))),
        MEASURE | {"take"},
    ),
    "removes an index": (lambda s: s.replace(prompts=(CAT, BRIGHT, SKY, WALL)), {"take"}),
    "adds a phrase": (
        lambda s: s.replace(prompts=(*s.prompts, HORSE)),
        {"embed", "compare", "score", "assign", "threshold", "take"},
    ),
    "refines the cells": (
        lambda s: s.replace(comparing=s.comparing.replace(cell=4)),
        {"compare", "score", "assign", "threshold", "average", "take"},
    ),
    "switches to SCLIP": (
        lambda s: s.replace(attention=variant("sclip")),
        {"heads", "attend", "project", "compare", "score", "assign", "threshold", "take"},
    ),
}


@pytest.mark.parametrize("change", INDEX_TABLE)
def test_what_a_change_runs_with_indices(
    change: str, settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    settings = settings.replace(prompts=(CAT, WATER, BRIGHT, SKY, WALL))
    pipeline = Pipeline(runtime)
    first = pipeline.run(IMAGE, settings, RGB)
    assert set(calls) - {"windows"} == set(STAGES) - (OPTIONAL - OF_INDICES) - {"pack", "split"}
    calls.clear()
    make, stages = INDEX_TABLE[change]
    changed = pipeline.run(IMAGE, make(settings), RGB)
    assert set(calls) - {"windows"} == stages
    alone = Pipeline(runtime.replace(cache_folder=f"{runtime.cache_folder}-other")).run(IMAGE, make(settings), RGB)
    assert np.array_equal(changed.labels, alone.labels)
    assert np.array_equal(changed.scores.values, alone.scores.values)
    calls.clear()
    again = pipeline.run(IMAGE, settings, RGB)  # back to where we were
    assert set(calls) == set()
    assert np.array_equal(again.labels, first.labels)


def test_indices_alone_need_no_model(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    """Not even one that exists; distractors, which would compete with phrases only, do not change that."""
    nowhere = Model(name="", pretrained="nowhere.safetensors")
    settings = settings.replace(model=nowhere, prompts=(WATER, BRIGHT, SKY))
    result = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert not set(calls) & OF_WORDS
    b1, b2, b3 = np.moveaxis(IMAGE.astype(np.float32), -1, 0)
    with np.errstate(all="ignore"):
        water = ((b2 - b1) / (b2 + b1) + 1) / 2
    found = result.settings.objects[1]
    assert found.index is not None
    bright = np.clip((b3 - found.index.low) / (found.index.high - found.index.low), 0, 1)
    expected = np.where(water >= 0.5, 1, 0)
    farther = (1 - bright) / (1 - found.threshold) < np.where(expected, (1 - water) / 0.5, np.inf)
    expected = np.where((bright >= found.threshold) & farther, 2, expected)
    assert (result.labels == expected).mean() > 0.999  # scores that are the same in 16 bits
    assert result.scores.values.shape == (2, 40, 60)
    np.testing.assert_allclose(result.scores.of("water"), np.nan_to_num(water), atol=1e-4)
    assert result.scores.cell == (1, 1)
    assert result.unknown == {}


def test_a_result_with_indices_says_how_it_was_made_and_that_makes_it_again(
    settings: Settings, runtime: Runtime
) -> None:
    settings = settings.replace(prompts=(CAT, WATER, BRIGHT, SKY, WALL))
    result = Pipeline(runtime).run(IMAGE, settings, RGB.replace(bands=("r", "g", "b")))
    water, bright = (item.index for item in result.settings.objects[1:])
    assert water == Index(expression="(b2 - b1) / (b2 + b1)", low=-1, high=1)
    assert bright is not None
    assert not bright.otsu
    assert (bright.low, bright.high) == tuple(np.percentile(IMAGE[..., 2].astype(float), (0.1, 99.9)))
    with np.errstate(all="ignore"):
        red, green = np.moveaxis(IMAGE[..., :2].astype(np.float32), -1, 0)
        values = ((green - red) / (green + red)).astype(np.float64)
    measured = tuple(np.percentile(values[np.isfinite(values)], (0.1, 99.9)))
    assert result.scores.ranges == {"water": measured, "bright": (bright.low, bright.high)}
    assert result.settings.objects[2].threshold != BRIGHT.threshold
    stored = Settings.model_validate_json(result.settings.model_dump_json())
    view = View.model_validate_json(result.view.model_dump_json())
    assert view.bands == ("r", "g", "b")
    again = Pipeline(runtime).run(IMAGE, stored, view)
    assert np.array_equal(again.labels, result.labels)
    assert np.array_equal(again.scores.values, result.scores.values)
    assert (again.settings, again.view) == (result.settings, result.view)


def test_indices_read_bands_that_are_not_looked_at(settings: Settings, runtime: Runtime) -> None:
    image = np.dstack([IMAGE, IMAGE[::-1, :, :1]])
    prompt_ = Prompt(id="nir", phrase="near infrared", index=Index(expression="NIR", low=0, high=255), threshold=0.5)
    view = View(channel_axis=-1, channels=(0, 1, 2), bands=("red", "green", "blue", "nir"))
    result = Pipeline(runtime).run(image, settings.replace(prompts=(prompt_, SKY)), view)
    np.testing.assert_array_equal(result.mask("nir"), image[..., 3] >= 127.5)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_phrase_and_an_index_keep_to_the_rule_of_the_contest(
    exclusive: bool, settings: Settings, runtime: Runtime
) -> None:
    settings = deciding(settings.replace(prompts=(WATER, CAT, DOG, SKY, WALL)), exclusive=exclusive)
    pipeline = Pipeline(runtime)
    words = pipeline.run(IMAGE, settings.replace(prompts=(CAT, DOG, SKY, WALL)), RGB)
    alone = pipeline.run(IMAGE, settings.replace(prompts=(WATER,)), RGB).mask("water")
    both = pipeline.run(IMAGE, settings, RGB)
    assert np.array_equal(both.scores.of("dog"), words.scores.of("dog"))
    if exclusive:
        assert not (both.mask("water") & ~alone).any()
        assert both.mask("water")[words.labels == 0].sum() == alone[words.labels == 0].sum()
        for id_ in ("cat", "dog"):
            assert np.array_equal(both.mask(id_), words.mask(id_) & ~both.mask("water"))
    else:
        assert np.array_equal(both.mask("water"), alone)
        for id_ in ("cat", "dog"):
            assert np.array_equal(both.mask(id_), words.mask(id_))


def test_names_of_bands_cost_no_run_of_the_model(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    pipeline = Pipeline(runtime)
    pipeline.run(IMAGE, settings, RGB)
    calls.clear()
    pipeline.run(IMAGE, settings, RGB.replace(bands=("red", "green", "blue")))
    assert not calls


def test_a_band_that_does_not_exist_is_said(settings: Settings, runtime: Runtime) -> None:
    settings = settings.replace(prompts=(Prompt(phrase="ndvi", index=Index(expression="nir - b1")), SKY))
    with pytest.raises(ValueError, match="there is no band 'nir'; this image has b1, b2, b3"):
        Pipeline(runtime).run(IMAGE, settings, RGB)


def test_words_cannot_be_read_without_a_model(settings: Settings, runtime: Runtime) -> None:
    job = drain(Pipeline(runtime).stages.prepare(Picture(IMAGE, RGB), settings.replace(prompts=(WATER,)), RGB, Edits()))
    with pytest.raises(ValueError, match="there is no phrase among the prompts, so that no model was loaded"):
        _ = job.clip


@pytest.mark.parametrize("change", [{"cross": 0.4}, {"calibrated": True}], ids=lambda change: next(iter(change)))
def test_what_reads_middle_blocks_encodes_anew(
    change: dict[str, Any], settings: Settings, runtime: Runtime, calls: Counter[str], deep: Path
) -> None:
    pipeline, settings = Pipeline(runtime), settings.replace(model=Model(name="", pretrained=str(deep)))
    pipeline.run(IMAGE, settings, RGB)
    calls.clear()
    changed = attention(settings, **change)
    pipeline.run(IMAGE, changed, RGB)
    assert {"encode", "project", "compare"} <= calls.keys()
    assert not {"load", "view", "embed"} & calls.keys()
    calls.clear()
    pipeline.run(IMAGE, changed, RGB)
    assert not calls
    pipeline.run(IMAGE, attention(changed, gain=2), RGB)  # the blocks that it reads were kept
    assert {"project", "compare"} <= calls.keys()
    assert "encode" not in calls


def test_an_earlier_variant_costs_nothing(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    pipeline = Pipeline(runtime)
    for name in ("clearclip", "sclip", "maskclip"):
        pipeline.run(IMAGE, settings.replace(attention=variant(name)), RGB)
    assert calls["windows"] == WINDOWS
    calls.clear()
    for name in ("sclip", "clearclip"):
        pipeline.run(IMAGE, settings.replace(attention=variant(name)), RGB)
    assert not calls


def test_new_contrast_limits_run_everything_but_the_text(
    settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    pipeline = Pipeline(runtime)
    pipeline.run(IMAGE, settings, RGB)
    calls.clear()
    pipeline.run(IMAGE, settings, RGB.replace(limits=((0, 99),) * 3))
    assert set(calls) - {"windows"} == {"view", "encode", "heads", "attend", "project", "compare"} | MASKS
    assert calls["windows"] == WINDOWS


def test_other_pixels_run_everything_but_the_text(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    pipeline, image = Pipeline(runtime), IMAGE.copy()
    pipeline.run(image, settings, RGB)
    calls.clear()
    image[0, 0] += 1  # in place: the content counts, not the object
    pipeline.run(image, settings, RGB)
    assert set(calls) - {"windows"} == {"view", "encode", "heads", "attend", "project", "compare"} | MASKS


@pytest.mark.parametrize("edit", ["paint", "lock"])
def test_work_by_hand_runs_no_stage_of_the_model(
    edit: str, settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    pipeline = Pipeline(runtime)
    before = pipeline.run(IMAGE, settings, RGB)
    calls.clear()
    stroke = np.zeros(IMAGE.shape[:2], bool)
    stroke[3:9, 5:30] = True
    if edit == "paint":
        edits = Edits().paint("dog", (), stroke, True)
    else:
        edits = Edits().lock("dog", (), stroke)
        settings = prompt(settings, "dog", locked=True)
    after = pipeline.run(IMAGE, settings, RGB, edits)
    assert not calls
    assert after.mask("dog")[stroke].all()
    assert np.array_equal(after.labels[~stroke] == 1, before.labels[~stroke] == 1)
    if edit == "lock":
        assert np.array_equal(after.mask("dog"), stroke)


STROKE = np.zeros(IMAGE.shape[:2], bool)
STROKE[3:9, 5:12] = True
TAUGHT = Edits().teach("dog", (), STROKE, True).find_similar("cat", (), STROKE[::-1])
LEARNED = {"learn", "liken", "compare"} | MASKS
OTHERS = Learned.of("another model", "ViT", {"dog": np.ones(24, np.float32)})


def learned_elsewhere(settings: Settings) -> Learned:
    """A vector that the settings' model has learned for the dog."""
    return OTHERS.replace(weights=f"{file_hash(Path(settings.model.pretrained))}-gelu")


TAUGHT_TABLE: dict[str, tuple[Callable[[Settings], Settings], Edits, set[str]]] = {
    "nothing": (lambda s: s, TAUGHT, set()),
    "recolours a prompt": (lambda s: prompt(s, "dog", color="#123456"), TAUGHT, set()),
    "moves a threshold": (lambda s: prompt(s, "dog", threshold=0.7), TAUGHT, {"threshold"}),
    "changes the scale": (lambda s: deciding(s, scale=50), TAUGHT, MASKS),
    "paints": (lambda s: s, TAUGHT.paint("cat", (), STROKE, True), set()),
    "draws a corrective stroke": (lambda s: s, TAUGHT.teach("dog", (), STROKE[:, ::-1], False), LEARNED),
    "teaches a prompt that is gone": (lambda s: s, TAUGHT.teach("emu", (), STROKE, True), set()),
    "shows another example": (lambda s: s, TAUGHT.find_similar("cat", (), STROKE), LEARNED),
    "moves the mix": (lambda s: prompt(s, "cat", mix=0.8), TAUGHT, LEARNED),
    "takes what was learned elsewhere": (lambda s: prompt(s, "dog", learned=learned_elsewhere(s)), TAUGHT, LEARNED),
    "takes what another model learned": (lambda s: prompt(s, "dog", learned=OTHERS), TAUGHT, set()),
    "moves a mix without an example": (lambda s: prompt(s, "dog", mix=0.8), TAUGHT, set()),
    "forgets": (lambda s: s, Edits(), {"compare"} | MASKS),
    "switches to SCLIP": (
        lambda s: s.replace(attention=variant("sclip")),
        TAUGHT,
        {"heads", "attend", "project"} | LEARNED,
    ),
}


@pytest.mark.parametrize("change", TAUGHT_TABLE)
def test_what_a_change_runs_where_prompts_were_taught(
    change: str, settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    pipeline = Pipeline(runtime)
    first = pipeline.run(IMAGE, settings, RGB, TAUGHT)
    assert (calls["learn"], calls["liken"]) == (1, 1)
    calls.clear()
    make, edits, stages = TAUGHT_TABLE[change]
    changed = pipeline.run(IMAGE, make(settings), RGB, edits)
    assert set(calls) - {"windows"} == stages
    alone = Pipeline(runtime.replace(cache_folder=f"{runtime.cache_folder}-other"))
    assert np.array_equal(changed.scores.values, alone.run(IMAGE, make(settings), RGB, edits).scores.values)
    calls.clear()
    again = pipeline.run(IMAGE, settings, RGB, TAUGHT)  # back to where we were
    assert not calls
    assert np.array_equal(again.labels, first.labels)


def test_what_is_painted_or_locked_is_split_as_it_is_seen(settings: Settings, runtime: Runtime) -> None:
    pipeline, settings = Pipeline(runtime), splitting(settings, method="components")
    painted, held = np.zeros((2, *IMAGE.shape[:2]), bool)
    painted[3:9, 5:30], held[20:31, 40:50] = True, True
    edits = Edits().paint("dog", (), painted, True).lock("cat", (), held)
    result = pipeline.run(IMAGE, prompt(settings, "cat", locked=True), RGB, edits)
    ids = result.instances
    assert ids is not None
    np.testing.assert_array_equal(ids > 0, result.labels > 0)
    np.testing.assert_array_equal(result.instances_of("cat") > 0, held)
    assert len(np.unique(result.instances_of("cat"))) == 2
    assert len(np.unique(ids[painted])) == 1


def test_instances_of_masks_that_overlap_are_those_of_one_prompt(settings: Settings, runtime: Runtime) -> None:
    wanted = splitting(deciding(settings, exclusive=False), method="components")
    result = Pipeline(runtime).run(IMAGE, wanted, RGB)
    assert result.instances is None
    for id_ in ("cat", "dog"):
        ids = result.instances_of(id_)
        np.testing.assert_array_equal(ids > 0, result.mask(id_))
        best = [result.scores.at(id_, slice(0, 40), slice(0, 60))[ids == one].max() for one in np.unique(ids[ids > 0])]
        peaks = np.unique(ids[ids > 0]) - 1
        np.testing.assert_array_equal(result.scores.at(id_, slice(0, 40), slice(0, 60)).ravel()[peaks], best)


def test_instances_are_split_in_the_units_of_the_image(settings: Settings, runtime: Runtime) -> None:
    pipeline, wanted = Pipeline(runtime), splitting(settings, method="score", neck=1, smooth=0)
    counts = {}
    for distance, scale in ((6.0, ()), (6.0, (0.5, 0.5)), (12.0, ())):
        view = RGB.replace(scale=scale)
        ids = pipeline.run(IMAGE, splitting(wanted, distance=distance), view).instances
        counts[distance, scale] = np.unique(ids).tolist()
    assert counts[6.0, (0.5, 0.5)] == counts[12.0, ()] != counts[6.0, ()]


def test_no_instances_unless_they_are_asked_for(settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert result.instances is None
    with pytest.raises(ValueError, match="splitting.method is none, so there are no instances; choose components"):
        result.instances_of("cat")


def test_vectors_are_kept_on_disk(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    first = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert calls["embed"] == 5  # cat, dog, hound, sky, wall
    calls.clear()
    second = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert calls["embed"] == 0
    assert np.array_equal(first.scores.values, second.scores.values)
    files = list((Path(str(runtime.cache_folder)) / "text").iterdir())
    assert len(files) == 5
    for file in files:
        np.save(file, np.ones(3, np.float32))  # a whole file of another model's width
    calls.clear()
    third = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert calls["embed"] == 5
    assert np.array_equal(first.scores.values, third.scores.values)


def test_without_a_cache_everything_runs_again_with_the_same_result(
    settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    pipeline = Pipeline(runtime.replace(cache_bytes=0, store_bytes=0))
    first = pipeline.run(IMAGE, settings, RGB)
    second = pipeline.run(IMAGE, settings, RGB)
    assert calls["windows"] == 2 * WINDOWS
    assert np.array_equal(first.labels, second.labels)


# ----------------------------------------------------------------------------------------------------------------------
# Prompts


def test_adding_a_prompt_leaves_the_other_scores_bit_identical(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)
    few = pipeline.run(IMAGE, settings.replace(prompts=(CAT, SKY, WALL)), RGB)
    more = pipeline.run(IMAGE, settings.replace(prompts=(HORSE, CAT, DOG, SKY, WALL)), RGB)
    assert np.array_equal(few.scores.of("cat"), more.scores.of("cat"))
    fresh = Pipeline(runtime).run(IMAGE, settings.replace(prompts=(HORSE, CAT, DOG, SKY, WALL)), RGB)
    assert np.array_equal(few.scores.of("cat"), fresh.scores.of("cat"))


def test_a_prompt_with_distractors_is_not_everywhere(settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(IMAGE, settings.replace(prompts=(CAT, SKY, WALL)), RGB)
    assert 0 < result.coverage()["cat"] < 0.9


def test_a_distractor_that_is_asked_for_steps_aside(settings: Settings, runtime: Runtime) -> None:
    sky = Prompt(id="mine", phrase="Sky")
    with_it = Pipeline(runtime).run(IMAGE, settings.replace(prompts=(CAT, sky, SKY, WALL)), RGB)
    without = Pipeline(runtime).run(IMAGE, settings.replace(prompts=(CAT, sky, WALL)), RGB)
    assert np.array_equal(with_it.scores.values, without.scores.values)


def test_nothing_to_look_for(settings: Settings, runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="there is nothing to look for; add at least one prompt"):
        Pipeline(runtime).run(IMAGE, settings.replace(prompts=(SKY,)), RGB)


def test_a_phrase_that_is_too_long_is_refused(settings: Settings, runtime: Runtime) -> None:
    long = Prompt(phrase="dog " * 100)
    with pytest.raises(ValueError, match="the model reads at most 77; use fewer words"):
        Pipeline(runtime).run(IMAGE, settings.replace(prompts=(long,)), RGB)


def test_a_hundred_prompts(settings: Settings, runtime: Runtime) -> None:
    prompts = tuple(Prompt(id=f"p{index}", phrase=f"thing {index}", threshold=0) for index in range(100))
    result = Pipeline(runtime).run(IMAGE, settings.replace(prompts=(*prompts, SKY)), RGB)
    assert result.scores.values.shape[0] == 100
    assert result.labels.max() <= 100
    assert len(np.unique(result.labels)) > 3


def test_unknown_words_are_flagged(settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"vocabulary": ["cat", "dog", "sky", "wall"]}
    monkeypatch.setattr(domains, "recommendations", lambda model: entry)
    wet = DOG.replace(synonyms=("wet dog",))
    result = Pipeline(runtime).run(IMAGE, settings.replace(prompts=(CAT, wet, SKY)), RGB)
    assert result.unknown == {"wet dog": ("wet",)}
    for prompt, phrase in ((HORSE, "horse"), (DOG, "hound")):
        with pytest.raises(ValueError, match=f"this model knows no word of '{phrase}'; it knows 4 words"):
            Pipeline(runtime).run(IMAGE, settings.replace(prompts=(CAT, prompt)), RGB)


# ----------------------------------------------------------------------------------------------------------------------
# Results


def test_the_result_says_how_it_was_made_and_that_makes_it_again(settings: Settings, runtime: Runtime) -> None:
    image = IMAGE.astype(np.uint16) * 7
    geo = Georeference("EPSG:32618", (1, 0, 5, 0, -1, 9))
    result = Pipeline(runtime).run(image, settings, RGB, georeference=geo)
    assert result.georeference is geo
    assert result.settings.tiling == Tiling(short_side=96, window=32, stride=16)
    assert result.settings.comparing == Comparing(templates="single", cell=8)
    assert result.view.channels == (0, 1, 2)
    assert result.view.limits is not None
    stored = Settings.model_validate_json(result.settings.model_dump_json())
    view = View.model_validate_json(result.view.model_dump_json())
    other = runtime.replace(cache_folder=f"{runtime.cache_folder}-other")
    again = Pipeline(other).run(image, stored, view, georeference=geo)
    assert np.array_equal(again.labels, result.labels)
    assert np.array_equal(again.scores.values, result.scores.values)
    assert (again.settings, again.view) == (result.settings, result.view)


def test_shapes_and_ranges(settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert result.labels.shape == IMAGE.shape[:2]
    assert result.labels.dtype == np.uint8
    assert set(np.unique(result.labels)) <= {0, 1, 2}
    assert result.scores.prompts == ("cat", "dog")
    assert result.scores.values.shape == (2, 12, 18)
    assert result.scores.cell == (40 / 12, 60 / 18)
    assert result.scores.values.min() >= 0
    assert result.scores.values.max() <= 1
    assert result.valid is None
    assert result.overlaps is None
    assert result.unknown == {}
    assert result.coverage()["cat"] == pytest.approx((result.labels == 1).mean())
    with pytest.raises(ValueError, match=r"no prompt has the id 'sky'; there are \['cat', 'dog'\]"):
        result.mask("sky")


def test_denoised_prompts_take_no_part(settings: Settings, runtime: Runtime) -> None:
    """What is improbable by the rest of the words is left out, and the result is as if it had not been asked for."""
    pipeline = Pipeline(runtime)
    job = pipeline.run(IMAGE, settings, RGB)
    with_all = pipeline.run(IMAGE, comparing(settings, denoise=0.999), RGB)
    gone = [id_ for id_ in ("cat", "dog") if not with_all.scores.of(id_).any()]
    assert gone
    assert not any(with_all.mask(id_).any() for id_ in gone)
    assert all(job.scores.of(id_).any() for id_ in ("cat", "dog"))
    nothing = pipeline.run(IMAGE, comparing(settings, denoise=1.0), RGB)
    overlapping = pipeline.run(IMAGE, deciding(comparing(settings, denoise=1.0), exclusive=False), RGB)
    for result in (nothing, overlapping):
        assert result.scores.values.shape == job.scores.values.shape
        assert not result.labels.any()


@pytest.mark.parametrize("names", [("cat", "dog", "sky"), ("cat",)], ids=["three", "one"])
def test_with_one_window_surgery_is_by_hand(names: tuple[str, ...], settings: Settings, runtime: Runtime) -> None:
    """Each phrase's share less what all have in common; of one alone, less what an empty phrase has."""
    from napari_clearclip.engine import encoder, windows
    from napari_clearclip.engine.text import embed

    prompts = tuple(Prompt(id=name, phrase=name, threshold=0) for name in names)
    settings = settings.replace(prompts=prompts, tiling=Tiling(short_side=32, window=64, stride=64))
    pipeline = Pipeline(runtime)
    job = drain(pipeline.stages.prepare(Picture(IMAGE, RGB), settings, RGB, Edits()))
    pixels = windows.cut(job.image, job.view, job.frame, job.frame.boxes)
    features = encoder.project(job.clip, encoder.encode(job.clip, encoder.prepare(job.clip, pixels)), Attention())
    texts = embed(job.clip, names, ("{}",))
    patches = features.vectors[0].flatten(0, 1).double()
    shares = torch.softmax(2 * features.cls[0] @ texts.T, 0)
    products = patches[:, None] * texts[None] * (shares / shares.mean())[None, :, None]  # (N, Q, D)
    redundant = products.mean(1, keepdim=True)
    if len(names) == 1:
        redundant = (patches * embed(job.clip, [""], ("{}",)))[:, None]
    expected = (products - redundant).sum(-1).T.reshape(len(names), *features.vectors.shape[1:3])
    settings = comparing(settings, surgery=True, templates=("{}",))
    job = drain(pipeline.stages.prepare(Picture(IMAGE, RGB), settings, RGB, Edits()))
    vectors = drain(pipeline.stages.vectors(job))
    found = drain(pipeline.stages.adjusted(job, vectors, drain(pipeline.stages.cosines(job, vectors))))
    for name, map_ in zip(names, expected, strict=True):
        torch.testing.assert_close(found[name].double(), map_, atol=1e-5, rtol=0)


@pytest.mark.parametrize("denoise", [0.0, 0.7])
def test_with_one_window_smoothing_is_the_papers(denoise: float, settings: Settings, runtime: Runtime) -> None:
    """First denoise, then smooth, by hand from the features of the only window."""
    from napari_clearclip.engine import compare, encoder, windows

    names = ("cat", "dog", "horse", "sky", "wall")
    prompts = tuple(Prompt(id=name, phrase=name, threshold=0) for name in names)
    settings = settings.replace(prompts=prompts, tiling=Tiling(short_side=32, window=64, stride=64))
    settings = comparing(deciding(settings, competitors="all"), smooth=1, denoise=denoise)
    pipeline = Pipeline(runtime)
    result = pipeline.run(IMAGE, settings, RGB)
    job = drain(pipeline.stages.prepare(Picture(IMAGE, RGB), settings, RGB, Edits()))
    vectors = drain(pipeline.stages.vectors(job))
    pixels = windows.cut(job.image, job.view, job.frame, job.frame.boxes)
    trunk = encoder.encode(job.clip, encoder.prepare(job.clip, pixels))
    features = encoder.project(job.clip, trunk, job.settings.attention, keys=True)
    logits = np.stack([compare.compare(features, vectors[name])[0].flatten().numpy() for name in names], axis=1)
    p = np.exp(100 * logits)
    dropped = (p / p.sum(1, keepdims=True)).max(0) < denoise
    assert denoise == 0 or 0 < dropped.sum() < 5
    p = np.where(dropped, 0, p)
    p /= p.sum(1, keepdims=True)
    keys = features.keys[0].flatten(0, 1).numpy()
    keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    scores = np.exp(20 * keys @ keys.T @ p / len(keys)) * ~dropped
    scores = (scores / scores.sum(1, keepdims=True)).T.reshape(5, *job.frame.grid)
    np.testing.assert_allclose(result.scores.values, scores, atol=1e-4)


def test_overlapping_masks(settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(IMAGE, prompt(deciding(settings, exclusive=False), "dog", threshold=0.1), RGB)
    assert result.overlaps is not None
    cat, dog = result.mask("cat"), result.mask("dog")
    assert (cat & dog).any()
    assert np.array_equal(result.labels == 1, cat)
    assert np.array_equal(result.labels == 2, dog & ~cat)


@pytest.mark.parametrize("exclusive", [True, False])
def test_pixels_without_data_stay_empty_through_every_stage(
    exclusive: bool, settings: Settings, runtime: Runtime
) -> None:
    image = IMAGE.astype(np.float32)
    image[:20] = np.nan
    image[30, 40] = np.inf
    settings = deciding(prompt(prompt(settings, "cat", threshold=0), "dog", threshold=0), exclusive=exclusive)
    result = Pipeline(runtime).run(image, settings.replace(prompts=settings.prompts[:2]), RGB)
    assert result.valid is not None
    assert result.valid.sum() == 20 * 60 - 1
    for id_ in ("cat", "dog"):
        assert not result.mask(id_)[~result.valid].any()
    assert np.array_equal(result.labels > 0, result.valid)
    assert not result.scores.values[:, :6].any()
    assert result.scores.values[:, 6:].all()
    assert result.coverage()["cat"] == pytest.approx(result.mask("cat").sum() / (20 * 60 - 1))


def test_an_image_without_any_data(settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(np.full((30, 30), np.nan), settings)
    assert not result.labels.any()
    assert result.coverage()["cat"] == 0


@pytest.mark.parametrize(
    ("image", "view"),
    [
        pytest.param(np.zeros((1, 1), np.uint8), View(), id="one pixel"),
        pytest.param(np.zeros((1, 500), bool), View(), id="a line"),
        pytest.param(np.zeros((500, 2), np.float64), View(), id="a column"),
        pytest.param(IMAGE.transpose(2, 0, 1).astype(np.uint16), View(channel_axis=0), id="channels first"),
        pytest.param(np.stack([IMAGE[..., 0]] * 3), View(plane=(2,)), id="a stack"),
        pytest.param(np.dstack([IMAGE] * 2), View(channel_axis=2, channels=(5, 3)), id="two of six channels"),
    ],
)
def test_any_image(image: Any, view: View, settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(image, settings, view)
    axis = view.channel_axis
    plane = image[view.plane].shape
    assert result.labels.shape == tuple(side for i, side in enumerate(plane) if axis is None or i != axis % 3)
    assert np.isfinite(result.scores.values).all()


def test_a_plane_of_a_stack_is_the_plane_alone(settings: Settings, runtime: Runtime) -> None:
    stack = np.stack([IMAGE[..., 0], IMAGE[..., 1]])
    pipeline = Pipeline(runtime)
    one = pipeline.run(stack, settings, View(plane=(1,)))
    two = pipeline.run(stack[1], settings, View())
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.scores.values, pipeline.run(stack, settings, View(plane=(0,))).scores.values)


def test_cells_of_one_pixel_are_of_the_resized_image(settings: Settings, runtime: Runtime) -> None:
    fine = settings.replace(comparing=settings.comparing.replace(cell=1))
    assert Pipeline(runtime).run(IMAGE, fine, RGB).scores.values.shape == (2, 96, 144)


def test_a_window_alone_keeps_a_stride_that_fits(settings: Settings, runtime: Runtime) -> None:
    result = Pipeline(runtime).run(IMAGE, settings.replace(tiling=Tiling(short_side=32, window=8)), RGB)
    assert result.settings.tiling == Tiling(short_side=32, window=8, stride=8)


def test_half_the_storage_is_nearly_the_same(settings: Settings, runtime: Runtime) -> None:
    whole = Pipeline(runtime).run(IMAGE, settings, RGB)
    half = Pipeline(runtime.replace(storage="float16")).run(IMAGE, settings, RGB)
    assert not np.array_equal(whole.scores.values, half.scores.values)
    np.testing.assert_allclose(half.scores.values, whole.scores.values, atol=0.02)


# ----------------------------------------------------------------------------------------------------------------------
# Steps, cancelling, memory


def test_steps_say_what_is_done(settings: Settings, runtime: Runtime) -> None:
    seen = list(Pipeline(runtime.replace(batch_size=16)).steps(IMAGE, settings, RGB))
    assert {"Looking at the image", "Loading the model", "Reading the prompts", "Reading windows", "Making masks"} == {
        state.stage for state in seen
    }
    windows = [state.done for state in seen if state.stage == "Reading windows"]
    assert windows == sorted(windows)
    assert set(windows) == {0, 16, 32, 40}
    assert {state.total for state in seen if state.stage == "Reading windows"} == {WINDOWS}


def test_run_reports_and_what_the_report_raises_stops_it(settings: Settings, runtime: Runtime) -> None:
    seen: list[tuple[int, int]] = []
    Pipeline(runtime).run(IMAGE, settings, RGB, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (0, 0) or seen[-1][0] <= seen[-1][1]
    assert (WINDOWS, WINDOWS) in seen

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pipeline(runtime).run(IMAGE, settings, RGB, progress=stop)


@pytest.mark.parametrize("finished", [8, 24])
def test_cancelling_keeps_finished_windows(
    finished: int, settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    expected = Pipeline(runtime.replace(batch_size=8)).run(IMAGE, settings, RGB)
    pipeline = Pipeline(runtime.replace(batch_size=8))
    steps = pipeline.steps(IMAGE, settings, RGB)
    while next(steps) != Progress("Reading windows", finished, WINDOWS, "windows"):
        pass
    steps.close()
    calls.clear()
    result = pipeline.run(IMAGE, settings, RGB)
    assert calls["windows"] == WINDOWS - finished
    assert np.array_equal(result.labels, expected.labels)
    assert np.array_equal(result.scores.values, expected.scores.values)


def test_a_run_can_be_cancelled_within_a_batch(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    """Between two blocks of one batch: there are more steps than batches."""
    steps = Pipeline(runtime.replace(batch_size=WINDOWS)).steps(IMAGE, settings, RGB)
    states = [state for state in steps if state.stage == "Reading windows"]
    assert len(states) > 3


def test_cancelling_while_the_model_is_read(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)
    steps = pipeline.steps(IMAGE, settings, RGB)
    while next(steps).stage != "Loading the model":
        pass
    steps.close()
    assert pipeline.run(IMAGE, settings, RGB).labels.shape == (40, 60)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_too_little_memory_halves_the_batch_and_goes_on(
    error: type[BaseException],
    settings: Settings,
    runtime: Runtime,
    calls: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = Pipeline(runtime).run(IMAGE, settings, RGB)
    encoder = import_module("napari_clearclip.engine.encoder")
    encode, sizes = encoder.encode_steps, []

    def small(clip: Any, images: torch.Tensor, *args: Any) -> Any:
        sizes.append(len(images))
        if len(images) > 3:
            raise error("out of memory")
        return encode(clip, images, *args)

    monkeypatch.setattr(encoder, "encode_steps", small)
    result = Pipeline(runtime.replace(batch_size=16)).run(IMAGE, settings, RGB)
    np.testing.assert_allclose(result.scores.values, expected.scores.values, atol=1e-4)
    assert sizes[:4] == [16, 8, 4, 2]
    assert sum(size for size in sizes if size <= 3) == WINDOWS


def test_one_window_that_does_not_fit_is_an_error(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("napari_clearclip.engine.encoder.encode_steps", never)
    pipeline = Pipeline(runtime)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        pipeline.run(IMAGE, settings, RGB)
    monkeypatch.undo()
    assert pipeline.run(IMAGE, settings, RGB).labels.shape == (40, 60)  # usable again at once


def test_held_memory_is_counted(settings: Settings, runtime: Runtime, tiny: Path) -> None:
    pipeline = Pipeline(runtime)
    assert pipeline.held == 0
    pipeline.run(IMAGE, settings, RGB)
    assert pipeline.held == pipeline._loader.held + pipeline._cache.used + pipeline._known.used
    assert min(pipeline._loader.held, pipeline._cache.used) > 0
    pipeline.release()
    assert pipeline.held == 0


def test_a_run_takes_so_many_threads(settings: Settings, runtime: Runtime) -> None:
    usual = torch.get_num_threads()
    pipeline = Pipeline(runtime.replace(threads=usual + 2))
    pipeline.run(IMAGE, settings, RGB)
    assert torch.get_num_threads() == usual + 2
    pipeline.runtime = runtime
    pipeline.run(IMAGE, settings, RGB)
    assert torch.get_num_threads() == usual


def test_release_forgets_model_and_results(settings: Settings, runtime: Runtime, calls: Counter[str]) -> None:
    pipeline = Pipeline(runtime)
    pipeline.run(IMAGE, settings, RGB)
    pipeline.release()
    calls.clear()
    pipeline.run(IMAGE, settings, RGB)
    assert (calls["load"], calls["windows"], calls["embed"]) == (1, WINDOWS, 0)


def test_a_model_that_cannot_be_loaded_leaves_the_pipeline_usable(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)
    with pytest.raises(ModelError, match="does not exist; check the path"):
        pipeline.run(IMAGE, settings.replace(model=Model(name="", pretrained="nowhere.safetensors")), RGB)
    assert pipeline.run(IMAGE, settings, RGB).labels.shape == (40, 60)


def test_a_device_that_cannot_be_used_is_said(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime.replace(device="cuda:99"))
    with pytest.raises(ValueError, match="device 'cuda:99'"):
        pipeline.run(IMAGE, settings, RGB)


def test_the_device_and_why(runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)
    assert (pipeline.device, pipeline.device_reason) == ("cpu", "The CPU was chosen.")


def test_the_users_cache_folder_is_the_default() -> None:
    assert cache_folder(Runtime()).name == "napari-clearclip"
    assert cache_folder(Runtime(cache_folder="here")) == Path("here")


def test_a_model_with_too_few_blocks_for_the_variant(settings: Settings, runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="blocks"):
        Pipeline(runtime).run(IMAGE, settings.replace(attention=Attention(blocks=6)), RGB)


def test_coordinates_need_settings_that_are_filled_in() -> None:
    with pytest.raises(ValueError, match="tiling and cell must be filled in"):
        frame_of((10, 10), Settings(), 8)


def test_images_are_known_by_content() -> None:
    stack = np.zeros((2, 3, 4))
    assert image_key(stack, View(plane=(0,))) == image_key(stack.copy(), View(plane=(1,)))
    assert image_key(stack, View(plane=(0,))) == key_of(stack[0])


def test_an_image_whose_content_is_known_is_not_read_again(settings: Settings, runtime: Runtime) -> None:
    pipeline, read = Pipeline(runtime), []
    first = drain(pipeline.steps(lambda: read.append(1) or IMAGE, settings, RGB))
    assert (len(read), first.content) == (1, image_key(IMAGE, RGB))
    for changed in (prompt(settings, "cat", threshold=0.7), settings.replace(prompts=(*settings.prompts, HORSE))):
        again = drain(pipeline.steps(lambda: read.append(1) or IMAGE, changed, RGB, known=first.content))
        np.testing.assert_array_equal(again.labels, Pipeline(runtime).run(IMAGE, changed, RGB).labels)
        assert (len(read), again.content) == (1, first.content)


def test_an_image_that_was_written_to_is_noticed_once_pixels_are_read(settings: Settings, runtime: Runtime) -> None:
    pipeline, image = Pipeline(runtime), IMAGE.copy()
    known = pipeline.run(image, settings, RGB).content
    image[:, :30] = 255
    moved = prompt(settings, "cat", threshold=0.7)
    kept = drain(pipeline.steps(image, moved, RGB, known=known))  # of what was read
    np.testing.assert_array_equal(kept.labels, Pipeline(runtime).run(IMAGE, moved, RGB).labels)
    deeper = attention(moved, blocks=2)  # encodes anew
    found, expected = drain(pipeline.steps(image, deeper, RGB, known=known)), Pipeline(runtime)
    np.testing.assert_array_equal(found.scores.values, expected.run(image, deeper, RGB).scores.values)
    assert found.content == image_key(image, RGB) != known
    run = pipeline.run(image, moved, RGB)
    np.testing.assert_array_equal(run.scores.values, expected.run(image, moved, RGB).scores.values)
    assert not np.array_equal(run.scores.values, kept.scores.values)


def test_a_lazy_image_gives_the_same_result(settings: Settings, runtime: Runtime) -> None:
    array = pytest.importorskip("dask.array", reason="dask is not installed")
    lazy = array.from_array(IMAGE, chunks=(16, 16, 3))
    expected = Pipeline(runtime).run(IMAGE, settings, RGB)
    result = Pipeline(runtime).run(lazy, settings, RGB)
    assert np.array_equal(result.scores.values, expected.scores.values)


# ----------------------------------------------------------------------------------------------------------------------
# Outlines


@pytest.mark.parametrize("method", ["slic", "felzenszwalb", "watershed"])
@pytest.mark.parametrize("exclusive", [True, False])
def test_outlines_stay_where_there_are_no_data_and_where_an_index_is(
    method: str, exclusive: bool, settings: Settings, runtime: Runtime
) -> None:
    image = IMAGE.copy()
    image[10:20, 15:40] = 0
    bright = Prompt(id="bright", phrase="bright", threshold=0.6, index=Index(expression="b1", low=0, high=255))
    settings = deciding(settings.replace(prompts=(CAT, bright, DOG, SKY, WALL)), exclusive=exclusive)
    pipeline, view = Pipeline(runtime), RGB.replace(nodata=0)
    before = pipeline.run(image, settings, view)
    after = pipeline.run(image, settings.replace(cleaning=Cleaning(edges=method, certainty=0.3)), view)
    assert not np.array_equal(after.mask("cat"), before.mask("cat"))
    assert np.array_equal(after.mask("bright"), before.mask("bright"))
    assert before.mask("bright").any()
    assert after.valid is not None
    for id_ in ("cat", "dog", "bright"):
        assert not after.mask(id_)[~after.valid].any()


def test_a_least_area_does_not_smooth_anew(
    settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, smoothed = import_module("napari_clearclip.engine.clean"), []
    smooth = clean.smooth_labels

    def counted(labels: Any, deviation: float, *args: Any) -> Any:
        smoothed.append(deviation)
        return smooth(labels, deviation, *args)

    monkeypatch.setattr(clean, "smooth_labels", counted)
    pipeline = Pipeline(runtime)
    for smallest in (5, 9):
        result = pipeline.run(IMAGE, cleaning(settings, smooth=1.5, smallest=smallest), RGB)
    assert smoothed == [1.5]
    smooth_first = pipeline.run(IMAGE, cleaning(settings, smooth=1.5), RGB)
    assert not np.array_equal(result.labels, smooth_first.labels)


def test_superpixels_are_kept_when_a_threshold_moves_and_dropped_with_the_look(
    settings: Settings, runtime: Runtime, calls: Counter[str]
) -> None:
    settings, pipeline = cleaning(settings, edges="slic"), Pipeline(runtime)
    pipeline.run(IMAGE, settings, RGB)
    pipeline.run(IMAGE, prompt(settings, "cat", threshold=0.1), RGB)
    pipeline.run(IMAGE, deciding(settings, exclusive=False), RGB)
    assert calls["segment"] == 1
    pipeline.run(IMAGE, settings, RGB.replace(gamma=2))
    assert calls["segment"] == 2
