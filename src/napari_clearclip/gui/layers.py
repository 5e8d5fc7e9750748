"""Results as napari layers: masks and heat maps that lie on their image, found by metadata, never by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from napari_clearclip.edits import Edits
from napari_clearclip.gui import prompt_list
from napari_clearclip.gui.controller import Controller
from napari_clearclip.gui.history import State
from napari_clearclip.gui.jobs import Outcome, Spot
from napari_clearclip.gui.sources import KEY, apply_placement, is_source, key_of, placement, shape_of
from napari_clearclip.gui.styles import LABELS, SIMILARITY, make_layer, remember, restyle, tag_of
from napari_clearclip.settings import Prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_SMALL = 2048 * 2048  # pixels up to which a thumbnail costs nothing that is felt


class Results:
    """Shows what a controller finds as layers of a viewer, and tells it what the user does to them.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose layers these are.
    controller : Controller
        Where results come from and what is painted goes to.
    """

    def __init__(self, viewer: ViewerModel, controller: Controller) -> None:
        self._viewer = viewer
        self._controller = controller
        self._outcomes: dict[Spot, Outcome] = {}
        self._unwritten: list[tuple[Spot, str]] = []
        self._selected: str | None = None
        self._heat_map_shown = True
        self._writing = False
        self._closed = False
        for layer in viewer.layers:
            if tag_of(layer)[0] or self.shows(key_of(layer)):  # left by a panel that was closed
                self._listen(layer, True)
        controller.result_changed.connect(self.show)
        controller.withdrawn.connect(self.withdraw)
        controller.changed.connect(self._on_changed)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of viewer and controller; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self._unwritten.clear()
        self._controller.result_changed.disconnect(self.show)
        self._controller.withdrawn.disconnect(self.withdraw)
        self._controller.changed.disconnect(self._on_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._viewer.layers:
            self._listen(layer, False)

    def find(self, kind: str, key: str, prompt: str) -> Layer | None:
        """Our layer of a kind for an image and a prompt, whatever it is called."""
        return next((layer for layer in self._of(key) if tag_of(layer) == (kind, key, prompt)), None)

    def image(self, key: str) -> Image | None:
        """The image layer with this key, or None once it is gone."""
        return next((layer for layer in self._viewer.layers if is_source(layer) and key_of(layer) == key), None)

    def shows(self, key: str) -> bool:
        """Whether there are results for an image."""
        return any(True for _ in self._of(key))

    def show(self, outcome: Outcome) -> None:
        """Write a result into its layers; what was painted meanwhile stays and is told to the controller."""
        key = str(outcome.source.key)
        if self.image(key) is None:
            return
        self._outcomes[outcome.source.spot] = outcome
        self.collect(key)
        wanted = self._controller.state_of(key).settings.objects
        self._queue(outcome.source.spot, [prompt.id for prompt in wanted if prompt.visible])

    def withdraw(self, spot: Spot) -> None:
        """Take away a preview that no result replaced; what was painted on it stays among the edits."""
        key, plane = str(spot[0]), spot[1]
        self.collect(key)
        self._outcomes.pop(spot, None)
        if not self._controller.state_of(key).readings:
            self._follow(key, {})
            return
        for layer in self._of(key):
            layer.data[plane] = 0
            layer.metadata[KEY]["written"].pop(plane, None)
            layer.refresh(extent=False, highlight=False)

    def select(self, prompt: str | None) -> None:
        """Show the heat map of one prompt only."""
        self._selected = prompt
        for layer in self._ours():
            kind, _, of = tag_of(layer)
            if kind == SIMILARITY:
                _set_visible(layer, self._is_hot(of))

    def toggle_heat_map(self) -> None:
        """Show the heat map of the selected prompt, or none."""
        self._heat_map_shown = not self._heat_map_shown
        self.select(self._selected)

    def _is_hot(self, prompt: str) -> bool:
        """Whether a prompt's heat map is the one to be seen."""
        return self._heat_map_shown and prompt == self._selected

    def collect(self, key: str) -> None:
        """Take what was painted into the layers of an image over into the controller's edits."""
        if self._closed:
            return
        edits = self._controller.state_of(key).edits
        for layer in self._of(key):
            if tag_of(layer)[0] == LABELS:
                edits = self._strokes(layer, edits)
        self._controller.update(edits=edits, key=key)

    # Reading what was painted

    def _strokes(self, layer: Labels, edits: Edits) -> Edits:
        """Edits with the pixels of a layer that differ from what was last written or taken over."""
        _, key, prompt = tag_of(layer)
        written = layer.metadata[KEY]["written"]
        source = self._controller.source
        here = {source.view.plane} if source is not None and source.key == key else set()
        for plane in here | set(written):
            data = layer.data[plane]
            known = written.setdefault(plane, np.zeros(data.shape, np.uint8))
            if data.shape != known.shape or _equal(data, known):
                continue
            stroke = data != known
            for on in (True, False):
                part = stroke & ((data != 0) == on)
                if part.any():
                    edits = edits.paint(prompt, plane, part, on)
            np.copyto(known, data, where=stroke)
        return edits

    # Writing

    def _queue(self, spot: Spot, prompts: list[str]) -> None:
        """Write some prompts' layers, soon: napari takes a tenth of a second to make one."""
        wanted = [(spot, prompt) for prompt in prompts]
        self._unwritten = [entry for entry in self._unwritten if entry not in wanted] + wanted
        self._write_some()

    def _write_some(self) -> None:
        """Write until a layer had to be made, then let the window live before going on."""
        while self._unwritten:
            spot, of = self._unwritten.pop(0)
            key = str(spot[0])
            image, outcome = self.image(key), self._outcomes.get(spot)
            wanted = self._controller.state_of(key).settings.objects
            prompt = next((item for item in wanted if item.id == of), None)
            if image is None or outcome is None or prompt is None or not prompt.visible:
                continue
            if of in outcome.segmentation.scores.prompts and self._write(image, prompt, outcome):
                QTimer.singleShot(0, self._write_some)
                return

    def _write(self, image: Image, prompt: Prompt, outcome: Outcome) -> bool:
        """Write mask and heat map of one prompt; whether layers had to be made for it."""
        result, plane, key = outcome.segmentation, outcome.source.view.plane, key_of(image)
        shape, count = shape_of(image), len(self._viewer.layers)
        active, selected = self._viewer.layers.selection.active, set(self._viewer.layers.selection)
        scores = result.scores.of(prompt.id)
        heat = self._layer(SIMILARITY, image, prompt, (*shape[:-2], *scores.shape), result.scores.cell)
        heat.data[plane] = scores
        heat.refresh(extent=False, highlight=False)

        mask = result.mask(prompt.id).astype(np.uint8)
        painted = self._controller.state_of(key).edits.painting(prompt.id, plane)
        painted.on.paint(mask, 1)
        painted.off.paint(mask, 0)
        labels = self._layer(LABELS, image, prompt, shape, (1.0, 1.0))
        if not _equal(labels.data[plane], mask):
            labels.data[plane] = mask
            labels.refresh(thumbnail=mask.size <= _SMALL, extent=False, highlight=False)
        labels.metadata[KEY]["written"][plane] = mask

        made = len(self._viewer.layers) > count
        if made and active is not None:
            self._viewer.layers.selection = selected
            self._viewer.layers.selection.active = active
        return made

    def _layer(self, kind: str, image: Image, prompt: Prompt, shape: tuple[int, ...], cell: tuple[float, float]) -> Any:
        """The layer of a kind for a prompt, made where there is none of this shape."""
        found = self.find(kind, key_of(image), prompt.id)
        if found is not None and tuple(found.data.shape) != shape:
            self._remove(found)
            found = None
        if found is None:
            found = make_layer(kind, image, prompt, shape, placement(image, cell))
            found.visible = kind == LABELS or self._is_hot(prompt.id)
            at = self._viewer.layers.index(image) + 1 if kind == SIMILARITY else len(self._viewer.layers)
            self._viewer.layers.insert(at, found)
            self._listen(found, True)
            self._listen(image, True)
        elif found.metadata[KEY]["cell"] != tuple(cell):
            apply_placement(found, placement(image, cell))
        found.metadata[KEY]["cell"] = tuple(cell)
        return found

    # Listening

    def _listen(self, layer: Layer, on: bool) -> None:
        """Connect or disconnect what the user does to a layer of ours or to its image."""
        kind = tag_of(layer)[0]
        pairs: list[tuple[Any, Any]] = []
        if kind == LABELS:
            pairs = [(layer.events.paint, self._on_paint), (layer.events.visible, self._on_visible)]
            layer.bind_key("Control-Z", self._undo if on else None, overwrite=True)
            layer.bind_key("Control-Shift-Z", self._redo if on else None, overwrite=True)
        elif is_source(layer):
            pairs = [(getattr(layer.events, name), self._on_moved) for name in _TRANSFORMS]
        for emitter, slot in pairs:
            emitter.disconnect(slot)
            if on:
                emitter.connect(slot)

    def _undo(self, layer: Layer) -> None:
        self._controller.undo(tag_of(layer)[1])

    def _redo(self, layer: Layer) -> None:
        self._controller.redo(tag_of(layer)[1])

    def _on_paint(self, event: Any) -> None:
        """Take a stroke over once it is in the data: napari tells of a fill or a polygon before it is drawn."""
        key = tag_of(event.source)[1]
        QTimer.singleShot(0, lambda: self.collect(key))

    def _on_visible(self, event: Any) -> None:
        """The eye in the layer list is the check box of the prompt."""
        if not self._writing:
            _, key, prompt = tag_of(event.source)
            self._show_prompt(key, prompt, bool(event.source.visible))

    def _on_moved(self, event: Any) -> None:
        """Results follow their image."""
        for layer in self._of(key_of(event.source)):
            apply_placement(layer, placement(event.source, layer.metadata[KEY]["cell"]))

    def _on_removed(self, event: Any) -> None:
        """A result that is deleted hides its prompt; with an image go its job and its memory."""
        layer = event.value
        kind, key, prompt = tag_of(layer)
        if is_source(layer):
            self._listen(layer, False)
            gone = [spot for spot in self._outcomes if spot[0] == key_of(layer)]
            for spot in gone:
                del self._outcomes[spot]
            self._controller.forget(key_of(layer))
        elif kind and not self._writing:
            self._listen(layer, False)
            if kind == LABELS:
                self._controller.update(edits=self._strokes(layer, self._controller.state_of(key).edits), key=key)
            self._show_prompt(key, prompt, False)

    def _show_prompt(self, key: str, prompt: str, visible: bool) -> None:
        settings = self._controller.state_of(key).settings
        self._controller.update(prompt_list.changed(settings, (prompt,), visible=visible), key=key)

    def _on_changed(self, key: str | None, old: State, new: State) -> None:
        """Names, colours and visibility follow the prompts; layers of prompts that are gone go too."""
        if key is None:
            return
        if (image := self.image(key)) is not None:
            remember(image, new)
        spots = [spot for spot in self._outcomes if spot[0] == key]
        for spot in [spot for spot in spots if spot[1] not in new.readings]:  # its run was undone
            del self._outcomes[spot]
        undone = bool(old.readings) and not new.readings
        prompts = {} if undone else {prompt.id: prompt for prompt in new.settings.objects}
        if undone or old.settings.objects != new.settings.objects:
            self._follow(key, prompts)
        shown = {prompt.id for prompt in old.settings.objects if prompt.visible}
        for spot in spots:
            self._queue(spot, [of for of, prompt in prompts.items() if prompt.visible and of not in shown])

    def _follow(self, key: str, prompts: Mapping[str, Prompt]) -> None:
        """Let the layers of an image follow its prompts, by id."""
        writing, self._writing = self._writing, True
        for layer in self._of(key):
            kind, _, of = tag_of(layer)
            if of not in prompts:
                self._remove(layer)
                continue
            restyle(layer, self.image(key), prompts[of])
            _set_visible(layer, prompts[of].visible and (kind == LABELS or self._is_hot(of)))
        self._writing = writing

    def _remove(self, layer: Layer) -> None:
        """Take a layer of ours away without hiding its prompt."""
        writing, self._writing = self._writing, True
        self._listen(layer, False)
        self._viewer.layers.remove(layer)
        self._writing = writing

    def _ours(self) -> Iterator[Any]:
        return (layer for layer in self._viewer.layers if tag_of(layer)[0])

    def _of(self, key: str) -> Iterator[Any]:
        return (layer for layer in list(self._ours()) if tag_of(layer)[1] == key)


def _set_visible(layer: Layer, visible: bool) -> None:
    """Show or hide a layer; showing one that is shown would put its brush away."""
    if layer.visible != visible:
        layer.visible = visible


def _equal(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    """Whether two masks (H, W) are the same; eight pixels at once where the size allows, for large images."""
    if one.size % 8 == 0 and one.flags.c_contiguous and other.flags.c_contiguous:
        return np.array_equal(one.reshape(-1).view(np.uint64), other.reshape(-1).view(np.uint64))
    return np.array_equal(one, other)
