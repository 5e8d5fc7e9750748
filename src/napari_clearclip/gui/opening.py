"""What napari opens through us: sessions, our own exports as Labels, GeoTIFFs as bands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer

from napari_clearclip.gui.exporting.files import layers_in
from napari_clearclip.gui.images.rasters import layers_of
from napari_clearclip.gui.sessions.describing import layers_of_session
from napari_clearclip.io.formats import FORMATS, format_of
from napari_clearclip.io.images import lies_where, read_image
from napari_clearclip.io.raster import role_of
from napari_clearclip.io.sessions import SUFFIX, read

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | list[str]], list[LayerData]]
_TIFF = (".tif", ".tiff")


def open_file(path: str | list[str]) -> Reader | None:
    """A reader of a session, of a file of masks, or of a GeoTIFF as bands; None if it is none of these.

    napari asks by the ending, so that a plain TIFF may come here too: it gets napari's own reader.
    """
    if not isinstance(path, str):
        return None
    file = Path(path)
    if file.suffix.lower() == SUFFIX:
        return _session
    if file.suffix.lower() in _TIFF and (role := role_of(file)) != "masks":
        return _bands if role == "scores" or _is_placed(file) else _napari(path)
    try:
        readable = FORMATS[format_of(file)].content == "masks"
    except ValueError:
        return None
    return (lambda _: layers_in(file)) if readable else None


def _session(path: str | list[str]) -> list[LayerData]:
    """Nothing of its own: the panel of the viewer makes everything as it was.

    Without a window there is no panel, so that only layers that are in the file itself are made.
    """
    import napari

    file, viewer = Path(str(path)), napari.current_viewer()
    if viewer is None or getattr(viewer, "window", None) is None:
        return layers_of_session(read(file))
    _, panel = viewer.window.add_plugin_dock_widget("napari-clearclip", "Words to masks")
    QTimer.singleShot(0, partial(panel.sessions.open, file))  # once napari is done with what was dropped
    return [(None,)]  # type: ignore[list-item]  # what napari calls a reader that adds nothing


def _is_placed(file: Path) -> bool:
    """Whether a TIFF says where on Earth it lies."""
    placement, _ = lies_where(file)
    return placement is not None and bool(placement.tags)


def _bands(path: str | list[str]) -> list[LayerData]:
    return layers_of(read_image(Path(str(path)), lazy=True))


def _napari(path: str) -> Reader | None:
    from napari_builtins.io import napari_get_reader

    reader: Reader | None = napari_get_reader(path)
    return reader
