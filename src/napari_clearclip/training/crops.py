"""Crops of procedural scenes and captions of what they show, a batch at a time.

Masks serve to know which words a crop deserves; the model itself sees images and captions only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_clearclip.scenes import DISTRACTORS, KINDS, SYNONYMS, make_scene, vocabulary
from napari_clearclip.scenes.words import join

logger = logging.getLogger(__name__)
Array = NDArray[Any]
TEMPLATES = ("{}", "a photo of {}", "an image of {}", "a picture of {}", "a view of {}")
UNCOUNTED = ("bacteria", "farmland", "grassland", "ground", "nuclei", "soil", "water")
AIMED = 0.6  # part of the crops that look at a concept chosen alike among those of the scene, however small it is
REMARKED = 0.3  # chance of a visible background to be considered for a caption that has something else to say
ENOUGH = 0.02  # part of a crop that a thing must cover to be named
WHOLE = 0.3  # part of a coloured shape that must show before its shape is named
CONCEPTS = {kind: (*vocabulary(kind), *DISTRACTORS[kind]) for kind in KINDS}
EVERY_CONCEPT = tuple(concept for kind in KINDS for concept in CONCEPTS[kind])


@dataclass(frozen=True)
class Pool:
    """Training scenes of one kind.

    Attributes
    ----------
    kind : one of the kinds of scenes
    images : (N, H, W, 3) uint8
    truth : (N, H, W) uint8, position in ``CONCEPTS[kind]`` + 1; 0 = nothing that has a name
    """

    kind: str
    images: Array
    truth: Array


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes
    ----------
    images : (B, 3, S, S) float32 in [0, 1]
    captions : C strings, C >= B; caption i < B belongs to image i, the rest are only contrasted
    true : (B, C) bool, whether the words of a caption hold for an image; true[i, i] always
    """

    images: Tensor
    captions: tuple[str, ...]
    true: Tensor


def fill_pool(kind: str, number: int, size: int, folder: Path) -> Pool:
    """`number` training scenes of a kind, read from `folder` if they were drawn before."""
    images_file, truth_file = folder / f"{kind}-{number}-images.npy", folder / f"{kind}-{number}-truth.npy"
    if not truth_file.exists():
        images = np.empty((number, size, size, 3), np.uint8)
        truth = np.empty((number, size, size), np.uint8)
        for seed in range(number):
            scene = make_scene(kind, seed, size, "train")
            shown = scene.caption.replace(" and ", ", ").split(", ")
            rest = [CONCEPTS[kind].index(word) + 1 for word in shown if word in DISTRACTORS[kind]] or [0]
            lookup = np.array(rest + [CONCEPTS[kind].index(name) + 1 for name in scene.names], np.uint8)
            images[seed] = scene.image
            truth[seed] = lookup[scene.truth]
        np.save(images_file, images)
        np.save(truth_file, truth)
        logger.info("drew %d scenes of %s", number, kind)
    return Pool(kind, np.load(images_file), np.load(truth_file))


def cut(pool: Pool, rng: np.random.Generator, number: int, size: int, zoom: tuple[float, float]) -> tuple[Array, Array]:
    """Turned, mirrored, zoomed crops of random scenes, and what of each concept they show.

    Parameters
    ----------
    number : how many crops, N
    size : side of a crop in pixels, S
    zoom : smallest and largest number of crop pixels for a scene pixel

    Returns
    -------
    crops : (N, S, S, 3) float32 in [0, 1]
    shares : (N, 2, K); [:, 0] part of the crop that each of the kind's K concepts covers, [:, 1] part of the concept's
        whole area in the scene that the crop holds
    """
    side = pool.truth.shape[-1]
    chosen = rng.integers(len(pool.truth), size=number)
    scale = np.exp(-rng.uniform(np.log(zoom[0]), np.log(zoom[1]), size=number))  # scene pixels for a crop pixel
    angle = rng.integers(4, size=number) * np.pi / 2 + rng.normal(scale=0.2, size=number)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    mirror, room = rng.choice([-1.0, 1.0], size=number), np.maximum(side - size * scale, 0) / 2
    middle = side / 2 + rng.uniform(-room, room, size=(2, number))
    aimed = rng.random(number) < AIMED
    goal, miss = _aim(pool.truth[chosen[aimed]], rng), 0.25 * rng.normal(size=(2, aimed.sum()))
    middle[:, aimed] = goal + miss * size * scale[aimed]
    down, right = np.meshgrid(*2 * (np.arange(size) - (size - 1) / 2,), indexing="ij")  # (S, S), from the middle
    across, along = mirror[:, None, None] * right, np.broadcast_to(down, (number, size, size))
    rows = middle[0][:, None, None] + sin[:, None, None] * across + cos[:, None, None] * along
    cols = middle[1][:, None, None] + cos[:, None, None] * across - sin[:, None, None] * along
    crops, labels = _sample(pool, chosen, _reflect(rows, side), _reflect(cols, side))
    concepts = len(CONCEPTS[pool.kind])
    inside = _count(labels.reshape(number, -1), concepts)
    whole = _count(pool.truth[chosen].reshape(number, -1), concepts) / scale[:, None] ** 2  # in crop pixels
    return crops, np.stack([inside / size**2, inside / np.maximum(whole, 1)], axis=1)


def _aim(truth: Array, rng: np.random.Generator) -> Array:
    """For each of N masks (N, H, W) a random place (2, N) in one of its concepts, each concept alike."""
    places = np.empty((2, len(truth)))
    for i, mask in enumerate(truth):
        inside = np.flatnonzero(mask == rng.choice(np.flatnonzero(np.bincount(mask.ravel()))))
        places[:, i] = np.divmod(rng.choice(inside), mask.shape[-1])
    return places


def _reflect(places: Array, side: int) -> Array:
    """Positions mirrored at the borders 0 and `side`, as positions of pixel centres in [0, side - 1]."""
    folded = places % (2 * side)
    return np.asarray(np.clip(np.minimum(folded, 2 * side - folded) - 0.5, 0, side - 1).astype(np.float32))


def _sample(pool: Pool, chosen: Array, rows: Array, cols: Array) -> tuple[Array, Array]:
    """Images (N, S, S, 3) in [0, 1], bilinear, and labels (N, S, S), nearest, at places (N, S, S) of chosen scenes."""
    side = pool.truth.shape[-1]
    first = chosen[:, None, None] * side * side
    colours, labels = pool.images.reshape(-1, 3), pool.truth.reshape(-1)
    top, left = rows.astype(np.int64), cols.astype(np.int64)
    low, more = np.minimum(top + 1, side - 1), np.minimum(left + 1, side - 1)
    down, right = ((part % 1)[..., None] for part in (rows, cols))
    upper = colours[first + top * side + left] * (1 - right) + colours[first + top * side + more] * right
    lower = colours[first + low * side + left] * (1 - right) + colours[first + low * side + more] * right
    nearest = first + np.rint(rows).astype(np.int64) * side + np.rint(cols).astype(np.int64)
    return (upper * (1 - down) + lower * down) / np.float32(255), labels[nearest]


def light(images: Array, rng: np.random.Generator) -> Array:
    """The images (N, S, S, 3) float32 with random brightness, contrast and grain."""
    gain, offset, grain = (
        rng.uniform(low, high, size=(len(images), 1, 1, 1)).astype(np.float32)
        for low, high in ((0.8, 1.2), (-0.08, 0.08), (0.0, 0.03))
    )
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return np.clip((images - 0.5) * gain + 0.5 + offset + grain * noise, 0, 1)


def say(kind: str, shares: Array, rng: np.random.Generator) -> list[str]:
    """Phrases (1 to 3) of what one crop shows, in random order and wording; `shares` is (2, K)."""
    visible = np.flatnonzero(shares[0] >= ENOUGH)
    if len(visible) == 0:
        visible = shares[0].argmax(keepdims=True)
    things = visible[(visible < len(vocabulary(kind))) | (rng.random(len(visible)) < REMARKED)]
    visible = things if len(things) else visible
    number = min(len(visible), int(rng.choice(3, p=[0.45, 0.35, 0.2])) + 1)
    chosen = rng.permutation(visible)[:number]
    return [_word(CONCEPTS[kind][i], bool(shares[1, i] >= WHOLE), rng) for i in chosen]


def _word(concept: str, whole: bool, rng: np.random.Generator) -> str:
    """One way to name a concept; a shape of which too little shows is named by its colour."""
    return str(rng.choice(wordings(concept, whole)))


@cache
def wordings(concept: str, whole: bool = True) -> tuple[str, ...]:
    """Ways to name a concept, the likelier ones more than once."""
    colour, _, shape = concept.partition(" ")
    if concept not in vocabulary("shapes"):
        others = SYNONYMS.get(concept, ())
        return (concept,) * max(len(others), 2) + others
    colours, shapes = (colour, *SYNONYMS.get(colour, ())), (shape, *SYNONYMS.get(shape, ()))
    if not whole:
        return tuple(f"{c} shape" for c in colours)
    others = tuple(f"{c} {s}" for c in colours for s in shapes)
    return (concept,) * 6 + others + shapes + tuple(f"{c} shape" for c in colours)


@cache
def meanings() -> tuple[dict[str, int], Array]:
    """Every phrase by position, and (phrases, concepts) float32: 1 where a concept makes the phrase true."""
    phrases: dict[str, int] = {}
    pairs = [
        (phrases.setdefault(phrase, len(phrases)), column)
        for column, concept in enumerate(EVERY_CONCEPT)
        for phrase in (*wordings(concept), *wordings(concept, whole=False))
    ]
    table = np.zeros((len(phrases), len(EVERY_CONCEPT)), np.float32)
    table[tuple(np.array(pairs).T)] = 1
    return phrases, table


def compose(phrases: Sequence[str], rng: np.random.Generator) -> str:
    """A caption: the phrases, sometimes with articles, in a template."""
    article = rng.random() < 0.4
    words = [_article(phrase) if article else phrase for phrase in phrases]
    return TEMPLATES[rng.choice(len(TEMPLATES), p=[0.4, 0.15, 0.15, 0.15, 0.15])].format(join(words))


def _article(phrase: str) -> str:
    """The phrase with an indefinite article where it can be counted."""
    last = phrase.split()[-1]
    if last in UNCOUNTED or (last.endswith("s") and last != "cross"):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def deal(
    pools: Sequence[Pool],
    shares: Sequence[float],
    rng: np.random.Generator,
    number: int,
    extra: int,
    size: int,
    zoom: tuple[float, float],
) -> Batch:
    """A batch of `number` crops, of each pool its share, with `extra` more captions that have one phrase exchanged."""
    images, said, visible, start = [], [], np.zeros((number, len(EVERY_CONCEPT)), np.float32), 0
    counts = np.diff((np.cumsum([0.0, *shares]) * number).round()).astype(int)
    for pool, count in zip(pools, counts, strict=True):
        crops, cover = cut(pool, rng, int(count), size, zoom)
        images.append(light(crops, rng))
        said += [say(pool.kind, parts, rng) for parts in cover]
        column = EVERY_CONCEPT.index(CONCEPTS[pool.kind][0])
        shown = np.maximum(cover[:, 0] >= ENOUGH / 2, cover[:, 0] == cover[:, 0].max(-1, keepdims=True))
        visible[start : start + count, column : column + cover.shape[-1]] = shown
        start += int(count)
    for i in rng.integers(number, size=extra):
        kind = pools[int(np.searchsorted(np.cumsum(counts), i, side="right"))].kind
        other = list(said[i])
        other[rng.integers(len(other))] = _word(str(rng.choice(CONCEPTS[kind])), True, rng)
        said.append(other)
    positions, table = meanings()
    holds = visible @ table.T > 0  # (B, phrases)
    lacks = np.zeros((len(said), len(positions)), np.float32)
    for row, phrases in enumerate(said):
        lacks[row, [positions[phrase] for phrase in phrases]] = 1
    true = (~holds).astype(np.float32) @ lacks.T == 0  # (B, C): no phrase fails
    captions = tuple(compose(phrases, rng) for phrases in said)
    stacked = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2).contiguous()  # (B, S, S, 3) -> (B, 3, S, S)
    return Batch(stacked, captions, torch.from_numpy(true))


def words() -> tuple[str, ...]:
    """Every word of the captions, sorted."""
    phrases = (*meanings()[0], "and", "a an", *(template.format("") for template in TEMPLATES))
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))


def _count(labels: Array, concepts: int) -> Array:
    """How often each label 1..concepts occurs in each row of (N, pixels): (N, concepts)."""
    shifted = labels + (concepts + 1) * np.arange(len(labels))[:, None]
    return np.bincount(shifted.ravel(), minlength=len(labels) * (concepts + 1)).reshape(len(labels), -1)[:, 1:]
