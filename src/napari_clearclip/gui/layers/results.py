"""Results as napari layers: what the user does to them goes to the controller, and what it finds comes into them."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Outcome, Spot
from napari_clearclip.gui.images.sources import KEY, apply_placement, is_source, key_of, placement, shape_of
from napari_clearclip.gui.layers.gathering import gathered
from napari_clearclip.gui.layers.keeping import Keeper
from napari_clearclip.gui.layers.shelf import Shelf, sheets
from napari_clearclip.gui.layers.strokes import Strokes
from napari_clearclip.gui.layers.styles import (
    COMBINED,
    INSTANCES,
    LABELS,
    MASKS,
    SHARED,
    SIMILARITY,
    remember,
    restyle,
    tag_of,
)
from napari_clearclip.gui.layers.undo_keys import UndoKeys
from napari_clearclip.gui.layers.writing import Writer
from napari_clearclip.gui.prompts import listing
from napari_clearclip.io.masks import Masks
from napari_clearclip.result import IdArray
from napari_clearclip.settings import Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
CHANGED_SHAPE = "The image changed its size while it was being segmented, so that result was dropped; press Run again."


class Results:
    """Shows what a controller finds as layers of a viewer, and tells it what the user does to them.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer whose layers these are.
    controller : Controller
        Where results come from and what is painted goes to.
    """

    said = Signal(str)

    def __init__(self, viewer: ViewerModel, controller: Controller) -> None:
        self._viewer = viewer
        self._controller = controller
        self._shelf = Shelf(viewer)
        self._writer = Writer(viewer, self._shelf, controller)
        self._selected: str | None = None
        self._heat_map_shown = True
        self._closed = False
        self._keeper = Keeper(viewer, self._shelf, self._writer, controller)
        self._keys = UndoKeys(viewer, controller)
        for layer in viewer.layers:
            if tag_of(layer)[0] or self.shows(key_of(layer)):  # left by a panel that was closed
                self._listen(layer)
        self._shelf.made.connect(self._on_made)
        self._keeper.said.connect(self.said)
        controller.result_changed.connect(self.show)
        controller.withdrawn.connect(self.withdraw)
        controller.changed.connect(self._on_changed)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of viewer and controller; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self._writer.clear()
        self._controller.result_changed.disconnect(self.show)
        self._controller.withdrawn.disconnect(self.withdraw)
        self._controller.changed.disconnect(self._on_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._keys.close()
        for layer in self._viewer.layers:
            if tag_of(layer)[0] in MASKS:
                self._take_over(layer, everywhere=False)
            self._let_go(layer)

    @property
    def idle(self) -> bool:
        """Whether everything has been written into its layer."""
        return self._writer.idle

    def find(self, kind: str, key: str, prompt: str) -> Any:
        """Our layer of a kind for an image and a prompt ("" for the layer of many), whatever it is called, or None."""
        return self._shelf.find(kind, key, prompt)

    def outcome(self, spot: Spot) -> Outcome | None:
        """What is shown of a plane, or None."""
        return self._writer.outcomes.get(spot)

    def masks(self, key: str) -> Masks | None:
        """The masks of all prompts of an image on all its planes, as they stand; None if there are none."""
        self.collect(key)
        image = self._shelf.image(key)
        return None if image is None else gathered(image, key, self._controller.state_of(key), self._writer)

    def shows(self, key: str) -> bool:
        """Whether there are results for an image."""
        return bool(self._shelf.of(key))

    # Results

    def show(self, outcome: Outcome) -> None:
        """Write a result into its layers; what was painted meanwhile stays and is told to the controller."""
        key, plane = str(outcome.source.key), outcome.source.view.plane
        image = self._shelf.image(key)
        if image is None:
            return
        *leading, height, width = shape_of(image)
        fits = len(plane) == len(leading) and all(at < size for at, size in zip(plane, leading, strict=True))
        if not fits or outcome.segmentation.labels.shape != (height, width):
            self.said.emit(CHANGED_SHAPE)
            return
        self._writer.outcomes[outcome.source.spot] = outcome
        if not outcome.preview:
            self._keeper.freeze(key, plane)
        self._writer.queue(key, plane)

    def withdraw(self, spot: Spot) -> None:
        """Take away a preview that no result replaced; what was painted on it stays among the edits."""
        key = str(spot[0])
        self.collect(key)
        self._writer.outcomes.pop(spot, None)
        if self._controller.state_of(key).readings:
            self._writer.blank(key, spot[1])
        else:
            self.remove_all(key)

    def drop(self, key: str) -> None:
        """Forget an image's results and all that was done to it, because its planes are other ones from now on."""
        for spot in self._writer.spots(key):
            del self._writer.outcomes[spot]
        self.remove_all(key)
        self._controller.forget(key)

    def collect(self, key: str) -> None:
        """Take what was painted into the layers of an image over into the controller's edits."""
        if not self._closed:
            self._controller.update(edits=self._writer.collected(key), key=key)

    # Objects

    def show_objects(self, spot: Spot, ids: IdArray) -> Labels | None:
        """Write the ids of a plane's objects into a layer of their own, and return it; None once the image is gone."""
        return self._writer.write_objects(spot, ids)

    def hide_objects(self, key: str) -> None:
        """Take the layer with the objects of an image away."""
        if (layer := self._shelf.find(INSTANCES, key, "")) is not None:
            self._shelf.remove(layer)

    # What is kept

    def lock(self, prompt: str, on: bool) -> None:
        """Freeze a prompt's mask on all planes that were run, or let it follow the model again."""
        self._keeper.lock(prompt, on)

    def clear_edits(self, prompt: str | None = None) -> None:
        """Forget what was painted for a prompt, or for all, on all planes."""
        self._keeper.clear(prompt)

    def accept(self, prompt: str | None = None) -> None:
        """Copy a prompt's mask, or those of all visible ones, into a layer that is the user's own.

        The prompts are locked and hidden, which undo takes back; the layer stays.
        """
        self._keeper.accept(prompt)

    def outcomes(self, key: str) -> list[Outcome]:
        """The results of all planes of an image that were run."""
        return self._keeper.outcomes(key)

    def add_accepted(self, layer: Labels, prompts: Collection[str]) -> None:
        """Add a layer with objects that is the user's own from now on, and lock and hide their prompts."""
        self._viewer.layers.append(layer)
        self._keeper.hold(prompts)

    # What is looked at

    def select(self, prompt: str | None) -> None:
        """Show the heat map of one prompt only."""
        self._selected = prompt
        hot = self._writer.hot = prompt if self._heat_map_shown else None
        key = str(self._controller.key)
        for layer in self._viewer.layers:
            kind, of_image, of = tag_of(layer)
            if kind == SIMILARITY:
                _set_visible(layer, of == hot)
            elif kind == COMBINED and of_image == key and prompt in (shown := layer.metadata[KEY]["shown"]):
                layer.selected_label = shown[prompt]
        for _, plane in self._writer.spots(key):
            self._writer.queue(key, plane)

    def toggle_heat_map(self) -> None:
        """Show the heat map of the selected prompt, or none."""
        self._heat_map_shown = not self._heat_map_shown
        self.select(self._selected)

    # What the user does

    def _listen(self, layer: Layer) -> None:
        """Connect what the user does to a layer of ours or to its image."""
        self._let_go(layer)
        kind = tag_of(layer)[0]
        if kind in MASKS:
            allowed, done = partial(self._may_paint, layer), partial(self._take_over, layer, everywhere=False)
            top = 1 if kind == LABELS else 127
            self._writer.hands[layer.unique_id] = Strokes(layer, self._viewer.dims, top, allowed, done)
            self._keys.bind(layer, True)
        for emitter, slot in self._pairs(layer):
            emitter.connect(slot)

    def _let_go(self, layer: Layer) -> None:
        """Disconnect what `_listen` has connected, if anything."""
        if (hand := self._writer.hands.pop(layer.unique_id, None)) is not None:
            hand.close()
            self._keys.bind(layer, False)
        for emitter, slot in self._pairs(layer):
            emitter.disconnect(slot)

    def _pairs(self, layer: Layer) -> list[tuple[Any, Any]]:
        if tag_of(layer)[0] == LABELS:
            return [(layer.events.visible, self._on_visible)]
        if is_source(layer):
            moved = [(getattr(layer.events, name), self._on_moved) for name in _TRANSFORMS]
            return [*moved, (layer.events.name, self._on_renamed)]
        return []

    def _may_paint(self, layer: Labels, value: int) -> bool:
        """Whether a value may be painted into a mask layer; if not, why is said."""
        kind, key, _ = tag_of(layer)
        shown = layer.metadata[KEY]["shown"]
        settings = self._controller.state_of(key).settings
        of = {place: prompt for prompt, place in shown.items()}
        if kind == LABELS:
            prompt = next(iter(shown))
        elif value == 0:
            return True
        elif (prompt := of.get(value, "")) == "":
            self.said.emit(f"No visible prompt has the label {value}; choose one from {min(of)} to {max(of)}.")
            return False
        for item in settings.objects:
            if item.id == prompt and item.locked:
                self.said.emit(f"“{item.phrase}” is locked; unlock it in the list to paint.")
                return False
        return True

    def _take_over(self, layer: Labels, everywhere: bool) -> None:
        """Take over what was painted into a layer, as one entry of the history."""
        key = tag_of(layer)[1]
        before = self._controller.state_of(key).edits
        edits = self._writer.read(layer, before, everywhere)
        self._controller.update(edits=edits, key=key)
        if edits == before and not self._closed:  # what was painted stands below a lock or another mask: show that
            for _, plane in self._writer.spots(key):
                self._writer.queue(key, plane)

    def _on_made(self, layer: Layer) -> None:
        self._listen(layer)
        _, key, _ = tag_of(layer)
        if (image := self._shelf.image(key)) is not None:
            self._listen(image)
        if tag_of(layer)[0] == COMBINED and self._selected in layer.metadata[KEY]["shown"]:
            layer.selected_label = layer.metadata[KEY]["shown"][self._selected]

    def _on_visible(self, event: Any) -> None:
        """The eye in the layer list is the check box of the prompt."""
        if not self._shelf.working:
            _, key, prompt = tag_of(event.source)
            self._controller.update(self._with_visible(key, (prompt,), bool(event.source.visible)), key=key)

    def _on_moved(self, event: Any) -> None:
        """Results follow their image."""
        for layer in self._shelf.of(key_of(event.source)):
            apply_placement(layer, placement(event.source, layer.metadata[KEY]["cell"]))

    def _on_renamed(self, event: Any) -> None:
        """Results are named after their image."""
        for layer in self._shelf.of(key_of(event.source)):
            restyle(layer, event.source, layer.metadata[KEY]["prompts"], layer.metadata[KEY]["shown"])

    def _on_removed(self, event: Any) -> None:
        """A result that is deleted hides its prompt, or stops the search for objects; an image takes all along."""
        layer = event.value
        kind, key, _ = tag_of(layer)
        if is_source(layer):
            self._let_go(layer)
            self._writer.forget(key_of(layer))
            self._controller.forget(key_of(layer))
            return
        if kind == INSTANCES and not self._shelf.working:
            settings = self._controller.state_of(key).settings
            self._controller.update(settings.replace(splitting=settings.splitting.replace(method="none")), key=key)
        elif kind and not self._shelf.working:
            edits = self._controller.state_of(key).edits
            if kind in MASKS:
                edits = self._writer.read(layer, edits, everywhere=True)
            hidden = [prompt.id for prompt in layer.metadata[KEY]["prompts"]]
            self._controller.update(self._with_visible(key, hidden, False), edits, key=key)
        if kind:
            self._let_go(layer)

    def _with_visible(self, key: str, prompts: Collection[str], visible: bool) -> Settings:
        return listing.changed(self._controller.state_of(key).settings, prompts, visible=visible)

    # What is wanted

    def _on_changed(self, key: str | None, old: State, new: State) -> None:
        """Names, colours and visibility follow the prompts; layers of prompts that are gone go too."""
        if key is None:
            return
        if (image := self._shelf.image(key)) is not None:
            remember(image, new)
        gone = set(old.readings) - set(new.readings)  # their run was undone
        for plane in gone:
            self._writer.outcomes.pop((key, plane), None)
        if old.readings and not new.readings:
            self.remove_all(key)
            return
        if _looks(old.settings) != _looks(new.settings):
            self._follow(key, new.settings)
            for _, plane in self._writer.spots(key):
                self._writer.queue(key, plane)
            gone |= new.edits.planes
        edited = old.edits.planes | new.edits.planes if old.edits != new.edits else ()
        gone |= {plane for plane in edited if old.edits.at(plane) != new.edits.at(plane)}
        for plane in gone:
            if (key, plane) in self._writer.outcomes:
                self._writer.queue(key, plane)
            else:
                self._writer.blank(key, plane)

    def _follow(self, key: str, settings: Settings) -> None:
        """Let the layers of an image follow its prompts, by id."""
        wanted, known = sheets(settings), {prompt.id: prompt for prompt in settings.objects}
        for layer in self._shelf.of(key):
            kind, _, of = tag_of(layer)
            if kind == INSTANCES:
                continue
            if of in wanted and kind in MASKS:
                restyle(layer, self._shelf.image(key), wanted[of].prompts, wanted[of].shown)
            elif kind in MASKS and (of not in known or known[of].visible):
                self._retire(layer, key)
            elif of not in known or ("" in wanted and of != self._writer.hot):  # of many, one heat map is enough
                self._shelf.remove(layer)
            else:
                restyle(layer, self._shelf.image(key), (known[of],), {of: 1})
        with self._shelf.work():
            for layer in self._shelf.of(key):
                kind, _, of = tag_of(layer)
                if kind not in SHARED:
                    _set_visible(layer, known[of].visible and (kind == LABELS or of == self._writer.hot))
        self._shelf.arrange(key, list(known))

    def _retire(self, layer: Labels, key: str) -> None:
        """Remove a mask layer whose prompt is gone, or is shown in another one from now on."""
        edits = self._writer.read(layer, self._controller.state_of(key).edits, everywhere=True)
        self._shelf.remove(layer)
        self._controller.update(edits=edits, key=key)

    def remove_all(self, key: str) -> None:
        """Take our layers of an image away, without hiding its prompts."""
        self._shelf.remove(*self._shelf.of(key))


def _looks(settings: Settings) -> list[tuple[object, ...]]:
    """What layers show of the prompts themselves; the rest comes with results."""
    return [(p.id, p.phrase, p.color, p.visible, p.locked) for p in settings.objects]


def _set_visible(layer: Layer, visible: bool) -> None:
    """Show or hide a layer; showing one that is shown would put its brush away."""
    if layer.visible != visible:
        layer.visible = visible
