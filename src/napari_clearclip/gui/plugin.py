"""What the manifest names beside the panel: commands for it, and the sample images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_clearclip.scenes import DISTRACTORS, make_scene

if TYPE_CHECKING:
    import napari.viewer

SAMPLE_SIZE = 384
_SEEDS = {"shapes": 24, "aerial": 7, "micrograph": 14}

LayerData = tuple[Any, dict[str, Any], str]


def _command(name: str) -> Callable[[napari.viewer.Viewer], None]:
    """A command that does one of the panel's actions; it opens the panel if that is closed."""

    def act(viewer: napari.viewer.Viewer) -> None:
        _, panel = viewer.window.add_plugin_dock_widget("napari-clearclip", "Words to masks")
        panel.do(name)

    return act


run = _command("run")
cancel = _command("cancel")
next_prompt = _command("next_prompt")
previous_prompt = _command("previous_prompt")
raise_threshold = _command("raise_threshold")
lower_threshold = _command("lower_threshold")
toggle_masks = _command("toggle_masks")
toggle_heat_maps = _command("toggle_heat_maps")
teach = _command("teach")
teach_not = _command("teach_not")
find_similar = _command("find_similar")
accept = _command("accept")
save_session = _command("save_session")
save_session_as = _command("save_session_as")
open_session = _command("open_session")
open_folder = _command("open_folder")
next_image = _command("next_image")
previous_image = _command("previous_image")
next_open_image = _command("next_open_image")
mark_done = _command("mark_done")
mark_skip = _command("mark_skip")
mark_doubtful = _command("mark_doubtful")
list_images = _command("list_images")
show_help = _command("help")


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
