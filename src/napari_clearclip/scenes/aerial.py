"""Land seen from a drone: regions of cover, roads, buildings, cars and solar panels."""

from __future__ import annotations

import numpy as np

from .drawing import (
    EXTENT,
    Array,
    Sheet,
    blank,
    blur,
    box,
    colour,
    coverage,
    develop,
    line,
    noise,
    paint,
    rough,
    shade,
    turn,
)

VOCABULARY = ("field", "meadow", "forest", "water", "road", "building", "car", "solar panels")
BACKGROUNDS = ("bare ground", "rocky ground")
LABEL = {name: position + 1 for position, name in enumerate(VOCABULARY)}


def field(rng: np.random.Generator, sheet: Sheet) -> Array:
    """Rows of a crop: colour (H, W, 3)."""
    _, across = turn(sheet, 0, 0, rng.uniform(0, np.pi))
    low, high = [((0.30, 0.36, 0.12), (0.50, 0.52, 0.20)), ((0.62, 0.52, 0.22), (0.84, 0.74, 0.40))][rng.integers(2)]
    rows = np.sin((across + noise(rng, sheet.size, 50)) * 2 * np.pi / rng.uniform(6, 10))
    return shade(colour(rng, low, high), rng.uniform(0.14, 0.26) * rows + 0.06 * rough(rng, sheet.size, 30))


def meadow(rng: np.random.Generator, sheet: Sheet) -> Array:
    """Grass, smooth with faint patches: colour (H, W, 3)."""
    tone = colour(rng, (0.30, 0.50, 0.16), (0.48, 0.68, 0.26))
    return shade(tone, 0.07 * rough(rng, sheet.size, 35) + 0.05 * noise(rng, sheet.size, 2.5))


def forest(rng: np.random.Generator, sheet: Sheet) -> Array:
    """Crowns of trees lit from one side: colour (H, W, 3)."""
    spacing = rng.uniform(9, 14)
    cells = int(EXTENT / spacing) + 4
    jitter = rng.uniform(0.1, 0.9, size=(cells, cells, 2))
    light = rng.uniform(0.75, 1.2, size=(cells, cells))
    row, col = sheet.rows / spacing + 1, sheet.cols / spacing + 1
    nearest, lit, crown = np.full(row.shape, 9.0), np.zeros(row.shape), np.zeros(row.shape)
    for step_row in (-1, 0, 1):
        for step_col in (-1, 0, 1):
            i, j = row.astype(int) + step_row, col.astype(int) + step_col
            down, right = row - i - jitter[i, j, 0], col - j - jitter[i, j, 1]
            distance = np.hypot(down, right)
            closer = distance < nearest
            nearest = np.where(closer, distance, nearest)
            lit = np.where(closer, -(down + right), lit)
            crown = np.where(closer, light[i, j], crown)
    tone = colour(rng, (0.08, 0.20, 0.07), (0.20, 0.36, 0.13))
    leaves = 0.16 * noise(rng, sheet.size, 2.5)
    return shade(tone, crown * (1.25 - 1.1 * nearest + 0.5 * lit) - 0.75 + leaves)


def water(rng: np.random.Generator, sheet: Sheet) -> Array:
    """A lake with ripples: colour (H, W, 3)."""
    _, across = turn(sheet, 0, 0, rng.uniform(0, np.pi))
    ripple = np.sin(across * 2 * np.pi / rng.uniform(5, 9) + 2.5 * noise(rng, sheet.size, 20))
    tone = colour(rng, (0.08, 0.24, 0.34), (0.20, 0.42, 0.56))
    return shade(tone, rng.uniform(0.02, 0.06) * ripple + 0.08 * noise(rng, sheet.size, 60))


def ground(rng: np.random.Generator, sheet: Sheet, phrase: str) -> Array:
    """Open land without a name of its own: colour (H, W, 3)."""
    if phrase == "bare ground":
        tone = colour(rng, (0.46, 0.34, 0.24), (0.64, 0.50, 0.36))
        return shade(tone, 0.12 * rough(rng, sheet.size, 22))
    stones = np.abs(rough(rng, sheet.size, 14))
    return shade(colour(rng, (0.42, 0.40, 0.38), (0.60, 0.58, 0.55)), 0.42 * stones - 0.25)


COVERS = {"field": field, "meadow": meadow, "forest": forest, "water": water}


def cover(rng: np.random.Generator, sheet: Sheet) -> str:
    """Divide the sheet into 3 to 5 regions of land cover; return the phrase of the unnamed ones or ''."""
    number = int(rng.integers(3, 6))
    seeds = rng.uniform(0, EXTENT, size=(number, 2))
    rows = sheet.rows + 9 * rough(rng, sheet.size, 45)
    cols = sheet.cols + 9 * rough(rng, sheet.size, 45)
    reach = np.hypot(rows[..., None] - seeds[:, 0], cols[..., None] - seeds[:, 1])  # (H, W, number)
    phrase = str(rng.choice(BACKGROUNDS))
    names = rng.permutation([*COVERS, phrase])[:number]
    region = reach.argmin(-1)
    for position, name in enumerate(names):
        texture = COVERS[name](rng, sheet) if name in COVERS else ground(rng, sheet, phrase)
        alpha = np.clip(blur((region == position).astype(float), 0.6), 0, 1)
        sheet.image[...] += alpha[..., None] * texture
        sheet.truth[region == position] = LABEL.get(name, 0)
    return phrase if phrase in names else ""


def road(rng: np.random.Generator, sheet: Sheet) -> Array:
    """Paint a road across the sheet and return its middle line (N, 2) of (row, col)."""
    angle, middle = rng.uniform(0, np.pi), rng.uniform(0.3, 0.7, size=2) * EXTENT
    way = np.linspace(-1.6, 1.6, 12) * EXTENT
    bend = rng.uniform(0, 22) * np.sin(way / rng.uniform(35, 70) + rng.uniform(0, 6))
    points = np.stack([middle[0] + way * np.sin(angle) + bend * np.cos(angle),
                       middle[1] + way * np.cos(angle) - bend * np.sin(angle)], axis=1)  # fmt: skip
    distance, length = line(sheet, points)
    half = rng.uniform(13, 17)
    paint(sheet, 0.6 * coverage(sheet, distance - half - 2.5, 4), colour(rng, (0.45, 0.42, 0.36), (0.6, 0.56, 0.5)))
    tone = np.full(3, rng.uniform(0.30, 0.46)) + rng.uniform(-0.015, 0.015, size=3)
    texture = 0.05 * noise(rng, sheet.size, 3) + 0.05 * noise(rng, sheet.size, 30)
    paint(sheet, coverage(sheet, distance - half), shade(tone, texture), LABEL["road"])
    dashes = np.maximum(distance - 0.7, np.abs(length % 22 - 11) - 5.5)
    edges = np.abs(distance - half + 2.0) - 0.6
    paint(sheet, 0.85 * coverage(sheet, np.minimum(dashes, edges)), np.full(3, 0.86))
    return np.asarray(points)


def cars(rng: np.random.Generator, sheet: Sheet, points: Array) -> None:
    """Paint cars on both lanes of a road whose middle line is `points` (N, 2)."""
    for _ in range(rng.integers(2, 7)):
        start = rng.integers(len(points) - 1)
        way = points[start + 1] - points[start]
        side = rng.choice([-1, 1]) * rng.uniform(6.5, 8.0)
        row, col = points[start] + rng.random() * way + side * np.array([way[1], -way[0]]) / np.hypot(*way)
        if not (4 < row < EXTENT - 4 and 4 < col < EXTENT - 4):
            continue
        along, across = turn(sheet, row, col, np.arctan2(way[0], way[1]))
        shadow_along, shadow_across = along - 1.5, across - 1.5
        paint(sheet, 0.45 * coverage(sheet, box(shadow_along, shadow_across, 10.5, 5, 3), 3), np.zeros(3))
        paints = [(0.75, 0.08, 0.08), (0.12, 0.2, 0.6), (0.92, 0.92, 0.92), (0.08, 0.08, 0.09), (0.6, 0.62, 0.65)]
        tone = np.array(paints[rng.integers(5)]) * rng.uniform(0.85, 1.08)
        paint(sheet, coverage(sheet, box(along, across, 10.5, 4.8, 2.5)), tone, LABEL["car"])
        glass = np.minimum(box(along - 3.2, across, 1.6, 3.7, 0.8), box(along + 6.0, across, 1.2, 3.5, 0.8))
        paint(sheet, coverage(sheet, glass), np.array([0.10, 0.13, 0.17]))


def block(rng: np.random.Generator, sheet: Sheet, name: str, angle: float) -> None:
    """Paint one building or one array of solar panels on a free place, if one is found."""
    half = rng.uniform(17, 30), rng.uniform(14, 21)
    busy = [LABEL[other] for other in ("water", "road", "car", "building", "solar panels")]
    for _ in range(30):
        row, col = rng.uniform(12, EXTENT - 12, size=2)
        along, across = turn(sheet, row, col, angle)
        inside = box(along, across, *half)
        if not np.isin(sheet.truth[inside < 4], busy).any():
            break
    else:
        return
    alpha = coverage(sheet, inside)
    if name == "solar panels":
        grid = np.minimum(np.abs(along % 7 - 3.5), np.abs(across % 10 - 5))
        tone = colour(rng, (0.05, 0.08, 0.20), (0.12, 0.16, 0.34))
        paint(sheet, alpha, shade(tone, 0.25 * noise(rng, sheet.size, 25)), LABEL[name])
        paint(sheet, 0.75 * alpha * coverage(sheet, grid - 0.45), np.full(3, 0.72))
        return
    shadow_along, shadow_across = turn(sheet, row + 4, col + 4, angle)
    paint(sheet, 0.5 * coverage(sheet, box(shadow_along, shadow_across, *half), 3), np.zeros(3))
    low, high = [((0.50, 0.20, 0.14), (0.68, 0.34, 0.24)), ((0.52, 0.50, 0.50), (0.80, 0.78, 0.76)),
                 ((0.34, 0.30, 0.30), (0.46, 0.42, 0.42))][rng.integers(3)]  # fmt: skip
    tiles = 0.06 * np.sign(np.sin(along * 2 * np.pi / 3.5))
    ridge = np.where(across < 0, 0.12, -0.16) * rng.choice([-1, 0.3, 1])
    paint(sheet, alpha, shade(colour(rng, low, high), tiles + ridge), LABEL[name])
    paint(sheet, alpha * coverage(sheet, np.abs(across) - 0.6), np.full(3, 0.3))


def draw(rng: np.random.Generator, size: int, split: str) -> tuple[Array, Array, str]:
    """Image (H, W, 3) uint8, truth (H, W) by vocabulary position + 1, and the open ground's phrase or ''."""
    sheet = blank(size)
    phrase = cover(rng, sheet)
    if rng.random() < 0.7:
        points = road(rng, sheet)
        if rng.random() < 0.75:
            cars(rng, sheet, points)
    angle = rng.uniform(0, np.pi)
    for name, chance in (("building", 0.6), ("solar panels", 0.35)):
        if rng.random() < chance:
            for _ in range(rng.integers(1, 4)):
                block(rng, sheet, name, angle)
    sun = rng.uniform(0.78, 1.15) * np.array([rng.uniform(0.97, 1.06), 1.0, rng.uniform(0.92, 1.04)])
    light = 1 + rng.uniform(0, 0.14) * noise(rng, size, 90)[..., None]
    haze = rng.uniform(0, 0.14)
    image = (sheet.image * sun * light) * (1 - haze) + haze * 0.8
    image = blur(image, rng.uniform(0.2, 0.7))
    return develop(rng, image, rng.uniform(0.006, 0.025)), sheet.truth, phrase
