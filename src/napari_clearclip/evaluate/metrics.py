"""Confusion matrices and what follows from them, and how many single objects were found."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]
Counts = npt.NDArray[np.int64]


def confusion_matrix(truth: Labels, predicted: Labels, classes: int, ignore: int | None = None) -> Counts:
    """How many pixels of each true class were given each class.

    Parameters
    ----------
    truth, predicted : integer arrays of one shape
        Classes from 0 to ``classes - 1``.
    classes : int
        Number of classes.
    ignore : int, optional
        Pixels with this truth are not counted; it may lie outside the classes.

    Returns
    -------
    (classes, classes) int64 array
        Rows are true, columns predicted classes. Matrices of several images are added before anything is derived.

    Raises
    ------
    ValueError
        If the shapes differ or a value is no class.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 1, 1, 255]), np.array([0, 1, 0, 0]), classes=2, ignore=255)
    array([[1, 0],
           [1, 1]])
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, but predicted has {predicted.shape}; they must be the same")
    true, given = truth.ravel(), predicted.ravel()
    if ignore is not None:
        counted = true != ignore
        true, given = true[counted], given[counted]
    for name, values in (("truth", true), ("predicted", given)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"{name} has values from {values.min()} to {values.max()}; classes are 0 to {classes - 1}")
    places = true.astype(np.int64) * classes + given.astype(np.int64)
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


def overlaps_of(confusion: Counts) -> Counts:
    """What is needed of a confusion matrix (..., C, C) to tell how well classes overlap: (..., 3, C).

    Rows are pixels of a class that were given it, pixels of the class, and pixels that were given it. They are added
    over images as matrices are, and are much smaller where classes are many.
    """
    both = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([both, confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-2)


def iou(confusion: Counts) -> npt.NDArray[np.float64]:
    """Each class's intersection over union.

    Parameters
    ----------
    confusion : (C, C) integer array
        From `confusion_matrix`.

    Returns
    -------
    (C,) float64 array
        In [0, 1]; not a number for a class that is neither in the truth nor predicted.
    """
    return iou_of(overlaps_of(confusion))


def iou_of(overlaps: Counts) -> npt.NDArray[np.float64]:
    """The same from `overlaps_of`, (3, C)."""
    both, true, given = overlaps
    either = true + given - both
    return np.asarray(np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0), np.float64)


def mean_iou(confusion: Counts, exclude: Collection[int] = ()) -> float:
    """The mean of the classes' intersection over union.

    Parameters
    ----------
    confusion : (C, C) integer array
        From `confusion_matrix`, added up over all images.
    exclude : collection of int
        Classes that are no names, such as a background; their pixels still count as wrong where a name was given.

    Returns
    -------
    float
        Over the classes that occur in the truth or were predicted; not a number if there are none.
    """
    return mean_of(iou(confusion), exclude)


def mean_of(values: npt.NDArray[np.float64], exclude: Collection[int] = ()) -> float:
    """The mean of the classes' values that are numbers, without some classes; not a number if there are none."""
    values = np.delete(values, list(exclude))
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def accuracy(confusion: Counts) -> float:
    """The share of pixels that were given their true class; not a number without pixels."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


@dataclass(frozen=True)
class Matches:
    """How many objects were found; those of several images are added.

    Attributes
    ----------
    found, missed, invented : int
        True objects with a partner, true objects without, and predicted objects without.
    overlap : float
        The sum of the partners' intersection over union.
    """

    found: int
    missed: int
    invented: int
    overlap: float

    def __add__(self, other: Matches) -> Matches:
        return Matches(
            self.found + other.found,
            self.missed + other.missed,
            self.invented + other.invented,
            self.overlap + other.overlap,
        )

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, from 0 to 1; not a number where there are no objects at all."""
        total = 2 * self.found + self.missed + self.invented
        return 2 * self.found / total if total else float("nan")

    @property
    def quality(self) -> float:
        """Panoptic quality: F1 times the partners' mean intersection over union; not a number without objects."""
        total = self.found + (self.missed + self.invented) / 2
        return self.overlap / total if total else float("nan")


def match_instances(truth: Labels, predicted: Labels, least: float = 0.5) -> Matches:
    """How many true objects have a predicted partner of their own.

    Parameters
    ----------
    truth, predicted : integer arrays of one shape
        Ids of objects, in any order and with gaps; 0 = none.
    least : float
        Smallest intersection over union of partners, above 0 and at most 1.

    Returns
    -------
    Matches
        Of all ways to pair true and predicted objects with at least that overlap, one with the most pairs; of these,
        one with the largest sum of overlaps.

    Raises
    ------
    ValueError
        If the shapes differ or `least` is outside its range.

    References
    ----------
    J. C. Caicedo et al., Nature Methods 16, 2019 (2018 Data Science Bowl): F1 at a threshold of the overlap.
    A. Kirillov et al., Panoptic segmentation, CVPR 2019, eq. 1.

    Examples
    --------
    >>> match_instances(np.array([1, 1, 2, 2]), np.array([7, 7, 7, 0])).f1
    0.6666666666666666
    """
    from scipy.optimize import linear_sum_assignment

    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, but predicted has {predicted.shape}; they must be the same")
    if not 0 < least <= 1:
        raise ValueError(f"least is {least}; it must be above 0 and at most 1")
    overlaps = _overlaps(truth, predicted)
    fits = overlaps >= least
    # A pair more is worth more than all overlaps together can differ.
    rows, cols = linear_sum_assignment(np.where(fits, min(overlaps.shape) + 1 + overlaps, 0), maximize=True)
    paired = fits[rows, cols]
    found = int(paired.sum())
    overlap = float(overlaps[rows, cols][paired].sum())
    return Matches(found, overlaps.shape[0] - found, overlaps.shape[1] - found, overlap)


def _overlaps(truth: Labels, predicted: Labels) -> npt.NDArray[np.float64]:
    """The intersection over union of every true with every predicted object, (n, m)."""
    true_ids, true = np.unique(truth, return_inverse=True)
    given_ids, given = np.unique(predicted, return_inverse=True)
    shape = len(true_ids), len(given_ids)
    both = np.bincount(true.ravel() * shape[1] + given.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    either = both.sum(axis=1)[:, None] + both.sum(axis=0)[None] - both
    overlaps: npt.NDArray[np.float64] = both / np.maximum(either, 1)
    return overlaps[np.ix_(true_ids != 0, given_ids != 0)]


def boundary_f(
    truth: Labels, predicted: Labels, classes: int, tolerance: float = 2.0, ignore: int | None = None
) -> npt.NDArray[np.float64]:
    """How well the outlines of each class lie on the true ones, in one image.

    Parameters
    ----------
    truth, predicted : (H, W) integer arrays
        Classes from 0 to ``classes - 1``.
    classes : int
        Number of classes.
    tolerance : float
        Distance in pixels up to which an outline is right.
    ignore : int, optional
        Outlines that are as near as that to pixels with this truth are not counted.

    Returns
    -------
    (classes,) float64 array
        The harmonic mean of precision, the share of the predicted outline that is near the true one, and recall, the
        share of the true outline that is near the predicted one. 0 where only one of them has an outline, not a number
        where neither has. Means are taken over classes and images.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    An outline is the pixels of a class beside another class; the border of the image is none.

    References
    ----------
    G. Csurka, D. Larlus and F. Perronnin, What is a good evaluation measure for semantic segmentation?, BMVC 2013
    (per class and image). F. Perazzi et al., A benchmark dataset and evaluation methodology for video object
    segmentation, CVPR 2016 (contour accuracy).

    Examples
    --------
    >>> truth = np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 4, axis=0)
    >>> boundary_f(truth, np.roll(truth, 1, axis=1), classes=2, tolerance=1).round(2)
    array([0.67, 0.67])
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, but predicted has {predicted.shape}; they must be the same")
    counted = np.ones(truth.shape, bool)
    if ignore is not None and (truth == ignore).any():
        counted = _distance(truth == ignore) > tolerance
    values = np.full(classes, np.nan)
    for class_ in np.intersect1d(np.union1d(truth, predicted), np.arange(classes)):
        outlines = [_outline(labels == class_) for labels in (truth, predicted)]
        near = [_distance(outline) <= tolerance for outline in outlines]
        true, given = (outline & counted for outline in outlines)
        if true.any() and given.any():
            precision, recall = near[0][given].mean(), near[1][true].mean()
            values[class_] = 2 * precision * recall / (precision + recall) if precision + recall else 0
        elif true.any() or given.any():
            values[class_] = 0
    return values


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of a mask beside one that is not of it."""
    from scipy.ndimage import binary_erosion

    outline: npt.NDArray[np.bool_] = mask & ~binary_erosion(mask, border_value=1)
    return outline


def _distance(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Distance in pixels to the nearest pixel of a mask; infinite where it is empty."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: npt.NDArray[np.float64] = distance_transform_edt(~mask)
    return distance
