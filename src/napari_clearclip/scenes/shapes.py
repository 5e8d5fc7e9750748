"""Coloured shapes on textured backgrounds: what tests whether a model binds a colour to a shape."""

from __future__ import annotations

import numpy as np

from .drawing import EXTENT, Array, Sheet, blank, coverage, develop, noise, paint, rough, shade, turn

COLOURS = {
    "red": (0.82, 0.10, 0.10),
    "orange": (0.95, 0.50, 0.08),
    "yellow": (0.95, 0.88, 0.15),
    "green": (0.12, 0.62, 0.20),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.55, 0.15, 0.70),
    "white": (0.95, 0.95, 0.95),
    "black": (0.06, 0.06, 0.07),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
BACKGROUNDS = ("plain background", "striped background", "speckled background", "cloudy background")
UNSEEN_PAIRS = frozenset(
    {
        ("red", "star"),
        ("orange", "ring"),
        ("yellow", "square"),
        ("green", "triangle"),
        ("blue", "cross"),
        ("purple", "circle"),
        ("white", "triangle"),
        ("black", "star"),
    }
)
VOCABULARY = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


def outline(shape: str, x: Array, y: Array) -> Array:
    """Signed distance, negative inside, to a shape of radius about 1 at the origin; x, y (H, W)."""
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    if shape == "circle":
        return radius - 0.9
    if shape == "ring":
        return np.abs(radius - 0.72) - 0.28
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.82
    if shape == "cross":
        wide, narrow = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
        return np.maximum(wide - 1.0, narrow - 0.36)
    if shape == "triangle":
        fold = (angle + np.pi / 3) % (2 * np.pi / 3) - np.pi / 3
        return radius * np.cos(fold) - 0.56
    fold = np.abs((angle + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)  # star: an edge from a tip to a notch
    notch = 0.48 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    edge = notch - np.array([1.1, 0.0])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    return np.asarray((radius * np.cos(fold) - 1.1) * normal[0] + radius * np.sin(fold) * normal[1])


def background(rng: np.random.Generator, sheet: Sheet) -> str:
    """Fill the sheet with a muted texture and return its phrase."""
    phrase = str(rng.choice(BACKGROUNDS))
    tone = np.clip(rng.uniform(0.28, 0.72) + rng.uniform(-0.1, 0.1, size=3), 0, 1)
    size = sheet.size
    along, _ = turn(sheet, 0, 0, rng.uniform(0, np.pi))
    slope = rng.uniform(-0.35, 0.35) * (along / EXTENT - 0.4)
    texture = {
        "plain background": lambda: 0.02 * rough(rng, size, 40),
        "striped background": lambda: rng.uniform(0.08, 0.22) * np.sin(along * 2 * np.pi / rng.uniform(9, 26)),
        "speckled background": lambda: rng.uniform(0.10, 0.22) * noise(rng, size, rng.uniform(2.5, 5)),
        "cloudy background": lambda: rng.uniform(0.16, 0.3) * rough(rng, size, rng.uniform(25, 60)),
    }[phrase]()
    sheet.image[...] = shade(tone, slope + texture)
    return phrase


def pick(rng: np.random.Generator, split: str) -> list[tuple[str, str]]:
    """2 to 5 different (colour, shape) pairs; a training scene never holds an unseen one."""
    pairs = [(c, s) for c in COLOURS for s in SHAPES if split == "test" or (c, s) not in UNSEEN_PAIRS]
    chosen = rng.choice(len(pairs), size=rng.integers(2, 6), replace=False)
    return [pairs[i] for i in chosen]


def place(rng: np.random.Generator, number: int) -> Array:
    """Places (number, 3) of (row, col, radius) in units; some touch or overlap a little."""
    places: list[Array] = []
    radii = np.sort(rng.uniform(15, 34 if number < 4 else 29, size=number))[::-1]
    gap = rng.choice([0.78, 1.0], p=[0.3, 0.7])
    for radius in radii:
        for _ in range(200):
            row, col = rng.uniform(radius * 0.8, EXTENT - radius * 0.8, size=2)
            if all(np.hypot(row - r, col - c) > gap * (radius + other) for r, c, other in places):
                break
        places.append(np.array([row, col, radius]))
    return np.asarray(rng.permutation(np.array(places)))


def stamp(rng: np.random.Generator, sheet: Sheet, pair: tuple[str, str], spot: Array) -> None:
    """Paint one shape with its drop shadow, a sheen and a little texture."""
    row, col, radius = spot
    angle = rng.uniform(0, 2 * np.pi)
    along, across = turn(sheet, row + 2, col + 2, angle)
    fade = coverage(sheet, radius * outline(pair[1], along / radius, across / radius), softness=6)
    paint(sheet, 0.3 * fade, np.zeros(3))
    along, across = turn(sheet, row, col, angle)
    distance = radius * outline(pair[1], along / radius, across / radius)
    tone = np.clip(np.array(COLOURS[pair[0]]) * rng.uniform(0.8, 1.12) + rng.uniform(-0.04, 0.04, size=3), 0, 1)
    sheen = rng.uniform(0.05, 0.2) * -(sheet.rows - row + sheet.cols - col) / (2 * radius)
    grain = rng.uniform(0, 0.07) * noise(rng, sheet.size, rng.uniform(3, 12))
    label = VOCABULARY.index(f"{pair[0]} {pair[1]}") + 1
    paint(sheet, coverage(sheet, distance), shade(tone, sheen + grain), label)


def draw(rng: np.random.Generator, size: int, split: str) -> tuple[Array, Array, str]:
    """Image (H, W, 3) uint8, truth (H, W) by vocabulary position + 1, and the background's phrase."""
    sheet = blank(size)
    phrase = background(rng, sheet)
    pairs = pick(rng, split)
    for pair, spot in zip(pairs, place(rng, len(pairs)), strict=True):
        stamp(rng, sheet, pair, spot)
    light = 1 + rng.uniform(0, 0.12) * noise(rng, size, 120)[..., None]
    return develop(rng, sheet.image * light, rng.uniform(0.005, 0.035)), sheet.truth, phrase
