"""Confusion matrices, and the intersection over union that follows from them."""

from __future__ import annotations

from collections.abc import Collection

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
    both = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
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
    values = np.delete(iou(confusion), list(exclude))
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def accuracy(confusion: Counts) -> float:
    """The share of pixels that were given their true class; not a number without pixels."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")
