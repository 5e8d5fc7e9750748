"""What is in a viewer as a session: images, what is wanted of them and was done, and the labels that lie on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.sources import KEY, is_source, key_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.layers.styles import STROKES, tag_of
from napari_clearclip.gui.sessions.describing import look_of, placement_of, saved_labels
from napari_clearclip.io.sessions import Camera, Image, Pick, Read, Result, Session, fingerprint
from napari_clearclip.io.sessions import Layer as Saved

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer

SMALL = 2**26  # bytes up to which an image without a file is kept in the session


@dataclass(frozen=True, eq=False)
class Draft:
    """A session without anything that takes time: `complete` adds it.

    Attributes
    ----------
    session : Session
        Without digests and pixels of images.
    data : tuple of array
        The pixels of each image, of any kind that can be made an array.
    kept : tuple of bool
        Which of them are kept in the session.
    """

    session: Session
    data: tuple[Any, ...]
    kept: tuple[bool, ...]

    def complete(self, name: Callable[[Any], str] = fingerprint, copy: bool = True) -> Session:
        """The session; all pixels are read, so it belongs in a worker.

        Parameters
        ----------
        name : callable
            Gives the digest of an image.
        copy : bool
            Whether pixels that are kept are copied, so that nobody changes them while they are written.
        """
        images = []
        for image, data, kept in zip(self.session.images, self.data, self.kept, strict=True):
            pixels = (np.array(data) if copy else np.asarray(data)) if kept else None
            images.append(image.replace(pixels=pixels, digest=name(data if pixels is None else pixels)))
        return self.session.replace(images=tuple(images))


def session_of(
    viewer: ViewerModel,
    controller: Controller,
    results: Results,
    keys: Collection[str] | None = None,
    *,
    pixels: bool = False,
    found: bool = False,
) -> Draft:
    """Images of a viewer as a session.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are.
    controller : Controller
        What is wanted of them.
    results : Results
        What was found, and what was painted.
    keys : collection of str, optional
        Of the images; by default all. Those that are their colours come along.
    pixels : bool
        Whether to keep the images themselves; one without a file and not larger than 64 MB is kept in any case.
    found : bool
        Whether to keep masks and scores, as far as they are up to date.
    """
    layers = [layer for layer in viewer.layers if is_source(layer)]
    wanted = {key_of(layer) for layer in layers if keys is None or key_of(layer) in keys}
    colours = {pick.layer for layer in layers if key_of(layer) in wanted for pick in channels.picks_of(layer) if pick}
    taken = [layer for layer in layers if key_of(layer) in wanted | colours]
    places = {key_of(layer): at for at, layer in enumerate(taken)}
    images = []
    for layer in taken:
        key = key_of(layer)
        image = _image(layer, places)
        if key in wanted and controller.knows(key):
            results.collect(key)
            image = image.replace(**_wanted(controller.state_of(key)))
            image = image.replace(results=_results(key, controller, results) if found else ())
        images.append(image)
    labels = tuple(
        saved_labels(layer, places.get(ground_of(layer)))
        for layer in viewer.layers
        if is_own(layer) and (keys is None or ground_of(layer) in wanted)
    )
    current = places.get(str(controller.key))
    session = Session(images=tuple(images), layers=labels, current=current, camera=_camera(viewer))
    kept = tuple(pixels or _is_homeless(layer) for layer in taken)
    return Draft(session, tuple(_data(layer) for layer in taken), kept)


def one_of(viewer: ViewerModel, controller: Controller, layer: ImageLayer, labels: Iterable[Saved] = ()) -> Draft:
    """An image, and `labels` that lie on it, as a session, as quickly as that can be: nothing is copied."""
    chosen = {pick.layer for pick in channels.picks_of(layer) if pick}
    taken = [other for other in viewer.layers if is_source(other) and (other is layer or key_of(other) in chosen)]
    places = {key_of(other): at for at, other in enumerate(taken)}
    images = [_image(other, places) for other in taken]
    at = taken.index(layer)
    images[at] = images[at].replace(**_wanted(controller.state_of(key_of(layer))))
    layers = tuple(saved.replace(image=at) for saved in labels)
    session = Session(images=tuple(images), layers=layers, current=at, camera=_camera(viewer))
    data = tuple(_data(other) for other in taken)
    kept = (isinstance(array, np.ndarray) and _is_homeless(other) for array, other in zip(data, taken, strict=True))
    return Draft(session, data, tuple(kept))


def _data(layer: ImageLayer) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _is_homeless(layer: ImageLayer) -> bool:
    """Whether an image has no file to be opened from, and is small enough to be kept in a session."""
    data, source = _data(layer), layer.source
    small = float(np.prod(data.shape, dtype=float)) * np.dtype(data.dtype).itemsize <= SMALL
    return source.path is None and source.sample is None and small


def _image(layer: ImageLayer, places: dict[str, int]) -> Image:
    """An image by itself."""
    data, source = _data(layer), layer.source
    picks = tuple(None if pick is None else _pick(pick, places) for pick in channels.picks_of(layer))
    return Image(
        name=layer.name,
        path=source.path,
        reader=source.reader_plugin,
        sample=source.sample,
        shape=tuple(int(size) for size in data.shape),
        dtype=str(np.dtype(data.dtype)),
        rgb=bool(layer.rgb),
        placement=placement_of(layer),
        look=look_of(layer),
        axis=channels.axis_of(layer),
        picks=picks if any(picks) else (),
    )


def _pick(pick: channels.Pick, places: dict[str, int]) -> Pick | None:
    return Pick(image=places[pick.layer], channel=pick.channel) if pick.layer in places else None


def _wanted(state: State) -> dict[str, Any]:
    """What is wanted of an image and was done to it."""
    readings = tuple(
        Read(plane=plane, model=read.model, tiling=read.tiling, attention=read.attention, view=read.view)
        for plane, read in state.readings.items()
    )
    return {"settings": state.settings, "edits": state.edits, "readings": readings}


def _results(key: str, controller: Controller, results: Results) -> tuple[Result, ...]:
    """What was found on the planes of an image and answers what is asked now."""
    kept = []
    for plane in controller.state_of(key).readings:
        outcome = results.outcome((key, plane))
        if outcome is None or outcome.preview or not controller.is_fresh((key, plane)):
            continue
        one = outcome.segmentation
        kept.append(
            Result(
                plane=plane,
                settings=one.settings,
                view=one.view,
                labels=one.labels,
                overlaps=one.overlaps,
                scores=one.scores.values,
                cell=one.scores.cell,
                valid=one.valid,
            )
        )
    return tuple(kept)


def is_own(layer: Layer) -> bool:
    """Whether a layer holds labels that are the user's own."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and not tag_of(layer)[0] and layer.metadata.get(KEY, {}).get("kind") != STROKES


def is_accepted(layer: Layer) -> bool:
    """Whether a layer holds labels of the user's own that were accepted on an image."""
    return is_own(layer) and bool(ground_of(layer))


def ground_of(layer: Layer) -> str:
    """The key of the image that masks were accepted on; empty if that is not known."""
    return str(layer.metadata.get(KEY, {}).get("accepted", ""))


def _camera(viewer: ViewerModel) -> Camera:
    camera = viewer.scene.camera
    return Camera(
        center=tuple(float(value) for value in camera.center),
        zoom=float(camera.zoom),
        angles=tuple(float(value) for value in camera.angles),
        point=tuple(float(value) for value in viewer.dims.point),
        ndisplay=viewer.dims.ndisplay,
    )
