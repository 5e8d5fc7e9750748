"""Cells, bacteria and particles under a fluorescence, a bright-field or a phase-contrast microscope."""

from __future__ import annotations

import numpy as np

from .drawing import EXTENT, Array, Sheet, blank, blur, box, coverage, develop, line, noise, paint, rough, turn

VOCABULARY = ("nuclei", "rods", "filaments", "vesicles", "crystals", "granules")
BACKGROUNDS = ("dark background", "bright background", "grey background")
GLOW = ((0.25, 0.45, 1.0), (0.2, 1.0, 0.35), (1.0, 0.25, 0.2), (1.0, 0.3, 0.9), (0.2, 0.9, 0.95), (1.0, 0.85, 0.25),
        (0.9, 0.9, 0.9))  # fmt: skip
STAIN = ((0.42, 0.22, 0.60), (0.78, 0.30, 0.52), (0.25, 0.40, 0.68), (0.52, 0.36, 0.22), (0.24, 0.52, 0.46))


def nucleus(rng: np.random.Generator, sheet: Sheet, row: float, col: float) -> tuple[Array, Array]:
    """Distance and brightness, (H, W) each, of a rounded nucleus with chromatin."""
    along, across = turn(sheet, row, col, rng.uniform(0, np.pi))
    radius, stretch = rng.uniform(13, 19), rng.uniform(0.95, 1.3)
    lobes = 1 + rng.uniform(0, 0.07) * np.cos(rng.integers(2, 5) * np.arctan2(across, along) + rng.uniform(0, 6))
    distance = np.hypot(along / stretch, across * stretch) - radius * lobes
    return distance, 0.75 + 0.22 * rough(rng, sheet.size, 8)


def rod(rng: np.random.Generator, sheet: Sheet, row: float, col: float) -> tuple[Array, Array]:
    """Distance and brightness, (H, W) each, of a straight bacterium with round ends."""
    along, across = turn(sheet, row, col, rng.uniform(0, np.pi))
    half = rng.uniform(5.0, 6.5)
    distance = box(along, across, rng.uniform(15, 23), half, half)
    return distance, 0.95 + 0.03 * distance


def filament(rng: np.random.Generator, sheet: Sheet, row: float, col: float) -> tuple[Array, Array]:
    """Distance and brightness, (H, W) each, of a long winding bundle of fibres."""
    heading, points = rng.uniform(0, 2 * np.pi), [np.array([row, col])]
    for _ in range(rng.integers(7, 12)):
        heading += rng.normal(scale=0.45)
        points.append(points[-1] + 15 * np.array([np.sin(heading), np.cos(heading)]))
    distance, length = line(sheet, np.array(points))
    fibres = 0.25 * np.sin(distance * 2.2 + 0.6 * noise(rng, sheet.size, 15))
    return distance - rng.uniform(4.0, 5.5), 0.75 + fibres + 0.1 * np.sin(length / 4)


def vesicle(rng: np.random.Generator, sheet: Sheet, row: float, col: float) -> tuple[Array, Array]:
    """Distance and brightness, (H, W) each, of a round vesicle with a bright membrane."""
    radius = rng.uniform(9, 16)
    distance = np.hypot(sheet.rows - row, sheet.cols - col) - radius
    return distance, 0.22 + 0.9 * np.exp(-(((distance + 2.2) / 1.7) ** 2))


def crystal(rng: np.random.Generator, sheet: Sheet, row: float, col: float) -> tuple[Array, Array]:
    """Distance and brightness, (H, W) each, of a sharp crystal with facets."""
    corners = int(rng.integers(4, 7))
    angles = rng.uniform(0, 2 * np.pi) + (np.arange(corners) + rng.uniform(-0.2, 0.2, corners)) * 2 * np.pi / corners
    sides = np.stack([turn(sheet, row, col, a)[0] / rng.uniform(11, 18) for a in angles], axis=-1)  # (H, W, corners)
    facet = rng.uniform(0.45, 1.1, size=corners)[sides.argmax(-1)]
    return (sides.max(-1) - 1) * 14, facet


def granule(rng: np.random.Generator, sheet: Sheet, row: float, col: float) -> tuple[Array, Array]:
    """Distance and brightness, (H, W) each, of a heap of small grains."""
    radius = rng.uniform(13, 20)
    distance = np.hypot(sheet.rows - row, sheet.cols - col) - radius * (1 + 0.12 * noise(rng, sheet.size, 14))
    angle, reach = rng.uniform(0, 2 * np.pi, size=70), radius * np.sqrt(rng.random(70))
    spots = np.zeros(sheet.rows.shape)
    step = EXTENT / sheet.size
    rows = np.clip(((row + reach * np.sin(angle)) / step).astype(int), 0, sheet.size - 1)
    cols = np.clip(((col + reach * np.cos(angle)) / step).astype(int), 0, sheet.size - 1)
    spots[rows, cols] = 1
    return distance, 0.05 + np.clip(22 * blur(spots, 1.3) / step**2, 0, 1.2)


PAINTERS = {"nuclei": nucleus, "rods": rod, "filaments": filament, "vesicles": vesicle, "crystals": crystal,
            "granules": granule}  # fmt: skip
NUMBERS = {"nuclei": (3, 8), "rods": (4, 10), "filaments": (2, 5), "vesicles": (4, 9), "crystals": (3, 7),
           "granules": (2, 5)}  # fmt: skip


def background(rng: np.random.Generator, sheet: Sheet) -> str:
    """Fill the sheet as one of the three microscopes does and return the phrase."""
    phrase = str(rng.choice(BACKGROUNDS))
    haze = rough(rng, sheet.size, rng.uniform(40, 80))
    if phrase == "dark background":
        glow = np.array(GLOW[rng.integers(len(GLOW))])
        sheet.image[...] = 0.03 + np.clip(0.05 + 0.05 * haze, 0, 1)[..., None] * glow
    elif phrase == "bright background":
        tone = rng.uniform(0.80, 0.95) * np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.88, 1.0)])
        sheet.image[...] = tone * (1 + 0.02 * haze[..., None])
    else:
        sheet.image[...] = (rng.uniform(0.42, 0.58) * (1 + 0.05 * haze))[..., None]
    return phrase


def tint(rng: np.random.Generator, sheet: Sheet, phrase: str, hue: int, brightness: Array) -> Array:
    """Colour (H, W, 3) of an object of that brightness (H, W) under the microscope of `phrase`."""
    bright = np.clip(brightness, 0, 1.3)[..., None]
    if phrase == "dark background":
        return np.asarray(sheet.image + rng.uniform(0.55, 0.95) * bright * np.array(GLOW[hue % len(GLOW)]))
    if phrase == "bright background":
        stain = np.array(STAIN[hue % len(STAIN)])
        return np.asarray(sheet.image * (1 - (1 - stain) * rng.uniform(0.7, 0.95) * bright))
    return np.asarray(sheet.image * (1 + (0.75 if hue % 2 else -0.62) * rng.uniform(0.8, 1.0) * bright))


def populate(rng: np.random.Generator, sheet: Sheet, name: str, phrase: str, hue: int, taken: list[Array]) -> None:
    """Paint the objects of one name, mostly beside those at `taken`, which grows."""
    for _ in range(rng.integers(*NUMBERS[name])):
        for _ in range(20):
            row, col = rng.uniform(6, EXTENT - 6, size=2)
            if all(np.hypot(row - r, col - c) > 30 for r, c in taken):
                break
        else:
            continue
        taken.append(np.array([row, col]))
        distance, brightness = PAINTERS[name](rng, sheet, row, col)
        if phrase == "grey background":  # the halo of phase contrast
            paint(sheet, 0.35 * np.exp(-((distance / 2.5) ** 2)), np.full(3, 0.85))
        alpha = coverage(sheet, distance, 1.6)
        paint(sheet, alpha, tint(rng, sheet, phrase, hue, brightness), VOCABULARY.index(name) + 1)


def draw(rng: np.random.Generator, size: int, split: str) -> tuple[Array, Array, str]:
    """Image (H, W, 3) uint8, truth (H, W) by vocabulary position + 1, and the background's phrase."""
    sheet = blank(size)
    phrase = background(rng, sheet)
    names = rng.permutation(VOCABULARY)[: rng.integers(2, 5)]
    hues = rng.permutation(len(GLOW))
    taken: list[Array] = []
    for name, hue in zip(names, hues, strict=False):
        populate(rng, sheet, str(name), phrase, int(hue), taken)
    image = blur(sheet.image, rng.uniform(0.3, 1.0))
    row, col = rng.uniform(0.25, 0.75, size=2) * EXTENT
    vignette = 1 - rng.uniform(0, 0.4) * ((sheet.rows - row) ** 2 + (sheet.cols - col) ** 2) / EXTENT**2
    image = image * vignette[..., None]
    channels = 1 if phrase == "grey background" else 3
    shot = rng.normal(scale=rng.uniform(0.01, 0.05), size=(size, size, channels))
    image = image + np.sqrt(np.clip(image, 0.02, 1)) * shot
    return develop(rng, image, rng.uniform(0.003, 0.008)), sheet.truth, phrase
