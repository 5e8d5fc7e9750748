"""What was done by hand, on top of what the model says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

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
        0 = nothing, i + 1 = prompt i.
    overlaps : (P, H, ceil(W / 8)) uint8 array or None
        Packed masks where prompts may overlap.
    prompts : sequence of P Prompt
        The object prompts, in order.
    edits : Edits
        What was done by hand.
    plane : tuple of int
        The plane that the labels belong to.
    """
    place = {prompt.id: index for index, prompt in enumerate(prompts)}
    held = {prompt.id for prompt in prompts if prompt.locked}
    frozen = [(place[item.prompt], item.mask) for item in edits.locked if item.plane == plane and item.prompt in held]
    painted = [item for item in edits.painted if item.plane == plane and item.prompt in place]
    changes = [(place[item.prompt], item.off, False) for item in painted]
    changes += [(place[item.prompt], item.on, True) for item in painted]
    if overlaps is not None:
        overlaps = overlaps.copy()
        for index, region, on in changes:
            _set_bits(overlaps[index], region, on, labels.shape)
        for index, region in frozen:
            overlaps[index] = np.packbits(region.mask(labels.shape), axis=-1)
        return combine(overlaps, labels.shape[1]), overlaps
    labels = labels.copy()
    for index, region, on in changes:
        mask = region.mask(labels.shape)
        labels[mask if on else mask & (labels == index + 1)] = index + 1 if on else 0
    for index, _ in frozen:
        labels[labels == index + 1] = 0
    for index, region in frozen:
        region.paint(labels, index + 1)
    return labels, None


def _set_bits(bits: npt.NDArray[np.uint8], region: Region, on: bool, shape: tuple[int, int]) -> None:
    """Switch a region of a packed mask (H, ceil(W / 8)) on or off, in place."""
    packed = np.packbits(region.mask(shape), axis=-1)
    if on:
        bits |= packed
    else:
        bits &= ~packed
