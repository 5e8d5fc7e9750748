"""Results as napari layers: masks and heat maps that lie on their image, found by metadata, never by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from napari_clearclip.edits import Edits, Plane
from napari_clearclip.gui import prompt_list
from napari_clearclip.gui.controller import Controller
from napari_clearclip.gui.history import State
from napari_clearclip.gui.jobs import Outcome
from napari_clearclip.gui.sources import KEY, apply_placement, is_source, key_of, placement, shape_of
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Prompt

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_SMALL = 2048 * 2048  # pixels up to which a thumbnail costs nothing that is felt
_OPACITY = {"labels": 0.6, "similarity": 0.85}


def _rgba(color: str, alpha: float = 1.0) -> tuple[float, float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue, alpha


def _colormap(kind: str, prompt: Prompt) -> Any:
    from napari.utils import Colormap, DirectLabelColormap

    if kind == "similarity":
        return Colormap([_rgba(prompt.color, 0.0), _rgba(prompt.color)], name=f"clearclip {prompt.color}")
    clear = (0.0, 0.0, 0.0, 0.0)
    return DirectLabelColormap(color_dict={None: _rgba(prompt.color), 0: clear, 1: _rgba(prompt.color)})


def _name(image: Image, prompt: Prompt, kind: str) -> str:
    return f"{image.name} · {prompt.phrase}" + (" similarity" if kind == "similarity" else "")


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
        self._known: dict[tuple[str, str, Plane], npt.NDArray[np.uint8]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._selected: str | None = None
        self._writing = False
        self._closed = False
        controller.result_changed.connect(self.show)
        controller.changed.connect(self._on_changed)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of viewer and controller; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self._controller.result_changed.disconnect(self.show)
        self._controller.changed.disconnect(self._on_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._viewer.layers:
            self._listen(layer, False)

    def find(self, kind: str, key: str, prompt: str) -> Layer | None:
        """Our layer of a kind for an image and a prompt, whatever it is called."""
        return next((layer for layer in self._of(key) if _tag(layer) == (kind, key, prompt)), None)

    def image(self, key: str) -> Image | None:
        """The image layer with this key, or None once it is gone."""
        return next((layer for layer in self._viewer.layers if is_source(layer) and key_of(layer) == key), None)

    def show(self, outcome: Outcome) -> None:
        """Write a result into its layers; what was painted meanwhile stays and is told to the controller."""
        key = str(outcome.source.key)
        if (image := self.image(key)) is None:
            return
        self._outcomes[key] = outcome
        self.collect(key)
        for prompt in self._controller.settings.objects:
            if prompt.id in outcome.segmentation.scores.prompts and prompt.visible:
                self._write(image, prompt, outcome)

    def select(self, prompt: str | None) -> None:
        """Show the heat map of one prompt only."""
        self._selected = prompt
        for layer in self._ours():
            kind, _, of = _tag(layer)
            if kind == "similarity":
                layer.visible = of == prompt

    def collect(self, key: str) -> None:
        """Take what was painted into the layers of an image over into the controller's edits."""
        if self._closed:
            return
        before = self._controller.state
        edits = before.edits_of(key)
        for layer in self._of(key):
            if _tag(layer)[0] == "labels":
                edits = self._strokes(layer, edits)
        if edits != before.edits_of(key):
            self._controller.update(state=before.with_edits(key, edits))

    # Reading what was painted

    def _strokes(self, layer: Labels, edits: Edits) -> Edits:
        """Edits with the pixels of a layer that differ from what was last written or taken over."""
        _, key, prompt = _tag(layer)
        planes = {plane for of, by, plane in self._known if (of, by) == (key, prompt)}
        source = self._controller.source
        if source is not None and source.key == key:
            planes.add(source.view.plane)
        for plane in planes:
            data = layer.data[plane]
            known = self._known.setdefault((key, prompt, plane), np.zeros(data.shape, np.uint8))
            if data.shape != known.shape:
                continue
            stroke = data != known
            for on in (True, False):
                part = stroke & ((data != 0) == on)
                if part.any():
                    edits = edits.paint(prompt, plane, part, on)
            np.copyto(known, data, where=stroke)
        return edits

    # Writing

    def _write(self, image: Image, prompt: Prompt, outcome: Outcome) -> None:
        """Write mask and heat map of one prompt, making the layers where there are none."""
        result, plane, key = outcome.segmentation, outcome.source.view.plane, key_of(image)
        shape = shape_of(image)
        labels = self._layer("labels", image, prompt, shape, (1.0, 1.0))
        target = labels.data[plane]
        _fill(target, result, prompt.id)
        painted = self._controller.state.edits_of(key).painting(prompt.id, plane)
        painted.on.paint(target, 1)
        painted.off.paint(target, 0)
        self._known[key, prompt.id, plane] = target.copy()
        labels.refresh(thumbnail=target.size <= _SMALL, extent=False, highlight=False)

        scores = result.scores.of(prompt.id)
        heat = self._layer("similarity", image, prompt, (*shape[:-2], *scores.shape), result.scores.cell)
        heat.data[plane] = scores
        heat.refresh(extent=False, highlight=False)

    def _layer(self, kind: str, image: Image, prompt: Prompt, shape: tuple[int, ...], cell: tuple[float, float]) -> Any:
        """The layer of a kind for a prompt, made or made anew where there is none of this shape."""
        where = placement(image, cell)
        found = self.find(kind, key_of(image), prompt.id)
        if found is not None and tuple(found.data.shape) != shape:
            self._remove(found)
            found = None
        if found is None:
            found = self._make(kind, image, prompt, shape, where)
        elif found.metadata[KEY]["cell"] != tuple(cell):
            apply_placement(found, where)
        found.metadata[KEY]["cell"] = tuple(cell)
        return found

    def _make(self, kind: str, image: Image, prompt: Prompt, shape: tuple[int, ...], where: dict[str, Any]) -> Layer:
        """Add an empty layer of a kind for a prompt, leaving the selection as it was."""
        from napari.layers import Image as ImageLayer
        from napari.layers import Labels

        name = _name(image, prompt, kind)
        common = {
            "name": name,
            "colormap": _colormap(kind, prompt),
            "opacity": _OPACITY[kind],
            "blending": "translucent",
            "metadata": {KEY: {"kind": kind, "image": key_of(image), "prompt": prompt.id, "name": name}},
            **where,
        }
        layer: Layer
        if kind == "labels":
            features = {"index": [0, 1], "prompt": ["", prompt.phrase]}
            layer = Labels(np.zeros(shape, np.uint8), features=features, **common)
        else:
            layer = ImageLayer(
                np.zeros(shape, np.float32),
                contrast_limits=(0, 1),
                interpolation2d="linear",
                rgb=False,
                visible=prompt.id == self._selected,
                **common,
            )
        selected = set(self._viewer.layers.selection)
        active = self._viewer.layers.selection.active
        at = self._viewer.layers.index(image) + 1 if kind == "similarity" else len(self._viewer.layers)
        self._viewer.layers.insert(at, layer)
        self._viewer.layers.selection = selected
        self._viewer.layers.selection.active = active
        self._listen(layer, True)
        self._listen(image, True)
        return layer

    # Listening

    def _listen(self, layer: Layer, on: bool) -> None:
        """Connect or disconnect what the user does to a layer of ours or to its image."""
        kind = _tag(layer)[0]
        pairs: list[tuple[Any, Any]] = []
        if kind == "labels":
            pairs = [(layer.events.paint, self._on_paint), (layer.events.visible, self._on_visible)]
            layer.bind_key("Control-Z", self._undo if on else None, overwrite=True)
            layer.bind_key("Control-Shift-Z", self._redo if on else None, overwrite=True)
        elif kind == "" and is_source(layer):
            pairs = [(getattr(layer.events, name), self._on_moved) for name in _TRANSFORMS]
        for emitter, slot in pairs:
            emitter.disconnect(slot)
            if on:
                emitter.connect(slot)

    def _undo(self, _: Layer) -> None:
        self._controller.undo()

    def _redo(self, _: Layer) -> None:
        self._controller.redo()

    def _on_paint(self, event: Any) -> None:
        """Take a stroke over once it is in the data: napari tells of a fill or a polygon before it is drawn."""
        key = _tag(event.source)[1]
        QTimer.singleShot(0, lambda: self.collect(key))

    def _on_visible(self, event: Any) -> None:
        """The eye in the layer list is the check box of the prompt."""
        if not self._writing:
            self._show_prompt(_tag(event.source)[2], bool(event.source.visible))

    def _on_moved(self, event: Any) -> None:
        """Results follow their image."""
        for layer in self._of(key_of(event.source)):
            apply_placement(layer, placement(event.source, layer.metadata[KEY]["cell"]))

    def _on_removed(self, event: Any) -> None:
        """A result that is deleted hides its prompt; with an image go its job and its memory."""
        layer = event.value
        kind, key, prompt = _tag(layer)
        if kind == "" and is_source(layer):
            self._listen(layer, False)
            key = key_of(layer)
            self._outcomes.pop(key, None)
            self._controller.forget(key)
        elif kind and not self._writing:
            self._listen(layer, False)
            if kind == "labels":
                before = self._controller.state
                edits = self._strokes(layer, before.edits_of(key))
                self._drop_known(key, prompt)
                self._controller.update(state=before.with_edits(key, edits))
            self._show_prompt(prompt, False)

    def _show_prompt(self, prompt: str, visible: bool) -> None:
        settings = self._controller.settings
        self._controller.update(prompt_list.changed(settings, (prompt,), visible=visible))

    def _on_changed(self, old: State, new: State) -> None:
        """Names, colours and visibility follow the prompts; layers of prompts that are gone go too."""
        if old.settings.objects == new.settings.objects:
            return
        prompts = {prompt.id: prompt for prompt in new.settings.objects}
        self._writing = True
        try:
            for layer in list(self._ours()):
                prompt = prompts.get(_tag(layer)[2])
                if prompt is None:
                    self._remove(layer)
                else:
                    self._restyle(layer, prompt)
        finally:
            self._writing = False
        shown = {prompt.id for prompt in old.settings.objects if prompt.visible}
        for outcome in list(self._outcomes.values()):
            image = self.image(str(outcome.source.key))
            for prompt in new.settings.objects:
                fresh = prompt.visible and prompt.id not in shown
                if image is not None and fresh and prompt.id in outcome.segmentation.scores.prompts:
                    self._write(image, prompt, outcome)

    def _restyle(self, layer: Layer, prompt: Prompt) -> None:
        kind, key, _ = _tag(layer)
        image, tag = self.image(key), layer.metadata[KEY]
        if image is not None and layer.name == tag["name"]:
            layer.name = tag["name"] = _name(image, prompt, kind)
        if tag.get("color") != prompt.color:
            layer.colormap = _colormap(kind, prompt)
            tag["color"] = prompt.color
        if kind == "labels":
            layer.visible = prompt.visible
            layer.features = {"index": [0, 1], "prompt": ["", prompt.phrase]}
        else:
            layer.visible = prompt.visible and prompt.id == self._selected

    def _remove(self, layer: Layer) -> None:
        """Take a layer of ours away without hiding its prompt."""
        writing, self._writing = self._writing, True
        self._listen(layer, False)
        self._viewer.layers.remove(layer)
        self._drop_known(*_tag(layer)[1:])
        self._writing = writing

    def _drop_known(self, key: str, prompt: str) -> None:
        for entry in [entry for entry in self._known if entry[:2] == (key, prompt)]:
            del self._known[entry]

    def _ours(self) -> Iterator[Any]:
        return (layer for layer in self._viewer.layers if _tag(layer)[0])

    def _of(self, key: str) -> Iterator[Any]:
        return (layer for layer in list(self._ours()) if _tag(layer)[1] == key)


def _tag(layer: Layer) -> tuple[str, str, str]:
    """Kind, image and prompt of a layer of ours; empty strings for others."""
    tag = layer.metadata.get(KEY, {})
    return tag.get("kind", ""), tag.get("image", ""), tag.get("prompt", "")


def _fill(target: npt.NDArray[np.uint8], result: Segmentation, prompt: str) -> None:
    """Write a prompt's mask as 0 and 1."""
    np.copyto(target, result.mask(prompt), casting="unsafe")
