"""Phrases to vectors: cut context, template means, small vocabularies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from napari_clearclip.engine.model import Clip, load
from napari_clearclip.engine.text import CompactVocabulary, Tokenizer, embed, embed_steps, sentences
from napari_clearclip.settings import Model
from napari_clearclip.steps import drain

PHRASES = ["a", "solar panel", "été", "Zellkern · Φ", "日本語", "road 66, wet", "🚲 " * 5, "very " * 40 + "long"]


@pytest.mark.parametrize("architecture", ["patch8", "patch16", "patch14"])
def test_cut_context_is_the_full_context(architecture: str, clips: dict[str, Any]) -> None:
    clip, model, _ = clips[architecture]
    with torch.inference_mode():
        expected = model.encode_text(open_clip.tokenize(PHRASES), normalize=True)
    actual = embed(clip, PHRASES, ("{}",))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
    assert (expected[0] - expected[1]).abs().max() > 1e-2


def test_a_template_mean_is_normalised_before_and_after(clips: dict[str, Any]) -> None:
    clip, model, _ = clips["patch8"]
    templates = ("a photo of a {}.", "{}", "many {} in the wide green field")
    with torch.inference_mode():
        raw = model.encode_text(open_clip.tokenize([template.replace("{}", "cat") for template in templates]))
    mean = (raw / raw.norm(dim=1, keepdim=True)).mean(dim=0)
    expected = mean / mean.norm()
    careless = raw.mean(dim=0) / raw.mean(dim=0).norm()
    actual = embed(clip, ["cat"], templates)[0]
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)
    assert (actual - careless).abs().max() > 1e-5


def test_many_templates_are_read_in_parts_with_the_same_result(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    templates = sentences("imagenet")
    alone = torch.stack([embed(clip, ["dog"], (template,))[0] for template in templates]).mean(dim=0)
    steps = embed_steps(clip, "dog", templates)
    assert sum(1 for _ in steps) > 1  # it yields in between
    torch.testing.assert_close(embed(clip, ["dog"], templates)[0], alone / alone.norm(), atol=1e-5, rtol=0)
    torch.testing.assert_close(drain(embed_steps(clip, "dog", templates)), alone / alone.norm(), atol=1e-5, rtol=0)


def test_what_sentences_begin_with_alike_is_read_once(clips: dict[str, Any]) -> None:
    clip, read = clips["patch8"][0], []
    hook = clip.model.transformer.register_forward_pre_hook(lambda _, given: read.append(given[0].shape[:2]))
    embed(clip, ["cat"], ["a photo of a {}.", "a {}.", "a photo of the {}."])
    hook.remove()
    shared, own = ("start", "a", "photo", "of", "a", "the"), ("cat", ".", "end")
    assert read == [(1, len(shared) + 3 * len(own))]


def test_a_phrase_does_not_depend_on_its_neighbours(clips: dict[str, Any]) -> None:
    clip = clips["patch16"][0]
    together = embed(clip, ["cat", "a much longer phrase"], "single")
    assert torch.equal(together[0], embed(clip, ["cat"], "single")[0])


def test_the_imagenet_templates_are_the_eighty() -> None:
    templates = sentences("imagenet")
    assert len(templates) == 80
    assert templates[0] == "a bad photo of a {}."
    assert [template.replace("{}", "x") for template in templates] == [
        template("x") for template in open_clip.OPENAI_IMAGENET_TEMPLATES
    ]


@pytest.mark.parametrize(("name", "word"), [("single", "photo"), ("microscopy", "micro"), ("aerial", "aerial")])
def test_named_template_sets(name: str, word: str) -> None:
    templates = sentences(name)
    assert all(template.count("{}") == 1 for template in templates)
    assert any(word in template for template in templates)
    if name == "single":
        assert templates == ("a photo of a {}.",)


def test_own_sentences_are_taken_as_they_are() -> None:
    assert sentences(["one {}", "{} two"]) == ("one {}", "{} two")


def test_braces_in_a_phrase_do_no_harm(clips: dict[str, Any]) -> None:
    assert embed(clips["patch8"][0], ["{0} {} {name}"], ("a {}.",)).isfinite().all()


# ----------------------------------------------------------------------------------------------------------------------
# Tokens


def test_tokens_are_those_of_open_clip() -> None:
    tokenizer = Tokenizer(77)
    for phrase in PHRASES:
        expected = open_clip.tokenize(phrase)[0].tolist()
        tokens = tokenizer.tokens(phrase)
        assert tokens == expected[: len(tokens)]
        assert not any(expected[len(tokens) :])


def test_too_many_tokens_are_refused() -> None:
    tokenizer = Tokenizer(77)
    assert len(tokenizer.tokens("dog " * 75)) == 77
    with pytest.raises(ValueError, match="has 78 tokens, the model reads at most 77; use fewer words"):
        tokenizer.tokens("dog " * 76)


def test_a_phrase_that_only_its_template_makes_too_long_is_refused(clips: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the model reads at most 77"):
        embed(clips["patch8"][0], ["dog " * 74], "single")


def test_a_compact_vocabulary_renumbers() -> None:
    compact = CompactVocabulary([320, 1125, 2368])  # "a", "photo", "cat"
    assert compact.rows([2368, 320, 9999, 1125]) == [2, 0, 3, 1]
    assert (compact.unknown, compact.start, compact.end, compact.size) == (3, 4, 5, 6)
    assert Tokenizer(77, compact).tokens("a cat zebra photo") == [4, 0, 2, 3, 1, 5]


# ----------------------------------------------------------------------------------------------------------------------
# A model that kept only part of the token table


@pytest.fixture(scope="module")
def compact_clip(clips: dict[str, Any], architectures: dict[str, Any], save_model: Callable[..., Path]) -> Clip:
    """The first architecture with the rows of "a", "photo", "cat" only; "unknown" has the row of "zebra"."""
    _, _, state = clips["patch8"]
    pairs = open_clip.SimpleTokenizer()
    kept = sorted({token for word in ("a", "photo", "cat") for token in pairs.encode(word)})
    rows = [*kept, pairs.encode("zebra")[0], pairs.sot_token_id, pairs.eot_token_id]
    config = json.loads(json.dumps(architectures["patch8"]))
    config["text_cfg"]["vocab_size"] = len(rows)
    config["clearclip"] = {"token_ids": kept, "vocabulary": ["a", "photo", "cat"]}
    path = save_model("compact", config, {**state, "token_embedding.weight": state["token_embedding.weight"][rows]})
    return load(Model(name="", pretrained=str(path)))


def test_known_words_are_as_with_the_whole_table(compact_clip: Clip, clips: dict[str, Any]) -> None:
    whole = clips["patch8"][0]
    expected = embed(whole, ["a photo", "cat"], ("a {}",))
    torch.testing.assert_close(embed(compact_clip, ["a photo", "cat"], ("a {}",)), expected, atol=1e-6, rtol=0)


def test_unknown_words_share_one_row(compact_clip: Clip, clips: dict[str, Any]) -> None:
    actual = embed(compact_clip, ["zebra cat", "horse cat"], ("{}",))
    assert torch.equal(actual[0], actual[1])
    torch.testing.assert_close(actual[0], embed(clips["patch8"][0], ["zebra cat"], ("{}",))[0], atol=1e-6, rtol=0)


def test_open_clip_pools_the_compact_model_at_the_end_token(compact_clip: Clip) -> None:
    """The end token keeps the highest id, so that open_clip's own arg max finds it."""
    tokens = compact_clip.tokenizer.tokens("a photo cat")
    padded = torch.tensor([tokens + [0] * (77 - len(tokens))])
    with torch.inference_mode():
        expected = compact_clip.model.encode_text(padded, normalize=True)
    torch.testing.assert_close(embed(compact_clip, ["a photo cat"], ("{}",)), expected, atol=1e-6, rtol=0)


def test_a_linear_text_projection(architectures: dict[str, Any], save_model: Callable[..., Path]) -> None:
    """Some open_clip configurations project with a layer and a bias instead of a matrix."""
    config = {**architectures["patch8"], "text_cfg": {**architectures["patch8"]["text_cfg"], "proj_bias": True}}
    vision, text = open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**config["text_cfg"])
    model = open_clip.model.CLIP(config["embed_dim"], vision, text).eval()
    clip = load(Model(name="", pretrained=str(save_model("linear", config, model.state_dict()))))
    with torch.inference_mode():
        expected = model.encode_text(open_clip.tokenize(PHRASES), normalize=True)
    assert isinstance(model.text_projection, torch.nn.Linear)
    torch.testing.assert_close(embed(clip, PHRASES, ("{}",)), expected, atol=1e-5, rtol=0)
