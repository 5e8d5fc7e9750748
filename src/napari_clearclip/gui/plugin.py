"""What the manifest names beside the panel: the sample images."""

from __future__ import annotations

from typing import Any

from napari_clearclip.scenes import DISTRACTORS, make_scene

SAMPLE_SIZE = 384
_SEEDS = {"shapes": 24, "aerial": 1, "micrograph": 1}

LayerData = tuple[Any, dict[str, Any], str]


def open_shapes() -> list[LayerData]:
    """Coloured shapes on a textured ground."""
    return _sample("shapes")


def open_aerial() -> list[LayerData]:
    """A landscape from above."""
    return _sample("aerial")


def open_micrograph() -> list[LayerData]:
    """Cells under a microscope."""
    return _sample("micrograph")


def _sample(kind: str) -> list[LayerData]:
    """A scene with the phrases that the panel offers when its layer is selected."""
    scene = make_scene(kind, _SEEDS[kind], SAMPLE_SIZE)
    carried = {"prompts": list(scene.names), "distractors": list(DISTRACTORS[kind])}
    return [(scene.image, {"name": f"{kind} scene", "rgb": True, "metadata": {"clearclip": carried}}, "image")]
