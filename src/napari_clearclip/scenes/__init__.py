"""Procedural scenes with captions and true masks: sample data, tests and training of the bundled model."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from . import aerial, micrograph, shapes
from .drawing import Array
from .shapes import UNSEEN_PAIRS
from .words import DISTRACTORS, SYNONYMS, VOCABULARIES, caption

__all__ = ["DISTRACTORS", "KINDS", "SYNONYMS", "UNSEEN_PAIRS", "Scene", "make_scene", "vocabulary"]

Split = Literal["train", "test"]
KINDS = ("shapes", "aerial", "micrograph")
SMALLEST, LARGEST = 32, 2048
PAINTERS = {"shapes": shapes.draw, "aerial": aerial.draw, "micrograph": micrograph.draw}


@dataclass(frozen=True)
class Scene:
    """An image, what is in it, and where.

    Attributes
    ----------
    kind : one of `KINDS`
    image : (H, W, 3) uint8
    names : phrases of what is in the image, in the order of the kind's vocabulary
    truth : (H, W) uint8, 0 = none of the names, i + 1 = ``names[i]``; every name covers pixels
    caption : every name and, where there is one, the phrase of the background
    """

    kind: str
    image: Array
    names: tuple[str, ...]
    truth: Array
    caption: str


def vocabulary(kind: str) -> tuple[str, ...]:
    """All names that scenes of a kind can hold.

    Raises
    ------
    ValueError
        If `kind` is not one of `KINDS`.
    """
    return VOCABULARIES[_known(kind)]


def make_scene(kind: str, seed: int, size: int = 192, split: Split = "test") -> Scene:
    """A scene, the same for the same arguments.

    Parameters
    ----------
    kind : one of `KINDS`
    seed : not negative
    size : height and width in pixels; objects grow with it
    split : "train" scenes never hold a pair of `UNSEEN_PAIRS`, "test" scenes hold any pair alike

    Raises
    ------
    ValueError
        If an argument is not allowed; the message names it and what is allowed.

    Examples
    --------
    >>> scene = make_scene("micrograph", seed=1)
    >>> scene.image.shape, int(scene.truth.max()) == len(scene.names)
    ((192, 192, 3), True)
    """
    _known(kind)
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {get_args(Split)}, got {split!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must be between {SMALLEST} and {LARGEST} pixels, got {size}")
    rng = np.random.default_rng([seed, size, zlib.crc32(f"{kind} {split}".encode())])
    image, painted, background = PAINTERS[kind](rng, size, split)
    present = [label for label in np.unique(painted) if label]
    lookup = np.zeros(256, np.uint8)
    lookup[present] = np.arange(1, len(present) + 1)
    names = tuple(VOCABULARIES[kind][label - 1] for label in present)
    return Scene(kind, image, names, lookup[painted], caption(names, background))


def _known(kind: str) -> str:
    """The kind, if there is such a kind."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    return kind
