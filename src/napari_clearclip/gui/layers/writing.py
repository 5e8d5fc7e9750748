"""Results into layers: only what changed, and never over what was painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_clearclip.edits import Edits, Plane
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.jobs import Outcome, Spot
from napari_clearclip.gui.images.sources import KEY, key_of, plane_of, shape_of
from napari_clearclip.gui.layers.content import Content, Stroke, differing, painted
from napari_clearclip.gui.layers.shelf import Sheet, Shelf, sheets
from napari_clearclip.gui.layers.strokes import Strokes
from napari_clearclip.gui.layers.styles import INSTANCES, MASKS, SHARED, SIMILARITY, tag_of
from napari_clearclip.result import IdArray
from napari_clearclip.settings import Prompt
from napari_clearclip.tally import Box, whole

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

_SMALL = 2048 * 2048  # pixels up to which a thumbnail costs nothing that is felt
_FEW = 2  # a change of less than this part of a plane is drawn by itself


class Writer:
    """Writes results into layers, and reads from them what was painted.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    shelf : Shelf
        The layers.
    controller : Controller
        What is wanted, and where edits go.

    Attributes
    ----------
    outcomes : dict
        The last result of each plane of each image.
    hands : dict
        By id of a mask layer, what hears what is painted into it.
    hot : str or None
        The prompt whose heat map is to be seen.
    """

    def __init__(self, viewer: ViewerModel, shelf: Shelf, controller: Controller) -> None:
        self._viewer, self._shelf, self._controller = viewer, shelf, controller
        self.outcomes: dict[Spot, Outcome] = {}
        self.hands: dict[str, Strokes] = {}
        self.hot: str | None = None
        self._unwritten: list[tuple[Spot, str]] = []

    @property
    def idle(self) -> bool:
        """Whether everything has been written."""
        return not self._unwritten

    def clear(self) -> None:
        """Write nothing more."""
        self._unwritten.clear()

    def spots(self, key: str) -> list[Spot]:
        """The planes of an image for which there are results, unless it has another size by now."""
        image = self._shelf.image(key)
        shape = () if image is None else shape_of(image)[-2:]
        found = [spot for spot in self.outcomes if spot[0] == key]
        return [spot for spot in found if self.outcomes[spot].segmentation.labels.shape == shape]

    def forget(self, key: str) -> None:
        """Drop the results of an image."""
        self.outcomes = {spot: outcome for spot, outcome in self.outcomes.items() if spot[0] != key}

    # Reading what was painted

    def read(self, layer: Labels, edits: Edits, everywhere: bool) -> Edits:
        """Edits with what was painted into a mask layer since it was written.

        Parameters
        ----------
        layer : Labels
            A mask layer of ours.
        edits : Edits
            What was done by hand before.
        everywhere : bool
            Whether to look at all of it for what was drawn without napari's tools.
        """
        written = layer.metadata[KEY]["written"]
        strokes = self._strokes(layer)
        if everywhere:
            source = self._controller.source
            here = {source.view.plane} if source is not None and source.key == tag_of(layer)[1] else set()
            for plane in here | set(written):
                data = layer.data[plane]
                if data.ndim == 2:
                    strokes += differing(data, written.get(plane), plane, whole(data.shape))
        return self._painted(layer, edits, strokes)

    def collected(self, key: str) -> Edits:
        """What was done by hand to an image, with what was drawn into its layers without napari's tools."""
        edits = self._controller.state_of(key).edits
        for layer in self._shelf.of(key):
            if tag_of(layer)[0] in MASKS:
                edits = self.read(layer, edits, everywhere=True)
        return edits

    def _strokes(self, layer: Labels) -> list[Stroke]:
        hand = self.hands.get(layer.unique_id)
        return [] if hand is None else hand.take()

    def _painted(self, layer: Labels, edits: Edits, strokes: list[Stroke]) -> Edits:
        """Edits with strokes in a layer, noting what the layer holds now."""
        tag, settings = layer.metadata[KEY], self._controller.state_of(tag_of(layer)[1]).settings
        edits = painted(edits, strokes, tag["shown"], settings)
        for stroke in strokes:
            plane, known = stroke.plane, tag["written"].get(stroke.plane)
            if known is None:
                known = Content.of(None, settings, edits, plane, tag["shown"], layer.data.shape[-2:])
            drawn = {(row, col) for row, col, _ in stroke.pixels.tiles}
            tag["written"][plane] = known.edited(settings, edits, plane).doubted(drawn)
        return edits

    # Writing

    def queue(self, key: str, plane: Plane) -> None:
        """Write the layers of a plane, soon: napari takes a tenth of a second to make one."""
        settings = self._controller.state_of(key).settings
        masks = sheets(settings)
        hot = {prompt.id for prompt in settings.objects if prompt.visible and prompt.id == self.hot}
        wanted: list[tuple[Spot, str]] = [((key, plane), prompt) for prompt in dict.fromkeys([*masks, *hot])]
        self._unwritten = [entry for entry in self._unwritten if entry not in wanted] + wanted
        self._write_some()

    def _write_some(self) -> None:
        """Write until a layer had to be made, then let the window live before going on."""
        while self._unwritten:
            spot, of = self._unwritten.pop(0)
            key = str(spot[0])
            image = self._shelf.image(key)
            if image is None or spot not in self.spots(key):
                continue
            count = len(self._viewer.layers)
            self._write(image, spot, of)
            if len(self._viewer.layers) > count:
                QTimer.singleShot(0, self._write_some)
                return

    def _write(self, image: Image, spot: Spot, of: str) -> None:
        """Write mask and heat map of a prompt, or the masks of many, as they are wanted by now."""
        settings = self._controller.state_of(key_of(image)).settings
        result = self.outcomes[spot].segmentation
        prompt = next((item for item in settings.objects if item.id == of and item.visible), None)
        if prompt is not None and of in result.scores.prompts:
            self._write_heat(image, prompt, spot)
        sheet = sheets(settings).get(of)
        if sheet is not None and not {*sheet.shown}.isdisjoint(result.scores.prompts):
            self._write_mask(image, sheet, spot)

    def _write_heat(self, image: Image, prompt: Prompt, spot: Spot) -> None:
        result = self.outcomes[spot].segmentation
        scores = result.scores.of(prompt.id)
        shape = (*shape_of(image)[:-2], *scores.shape)
        layer = self._layer(Sheet(SIMILARITY, (prompt,), {prompt.id: 1}), image, shape, result.scores.cell)
        if not np.array_equal(layer.data[spot[1]], scores):
            layer.data[spot[1]] = scores
            layer.refresh(extent=False, highlight=False)

    def _write_mask(self, image: Image, sheet: Sheet, spot: Spot) -> None:
        """Write what changed; what was painted there meanwhile is told to the controller first, and stays."""
        layer = self._layer(sheet, image, shape_of(image), (1.0, 1.0))
        key, plane = key_of(image), spot[1]
        written = layer.metadata[KEY]["written"]
        content = self.content(key, plane, sheet)
        where = content.changed(written.get(plane), layer.data.shape[-2:])
        strokes = self._strokes(layer) + differing(layer.data[plane], written.get(plane), plane, where)
        if strokes:
            edits = self._painted(layer, self._controller.state_of(key).edits, strokes)
            self._controller.update(edits=edits, key=key)
            content = self.content(key, plane, sheet)
        if plane not in written:  # it is new: what was painted on planes that have no result belongs there too
            for other in self._controller.state_of(key).edits.planes - {spot[1] for spot in self.spots(key)}:
                self._put(layer, image, other, self.content(key, other, sheet))
        self._put(layer, image, plane, content)

    def write_objects(self, spot: Spot, ids: IdArray) -> Any:
        """Write the ids (H, W) of a plane's objects into the layer that an image has for them, and return it."""
        image = self._shelf.image(str(spot[0]))
        if image is None:
            return None
        layer = self._layer(Sheet(INSTANCES, (), {}), image, shape_of(image), (1.0, 1.0))
        if not np.array_equal(layer.data[spot[1]], ids):
            layer.data[spot[1]] = ids
            layer.refresh(thumbnail=ids.size <= _SMALL, extent=False, highlight=False)
        return layer

    def blank(self, key: str, plane: Plane) -> None:
        """Write a plane for which there is no result: only what was painted there."""
        image = self._shelf.image(key)
        wanted = sheets(self._controller.state_of(key).settings)
        for layer in self._shelf.of(key):
            kind, _, of = tag_of(layer)
            if kind in (SIMILARITY, INSTANCES):
                layer.data[plane] = 0
                layer.refresh(extent=False, highlight=False)
            elif image is not None and of in wanted:
                self._put(layer, image, plane, self.content(key, plane, wanted[of]))

    def content(self, key: str, plane: Plane, sheet: Sheet) -> Content:
        """What a mask layer should hold on a plane."""
        state, outcome, image = self._controller.state_of(key), self.outcomes.get((key, plane)), self._shelf.image(key)
        result = None if outcome is None else outcome.segmentation
        shape = (0, 0) if image is None else shape_of(image)[-2:]
        return Content.of(result, state.settings, state.edits, plane, sheet.shown, shape)

    def _put(self, layer: Any, image: Image, plane: Plane, content: Content) -> None:
        """Write a plane of a mask layer where it may be another than what should be there."""
        data, written = layer.data[plane], layer.metadata[KEY]["written"]
        changed = []
        for box in content.changed(written.get(plane), data.shape):
            new = content.part(box)
            if not np.array_equal(data[box], new):
                data[box] = new
                changed.append(box)
        written[plane] = content
        if changed:
            self._redraw(layer, image, plane, changed)

    def _redraw(self, layer: Any, image: Image, plane: Plane, changed: list[Box]) -> None:
        """Let napari draw what changed: nothing of a plane that is not seen, and of a large one the boxes only."""
        dims, data = self._viewer.dims, layer.data[plane]
        if dims.ndisplay == 2 and list(dims.order) == sorted(dims.order):
            if plane != plane_of(image, dims.point):
                return
            area = sum((rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in changed)
            if data.size > _SMALL and area * _FEW < data.size and not layer.contour:
                for rows, cols in changed:
                    layer.events.labels_update(data=data[rows, cols], offset=[rows.start, cols.start])
                return
        layer.refresh(thumbnail=data.size <= _SMALL, extent=False, highlight=False)

    def _layer(self, sheet: Sheet, image: Image, shape: tuple[int, ...], cell: tuple[float, float]) -> Any:
        """The layer for a sheet, made where there is none of this shape."""
        key, of = key_of(image), "" if sheet.kind in SHARED else sheet.prompts[0].id
        found = self._shelf.find(sheet.kind, key, of)
        if found is not None and tuple(found.data.shape) != shape:
            if sheet.kind in MASKS:
                edits = self.read(found, self._controller.state_of(key).edits, everywhere=True)
                self._controller.update(edits=edits, key=key)
            self._shelf.remove(found)
            found = None
        if found is None:
            order = [prompt.id for prompt in self._controller.state_of(key).settings.objects]
            found = self._shelf.make(sheet, image, shape, cell, order)
            found.visible = sheet.kind != SIMILARITY or of == self.hot
        self._shelf.moved(found, image, cell)
        return found
