"""``info``: what is installed, where it computes, and what it has at hand."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from napari_clearclip import __version__, domains
from napari_clearclip.cli.console import show, tell
from napari_clearclip.settings import Model, Runtime

_PACKAGES = ("napari", "torch", "open_clip_torch", "numpy", "scikit-image", "tifffile", "pydantic", "huggingface_hub")


def show_info(clear: bool = False) -> int:
    """Print it line by line, features of large images removed if wanted; the exit code is returned."""
    show(f"napari-clearclip: {__version__}")
    show(f"Python: {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        show(f"{package}: {_version(package)}")
    from napari_clearclip.cache import cache_folder
    from napari_clearclip.engine.device import resolve_device
    from napari_clearclip.engine.model import cached_models
    from napari_clearclip.stages import TEXTS
    from napari_clearclip.storing import Store

    device, reason = resolve_device("auto")
    show(f"device: {device} ({reason})")
    folder, store = cache_folder(Runtime()), Store.of(Runtime())
    if clear:
        store.clear()
    show(f"cache of text vectors: {folder / TEXTS} ({_size(folder / TEXTS)})")
    show(f"features of large images: {store.folder} ({_size(store.folder)}); `info --clear` removes them")
    words = len(domains.vocabulary(Model()))
    show(f"model demo: {f'bundled, knows {words} words' if words else 'missing from this installation'}")
    cached = cached_models()
    for model in cached:
        show(f"model {model}: downloaded")
    if not cached:
        show("published models: none downloaded; --model ViT-B-16/openai downloads one when it is first used")
    if not words:
        tell("Warning: the bundled demo model is missing; install napari-clearclip again.")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _size(folder: Path) -> str:
    """How much lies in a folder, in words."""
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB" if sizes else "empty"
