"""Words to masks: type a phrase, see where a CLIP model finds it, keep the mask.

The public names below are loaded when they are first used: importing the package costs neither torch nor napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_clearclip.edits import Edits, View
    from napari_clearclip.engine.variants import VARIANTS, register_variant
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.result import Segmentation
    from napari_clearclip.settings import Prompt, Settings

__version__ = "0.1.0"
__all__ = ["VARIANTS", "Edits", "Pipeline", "Prompt", "Segmentation", "Settings", "View", "register_variant"]

_HOMES = {
    "VARIANTS": "engine.variants",
    "Edits": "edits",
    "Pipeline": "pipeline",
    "Prompt": "settings",
    "Segmentation": "result",
    "Settings": "settings",
    "View": "edits",
    "register_variant": "engine.variants",
}


def __getattr__(name: str) -> object:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """All public names, loaded or not."""
    return sorted({*globals(), *__all__})
