"""Settings: every value survives JSON, and what is not allowed is said."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_clearclip.settings import (
    COLORS,
    MOST_PROMPTS,
    Attention,
    Comparing,
    Deciding,
    Index,
    Model,
    Prompt,
    Runtime,
    Settings,
    Tiling,
    clean_phrase,
)

texts = st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip()) and bool(clean_phrase(text)))
positive = st.floats(0.01, 100)
share = st.floats(0, 1)

models = st.builds(
    Model, name=texts, pretrained=st.text(max_size=20), precision=st.sampled_from(["float32", "float16", "bfloat16"])
)
attentions = st.builds(
    Attention,
    terms=st.lists(st.sampled_from(["qk", "qq", "kk", "vv", "identity", "uu", "random"]), min_size=1, max_size=4).map(
        tuple
    ),
    gain=positive,
    temperature=positive,
    residual=st.floats(0, 100),
    ffn=st.floats(0, 100),
    alpha=st.floats(0, 1000),
    blocks=st.integers(1, 6),
    bias=st.floats(0, 100),
    origin=st.sampled_from(["last", "first"]),
    own_class=st.booleans(),
    unit=st.just(True),
    iterations=st.integers(0, 10),
    cross=st.floats(0, 1),
    debias=st.floats(0, 1),
    projections=st.integers(1, 64),
    seed=st.integers(0, 2**31 - 1),
)
tilings = st.builds(
    Tiling,
    short_side=st.none() | st.just("native") | st.integers(8, 65536),
    window=st.none() | st.integers(100, 4096),
    stride=st.none() | st.integers(4, 100),
    positions=st.sampled_from(["dino_scale", "size", "size_antialias", "bilinear"]),
)
prompts = st.builds(
    Prompt,
    phrase=texts,
    synonyms=st.lists(texts, max_size=3).map(tuple),
    kind=st.sampled_from(["object", "distractor"]),
    threshold=share,
    color=st.sampled_from(COLORS),
    visible=st.booleans(),
    locked=st.booleans(),
    muted=st.booleans(),
)
indices = st.builds(
    Index,
    expression=st.sampled_from(["(nir - red) / (nir + red)", "b1", "log(b2 + 1) ** 2"]),
    low=st.none() | st.floats(-100, -1),
    high=st.none() | st.floats(0, 100),
    otsu=st.booleans(),
)
measured = st.builds(Prompt, phrase=texts, threshold=share, locked=st.booleans(), index=indices)
comparings = st.builds(
    Comparing,
    templates=st.none() | st.sampled_from(["imagenet", "single", "microscopy", "aerial"]) | st.just(("a {}", "{} b")),
    cell=st.none() | st.integers(1, 256),
)
decidings = st.builds(
    Deciding,
    score=st.sampled_from(["softmax", "sigmoid"]),
    competitors=st.sampled_from(["distractors", "all"]),
    scale=positive,
    exclusive=st.booleans(),
    lead=share,
    area=st.floats(0, 0.99),
)


def _distinct(found: list[Prompt]) -> tuple[Prompt, ...]:
    """The prompts of which no phrase was seen before."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for prompt in found:
        keys = {(prompt.kind, phrase.casefold()) for phrase in prompt.phrases}
        if seen.isdisjoint(keys) and len(keys) == len(prompt.phrases):
            seen |= keys
            kept.append(prompt)
    return tuple(kept)


everything = st.builds(
    Settings,
    model=models,
    attention=attentions,
    tiling=tilings,
    prompts=st.lists(prompts | measured, max_size=5).map(_distinct),
    comparing=comparings,
    deciding=decidings,
)


@run(deadline=None, max_examples=60)
@given(everything)
def test_settings_survive_json(settings: Settings) -> None:
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert Settings.model_validate(json.loads(json.dumps(settings.model_dump(mode="json")))) == settings


def test_equal_settings_are_equal_keys() -> None:
    one, other = Settings(prompts=(Prompt(id="a", phrase="x"),)), Settings(prompts=(Prompt(id="a", phrase="x"),))
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)


# ----------------------------------------------------------------------------------------------------------------------
# What is refused


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Settings, {"prompt": ()}, "prompt\n.*Extra inputs are not permitted"),
        (Settings, {"attention": {"name": "clearclip"}}, "attention.name\n.*Extra inputs are not permitted"),
        (Attention, {"terms": ()}, "at least 1 item"),
        (Attention, {"terms": ("qx",)}, "'qk', 'qq', 'kk', 'vv', 'identity', 'uu' or 'random'"),
        (Attention, {"gain": 0}, "greater than 0"),
        (Attention, {"temperature": 0}, "greater than 0"),
        (Attention, {"residual": -1}, "greater than or equal to 0"),
        (Attention, {"alpha": float("nan")}, "finite number"),
        (Attention, {"ffn": float("inf")}, "finite number"),
        (Attention, {"blocks": 0}, "greater than or equal to 1"),
        (Attention, {"iterations": 1}, "only unit vectors attend to their like; set unit"),
        (Attention, {"blocks": 7}, "less than or equal to 6"),
        (Attention, {"bias": 101}, "less than or equal to 100"),
        (Tiling, {"short_side": 7}, "short_side is 7; it must be from 8 to 65536 pixels, or native"),
        (Tiling, {"short_side": 65537}, "short_side is 65537"),
        (Tiling, {"short_side": "big"}, "native"),
        (Tiling, {"window": 7}, "greater than or equal to 8"),
        (Tiling, {"stride": 3}, "greater than or equal to 4"),
        (Tiling, {"window": 64, "stride": 65}, "stride 65 is larger than the window of 64: pixels between windows"),
        (Prompt, {"phrase": " \t\n"}, "a phrase is empty; write what to look for"),
        (Prompt, {"phrase": "x" * 501}, "at most 500 characters"),
        (Prompt, {"phrase": "x", "threshold": 1.1}, "less than or equal to 1"),
        (Prompt, {"phrase": "x", "color": "red"}, "should match pattern"),
        (Prompt, {"phrase": "x", "kind": "thing"}, "'object' or 'distractor'"),
        (Prompt, {"phrase": "x", "id": ""}, "at least 1 character"),
        (Comparing, {"templates": "photos"}, "'imagenet', 'single', 'microscopy' or 'aerial'"),
        (Comparing, {"templates": ()}, "templates is an empty list; give at least one sentence with {} in it"),
        (Comparing, {"templates": ("a photo",)}, r"template 'a photo' needs exactly one \{\} where the phrase goes"),
        (Comparing, {"templates": ("{} and {}",)}, r"needs exactly one \{\}"),
        (Comparing, {"cell": 0}, "greater than or equal to 1"),
        (Deciding, {"scale": 0}, "greater than 0"),
        (Deciding, {"area": 1}, "less than 1"),
        (Deciding, {"competitors": "none"}, "'distractors' or 'all'"),
        (Model, {"name": ""}, "model needs a name or a weights file in `pretrained`"),
        (Runtime, {"device": "gpu"}, "should match pattern"),
        (Runtime, {"batch_size": 0}, "greater than or equal to 1"),
        (Runtime, {"storage": "int8"}, "'float32' or 'float16'"),
    ],
)
def test_what_is_not_allowed_is_said(kind: type[Any], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**fields)


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().model = Model()  # type: ignore[misc]


def test_replace_validates() -> None:
    prompt = Prompt(phrase="cat")
    changed = prompt.replace(threshold=0.7, phrase=" two  words ")
    assert (changed.id, changed.threshold, changed.phrase) == (prompt.id, 0.7, "two words")
    assert prompt.threshold != 0.7
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        prompt.replace(threshold=2)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        prompt.replace(treshold=0.5)


def test_every_field_has_a_help_text() -> None:
    for kind in (Model, Attention, Tiling, Prompt, Comparing, Deciding, Runtime):
        assert all(field.description for field in kind.model_fields.values()), kind


# ----------------------------------------------------------------------------------------------------------------------
# Prompts


def test_phrases_are_composed_and_their_white_space_single() -> None:
    assert clean_phrase("  solar \n\t panel ") == "solar panel"
    decomposed = unicodedata.normalize("NFD", "été")
    assert decomposed != "été"
    assert Prompt(phrase=decomposed).phrase == "été"


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("tree", ("tree",)),
        ("tree, bush", ("tree", "bush")),
        (" tree ,, bush,tree, ", ("tree", "bush")),
        ("Zellkern, 細胞核", ("Zellkern", "細胞核")),
    ],
)
def test_parsing_synonyms(text: str, phrases: tuple[str, ...]) -> None:
    assert Prompt.parse(text).phrases == phrases


def test_parsing_passes_fields_on() -> None:
    assert Prompt.parse("sky", kind="distractor").kind == "distractor"


@pytest.mark.parametrize("text", ["", " ", ", bush"])
def test_a_text_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="a phrase is empty"):
        Prompt.parse(text)


def test_ids_are_their_own() -> None:
    assert Prompt(phrase="a").id != Prompt(phrase="a").id
    with pytest.raises(ValidationError, match="two prompts have the same id; give each its own"):
        Settings(prompts=(Prompt(id="1", phrase="a"), Prompt(id="1", phrase="b")))


@pytest.mark.parametrize(("one", "other"), [("Tree", "tree"), ("tree, bush", "shrub, BUSH")])
def test_a_phrase_is_asked_for_once(one: str, other: str) -> None:
    with pytest.raises(ValidationError, match=r"the phrase '.*' is given twice; remove one"):
        Settings(prompts=(Prompt.parse(one), Prompt.parse(other)))


def test_as_many_prompts_as_a_byte_tells_apart_and_no_more() -> None:
    objects = tuple(Prompt(phrase=f"thing {index}") for index in range(MOST_PROMPTS))
    distractors = (Prompt(phrase="sky", kind="distractor"),)
    assert len(Settings(prompts=(*objects, *distractors)).objects) == MOST_PROMPTS
    with pytest.raises(ValidationError, match="251 prompts; at most 250 can be compared at once"):
        Settings(prompts=(*objects, Prompt(phrase="one more")))


def test_distractors_step_aside() -> None:
    settings = Settings(
        prompts=(
            Prompt.parse("tree, bush"),
            Prompt(phrase="Bush", kind="distractor"),
            Prompt(phrase="sky", kind="distractor"),
            Prompt(phrase="wall", kind="distractor", muted=True),
        )
    )
    assert [prompt.phrase for prompt in settings.objects] == ["tree"]
    assert [prompt.phrase for prompt in settings.distractors] == ["sky"]


# ----------------------------------------------------------------------------------------------------------------------
# Models


@pytest.mark.parametrize(
    ("text", "name", "pretrained"),
    [
        ("demo", "demo", ""),
        ("ViT-B-16/openai", "ViT-B-16", "openai"),
        (" ViT-B-16-quickgelu/metaclip_400m ", "ViT-B-16-quickgelu", "metaclip_400m"),
        ("hf-hub:laion/CLIP-ViT-B-16", "hf-hub:laion/CLIP-ViT-B-16", ""),
        ("weights.safetensors", "", "weights.safetensors"),
        ("/data/models/weights.PT", "", "/data/models/weights.PT"),
        ("models/tiny.json", "", "models/tiny.json"),
        ("ViT-B-32/RemoteCLIP.pt", "ViT-B-32", "RemoteCLIP.pt"),
        ("ViT-B-32//data/RemoteCLIP.pt", "ViT-B-32", "/data/RemoteCLIP.pt"),
        ("ViT-B-16", "ViT-B-16", ""),
    ],
)
def test_parsing_models(text: str, name: str, pretrained: str) -> None:
    assert Model.parse(text) == Model(name=name, pretrained=pretrained)


@pytest.mark.parametrize("text", ["demo", "ViT-B-16/openai", "hf-hub:a/b", "ViT-B-32/w.pt", "a/w.safetensors"])
def test_a_models_text_is_parsed_back(text: str) -> None:
    assert str(Model.parse(text)) == text


def test_an_empty_model_is_refused() -> None:
    with pytest.raises(ValueError, match="model is empty; give demo, ARCHITECTURE/TAG"):
        Model.parse(" ")


# ----------------------------------------------------------------------------------------------------------------------
# Indices


def test_an_index_has_a_name_and_no_words() -> None:
    ndvi = Prompt(phrase="NDVI", index=Index(expression=" (nir -  red)/(nir + red) "))
    assert ndvi.index is not None
    assert ndvi.index.expression == "(nir - red)/(nir + red)"
    assert (ndvi.phrases, ndvi.words) == (("NDVI",), ())
    settings = Settings(prompts=(ndvi, Prompt(phrase="tree"), Prompt(phrase="ndvi", kind="distractor")))
    assert [prompt.phrase for prompt in settings.objects] == ["NDVI", "tree"]
    assert [prompt.phrase for prompt in settings.worded] == ["tree"]
    assert [prompt.phrase for prompt in settings.distractors] == ["ndvi"]  # it competes with words, and asks for none


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Index(expression="b1.__class__"), "'b1.__class__' is not allowed; use numbers, band names"),
        (lambda: Index(expression=""), "the expression is empty"),
        (lambda: Index(expression="b1" + "+1" * 300), "at most 500 characters"),
        (lambda: Index(expression="b1", low=float("nan")), "finite number"),
        (lambda: Index(expression="b1", low=2, high=2), "low 2 of an index must be below high 2"),
        (lambda: Prompt(phrase="a", kind="distractor", index=Index(expression="b1")), "'a' is an index"),
        (lambda: Prompt(phrase="a", synonyms=("b",), index=Index(expression="b1")), "'a' is an index"),
        (
            lambda: Settings(prompts=(Prompt(phrase="NDVI"), Prompt(phrase="ndvi", index=Index(expression="b1")))),
            "the phrase 'ndvi' is given twice",
        ),
    ],
)
def test_an_index_that_is_not_allowed(make: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(reason)):
        make()


def test_prompts_of_earlier_versions_have_no_index() -> None:
    assert Prompt.model_validate_json('{"id": "1", "phrase": "tree", "threshold": 0.3}').index is None


def test_a_term_alone_keeps_what_its_attention_reads() -> None:
    """And nothing of what is done with it, so that rows which differ only there share it."""
    read = {"temperature": 0.5, "bias": 3, "unit": True, "iterations": 2}
    drawn = {"projections": 3, "seed": 4, "projection": "mine"}
    row = Attention(terms=("qq", "random"), gain=2, residual=1, ffn=1, alpha=3, debias=0.1, **read, **drawn)
    assert row.alone("qq") == Attention(terms=("qq",), **read)
    assert row.alone("random") == Attention(terms=("random",), **read, **drawn)
