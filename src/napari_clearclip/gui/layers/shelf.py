"""Our layers in a viewer: found by metadata, never by name, made in their place above the image, and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_clearclip.gui.images.channels import picks_of
from napari_clearclip.gui.images.sources import KEY, apply_placement, is_source, key_of, placement
from napari_clearclip.gui.layers.styles import COMBINED, INSTANCES, LABELS, SIMILARITY, make_layer, tag_of
from napari_clearclip.settings import Prompt, Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

MOST_LAYERS = 16  # visible prompts that have a mask layer each; more share one


@dataclass(frozen=True)
class Sheet:
    """What one mask layer shows: its kind, its prompts, and the value of each in it."""

    kind: str
    prompts: tuple[Prompt, ...]
    shown: Mapping[str, int]


def sheets(settings: Settings) -> dict[str, Sheet]:
    """The mask layers that visible prompts have, by prompt; under "" the one that more than 16 share.

    In the layer that many share, a prompt's value is its place in the list.
    """
    places = {prompt.id: at for at, prompt in enumerate(settings.objects, 1)}
    visible = tuple(prompt for prompt in settings.objects if prompt.visible)
    if len(visible) > MOST_LAYERS:
        return {"": Sheet(COMBINED, visible, {prompt.id: places[prompt.id] for prompt in visible})}
    return {prompt.id: Sheet(LABELS, (prompt,), {prompt.id: 1}) for prompt in visible}


@contextmanager
def same_selection(viewer: ViewerModel) -> Iterator[None]:
    """What is selected in the layer list stays so, whatever is added."""
    selection = viewer.layers.selection
    active, selected = selection.active, set(selection)
    yield
    if active is not None:
        viewer.layers.selection = selected
        viewer.layers.selection.active = active


class Shelf:
    """The layers of all images.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are.
    """

    made = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.working = False

    @contextmanager
    def work(self) -> Iterator[None]:
        """While this lasts, what happens to the layers is our own doing."""
        before, self.working = self.working, True
        try:
            yield
        finally:
            self.working = before

    def image(self, key: str) -> Image | None:
        """The image layer with this key, or None once it is gone."""
        return next((layer for layer in self._viewer.layers if is_source(layer) and key_of(layer) == key), None)

    def of(self, key: str) -> list[Any]:
        """Our layers of an image."""
        return [layer for layer in self._viewer.layers if tag_of(layer)[0] and tag_of(layer)[1] == key]

    def find(self, kind: str, key: str, prompt: str) -> Any:
        """Our layer of a kind for an image and a prompt, whatever it is called, or None."""
        return next((layer for layer in self.of(key) if tag_of(layer) == (kind, key, prompt)), None)

    def make(self, sheet: Sheet, image: Image, shape: tuple[int, ...], cell: tuple[float, float], order: Any) -> Any:
        """A new layer in its place; what is selected stays so.

        Parameters
        ----------
        sheet : Sheet
            What it shows.
        image : Image
            The image that it lies on.
        shape : tuple of int
            Its shape.
        cell : tuple of 2 float
            Height and width, in pixels of the image, of one of its pixels.
        order : sequence of str
            All prompts by id, from the top of the list.
        """
        layers = self._viewer.layers
        layer = make_layer(sheet.kind, image, sheet.shown, sheet.prompts, shape, placement(image, cell))
        layer.metadata[KEY]["cell"] = tuple(cell)
        below = [each for each in self.of(key_of(image)) if _rank(each, order) < _rank(layer, order)]
        at = max(layers.index(each) for each in [self._ground(image), *below]) + 1
        with self.work(), same_selection(self._viewer):
            layers.insert(at, layer)
        self.made.emit(layer)
        return layer

    def _ground(self, image: Image) -> Image:
        """The topmost of an image and its colours, which would shine through what lies below them."""
        colours = {pick.layer for pick in picks_of(image) if pick is not None} | {key_of(image)}
        return max(
            (layer for layer in self._viewer.layers if is_source(layer) and key_of(layer) in colours),
            key=self._viewer.layers.index,
        )

    def moved(self, layer: Any, image: Image, cell: tuple[float, float]) -> None:
        """Let a layer lie on its image with cells of another size."""
        if layer.metadata[KEY]["cell"] != tuple(cell):
            apply_placement(layer, placement(image, cell))
            layer.metadata[KEY]["cell"] = tuple(cell)

    def remove(self, *layers: Layer) -> None:
        """Take layers of ours away without hiding their prompts."""
        if layers:
            with self.work(), together(self._viewer):
                for layer in layers:
                    self._viewer.layers.remove(layer)

    def arrange(self, key: str, order: Sequence[str]) -> None:
        """Put our layers of an image above it, in the order of the prompts, unless they are in this order already."""
        layers, image = self._viewer.layers, self.image(key)
        found = self.of(key)
        wanted = sorted(found, key=lambda layer: _rank(layer, order))
        if image is None or [layer.name for layer in found] == [layer.name for layer in wanted]:
            return
        for at, layer in enumerate(wanted, 1):
            target = layers.index(self._ground(image)) + at
            if layers.index(layer) != target:
                layers.move(layers.index(layer), target)


def together(viewer: ViewerModel) -> AbstractContextManager[None]:
    """While this lasts, napari redraws nothing: else it collects garbage for each layer that goes, for a second."""
    batch: Callable[[], AbstractContextManager[None]] = getattr(viewer.layers, "batched_update", nullcontext)
    return batch()


def _rank(layer: Layer, order: Sequence[str]) -> tuple[int, int]:
    """Place from the bottom: heat maps, masks, objects; the first prompt is on top, as where masks meet."""
    kind, _, prompt = tag_of(layer)
    below = -order.index(prompt) if prompt in order else 0
    return (SIMILARITY, LABELS, COMBINED, INSTANCES).index(kind), below
