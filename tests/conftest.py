"""What all tests share: small models with random weights, real data, and what happens without a screen."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch
    from open_clip.model import CLIP

    from napari_clearclip.engine.model import Clip

HAS_SCREEN = sys.platform != "linux" or bool(os.environ.get("DISPLAY"))

if not HAS_SCREEN:  # widgets without a canvas need no screen
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a screen, skip the tests that open a viewer; in CI, refuse to run without one."""
    viewer_tests = [item for item in items if "make_napari_viewer" in getattr(item, "fixturenames", ())]
    if HAS_SCREEN or not viewer_tests:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError("no screen for the viewer's tests: install the Debian package xvfb and run tox")
    for item in viewer_tests:
        item.add_marker(pytest.mark.skip(reason="no screen: install the Debian package xvfb and run tox"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images, see CONTRIBUTING.md."""
    folder = os.environ.get("CLEARCLIP_TEST_DATA")
    if not folder:
        pytest.skip("the environment variable CLEARCLIP_TEST_DATA does not name a folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of tensors that the ClearCLIP authors' code computed."""
    return Path(__file__).parent / "golden"


TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}

# Three architectures of different patch size; the second has QuickGELU, the third layer scale and more depth.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "patch8": {
        "embed_dim": 24,
        "vision_cfg": {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32},
    },
    "patch16": {
        "embed_dim": 40,
        "quick_gelu": True,
        "vision_cfg": {
            "layers": 3,
            "width": 48,
            "head_width": 16,
            "patch_size": 16,
            "image_size": 64,
            "mlp_ratio": 2.0,
        },
    },
    "patch14": {
        "embed_dim": 16,
        "vision_cfg": {
            "layers": 8,
            "width": 32,
            "head_width": 16,
            "patch_size": 14,
            "image_size": 42,
            "ls_init_value": 0.3,
        },
    },
}


def random_weights(config: dict[str, Any], seed: int = 0) -> tuple[CLIP, dict[str, torch.Tensor]]:
    """open_clip's own model of a configuration, with random weights that make attention uneven, and its state dict."""
    import open_clip
    import torch
    from open_clip.model import CLIP

    torch.manual_seed(seed)
    vision, text = open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**config["text_cfg"])
    model = CLIP(config["embed_dim"], vision, text, quick_gelu=config.get("quick_gelu", False)).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name == "logit_scale":
                continue
            spread = torch.randn_like(value)
            if "ln_" in name and name.endswith("weight"):
                value.copy_(1 + 0.2 * spread)
            elif value.ndim == 1:
                value.copy_(value + 0.2 * spread)
            elif "in_proj" in name or "positional" in name or "embedding" in name:
                value.copy_(0.3 * spread)
    return model, {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="session")
def architectures() -> dict[str, dict[str, Any]]:
    return {name: {**config, "text_cfg": TEXT} for name, config in ARCHITECTURES.items()}


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes a configuration and weights side by side and gives back the weights' path."""

    from safetensors.torch import save_file

    def save(name: str, config: dict[str, Any], state: dict[str, torch.Tensor]) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.json").write_text(json.dumps(config))
        save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
        return folder / f"{name}.safetensors"

    return save


@pytest.fixture(scope="session")
def clips(
    architectures: dict[str, dict[str, Any]], save_model: Callable[..., Path]
) -> dict[str, tuple[Clip, CLIP, dict[str, torch.Tensor]]]:
    """By architecture: the loaded model, open_clip's own model with the same weights, and the weights."""
    from napari_clearclip.engine.model import load
    from napari_clearclip.settings import Model

    found = {}
    for name, config in architectures.items():
        model, state = random_weights(config)
        found[name] = (load(Model(name="", pretrained=str(save_model(name, config, state)))), model, state)
    return found


@pytest.fixture(scope="session")
def tiny(architectures: dict[str, dict[str, Any]], save_model: Callable[..., Path]) -> Path:
    """The weights file of the first architecture, its configuration beside it: 32 pixel windows, patches of 8."""
    return save_model("tiny", architectures["patch8"], random_weights(architectures["patch8"])[1])


@pytest.fixture(scope="session")
def resnet(save_model: Callable[..., Path]) -> Path:
    """Weights of a model whose image tower is a ResNet."""
    vision = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": TEXT}
    return save_model("resnet", config, random_weights(config)[1])


@pytest.fixture(scope="session")
def deep(architectures: dict[str, dict[str, Any]], save_model: Callable[..., Path]) -> Path:
    """As `tiny`, and as deep as a ViT-B-16."""
    config = architectures["patch8"]
    config = {**config, "vision_cfg": {**config["vision_cfg"], "layers": 12}}
    return save_model("deep", config, random_weights(config)[1])


@pytest.fixture(scope="session")
def golden_clip(golden: Path, save_model: Callable[..., Path]) -> Clip:
    """The tower of the golden tensors, beside a text tower with random weights."""
    from safetensors.torch import load_file

    from napari_clearclip.engine.model import load
    from napari_clearclip.settings import Model

    config = json.loads((golden / "config.json").read_text())
    _, state = random_weights(config)
    inputs = load_file(golden / "vit_tiny_inputs.safetensors")
    state.update({name: value for name, value in inputs.items() if name.startswith("visual.")})
    return load(Model(name="", pretrained=str(save_model("golden", config, state))))


class Hub:
    """A model hub on this machine, whose files arrive in two halves: the second comes when `go` is set.

    `hangs` names the request that is not answered until then, HEAD or GET; `refuses` is a status that GET answers with.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.go = threading.Event()
        self.hangs = ""
        self.refuses = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handler(hub) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                """Say nothing of what was asked."""

            def answer(self) -> bytes | None:
                hub.asked.append((self.command, self.path))
                if hub.hangs == self.command:
                    hub.go.wait(60)
                body = hub.files.get(self.path)
                wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
                found = 206 if wanted != "0" else 200
                status = 404 if body is None else hub.refuses if self.command == "GET" and hub.refuses else found
                self.send_response(status)
                if body is None:
                    self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("ETag", f'"{hash(body):x}"')
                self.send_header("X-Repo-Commit", "0" * 40)
                rest = body[int(wanted) :] if body is not None and status == found else None
                self.send_header("Content-Length", str(len(rest or b"")))
                self.end_headers()
                return rest

            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                body = self.answer()
                if body is not None:
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    hub.go.wait(60)
                    with suppress(OSError):  # whoever asked has left
                        self.wfile.write(body[len(body) // 2 :])

        return Handler

    def offer(self, repository: str, name: str, content: bytes) -> None:
        """Put a file into a repository."""
        self.files[f"/{repository}/resolve/main/{name}"] = content


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A model hub on this machine instead of the public one, and an empty cache."""
    from huggingface_hub import constants, file_download

    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    for module in (constants, file_download):  # clients before version 1 keep a copy of their own
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    hub.go.set()
    for thread in threading.enumerate():
        if thread.name == "clearclip-load":
            thread.join(60)
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def published(architectures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A small model as if open_clip had published it: ``ViT-Tiny/plain`` in the repository ``somebody/plain``."""
    import open_clip

    from napari_clearclip.engine.catalogue import published_models
    from napari_clearclip.settings import Model

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-Tiny", architectures["patch8"])
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-Tiny", {"plain": {"hf_hub": "somebody/plain/"}})
    published_models.cache_clear()
    yield Model(name="ViT-Tiny", pretrained="plain")
    published_models.cache_clear()
