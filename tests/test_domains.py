from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_clearclip import domains
from napari_clearclip.settings import Model, Prompt


@pytest.fixture
def small(tmp_path: Path) -> Model:
    """A local model that knows four words."""
    entry = {"vocabulary": ["a", "image", "red", "circle"], "templates": ["an image of a {}"], "distractors": ["sand"]}
    (tmp_path / "small.json").write_text(json.dumps({"clearclip": entry}))
    return Model(name="", pretrained=str(tmp_path / "small.safetensors"))


def test_a_published_model_knows_every_word() -> None:
    model = Model(name="ViT-B-16", pretrained="openai")
    assert domains.unknown_words(model, "a zebra") == ()
    domains.check_phrases(model, ["zebra"])
    assert domains.vocabulary(model) == ()


def test_unknown_words_are_named_and_fillers_are_not(small: Model) -> None:
    assert domains.unknown_words(small, "a Red zebra in the image") == ("zebra",)
    assert domains.vocabulary(small) == ("red", "circle")


def test_unknown_words_of_prompts_are_told_by_phrase(small: Model) -> None:
    prompts = [Prompt.parse("red, red zebra"), Prompt(phrase="blue lion")]
    assert domains.unknown_in(prompts, small) == {"red zebra": ("zebra",), "blue lion": ("blue", "lion")}
    assert domains.unknown_in(prompts, Model(name="ViT-B-16", pretrained="openai")) == {}


def test_a_phrase_with_one_known_word_passes_and_one_without_is_refused(small: Model) -> None:
    domains.check_phrases(small, ["red zebra"])
    with pytest.raises(ValueError, match=r"knows no word of 'a zebra'; it knows 2 words, such as red, circle"):
        domains.check_phrases(small, ["red circle", "a zebra"])


def test_an_edited_configuration_is_read_again(small: Model) -> None:
    assert domains.distractors_for(small) == ("sand",)
    path = Path(small.pretrained).with_suffix(".json")
    path.write_text(json.dumps({"clearclip": {"distractors": ["gravel"]}}))
    assert domains.distractors_for(small) == ("gravel",)


@pytest.mark.parametrize("content", ["[1]", "{", '{"clearclip": 3}'], ids=["list", "cut off", "number"])
def test_a_configuration_without_recommendations_recommends_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text(content)
    assert domains.recommendations(Model(name="", pretrained=str(tmp_path / "odd.safetensors"))) == {}


@pytest.mark.parametrize(
    ("model", "world"),
    [
        (Model(name="ViT-B-16", pretrained="openai"), "photograph"),
        (Model(name="ViT-B-32", pretrained="RemoteCLIP-ViT-B-32.pt"), "aerial"),
        (Model(name="hf-hub:microsoft/BiomedCLIP"), "microscopy"),
    ],
    ids=str,
)
def test_distractors_suit_the_world_that_the_name_tells(model: Model, world: str) -> None:
    assert domains.world_of(model) == world
    phrases = domains.distractors_for(model)
    assert "background" in phrases
    prompts = domains.as_prompts(phrases)
    assert [prompt.phrase for prompt in prompts] == list(phrases)
    assert {prompt.kind for prompt in prompts} == {"distractor"}
    assert prompts == domains.as_prompts(phrases)


def test_every_template_has_one_place_for_the_phrase() -> None:
    for world in ("photograph", "aerial", "microscopy"):
        assert all(template.count("{}") == 1 for template in domains.templates(world))
