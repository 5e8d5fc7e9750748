"""Where models come from, what is refused, and that no network is touched."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import open_clip
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from napari_clearclip.engine import device as device_module
from napari_clearclip.engine import model as model_module
from napari_clearclip.engine import sources
from napari_clearclip.engine.catalogue import cached_models, catalogue, parameters, published_models
from napari_clearclip.engine.device import resolve_device
from napari_clearclip.engine.encoder import embed_images, encode, project
from napari_clearclip.engine.model import load
from napari_clearclip.engine.sizes import sizes_of
from napari_clearclip.engine.sources import published_config
from napari_clearclip.engine.text import embed
from napari_clearclip.engine.variants import variant
from napari_clearclip.engine.weights import ModelError, read_state
from napari_clearclip.settings import Model, Tiling

Config = dict[str, Any]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here runs without a network: an attempt to use it is an error of its own kind."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"the network was touched: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def local(architectures: dict[str, Config], clips: dict[str, Any], tmp_path: Path) -> Path:
    """The first architecture as ``tiny.json`` and ``tiny.safetensors``."""
    (tmp_path / "tiny.json").write_text(json.dumps(architectures["patch8"]))
    save_file(clips["patch8"][2], tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def registered(architectures: dict[str, Config], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """open_clip as if it had published small models: ``ViT-Tiny``, and the same with QuickGELU in its configuration."""
    configs = {
        "ViT-Tiny": architectures["patch8"],
        "ViT-Tiny-quickgelu": {**architectures["patch8"], "quick_gelu": True},
    }
    tags = {
        "plain": {"hf_hub": "somebody/plain/", "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "quick_gelu": False},
        "quick": {"hf_hub": "somebody/quick/weights.safetensors", "quick_gelu": True},
    }
    for name, config in configs.items():
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)
    published_models.cache_clear()
    yield
    published_models.cache_clear()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """An empty local cache of the hub, and a function that puts a file into it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(repository: str, name: str, source: Path) -> Path:
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text("0" * 40)
        place = folder / "snapshots" / ("0" * 40) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
        return place

    return put


def is_quick(clip: Any) -> bool:
    kinds = {type(module).__name__ for module in clip.model.modules()}
    assert len(kinds & {"QuickGELU", "GELU"}) == 1
    return "QuickGELU" in kinds


# ----------------------------------------------------------------------------------------------------------------------
# Local files


@pytest.mark.parametrize("name", ["tiny.safetensors", "tiny.json"])
def test_a_configuration_beside_its_weights(name: str, local: Path, clips: dict[str, Any]) -> None:
    clip = load(Model.parse(str(local.with_name(name))))
    state = clip.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in clips["patch8"][2].items())
    assert (clip.patch, clip.grid, clip.depth, clip.width) == (8, (4, 4), 3, 24)
    assert clip.mean == open_clip.OPENAI_DATASET_MEAN
    assert clip.std == open_clip.OPENAI_DATASET_STD
    assert clip.templates == "imagenet"
    assert (clip.device, clip.dtype) == ("cpu", torch.float32)
    assert not clip.model.training
    assert not any(parameter.requires_grad for parameter in clip.model.parameters())
    assert not is_quick(clip)


def test_tiling_is_in_proportion_for_small_towers(local: Path) -> None:
    assert load(Model.parse(str(local))).tiling == Tiling(short_side=96, window=32, stride=16)


def test_recommendations_of_the_file_are_taken(local: Path, architectures: dict[str, Config]) -> None:
    entry = {"templates": ["a {}"], "tiling": {"short_side": 64, "stride": 8}, "mean": [0, 0, 0], "std": [1, 1, 2]}
    local.with_suffix(".json").write_text(json.dumps({**architectures["patch8"], "clearclip": entry}))
    clip = load(Model.parse(str(local)))
    assert clip.templates == ("a {}",)
    assert clip.tiling == Tiling(short_side=64, window=32, stride=8)
    assert (clip.mean, clip.std) == ((0, 0, 0), (1, 1, 2))


def test_the_hubs_form_of_configuration(local: Path, architectures: dict[str, Config]) -> None:
    """``open_clip_config.json`` with the preprocessing beside the model."""
    local.with_suffix(".json").unlink()
    content = {
        "model_cfg": {**architectures["patch8"], "quick_gelu": True},
        "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]},
    }
    local.with_name("open_clip_config.json").write_text(json.dumps(content))
    clip = load(Model.parse(str(local)))
    assert clip.mean == (0.1, 0.2, 0.3)
    assert is_quick(clip)


def test_the_key_tells_weights_and_activation_apart(local: Path, architectures: dict[str, Config]) -> None:
    one = load(Model.parse(str(local))).key
    assert load(Model.parse(str(local))).key == one
    local.with_suffix(".json").write_text(json.dumps({**architectures["patch8"], "quick_gelu": True}))
    assert load(Model.parse(str(local))).key != one
    local.with_suffix(".json").write_text(json.dumps(architectures["patch8"]))
    save_file({**load_file(local), "logit_scale": torch.tensor(1.0)}, local)
    assert load(Model.parse(str(local))).key != one


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state: state, id="bare"),
        pytest.param(lambda state: {f"module.{key}": value for key, value in state.items()}, id="module."),
        pytest.param(lambda state: {"state_dict": state, "epoch": 3, "name": "mine"}, id="training checkpoint"),
        pytest.param(lambda state: {"model": {f"module.{key}": value for key, value in state.items()}}, id="both"),
        pytest.param(
            lambda state: {
                key if key.startswith(("visual.", "logit_scale")) else f"text.{key}": value
                for key, value in state.items()
            },
            id="text.",
        ),
        pytest.param(
            lambda state: {
                **state,
                "logit_scale": state["logit_scale"].reshape(1),
                "input_resolution": torch.tensor(32),
                "context_length": torch.tensor(77),
                "vocab_size": torch.tensor(49408),
            },
            id="OpenAI's extras",
        ),
    ],
)
def test_state_dicts_as_they_are_found(wrap: Callable[[Any], Any], local: Path, registered: None) -> None:
    """RemoteCLIP style: a ``.pt`` file and the name of the architecture."""
    state = load_file(local)
    torch.save(wrap(state), local.with_name("remote.pt"))
    clip = load(Model(name="ViT-Tiny", pretrained=str(local.with_name("remote.pt"))))
    assert all(torch.equal(clip.model.state_dict()[key], value) for key, value in state.items())


def test_half_precision_files_are_computed_in_float32_on_a_cpu(local: Path) -> None:
    save_file({key: value.half() for key, value in load_file(local).items()}, local)
    clip = load(Model(name="", pretrained=str(local), precision="float16"))
    assert clip.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in clip.model.state_dict().values())


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_where_the_device_is_no_cpu(precision: Any, local: Path, clips: dict[str, Any]) -> None:
    """``cpu:0`` is such a device by name; the arithmetic is what a GPU would do."""
    whole = clips["patch8"][0]
    half = load(Model(name="", pretrained=str(local), precision=precision), device="cpu:0")
    assert half.dtype == getattr(torch, precision)
    assert half.model.visual.conv1.weight.dtype == half.dtype
    assert half.key != load(Model.parse(str(local))).key
    images = torch.randn(2, 3, 32, 32)
    for name in ("clearclip", "naclip", "vanilla"):
        one, other = (project(clip, encode(clip, images), variant(name)).vectors for clip in (whole, half))
        assert other.dtype == torch.float32
        assert (one * other).sum(-1).min() > 0.99
    words = embed(whole, ["cat"], "single"), embed(half, ["cat"], "single")
    assert (words[0] * words[1]).sum() > 0.99


def test_a_local_model_gives_the_same_features_as_open_clip(local: Path, clips: dict[str, Any]) -> None:
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected = clips["patch8"][1].encode_image(images, normalize=True)
    torch.testing.assert_close(embed_images(load(Model.parse(str(local))), images), expected, atol=1e-5, rtol=0)


# ----------------------------------------------------------------------------------------------------------------------
# Files that are refused


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


def test_code_in_a_file_is_not_run(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(local.parent)
    for name, save in (("zip.pt", torch.save), ("old.pt", lambda value, path: path.write_bytes(pickle.dumps(value)))):
        save({"weight": Harmful()}, local.with_name(name))
        with pytest.raises(ModelError, match=f"{name} cannot be read as weights"):
            read_state(local.with_name(name))
    assert not Path("harm").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_with_the_way_out(local: Path, registered: None) -> None:
    archive = local.with_name("jit.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), archive)
    with pytest.raises(ModelError, match=r"jit.pt is a TorchScript archive.*torch.jit.load\('jit.pt'\).state_dict"):
        load(Model(name="ViT-Tiny", pretrained=str(archive)))


@pytest.mark.parametrize(
    "name", ["cut.safetensors", "cut.pt", "empty.safetensors", "empty.pt", "text.safetensors", "text.pt"]
)
def test_damaged_files(name: str, local: Path, registered: None) -> None:
    torch.save(load_file(local), local.with_suffix(".pt"))
    path = local.with_name(name)
    content = {"cut": local.with_suffix(path.suffix).read_bytes()[:5000], "empty": b"", "text": b"not found\n" * 9}
    path.write_bytes(content[path.stem])
    with pytest.raises(ModelError, match=f"{name} cannot be read as weights, it may be damaged: ."):
        load(Model(name="ViT-Tiny", pretrained=str(path)))


def test_a_file_that_holds_something_else(local: Path) -> None:
    torch.save(torch.zeros(3), local.with_name("tensor.pt"))
    with pytest.raises(ModelError, match="tensor.pt holds no weights but a Tensor"):
        read_state(local.with_name("tensor.pt"))


def test_missing_files(tmp_path: Path) -> None:
    for name in ("none.safetensors", "none.pt", "none.json"):
        with pytest.raises(ModelError, match=f"the weights file .*{name} does not exist; check the path"):
            load(Model.parse(str(tmp_path / name)))


def test_weights_without_a_configuration(local: Path) -> None:
    local.with_suffix(".json").unlink()
    with pytest.raises(
        ModelError, match=r"no configuration beside it; put open_clip's JSON there as tiny.json, or name"
    ):
        load(Model.parse(str(local)))


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"embed_dim": 3}', "\u00ff"])
def test_a_configuration_that_is_none(content: str, local: Path) -> None:
    local.with_suffix(".json").write_text(content, encoding="latin-1")
    with pytest.raises(ModelError, match=r"tiny.json is not an open_clip model configuration: "):
        load(Model.parse(str(local)))


def test_a_configuration_that_open_clip_cannot_build(local: Path, architectures: dict[str, Config]) -> None:
    config = json.loads(json.dumps(architectures["patch8"]))
    config["vision_cfg"]["width"] = "wide"
    local.with_suffix(".json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is not one of open_clip's: "):
        load(Model.parse(str(local)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda state: state.pop("visual.proj"), "it lacks visual.proj$", id="lacks one"),
        pytest.param(
            lambda state: [state.pop(key) for key in list(state) if "resblocks.0" in key],
            "it lacks .* and 23 more",
            id="lacks",
        ),
        pytest.param(lambda state: state.update(head=torch.zeros(2)), "it has a surplus head$", id="surplus"),
        pytest.param(
            lambda state: state.update(positional_embedding=torch.zeros(5, 32)),
            "it has another size of positional_embedding$",
            id="size",
        ),
    ],
)
def test_weights_that_do_not_fit(change: Callable[[Any], Any], message: str, local: Path) -> None:
    state = load_file(local)
    change(state)
    save_file(state, local)
    with pytest.raises(ModelError, match=f"tiny.safetensors does not fit the architecture: {message}"):
        load(Model.parse(str(local)))


UNSUPPORTED = {
    "convolutions": (
        {"vision_cfg": {"timm_model_name": "convnext_base", "image_size": 32}},
        "is no vision transformer with blocks that variants know",
    ),
    "attentional pool": ({"vision_cfg": {"attentional_pool": True}}, "pools otherwise than by a class token"),
    "average pool": ({"vision_cfg": {"pool_type": "avg"}}, "pools otherwise than by a class token"),
    "norm after pool": ({"vision_cfg": {"final_ln_after_pool": True}}, "pools otherwise than by a class token"),
    "custom blocks": ({"vision_cfg": {"qk_norm": True}}, "its blocks are custom"),
    "hugging face text": ({"text_cfg": {"hf_model_name": "roberta-base"}}, "its text tower is of a kind"),
    "class token in text": ({"text_cfg": {"embed_cls": True}}, "its text tower is of a kind"),
    "last token": ({"text_cfg": {"pool_type": "last"}}, "its text tower is of a kind"),
    "other tokens": (
        {"text_cfg": {"hf_tokenizer_name": "here", "tokenizer_mode": "clips"}},
        "its text tower is of a kind",
    ),
    "captions": ({"multimodal_cfg": {"layers": 1}}, "it also writes captions"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_other_towers_are_refused_with_a_sentence(kind: str, local: Path, architectures: dict[str, Config]) -> None:
    changes, message = UNSUPPORTED[kind]
    config = json.loads(json.dumps(architectures["patch8"]))
    for part, fields in changes.items():
        config[part] = {**config.get(part, {}), **fields}
    local.with_suffix(".json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=rf"is not supported: .*{message}.*\. Supported are OpenAI, LAION"):
        load(Model.parse(str(local)))


@pytest.mark.parametrize(
    "text",
    [
        "convnext_base/laion400m_s13b_b51k",
        "nllb-clip-base-siglip/v1",
        "coca_ViT-B-32/laion2b_s13b_b90k",
    ],
)
def test_published_towers_of_other_kinds_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match="is not supported: .* Supported are OpenAI, LAION"):
        load(Model.parse(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vit-b-16/openai", "knows no architecture 'vit-b-16'; did you mean ViT-B-16"),
        ("B16/openai", "knows no architecture 'B16'; write it as in ViT-B-16/openai"),
        ("ViT-B-16/nobody", "ViT-B-16 has no weights 'nobody'; published are openai, "),
        ("ViT-B-16", "ViT-B-16 needs the name of its weights; published are openai, "),
    ],
)
def test_unknown_names(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(Model.parse(text))


# ----------------------------------------------------------------------------------------------------------------------
# Published models


def test_published_models_are_plain_vits_and_siglips_of_open_clips_list() -> None:
    known = {str(model) for model in published_models()}
    assert {"ViT-B-16/openai", "ViT-B-32/laion2b_s34b_b79k", "ViT-L-14/datacomp_xl_s13b_b90k"} <= known
    assert {"ViT-B-16-quickgelu/metaclip_400m", "ViT-H-14-quickgelu/dfn5b", "ViT-g-14/laion2b_s34b_b88k"} <= known
    assert {"ViT-B-16-SigLIP/webli", "ViT-SO400M-14-SigLIP-384/webli", "ViT-gopt-16-SigLIP2-384/webli"} <= known
    assert not any(mark in name for name in known for mark in ("RN50", "nllb", "coca", "convnext", "EVA", "ViTamin"))


@pytest.mark.parametrize(
    ("name", "tag", "quick"),
    [("ViT-Tiny", "plain", False), ("ViT-Tiny", "quick", True), ("ViT-Tiny-quickgelu", "quick", True)],
)
def test_quick_gelu_follows_the_tags_own_flag(
    name: str, tag: str, quick: bool, local: Path, registered: None, hub: Callable[..., Path]
) -> None:
    hub("somebody/plain", "open_clip_model.safetensors", local)
    hub("somebody/quick", "weights.safetensors", local)
    clip = load(Model(name=name, pretrained=tag))
    assert is_quick(clip) is quick
    assert clip.mean == ((0.5, 0.5, 0.5) if tag == "plain" else open_clip.OPENAI_DATASET_MEAN)


def test_a_quick_gelu_mismatch_is_refused(registered: None) -> None:
    with pytest.raises(ModelError, match=r"architecture has QuickGELU, .* trained with GELU; use ViT-Tiny/plain"):
        load(Model(name="ViT-Tiny-quickgelu", pretrained="plain"))
    assert Model(name="ViT-Tiny-quickgelu", pretrained="plain") not in published_models()


def test_each_published_flag_is_resolved() -> None:
    """Over open_clip's whole list: the activation is the tag's, whatever the architecture's name says."""
    for model in published_models():
        published = open_clip.get_pretrained_cfg(model.name, model.pretrained)
        config = open_clip.get_model_config(model.name)
        resolved = sources._resolve_quick_gelu(model, config, published)
        assert resolved == bool(published.get("quick_gelu"))
    assert sources._resolve_quick_gelu(
        Model.parse("ViT-B-16/openai"),
        open_clip.get_model_config("ViT-B-16"),
        open_clip.get_pretrained_cfg("ViT-B-16", "openai"),
    )


def test_sizes_are_those_of_open_clips_own_models() -> None:
    """Each architecture once, built without memory for its weights."""
    known = {entry.model.name: entry for entry in catalogue()}
    biomedclip = known.pop("hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224")
    assert (biomedclip.model.pretrained, biomedclip.size) == ("", 0)
    assert {"ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "ViT-bigG-14"} <= known.keys()
    for entry in known.values():
        config, _ = published_config(entry.model)
        with torch.device("meta"):
            state = model_module._build(config, Path(), entry.model, torch.float32).state_dict()
        assert sum(value.numel() for value in state.values()) == parameters(config) == entry.size // 4


@pytest.mark.parametrize("name", ["patch8", "patch16", "patch14"])
def test_sizes_of_other_configurations(name: str, architectures: dict[str, Config], clips: dict[str, Any]) -> None:
    assert parameters(architectures[name]) == sum(value.numel() for value in clips[name][2].values())


def test_the_catalogue_has_each_model_once(local: Path, registered: None, hub: Callable[..., Path]) -> None:
    entries = {str(entry.model): entry for entry in catalogue()}
    assert {"ViT-Tiny/plain", "ViT-Tiny/quick"} <= entries.keys()
    assert "ViT-Tiny-quickgelu/quick" not in entries
    (beside,) = entries.keys() - {name.replace("-quickgelu", "") for name in map(str, published_models())}
    assert beside.startswith("hf-hub:microsoft/BiomedCLIP")
    assert not any(entry.here for entry in entries.values())
    hub("somebody/plain", "open_clip_model.safetensors", local)
    assert [str(entry.model) for entry in catalogue() if entry.here] == ["ViT-Tiny/plain"]


def test_cached_models_are_listed_once(local: Path, registered: None, hub: Callable[..., Path]) -> None:
    assert cached_models() == ()
    hub("somebody/quick", "weights.safetensors", local)
    assert cached_models() == (Model(name="ViT-Tiny", pretrained="quick"),)


def test_a_cached_model_that_cannot_be_used_is_not_taken_by_itself(
    local: Path, hub: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub("timm/ViT-B-16-SigLIP", "open_clip_model.safetensors", local)
    hub("microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", "open_clip_pytorch_model.bin", local)
    assert [model.name for model in cached_models()] == [
        "ViT-B-16-SigLIP",
        "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    ]
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert cached_models() == ()


def test_a_hub_repository_from_the_cache(
    local: Path, architectures: dict[str, Config], hub: Callable[..., Path]
) -> None:
    local.with_name("c.json").write_text(json.dumps({"model_cfg": architectures["patch8"], "preprocess_cfg": {}}))
    hub("me/mine", "open_clip_config.json", local.with_name("c.json"))
    torch.save(load_file(local), local.with_suffix(".pt"))
    hub("me/mine", "open_clip_pytorch_model.bin", local.with_suffix(".pt"))  # the second of the names that are tried
    assert load(Model.parse("hf-hub:me/mine")).patch == 8


def test_a_hub_repository_with_the_wrong_activation_is_refused(
    local: Path, architectures: dict[str, Config], hub: Callable[..., Path], registered: None
) -> None:
    local.with_name("c.json").write_text(json.dumps({"model_cfg": {**architectures["patch8"], "quick_gelu": True}}))
    hub("somebody/plain", "open_clip_config.json", local.with_name("c.json"))
    hub("somebody/plain", "open_clip_model.safetensors", local)
    with pytest.raises(
        ModelError, match="states another activation than it was trained with; use ViT-Tiny/plain instead"
    ):
        load(Model.parse("hf-hub:somebody/plain"))


# ----------------------------------------------------------------------------------------------------------------------
# Downloads


def test_downloads_report_bytes(local: Path, registered: None, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, name: str, local_files_only: bool = False, tqdm_class: Any = None) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        with tqdm_class(total=100, unit="B", name="huggingface_hub.http_get") as bar:
            bar.update(30)
            bar.update(70)
        return str(local)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [])
    seen: list[tuple[int, int]] = []
    load(Model(name="ViT-Tiny", pretrained="plain"), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 100), (30, 100), (100, 100)]
    load(Model(name="ViT-Tiny", pretrained="plain"))  # nobody listens: no error


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def download(repository: str, name: str, local_files_only: bool = False, tqdm_class: Any = None) -> str:
        raise LocalEntryNotFoundError("not in the cache") if local_files_only else error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            TimeoutError("too slow"),
            "The weights of somebody/plain could not be downloaded: too slow. Check",
        ),
        (OSError(), "could not be downloaded: OSError. Check the connection and try again, or load a weights file"),
        (LocalEntryNotFoundError("no connection"), "could not be downloaded: no connection. Check"),
    ],
)
def test_a_failed_download(
    error: Exception, message: str, registered: None, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(ModelError, match=message):
        load(Model(name="ViT-Tiny", pretrained="plain"))


def test_a_repository_without_open_clip_weights(registered: None, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, EntryNotFoundError("404"))
    with pytest.raises(ModelError, match="has no open_clip_model.safetensors or .*, so it is no open_clip checkpoint"):
        load(Model(name="ViT-Tiny", pretrained="plain"))


def test_offline_is_said_at_once(registered: None, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def unknown_host(*args: Any) -> Any:
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    with pytest.raises(ModelError, match="could not be downloaded: .* cannot be reached. Check the connection"):
        load(Model(name="ViT-Tiny", pretrained="plain"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="could not be downloaded: HF_HUB_OFFLINE is set. Check"):
        load(Model(name="ViT-Tiny", pretrained="plain"))


def test_a_name_that_is_no_repository(hub: Any) -> None:
    with pytest.raises(ModelError, match="is no name of a repository; write hf-hub:ORGANISATION/NAME"):
        load(Model(name="hf-hub:a/b/c"))


# ----------------------------------------------------------------------------------------------------------------------
# Devices


def test_the_cpu_can_be_chosen() -> None:
    assert resolve_device("cpu") == ("cpu", "The CPU was chosen.")


@pytest.mark.parametrize("name", ["gpu", "tpu", ""])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(ValueError, match="device"):
        resolve_device(name)


def pretend(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False, built: str | None = None) -> None:
    """Make torch say that it has so many CUDA devices, an Apple GPU, and was built for a CUDA version."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.version, "cuda", built)


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "built", "device", "reason"),
    [
        ("auto", 0, False, None, "cpu", "this build of torch has no CUDA support"),
        ("auto", 0, False, "12.8", "cpu", "torch found no NVIDIA GPU or driver"),
        ("auto", 2, False, "12.8", "cuda:0", "GPU 0 was found"),
        ("auto", 0, True, None, "mps", "An Apple GPU was found"),
        ("cuda", 1, False, "12.8", "cuda:0", "GPU 0 was chosen"),
        ("cuda:1", 2, False, "12.8", "cuda:1", "GPU 1 was chosen"),
        ("mps", 0, True, None, "mps", "The Apple GPU was chosen"),
    ],
)
def test_devices_and_why(
    name: str, cuda: int, mps: bool, built: str | None, device: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, cuda, mps, built)
    found, why = resolve_device(name)
    assert found == device
    assert reason in why


@pytest.mark.parametrize(
    ("name", "cuda", "built", "message"),
    [
        ("cuda", 0, None, "'cuda' cannot be used: this build of torch has no CUDA support; choose auto or cpu"),
        ("cuda:0", 0, "12.8", "'cuda:0' cannot be used: no NVIDIA GPU or driver was found; choose auto or cpu"),
        ("cuda:3", 2, "12.8", "'cuda:3' does not exist: there are 2 CUDA devices"),
        ("mps", 0, None, "'mps' cannot be used"),
    ],
)
def test_devices_that_cannot_be_used(
    name: str, cuda: int, built: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, cuda, built=built)
    with pytest.raises(ValueError, match=message):
        resolve_device(name)


def test_threads_are_taken_and_given_back() -> None:
    usual = device_module.usual_threads()
    device_module.use_threads(usual + 1)
    assert torch.get_num_threads() == usual + 1
    device_module.use_threads(None)
    assert torch.get_num_threads() == usual


def test_memory_is_given_back_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    device_module.free_memory()
    freed = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append("cuda"))
    device_module.free_memory()
    assert freed == ["cuda"]


def test_memory_is_given_back_by_an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []
    pretend(monkeypatch, mps=True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: freed.append("mps"))
    device_module.free_memory()
    assert freed == ["mps"]


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")),
    ],
)
def test_what_is_sent_arrives(device: str) -> None:
    there = device_module.sent(torch.arange(6.0), device, torch.float16)
    assert there.device.type == device
    assert there.dtype == torch.float16
    assert there.tolist() == list(range(6))


# ----------------------------------------------------------------------------------------------------------------------
# Other towers with CLIP's own text

OTHERS: dict[str, tuple[Config, str]] = {
    "eva02": (
        {
            "timm_model_name": "eva02_tiny_patch14_224",
            "timm_pool": "token",
            "timm_proj": None,
            "image_size": 224,
        },
        "clearclip",
    ),
    "resnet": (
        {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "image_size": 64, "patch_size": None},
        "maskclip",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_towers_are_loaded_and_read_words(
    kind: str, architectures: dict[str, Config], save_model: Callable[..., Path]
) -> None:
    vision, row = OTHERS[kind]
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": architectures["patch8"]["text_cfg"]}
    torch.manual_seed(0)
    own = open_clip.model.CLIP(
        24, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**config["text_cfg"])
    ).eval()
    model = Model(name="", pretrained=str(save_model(kind, config, own.state_dict())))
    clip = load(model)
    images = torch.randn(1, 3, *(side * clip.patch for side in clip.grid))
    with torch.inference_mode():
        expected = own.encode_image(images, normalize=True)
        words = own.encode_text(open_clip.tokenize(["cat"]), normalize=True)
    torch.testing.assert_close(embed_images(clip, images), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(embed(clip, ["cat"], ("{}",)), words, atol=1e-5, rtol=0)
    features = project(clip, encode(clip, images), variant(row))
    assert features.vectors.shape == (1, *clip.grid, 24)
    known = sizes_of(model)
    assert known is not None
    assert (known.patch, known.depth, known.has_residual) == (clip.patch, clip.depth, clip.tower.has_residual)
    assert bool(known.lacking(variant("vanilla"))) == (kind == "resnet")
