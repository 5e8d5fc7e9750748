"""Who should have a pixel that two band expressions claim: three rules on drawn images of two stains.

``python -m benchmarks stains [IMAGES]`` draws IMAGES (300) pairs of channels: discs of either stain that may overlap,
up to half as much of the other stain's light, backgrounds and gains of their own, noise, and in half of the channels a
few specks that are brighter than anything else. Ranges and thresholds are automatic. Of the pixels where both channels
reach their threshold it prints which share goes to the stronger stain: ``stains_shipped`` by `engine.labelling.take`,
``stains_score`` by the higher score, ``stains_order`` to the first in the list.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_clearclip.edits import View
from napari_clearclip.engine.bands import fill_in, level_of, measure
from napari_clearclip.engine.labelling import hold, take
from napari_clearclip.settings import Index, Prompt

SIDE = 192
EVERYWHERE = slice(None)


def main(arguments: list[str]) -> None:
    """Draw, decide and print."""
    count = int(arguments[0]) if arguments else 300
    rng = np.random.default_rng(0)
    found = [shares for shares in (_shares(rng) for _ in range(count)) if shares is not None]
    for name, share in zip(("shipped", "score", "order"), np.mean(found, axis=0), strict=True):
        print(f"stains_{name}: {100 * share:.1f} %")


def _shares(rng: np.random.Generator) -> tuple[float, float, float] | None:
    """Which share of the pixels that both claim each rule gives to the stronger stain; None if there are none."""
    amounts = np.stack([_discs(rng), _discs(rng)])
    channels = [_channel(amounts[own], amounts[1 - own], rng) for own in (0, 1)]
    prompts = [Prompt(phrase="stain", index=Index(expression="b1", otsu=True)) for _ in channels]
    prompts = [fill_in(image, View(), prompt) for image, prompt in zip(channels, prompts, strict=True)]
    levels = [
        measure(image, View(), prompt.index, EVERYWHERE, EVERYWHERE)
        for image, prompt in zip(channels, prompts, strict=True)
        if prompt.index is not None
    ]
    labels, doubt = hold(np.zeros((SIDE, SIDE), np.uint8), None, [], [])
    for place, prompt in enumerate(prompts):
        take(labels, doubt, levels[place], place, prompt.threshold, None)
    both = amounts.max(axis=0) > 0
    for part, prompt in zip(levels, prompts, strict=True):
        both &= part >= level_of(prompt.threshold)
    if not both.any():
        return None
    stronger = amounts.argmax(axis=0)[both]
    by_score = np.argmax(levels, axis=0)[both]
    return np.mean(labels[both] - 1 == stronger), np.mean(by_score == stronger), np.mean(stronger == 0)


def _discs(rng: np.random.Generator) -> np.ndarray:
    """How much of a stain is where (SIDE, SIDE), in [0, 1]."""
    rows, cols = np.indices((SIDE, SIDE))
    amount = np.zeros((SIDE, SIDE))
    for _ in range(rng.integers(4, 12)):
        row, col = rng.uniform(0, SIDE, 2)
        inside = np.hypot(rows - row, cols - col) < rng.uniform(6, 16)
        amount[inside] = np.maximum(amount[inside], rng.uniform(0.5, 1))
    return amount


def _channel(own: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a camera makes of a stain and some of the other one's light."""
    light = ndimage.gaussian_filter(own + rng.uniform(0, 0.5) * other, 1) + rng.normal(0, 0.06, own.shape)
    if rng.random() < 0.5:
        for row, col in rng.integers(4, SIDE - 4, (3, 2)):
            light[row - 2 : row + 2, col - 2 : col + 2] = rng.uniform(2, 4)
    return rng.uniform(0.5, 4) * (rng.uniform(0, 1) + light)
