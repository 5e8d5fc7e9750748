"""The layers of the image that one has come to: opened, known again, and taken away."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.sources import KEY, is_source, key_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.shelf import together
from napari_clearclip.gui.prompts import listing
from napari_clearclip.settings import Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


class Desk:
    """Has the layers of one image file at a time in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where images are opened and closed; layers of the user's own that lie on none of them stay.
    controller : Controller
        What is wanted of the images.
    results : Results
        What was found and painted.
    images : Images
        The images of the viewer.

    Attributes
    ----------
    came : Settings or None
        What was wanted of the image when it came.
    """

    def __init__(self, viewer: ViewerModel, controller: Controller, results: Results, images: Images) -> None:
        self._viewer, self._controller, self._results, self._images = viewer, controller, results, images
        self._opened: set[str] = set()
        self._carried: Settings | None = None
        self.came: Settings | None = None

    def sources(self, path: Path) -> list[Image]:
        """The image layers of a file."""
        return [layer for layer in self._viewer.layers if is_source(layer) and self._belongs(layer, path)]

    def _belongs(self, layer: Image, path: Path) -> bool:
        return key_of(layer) in self._opened or (layer.source.path is not None and Path(layer.source.path) == path)

    @contextmanager
    def coming(self) -> Generator[None, None, None]:
        """While this lasts, layers that come belong to the image."""
        before = list(self._viewer.layers)
        yield
        self._opened = {key_of(layer) for layer in self._viewer.layers if is_source(layer) and layer not in before}
        self.came = self._controller.settings

    @property
    def is_new(self) -> bool:
        """Whether the image came with prompts, and has not been run."""
        wanted = self.came is not None and bool(self.came.objects)
        return bool(self._opened) and wanted and not self._controller.state_of(self._controller.key).readings

    def open(self, path: Path) -> None:
        """Open an image to which nothing was done, with the prompts of the image before.

        Raises
        ------
        ValueError
            If the file holds no image; a reader may raise anything else.
        """
        if there := self.sources(path):
            self._images.choose(key_of(there[-1]))
            return
        sources = [layer for layer in opened(self._viewer, path) if is_source(layer)]
        if not sources:
            raise ValueError("it holds no image")
        self._images.choose(key_of(sources[-1]))
        self._viewer.reset_view()
        settings = self._carried or self._controller.settings
        locked = [prompt.id for prompt in settings.objects if prompt.locked]
        if locked:  # accepted on the image before
            settings = listing.changed(settings, locked, locked=False, visible=True)
        self._controller.update(settings)

    def clear(self, path: Path) -> None:
        """Take a file's image, and all that lies on it, out of the viewer."""
        sources = self.sources(path)
        keys = {key_of(layer) for layer in sources}
        paths = {layer.source.path for layer in sources} - {None}
        others = [
            layer
            for layer in self._viewer.layers
            if layer not in sources
            and (layer.metadata.get(KEY, {}).get("accepted") in keys or layer.source.path in paths)
        ]
        if self._controller.key in keys:
            self._carried = self._controller.settings
        for key in keys:
            self._results.remove_all(key)
        with together(self._viewer):
            for layer in (*others, *sources):
                self._viewer.layers.remove(layer)
        self._opened = set()


def opened(viewer: ViewerModel, path: Path) -> list[Layer]:
    """The layers of a file, by the reader that the user prefers, else by ours or napari's own."""
    from napari.errors import MultipleReaderError

    try:
        return list(viewer.open(str(path), plugin=None))
    except MultipleReaderError as error:
        plugin = next((name for name in ("napari-clearclip", "napari") if name in error.available_plugins), None)
        if plugin is None:
            raise
        return list(viewer.open(str(path), plugin=plugin))
