"""A session into a viewer: its images are found or asked for, and everything is as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clearclip.cache import Cache
from napari_clearclip.edits import Edits
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Outcome, Reading, Source
from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.sources import is_source, key_of, source_of
from napari_clearclip.gui.sessions.describing import image_from, labels_from, place, show
from napari_clearclip.io.sessions import Camera, Image, Result, Session, fingerprint, places
from napari_clearclip.job import Bands
from napari_clearclip.result import Scores, Segmentation
from napari_clearclip.splitting import Splitter

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer

OTHER_PIXELS = (
    "“{name}” is no longer the image that the session was made with. What was painted lies where it lay. "
    "Use it all the same?"
)
OTHER_SIZE = "{path} is not the image “{name}” of the session: that has {shape} pixels."
LEFT_OUT = "“{name}” was not found, so it was left out."
_SPLITTING = 2**28  # bytes for objects of results that were read

Asking = Callable[[Image], Path | None]
Confirming = Callable[[str], bool]


@dataclass(frozen=True)
class Finder:
    """How the images of a session are found.

    Attributes
    ----------
    viewer : ViewerModel
        Where they may be open already, and where they are opened.
    path : Path
        Of the session file.
    ask : callable
        Takes an image whose file is not where it was, and returns where it is now, or None.
    confirm : callable
        Takes what is wrong with an image, and returns whether to go on with it.
    """

    viewer: ViewerModel
    path: Path
    ask: Asking
    confirm: Confirming

    def find(self, image: Image, taken: Sequence[ImageLayer]) -> ImageLayer | None:
        """The layer of an image: one that is open, or a new one; None if it is nowhere, or is not wanted.

        Raises
        ------
        ValueError
            If a file that was chosen holds no such image.
        """
        fitting = [layer for layer in self._open if layer not in taken and fits(layer, image)]
        for layer in sorted(fitting, key=lambda layer: layer.name != image.name):
            if fingerprint(_data(layer)) == image.digest:
                return layer
        layer = self._fresh(image)
        if layer is None or not image.digest or fingerprint(_data(layer)) == image.digest:
            return layer
        if self.confirm(OTHER_PIXELS.format(name=image.name)):
            return layer
        self.viewer.layers.remove(layer)
        return None

    @property
    def _open(self) -> list[ImageLayer]:
        return [layer for layer in self.viewer.layers if is_source(layer)]

    def _fresh(self, image: Image) -> ImageLayer | None:
        """The image from the session, a sample or a file."""
        if image.pixels is not None:
            layer = image_from(image)
            self.viewer.layers.append(layer)
            return layer
        if image.sample is not None:
            return self._fitting(self.viewer.open_sample(*image.sample), image)
        for path in places(image, self.path):
            if path.exists() and (layer := self._from(path, image)) is not None:
                return layer
        chosen = self.ask(image)
        if chosen is None:
            return None
        layer = self._from(chosen, image)
        if layer is None:
            shape = " × ".join(str(size) for size in image.shape)
            raise ValueError(OTHER_SIZE.format(path=chosen, name=image.name, shape=shape))
        return layer

    def _from(self, path: Path, image: Image) -> ImageLayer | None:
        try:
            layers = self.viewer.open(str(path), plugin=image.reader)
        except ValueError:  # the plugin is not installed here, or does not take such a file
            layers = self.viewer.open(str(path), plugin=None)
        return self._fitting(layers, image)

    def _fitting(self, layers: Sequence[Any], image: Image) -> ImageLayer | None:
        """The layer that has the image's size, of those that were opened; if none has, they are closed."""
        found: ImageLayer | None = next((layer for layer in layers if is_source(layer) and fits(layer, image)), None)
        if found is None:
            for layer in layers:
                self.viewer.layers.remove(layer)
        return found


def fits(layer: ImageLayer, image: Image) -> bool:
    """Whether a layer has the size and the type of an image."""
    data = _data(layer)
    return tuple(data.shape) == image.shape and str(data.dtype) == image.dtype and bool(layer.rgb) == image.rgb


def _data(layer: ImageLayer) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def restore(session: Session, finder: Finder, controller: Controller, images: Images) -> list[str]:
    """Make everything as it was; what could not be, is returned in sentences.

    Parameters
    ----------
    session : Session
        What was read.
    finder : Finder
        How its images are found.
    controller : Controller
        Gets what was wanted and done.
    images : Images
        The images of the viewer.
    """
    viewer, said = finder.viewer, []
    found: dict[int, ImageLayer] = {}
    for at, image in enumerate(session.images):
        try:
            layer = finder.find(image, list(found.values()))
        except (OSError, ValueError) as error:
            said.append(str(error))
            continue
        if layer is None:
            said.append(LEFT_OUT.format(name=image.name))
            continue
        found[at] = layer
        layer.name = image.name
        place(layer, image.placement)
        show(layer, image.look)
    keys = {at: key_of(layer) for at, layer in found.items()}
    for at, layer in found.items():
        _set_channels(layer, session.images[at], keys)
    images.refresh()
    for at, layer in found.items():
        adopt(layer, session.images[at], controller, images)
    for saved in session.layers:
        if saved.image is None or saved.image in found:
            viewer.layers.append(labels_from(saved, None if saved.image is None else keys[saved.image]))
    if session.current in found:
        images.choose(keys[session.current])
    if session.camera is not None and found:
        _show(viewer, session.camera)
    return said


def adopt(layer: ImageLayer, image: Image, controller: Controller, images: Images) -> None:
    """Make what was wanted of an image, and done to it, what is wanted of a layer."""
    if image.settings is None:
        return
    readings = {
        read.plane: Reading(read.model, read.tiling, read.attention.entry, read.view.replace(plane=()), read.attention)
        for read in image.readings
    }
    state = State(image.settings, image.edits, readings)
    source = source_of(layer, [0.0] * layer.ndim, images.layers)
    outcomes = [
        Outcome.of(source.at(result.plane, readings[result.plane].view), _segmentation(result, image.edits, source))
        for result in image.results
        if result.plane in readings
    ]
    controller.adopt(key_of(layer), state, outcomes)


def _segmentation(result: Result, edits: Edits, source: Source) -> Segmentation:
    """What was found on a plane of an image."""
    ids = tuple(prompt.id for prompt in result.settings.objects)
    stack = None if source.bands is None else source.bands.at(result.plane)
    bands = None if stack is None else Bands.beside(stack)
    return Segmentation(
        result.labels,
        Scores(ids, result.scores, result.cell),
        result.settings,
        result.view,
        edits.at(result.plane),
        result.overlaps,
        result.valid,
        splitter=Splitter(Cache(_SPLITTING), bands),
    )


def _set_channels(layer: ImageLayer, image: Image, keys: dict[int, str]) -> None:
    """Which axis holds channels, and what is red, green and blue."""
    if image.axis != channels.axis_of(layer):
        channels.set_axis(layer, image.axis)
    picks = [
        None if pick is None or pick.image not in keys else channels.Pick(keys[pick.image], pick.channel)
        for pick in image.picks
    ]
    if any(picks):
        red, green, blue = picks
        channels.set_picks(layer, (red, green, blue))


def _show(viewer: ViewerModel, camera: Camera) -> None:
    """Show what was shown."""
    viewer.dims.ndisplay = camera.ndisplay
    if len(camera.point) == viewer.dims.ndim:
        viewer.dims.point = camera.point
    scene = viewer.scene.camera
    scene.center, scene.zoom = camera.center, camera.zoom
    if camera.angles:
        scene.angles = camera.angles
