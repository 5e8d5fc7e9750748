"""Models whose text tower and tokenizer are not CLIP's own, against open_clip; random weights, no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip import CLIPTextCfg, CLIPVisionCfg
from open_clip.model import CustomTextCLIP

from napari_clearclip.edits import View
from napari_clearclip.engine.catalogue import catalogue
from napari_clearclip.engine.decide import Candidates, score_cells
from napari_clearclip.engine.encoder import embed_images, encode, prepare, project
from napari_clearclip.engine.model import ModelError, load
from napari_clearclip.engine.sizes import sizes_of
from napari_clearclip.engine.sources import check_published
from napari_clearclip.engine.text import embed, embed_tokens
from napari_clearclip.engine.variants import unmet, variant
from napari_clearclip.loading import Fetcher
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Runtime, Settings, Tiling
from napari_clearclip.steps import drain

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "red", "photo", "of", ".")
VISION = {"timm_model_name": "vit_base_patch16_siglip_224", "timm_model_pretrained": False, "timm_pool": "map"}
TEXT = {"context_length": 12, "vocab_size": len(WORDS), "width": 32, "heads": 4, "layers": 2}
SIGLIP_TEXT = {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}}
SIGLIP = {
    "embed_dim": 48,
    "init_logit_bias": -10,
    "vision_cfg": {"image_size": 32, "timm_proj": "none", **VISION},
    "text_cfg": {**TEXT, **SIGLIP_TEXT, "hf_tokenizer_name": "nobody/siglip", "tokenizer_kwargs": {"clean": "lower"}},
}
SIGLIP2 = {**SIGLIP, "text_cfg": {**SIGLIP["text_cfg"], "act_kwargs": {"approximate": "tanh"}}}  # type: ignore[dict-item]
BERT = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "vit_base_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
    },
    "text_cfg": {
        "hf_model_name": "nobody/BiomedBERT",
        "hf_tokenizer_name": "nobody/BiomedBERT",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 12,
    },
}
BERT_CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 12,
    "pad_token_id": 0,
}
KINDS = {"siglip": SIGLIP, "siglip2": SIGLIP2, "biomedclip": BERT}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers of timm's with the parts of the published ones, and few and narrow blocks; nothing asks a hub."""
    import timm

    create = timm.create_model

    def narrow(name: str, *args: Any, **options: Any) -> torch.nn.Module:
        sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4}
        return create(name, *args, **{**options, **sizes})

    monkeypatch.setattr("open_clip.timm_model.timm.create_model", narrow)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def write_tokenizer(folder: Path, kind: str) -> None:
    """A tokenizer of a few words, as files."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra words")
    transformers = pytest.importorskip("transformers", reason="needs the extra words")
    fast = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    start = "" if kind.startswith("siglip") else "[CLS] "
    special = [("[SEP]", 3)] if kind.startswith("siglip") else [("[CLS]", 2), ("[SEP]", 3)]
    fast.post_processor = tokenizers.processors.TemplateProcessing(single=f"{start}$A [SEP]", special_tokens=special)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)


@pytest.fixture
def make(save_model: Callable[..., Path]) -> Callable[[str], tuple[CustomTextCLIP, Path]]:
    """A function that writes a model with random weights, its tokenizer beside it, and gives back open_clip's own."""

    def made(kind: str) -> tuple[CustomTextCLIP, Path]:
        config = json.loads(json.dumps(KINDS[kind]))
        path = save_model(kind, config, {})
        write_tokenizer(path.parent, kind)
        if config["text_cfg"].get("hf_model_name"):
            (path.parent / "config.json").write_text(json.dumps(BERT_CONFIG))
            config["text_cfg"] |= {"hf_model_name": str(path.parent), "hf_model_pretrained": False}
        torch.manual_seed(0)
        vision, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
        bias = None if config.get("init_logit_bias") is None else -1.5
        model = CustomTextCLIP(config["embed_dim"], vision, text, init_logit_scale=2.5, init_logit_bias=bias).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "logit" not in name:
                    value.add_(0.2 * torch.randn_like(value))
        from safetensors.torch import save_file

        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
        return model, path

    return made


@pytest.mark.parametrize("kind", KINDS)
def test_words_and_images_are_embedded_as_open_clip_does(kind: str, make: Callable[..., Any]) -> None:
    model, path = make(kind)
    clip = load(Model(name="", pretrained=str(path)))
    ids = torch.randint(4, len(WORDS), (5, 12), generator=torch.Generator().manual_seed(1))
    ids[1, 6:] = 0
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        texts, seen = model.encode_text(ids, normalize=True), model.encode_image(images, normalize=True)
    torch.testing.assert_close(embed_tokens(clip, ids.tolist()), texts, atol=1e-5, rtol=0)
    torch.testing.assert_close(embed_images(clip, images), seen, atol=1e-5, rtol=0)
    assert (texts[0] - texts[1]).abs().max() > 1e-3
    rows = {"siglip": [4, 7, 5, 3, *[0] * 8], "biomedclip": [2, 4, 7, 5, 3, *[0] * 7]}[kind.removesuffix("2")]
    assert clip.tokenizer.tokens("a red cat") == rows
    with torch.inference_mode():
        expected = model.encode_text(torch.tensor([rows]), normalize=True)
    torch.testing.assert_close(embed(clip, ["a red cat"], ["{}"]), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="the model reads at most 12; use fewer words"):
        clip.tokenizer.tokens("cat " * 12)


def test_words_become_masks(make: Callable[..., Any], tmp_path: Path) -> None:
    _, path = make("siglip")
    settings = Settings(
        model=Model(name="", pretrained=str(path)),
        prompts=(Prompt(phrase="cat", threshold=0), Prompt(phrase="red dog", threshold=0)),
        comparing=Comparing(templates="single"),
        attention=variant("sclip"),
    )
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    pipeline = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path / "cache")))
    assert set(np.unique(pipeline.run(image, settings, View(channel_axis=-1)).labels)) <= {1, 2}
    with pytest.raises(ValueError, match="It needs a class token, and the model has none"):
        pipeline.run(image, settings.replace(attention=variant("segearth")), View(channel_axis=-1))


@pytest.mark.parametrize("kind", ["siglip", "siglip2"])
def test_the_score_of_a_siglip_is_that_of_open_clip(kind: str, make: Callable[..., Any]) -> None:
    model, path = make(kind)
    clip = load(Model(name="", pretrained=str(path)))
    words = ["a red cat", "dog", "photo of dog"]
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        ids = torch.tensor([clip.tokenizer.tokens(word) for word in words])
        expected = torch.sigmoid(model.get_logits(images, ids)[0]).T  # (Q, B)
        cosines = embed(clip, words, ["{}"]) @ embed_images(clip, images).T
    candidates = Candidates(cosines[..., None], (0, 1, 1), 2, sigmoid=clip.sigmoid)
    scores = score_cells(candidates, Deciding(score="sigmoid"))[..., 0]
    torch.testing.assert_close(scores, torch.stack([expected[0], expected[1:].amax(0)]), atol=1e-5, rtol=0)
    assert expected.std() > 0.01


def test_the_scores_of_an_image_are_sigmoids_of_its_cosines(
    make: Callable[..., Any], tiny: Path, tmp_path: Path
) -> None:
    model, path = make("siglip")
    cat, dog = (Prompt(id=word, phrase=word, threshold=0.15) for word in ("cat", "dog"))
    settings = Settings(
        model=Model(name="", pretrained=str(path)),
        prompts=(cat, dog, Prompt(phrase="photo", kind="distractor")),
        comparing=Comparing(templates=("a photo of {}",)),
        tiling=Tiling(short_side=32, window=32, stride=32),
        deciding=Deciding(score="sigmoid", exclusive=False),
    )
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)  # one window
    pipeline, view = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path / "cache"))), View(channel_axis=-1)
    clip = load(settings.model)
    pixels = torch.from_numpy(image)[None] / 255
    vectors = project(clip, encode(clip, prepare(clip, pixels)), settings.attention).vectors[0]  # (4, 4, D)
    cosines = vectors @ embed(clip, ["a photo of cat", "a photo of dog"], ["{}"]).T
    expected = torch.sigmoid(model.logit_scale.exp() * cosines + model.logit_bias).detach().permute(2, 0, 1)
    found = pipeline.run(image, settings, view)
    np.testing.assert_allclose(found.scores.values, expected, atol=1e-5)
    alone = pipeline.run(image, settings.replace(prompts=(cat,)), view)
    np.testing.assert_array_equal(alone.scores.values[0], found.scores.values[0])  # nothing competes with it
    with pytest.raises(ValueError, match=r"deciding\.score is sigmoid, but .* has no logit_bias"):
        pipeline.run(image, settings.replace(model=Model(name="", pretrained=str(tiny))), view)


def test_a_download_brings_the_tokenizer_too(
    hub_server: Any, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = make("siglip")
    model = Model(name="hf-hub:me/mine")
    hub_server.offer("me/mine", "open_clip_config.json", json.dumps(SIGLIP).encode())
    hub_server.offer("me/mine", "open_clip_model.safetensors", path.read_bytes())
    for file in path.parent.glob("*token*"):
        hub_server.offer("nobody/siglip", file.name, file.read_bytes())
    hub_server.go.set()
    assert sizes_of(model) is None
    drain(Fetcher().steps(model))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    clip = load(model)
    assert clip.tokenizer.tokens("a cat")[:3] == [4, 5, 3]
    sizes = sizes_of(model)
    assert sizes is not None
    assert (sizes.has_class, sizes.has_sigmoid) == (False, True)


def test_a_siglip_without_a_bias_in_its_file_is_loaded_without_a_score_of_its_own(make: Callable[..., Any]) -> None:
    from safetensors.torch import load_file, save_file

    _, path = make("siglip")
    save_file({name: value for name, value in load_file(path).items() if name != "logit_bias"}, path)
    assert load(Model(name="", pretrained=str(path))).sigmoid is None


def test_whether_there_is_a_score_of_its_own_is_known_before_loading(make: Callable[..., Any]) -> None:
    for kind, has in (("siglip2", True), ("biomedclip", False)):
        model = Model(name="", pretrained=str(make(kind)[1]))
        sizes = sizes_of(model)
        assert sizes is not None
        assert sizes.has_sigmoid is has is (load(model).sigmoid is not None)
    known = sizes_of(Model.parse("ViT-B-16-SigLIP/webli")), sizes_of(Model.parse("ViT-B-16/openai"))
    assert [sizes is not None and sizes.has_sigmoid for sizes in known] == [True, False]


def test_a_missing_tokenizer_is_told_with_what_to_do(make: Callable[..., Any]) -> None:
    _, path = make("siglip")
    for file in path.parent.glob("*token*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"the tokenizer nobody/siglip of .* is not on this machine .* beside"):
        load(Model(name="", pretrained=str(path)))


def test_a_missing_configuration_of_the_text_tower_is_told(make: Callable[..., Any]) -> None:
    _, path = make("biomedclip")
    (path.parent / "config.json").unlink()
    with pytest.raises(ModelError, match=r"the configuration nobody/BiomedBERT of .* put its config.json"):
        load(Model(name="", pretrained=str(path)))


def test_without_the_library_it_is_said_what_to_install(
    save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    path = save_model("siglip", SIGLIP, {})
    with pytest.raises(ModelError, match=r'a library that is missing: pip install "napari-clearclip\[words\]"'):
        load(Model(name="", pretrained=str(path)))


def test_without_the_library_nothing_is_downloaded(hub_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    siglip = Model.parse("ViT-B-16-SigLIP/webli")
    hub_server.offer("timm/ViT-B-16-SigLIP", "open_clip_model.safetensors", b"weights")
    hub_server.offer("me/mine", "open_clip_config.json", json.dumps(BERT).encode())
    hub_server.offer("me/mine", "open_clip_model.safetensors", b"weights")
    hub_server.go.set()
    assert not any(entry.lacking for entry in catalogue())
    monkeypatch.setitem(sys.modules, "transformers", None)
    lacking = {entry.model.name for entry in catalogue() if entry.lacking}
    assert {name.partition("-SigLIP")[0] for name in lacking} > {"ViT-B-16", "ViT-SO400M-14"}
    assert all("SigLIP" in name or "BiomedCLIP" in name for name in lacking)
    for refuse in (load, check_published):
        with pytest.raises(ModelError, match=r'pip install "napari-clearclip\[words\]"'):
            refuse(siglip)
    with pytest.raises(ModelError, match=r'pip install "napari-clearclip\[words\]"'):
        load(Model(name="hf-hub:me/mine"))
    assert not [path for _, path in hub_server.asked if path.endswith(".safetensors")]


@pytest.mark.parametrize(("name", "patch", "depth"), [("ViT-B-16-SigLIP", 16, 12), ("ViT-SO400M-14-SigLIP2", 14, 27)])
def test_what_a_published_tower_lacks_is_known_before_it_is_loaded(name: str, patch: int, depth: int) -> None:
    sizes = sizes_of(Model(name=name, pretrained="webli"))
    assert sizes is not None
    assert (sizes.patch, sizes.depth, sizes.has_class) == (patch, depth, False)
    assert sizes.lacking(variant("sc_clip")) == "It needs a class token, and the model has none."
    assert sizes.lacking(variant("gem")) == "" == unmet(variant("gem"), depth)
