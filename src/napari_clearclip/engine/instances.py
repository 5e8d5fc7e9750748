"""Masks to instances: what hangs together, parted at necks or at dips of the score, and numbered by its score peak."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_clearclip.edits import Mask
    from napari_clearclip.settings import Splitting

Ids = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Box = tuple[slice, slice]
ScoreAt = Callable[[int, slice, slice], npt.NDArray[np.float32]]


def id_type(shape: tuple[int, int]) -> type[np.integer]:
    """The integer type that holds the ids of an image of `shape`: int32 where it is enough, else int64."""
    return np.int32 if shape[0] * shape[1] < 2**31 else np.int64


def position_of(ids: Ids, width: int) -> npt.NDArray[np.int64]:
    """Where the peaks of instances lie, (n, 2): row and column in an image `width` pixels wide."""
    return np.stack(np.divmod(np.asarray(ids, np.int64) - 1, width), axis=-1)


def split(
    labels: npt.NDArray[np.integer],
    score_at: ScoreAt,
    splitting: Splitting,
    pixel: tuple[float, float] = (1.0, 1.0),
    corner: tuple[int, int] = (0, 0),
    whole: tuple[int, int] | None = None,
) -> Ids:
    """The instances of labelled pixels.

    Parameters
    ----------
    labels : (H, W) integer array
        0 = nothing; pixels of two values never belong to one instance.
    score_at : callable
        Takes a value, rows and columns of `labels` and returns the value's scores there, (h, w) float32 in [0, 1].
    splitting : Splitting
        How what hangs together is parted; "none" parts nothing, like "components".
    pixel : tuple of 2 float
        Height and width of a pixel, in the unit of `splitting.distance`.
    corner : tuple of 2 int
        Where the first pixel lies in the whole image, if this is a block of one.
    whole : tuple of 2 int, optional
        Shape of the whole image; by default that of `labels`.

    Returns
    -------
    (H, W) int32 or int64 array
        0 where `labels` is 0, else ``row * W + col + 1`` of the instance's peak in the whole image: its pixel with the
        highest score; of equal ones the one with the most of them around it, which is the farthest from any other
        pixel; of equal ones again the first by row, then column. None of this changes where a threshold takes lower
        scores away.

    Notes
    -----
    What becomes of pixels that hang together (by their sides) depends on nothing but themselves, so that ids are the
    same in every block that holds all of them, whatever else it holds. Parts begin at all local maxima of a height,
    and two neighbours become one unless the highest pass between them is lower than ``splitting.neck`` times the lower
    of their two summits. The height is the distance to the edge ("shape"), for which that is how narrow a neck is
    against the narrower part, whatever the size of both; or the score ("score").

    References
    ----------
    F. Meyer, Topographic distance and watershed lines, Signal Processing 38, 1994: flooding from markers.
    """
    from scipy import ndimage
    from skimage.measure import label

    whole = (labels.shape[0], labels.shape[1]) if whole is None else whole
    components = label(labels, background=0, connectivity=1)
    ids = np.zeros(labels.shape, id_type(whole))
    for number, inner in enumerate(ndimage.find_objects(components), 1):
        box = _with_rim(inner, labels.shape)
        mask = components[box] == number
        value = int(labels[box].ravel()[mask.argmax()])
        component = _Component(mask, score_at(value, *box), pixel)
        parts = _parts(component, splitting)
        rows, cols = _peaks(component, parts)
        table = np.zeros(len(rows) + 1, ids.dtype)
        table[1:] = (corner[0] + box[0].start + rows) * whole[1] + corner[1] + box[1].start + cols + 1
        ids[box] += table[parts]
    return ids


@dataclass(frozen=True, eq=False)
class _Component:
    """Pixels that hang together, in their box: where they are, their scores, and the size of a pixel."""

    mask: Mask
    score: Floats
    pixel: tuple[float, float]

    def depth(self, of: Mask) -> Floats:
        """How far pixels are from others than these, (h, w) float32; the same everywhere if no other is in sight."""
        from scipy.ndimage import distance_transform_edt

        if of.all():
            return np.ones(of.shape, np.float32)
        return np.asarray(distance_transform_edt(of, sampling=self.pixel), np.float32)


def _with_rim(box: Box, shape: tuple[int, ...]) -> Box:
    """A box and one pixel around it, as far as there are any: beyond the image nothing is known."""
    rows, cols = (
        slice(max(part.start - 1, 0), min(part.stop + 1, size)) for part, size in zip(box, shape, strict=True)
    )
    return rows, cols


def _parts(component: _Component, splitting: Splitting) -> Ids:
    """What hangs together as parts, (h, w): 0 outside, else 1, 2, ..."""
    mask = component.mask
    if splitting.method not in ("shape", "score"):
        return mask.astype(np.int32)
    from scipy.ndimage import gaussian_filter
    from skimage.measure import label
    from skimage.morphology import local_maxima
    from skimage.segmentation import watershed

    height = component.depth(mask) if splitting.method == "shape" else component.score
    height = np.where(mask, gaussian_filter(height, splitting.smooth, mode="nearest"), 0)
    tops = local_maxima(height, connectivity=2) & mask
    summits, count = label(tops, connectivity=2, return_num=True)
    if count < 2:
        return mask.astype(np.int32)
    basins = watershed(-height, summits, mask=mask)
    root = _joined(basins, summits, height, splitting, component.pixel)
    return np.asarray(np.unique(root, return_inverse=True)[1][basins])


def _joined(
    basins: Ids, summits: Ids, height: Floats, splitting: Splitting, pixel: tuple[float, float]
) -> npt.NDArray[np.int64]:
    """For each basin the one that it becomes part of, which may be itself, (n + 1,); 0 is the outside."""
    top = np.flatnonzero(summits)
    top = top[np.unique(summits.ravel()[top], return_index=True)[1]]
    places = np.stack(np.unravel_index(top, summits.shape), axis=-1) * pixel
    heights = height.ravel()[top]
    root = np.arange(len(top) + 1)

    def find(at: int) -> int:
        while root[at] != at:
            root[at] = root[root[at]]
            at = int(root[at])
        return at

    for one, other, level in _passes(basins, height):
        low, high = sorted((find(one), find(other)), key=lambda at: (heights[at - 1], -at))
        if low != high:
            near = np.linalg.norm(places[low - 1] - places[high - 1]) < splitting.distance
            if near or level >= splitting.neck * heights[low - 1]:
                root[low] = high
    return np.array([find(at) for at in range(len(root))])


def _passes(basins: Ids, height: Floats) -> Iterator[tuple[int, int, float]]:
    """Two basins that touch and the height of the highest pass between them, the highest pass first."""
    pairs, levels = [], []
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        meet = (basins[one] != basins[other]) & (basins[one] > 0) & (basins[other] > 0)
        pairs.append(np.sort(np.stack([basins[one][meet], basins[other][meet]], axis=-1), axis=-1))
        levels.append(np.minimum(height[one][meet], height[other][meet]))
    touching, of = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
    highest = np.zeros(len(touching), height.dtype)
    np.maximum.at(highest, of.ravel(), np.concatenate(levels))
    for at in np.argsort(-highest, kind="stable"):
        yield int(touching[at, 0]), int(touching[at, 1]), float(highest[at])


def _peaks(component: _Component, parts: Ids) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the parts' peaks, in the order of the parts."""
    from scipy.ndimage import maximum

    highest = maximum(component.score, parts, np.arange(parts.max() + 1))
    top = (parts > 0) & (component.score == highest[parts])
    rows, cols = np.nonzero(top)
    of = parts[rows, cols]
    if len(of) > len(highest) - 1:  # some are equal
        order = np.lexsort((-component.depth(top)[rows, cols], of))  # stable: of equal pixels the first stays first
        order = order[np.unique(of[order], return_index=True)[1]]
    else:
        order = np.argsort(of)
    return rows[order], cols[order]
