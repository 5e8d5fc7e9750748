"""The image layers of a viewer, and which of them is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.channels import NO_PICKS, Picks
from napari_clearclip.gui.images.sources import is_source, key_of, mismatch, source_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_clearclip.gui.control.jobs import Source


class Images:
    """Follows a viewer: images that come and go, the one that is selected, its plane and its look.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    """

    listed = Signal()
    looked = Signal(object)
    reshaped = Signal(str)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._current: str | None = None
        self._connect(True)

    def close(self) -> None:
        """Let go of the viewer; once is enough, more does no harm."""
        self._connect(False)

    @property
    def layers(self) -> list[Image]:
        """The images that can be segmented, from the top of the layer list."""
        return [layer for layer in reversed(self._viewer.layers) if is_source(layer)]

    @property
    def current(self) -> Image | None:
        """The image that is looked at."""
        return next((layer for layer in self.layers if key_of(layer) == self._current), None)

    @property
    def source(self) -> Source | None:
        """The image that is looked at, as it is now."""
        image = self.current
        return None if image is None else source_of(image, self._viewer.dims.point, self.layers)

    @property
    def sources(self) -> list[tuple[str, Source]]:
        """All images with their names, each as it is looked at now."""
        layers = self.layers
        return [(layer.name, source_of(layer, self._viewer.dims.point, layers)) for layer in layers]

    @property
    def problem(self) -> str:
        """Why the colours that were chosen for the current image cannot be read, in a sentence; empty if they can."""
        image = self.current
        return "" if image is None else mismatch(image, channels.picks_of(image), self.layers)

    def set_axis(self, axis: int | None) -> None:
        """Say which axis of the current image holds channels; -1 makes a layer of it that has them before rows.

        `reshaped` tells the image, before it is looked at anew.
        """
        image = self.current
        if image is None or axis == channels.axis_of(image):
            return
        if axis == -1:
            moved = channels.with_channels_first(image)
            self._viewer.layers.insert(self._viewer.layers.index(image) + 1, moved)
            self._viewer.layers.selection.active = moved
            return
        channels.set_axis(image, axis)
        self.reshaped.emit(key_of(image))
        self.refresh()

    def set_picks(self, picks: Picks) -> None:
        """Choose red, green and blue; results lie on the first of them, which becomes the current image.

        Raises
        ------
        ValueError
            If they cannot be read as one image.
        """
        image = self.current
        chosen = [pick.layer for pick in picks if pick is not None]
        first = next((layer for layer in self.layers if chosen and key_of(layer) == chosen[0]), image)
        if image is None or first is None:
            return
        if text := mismatch(first, picks, self.layers):
            raise ValueError(text)
        channels.set_picks(image, NO_PICKS)
        channels.set_picks(first, picks)
        self._current = key_of(first)
        self.refresh()
        self._viewer.layers.selection.active = first

    def choose(self, key: str | None) -> None:
        """Look at another image, and select it in the layer list, which otherwise would lead back to the one before."""
        self._current = key
        self.looked.emit(self.current)
        if self.current is not None:
            self._viewer.layers.selection.active = self.current

    def refresh(self, event: Any = None) -> None:
        """List the images anew; when the current one is gone, the top one is looked at."""
        for layer in self.layers:
            self._connect_image(layer, True)
        if self.current is None:
            self._current = next((key_of(layer) for layer in self.layers), None)
        self.listed.emit()
        self.looked.emit(self.current)

    def _connect(self, on: bool) -> None:
        viewer = self._viewer
        for emitter, slot in (
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self.refresh),
            (viewer.layers.events.reordered, self.refresh),
            (viewer.layers.selection.events.active, self._on_active),
            (viewer.dims.events.point, self._on_look),
        ):
            (emitter.connect if on else emitter.disconnect)(slot)
        for layer in self.layers:
            self._connect_image(layer, on)

    def _connect_image(self, layer: Image, on: bool) -> None:
        for emitter, slot in (
            (layer.events.name, self.refresh),
            (layer.events.contrast_limits, self._on_look),
            (layer.events.gamma, self._on_look),
            (layer.events.data, self._on_look),
            (layer.events.scale, self._on_look),
            (layer.events.units, self._on_look),
            (layer.events.affine, self._on_look),
        ):
            emitter.disconnect(slot)
            if on:
                emitter.connect(slot)

    def _on_inserted(self, event: Any) -> None:
        if is_source(event.value):
            self.refresh()

    def _on_active(self, event: Any) -> None:
        """The image that is selected in the layer list is looked at, unless it is a colour of the one that is."""
        active = self._viewer.layers.selection.active
        if active is None or not is_source(active):
            return
        current = self.current
        colours = () if current is None else channels.picks_of(current)
        if key_of(active) not in {self._current, *(pick.layer for pick in colours if pick is not None)}:
            self._current = key_of(active)
            self.refresh()

    def _on_look(self, event: Any) -> None:
        self.looked.emit(self.current)
