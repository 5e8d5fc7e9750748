"""What a mask layer holds: a result and what was done by hand since, in the layer's own values: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from napari_clearclip.edits import Edits, Plane, Region
from napari_clearclip.engine.apply import in_force, overlay
from napari_clearclip.result import LabelArray, Segmentation
from napari_clearclip.settings import Settings
from napari_clearclip.tally import Box, Names, boxes, grid, whole


@dataclass(frozen=True, eq=False)
class Content:
    """What one plane of a mask layer should hold.

    Attributes
    ----------
    segmentation : Segmentation or None
        The result; None where the plane has not been run.
    edits : Edits
        What was done by hand, as far as it concerns the layer; locked masks are those that the result knows, since a
        mask is locked as it is shown.
    values : mapping of str to int
        The layer's value of each prompt by id; 0 for a prompt that the layer does not show.
    tiles : (h, w) uint64 array
        The names of the result's tiles; 0 where what it says is not all that counts.
    exclusive : bool
        Whether a pixel belongs to at most one prompt.
    newer : bool
        Whether anything was done by hand that the result does not know.
    """

    segmentation: Segmentation | None
    edits: Edits
    values: Mapping[str, int]
    tiles: Names
    exclusive: bool
    newer: bool

    @classmethod
    def of(
        cls,
        segmentation: Segmentation | None,
        settings: Settings,
        edits: Edits,
        plane: Plane,
        shown: Mapping[str, int],
        shape: tuple[int, ...],
    ) -> Content:
        """What the prompts in `shown` have on a plane of `shape`, by a result and by what stands now."""
        values = {prompt.id: shown.get(prompt.id, 0) for prompt in settings.objects}
        wanted = _concerning(edits, settings, plane, values)
        exclusive = settings.deciding.exclusive
        if segmentation is None:
            return cls(None, wanted, values, np.zeros(grid(shape), np.uint64), exclusive, True)
        known = _concerning(segmentation.edits, segmentation.settings, segmentation.view.plane, values)
        wanted = wanted.replace(locked=known.locked)
        content = cls(segmentation, wanted, values, segmentation.tallied().names, exclusive, False)
        changed = wanted.changed_tiles(known)
        return content.doubted(changed) if changed else content

    def doubted(self, tiles: set[tuple[int, int]]) -> Content:
        """The same, with some tiles about which the result does not say all."""
        known = self.tiles.copy()
        for row, col in tiles:
            if row < known.shape[0] and col < known.shape[1]:
                known[row, col] = 0
        return replace(self, tiles=known, newer=True)

    def edited(self, settings: Settings, edits: Edits, plane: Plane) -> Content:
        """The same after something was done by hand."""
        wanted = _concerning(edits, settings, plane, self.values).replace(locked=self.edits.locked)
        return replace(self, edits=wanted).doubted(wanted.changed_tiles(self.edits))

    def part(self, box: Box) -> LabelArray:
        """The values in a box whose columns begin at a whole tile."""
        corner = _corner(box)
        if self.exclusive:
            found = self._said(box)
            if self.newer:
                overlay(found, self.values, self.edits, corner)
            return found
        found = _empty(box)
        for prompt in reversed([prompt for prompt, value in self.values.items() if value]):
            mask = replace(self, values={prompt: 1})._said(box)
            if self.newer:
                mine = self.edits.of(prompt)
                overlay(mask, {prompt: 1}, mine, corner)
            found[mask.view(bool)] = self.values[prompt]  # where several meet, the first prompt is shown
        return found

    def _said(self, box: Box) -> LabelArray:
        """What the result says in a box."""
        (rows, cols), result = box, self.segmentation
        if result is None:
            return _empty(box)
        shown = [(at, value) for at, prompt in enumerate(result.settings.objects) if (value := self._of(prompt.id))]
        if result.overlaps is None:
            labels = result.labels[rows, cols]
            if [value for _, value in shown] == [1]:
                return np.equal(labels, shown[0][0] + 1).view(np.uint8)
            table = bytearray(256)
            for at, value in shown:
                table[at + 1] = value
            return np.frombuffer(bytearray(labels.tobytes()).translate(table), np.uint8).reshape(labels.shape)
        found = _empty(box)
        for at, value in reversed(shown):
            bits = result.overlaps[at, rows, cols.start // 8 : -(-cols.stop // 8)]
            found[np.unpackbits(bits, axis=-1, count=found.shape[1]).view(bool)] = value
        return found

    def _of(self, prompt: str) -> int:
        return self.values.get(prompt, 0)

    def region(self, shape: tuple[int, ...], value: int) -> Region:
        """The pixels that have a value."""
        found = (Region.of(self.part(box) == value, _corner(box)) for box in whole(shape))
        return Region.union(found)

    def changed(self, old: Content | None, shape: tuple[int, ...]) -> list[Box]:
        """The boxes in which this may be another than `old`."""
        if old is None or old.tiles.shape != self.tiles.shape or _shown(old) != _shown(self):
            return whole(shape)
        return boxes((self.tiles == 0) | (self.tiles != old.tiles), shape)


def _concerning(edits: Edits, settings: Settings, plane: Plane, values: Mapping[str, int]) -> Edits:
    """What was done on a plane, as far as a layer with these values is concerned."""
    known = [prompt for prompt in settings.objects if prompt.id in values]
    if not settings.deciding.exclusive:  # what others have takes nothing away
        known = [prompt for prompt in known if values[prompt.id]]
    return in_force(edits, known, plane)


def _shown(content: Content) -> tuple[dict[str, int], list[str]]:
    """The prompts that are seen with their values, and whose the masks of the result are."""
    result = content.segmentation
    known = [] if result is None else [prompt.id for prompt in result.settings.objects]
    return {prompt: value for prompt, value in content.values.items() if value}, known


def _empty(box: Box) -> LabelArray:
    rows, cols = box
    return np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.uint8)


def _corner(box: Box) -> tuple[int, int]:
    return box[0].start, box[1].start


@dataclass(frozen=True, eq=False)
class Stroke:
    """Pixels of a plane that were painted with a value; 0 is the eraser, which `of` narrows to one prompt's value."""

    plane: Plane
    value: int
    pixels: Region
    of: int | None = None


def differing(data: LabelArray, content: Content | None, plane: Plane, where: list[Box]) -> list[Stroke]:
    """What was drawn into a plane without a word: where it is not as it was written."""
    found: dict[tuple[int, int | None], list[Region]] = {}
    for box in where:
        here = data[box]
        known = np.zeros_like(here) if content is None else content.part(box)
        other = here != known
        if not other.any():
            continue
        for value in np.unique(here[other]):
            drawn = other & (here == value)
            for erased in np.unique(known[drawn]) if value == 0 else (None,):
                inside = drawn if erased is None else drawn & (known == erased)
                key = int(value), None if erased is None else int(erased)
                found.setdefault(key, []).append(Region.of(inside, _corner(box)))
    return [Stroke(plane, value, Region.union(parts), of) for (value, of), parts in found.items()]


def painted(edits: Edits, strokes: list[Stroke], shown: Mapping[str, int], settings: Settings) -> Edits:
    """Edits after strokes in a layer; what has no prompt's value, and erasing where a mask is frozen, is left out.

    Parameters
    ----------
    edits : Edits
        What was done before.
    strokes : list of Stroke
        What was drawn, in order.
    shown : mapping of str to int
        The layer's value of each prompt by id.
    settings : Settings
        Whether masks may overlap, and which prompts are locked.
    """
    locked = {prompt.id for prompt in settings.objects if prompt.locked}
    for stroke in strokes:
        wanted = stroke.value or stroke.of
        for prompt, value in shown.items():
            if value and prompt not in locked and wanted in (value, None):
                on = stroke.value > 0
                exclusive = settings.deciding.exclusive
                edits = edits.paint(prompt, stroke.plane, stroke.pixels, on, exclusive=exclusive)
    return edits
