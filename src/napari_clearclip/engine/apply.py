"""What was done by hand, on top of what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import TILE

if TYPE_CHECKING:
    from napari_clearclip.edits import Edits, Plane, Region
    from napari_clearclip.settings import Prompt


def combine(bits: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    """Overlapping masks (P, H, ceil(W / 8)) as one (H, W) uint8 map; where several meet, the first prompt is shown."""
    labels = np.zeros((bits.shape[1], width), np.uint8)
    for index in reversed(range(len(bits))):
        labels[np.unpackbits(bits[index], axis=-1, count=width).view(bool)] = index + 1
    return labels


def apply_edits(
    labels: npt.NDArray[np.uint8],
    overlaps: npt.NDArray[np.uint8] | None,
    prompts: Sequence[Prompt],
    edits: Edits,
    plane: Plane,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """Labels and overlaps after what was done by hand; the arguments are left as they are.

    Painted pixels win over the model, and the masks of locked prompts win over both.

    Parameters
    ----------
    labels : (H, W) uint8 array
        0 = nothing, i + 1 = prompt i. It is what is returned where nothing was done.
    overlaps : (P, H, ceil(W / 8)) uint8 array or None
        Packed masks where prompts may overlap.
    prompts : sequence of P Prompt
        The object prompts, in order.
    edits : Edits
        What was done by hand.
    plane : tuple of int
        The plane that the labels belong to.
    """
    values = {prompt.id: at for at, prompt in enumerate(prompts, 1)}
    edits = in_force(edits, prompts, plane)
    if overlaps is None:
        if edits.painted or edits.locked:
            labels = labels.copy()
            overlay(labels, values, edits)
        return labels, None
    overlaps = overlaps.copy()
    for item in edits.painted:
        _set_bits(overlaps[values[item.prompt] - 1], item.off, False)
        _set_bits(overlaps[values[item.prompt] - 1], item.on, True)
    for lock in edits.locked:
        overlaps[values[lock.prompt] - 1] = 0
        _set_bits(overlaps[values[lock.prompt] - 1], lock.mask, True)
    return combine(overlaps, labels.shape[1]), overlaps


def in_force(edits: Edits, prompts: Sequence[Prompt], plane: Plane) -> Edits:
    """What was done by hand on a plane for these prompts; a frozen mask counts only while its prompt is locked."""
    known, held = {prompt.id for prompt in prompts}, {prompt.id for prompt in prompts if prompt.locked}
    painted = tuple(item for item in edits.painted if item.plane == plane and item.prompt in known)
    locked = tuple(item for item in edits.locked if item.plane == plane and item.prompt in held)
    return edits.replace(painted=painted, locked=locked)


def overlay(
    labels: npt.NDArray[np.uint8], values: Mapping[str, int], edits: Edits, corner: tuple[int, int] = (0, 0)
) -> None:
    """Lay what was done by hand over a part of a plane, in place.

    Parameters
    ----------
    labels : (H, W) uint8 array
        The part; a pixel has the value of at most one prompt, or 0.
    values : mapping of str to int
        The value of each prompt by id; 0 takes the pixels of a prompt from the others.
    edits : Edits
        What was done on this plane, as from `in_force`.
    corner : tuple of 2 int
        Row and column of the part's first pixel.
    """
    shape = labels.shape
    for item in edits.painted:
        for where, inside in item.off.parts(shape, corner):
            part = labels[where]
            part[inside & (part == values[item.prompt])] = 0
    for item in edits.painted:
        item.on.paint(labels, values[item.prompt], corner)
    frozen = [values[lock.prompt] for lock in edits.locked if values[lock.prompt]]
    if frozen:
        kept = bytes(0 if value in frozen else value for value in range(256))
        for start in range(0, shape[0], TILE):
            part = labels[start : start + TILE]
            part[:] = np.frombuffer(part.tobytes().translate(kept), np.uint8).reshape(part.shape)
    for lock in edits.locked:
        lock.mask.paint(labels, values[lock.prompt], corner)


def _set_bits(bits: npt.NDArray[np.uint8], region: Region, on: bool) -> None:
    """Switch a region of a packed mask (H, ceil(W / 8)) on or off, in place."""
    for (rows, cols), inside in region.parts((bits.shape[0], 8 * bits.shape[1])):
        packed = np.packbits(inside, axis=-1)  # tiles begin at whole bytes
        part = bits[rows, cols.start // 8 : -(-cols.stop // 8)]
        if on:
            part |= packed
        else:
            part &= ~packed
