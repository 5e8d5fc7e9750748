"""Every word of the scenes: what a name may also be called, and how captions are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from . import aerial, micrograph, shapes

VOCABULARIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"shapes": shapes.VOCABULARY, "aerial": aerial.VOCABULARY, "micrograph": micrograph.VOCABULARY}
)
DISTRACTORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"shapes": shapes.BACKGROUNDS, "aerial": aerial.BACKGROUNDS, "micrograph": micrograph.BACKGROUNDS}
)
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "field": ("fields", "crops", "farmland", "crop field"),
        "meadow": ("meadows", "grass", "lawn", "grassland"),
        "forest": ("forests", "trees", "tree", "woods"),
        "water": ("lake", "river", "pond"),
        "road": ("roads", "street", "streets"),
        "building": ("buildings", "house", "houses", "roof"),
        "car": ("cars", "vehicle", "vehicles"),
        "solar panels": ("solar panel", "panels"),
        "bare ground": ("bare soil", "soil", "background"),
        "rocky ground": ("rocks", "background"),
        "nuclei": ("nucleus", "cell nuclei", "cells", "cell"),
        "rods": ("rod", "bacteria", "bacterium"),
        "filaments": ("filament", "fibres", "fibers", "fiber"),
        "vesicles": ("vesicle", "bubbles", "bubble"),
        "crystals": ("crystal",),
        "granules": ("granule", "grains", "clumps"),
        "dark background": ("background", "empty background"),
        "bright background": ("background", "empty background"),
        "grey background": ("gray background", "background", "empty background"),
        "plain background": ("background", "smooth background"),
        "striped background": ("background", "stripes"),
        "speckled background": ("background", "noisy background"),
        "cloudy background": ("background", "textured background"),
        "circle": ("circles", "disc"),
        "square": ("squares", "box"),
        "triangle": ("triangles",),
        "star": ("stars",),
        "cross": ("crosses", "plus"),
        "ring": ("rings", "hoop"),
        "purple": ("violet",),
    }
)


def join(phrases: Sequence[str]) -> str:
    """The phrases as a list in words: 'a, b and c'.

    Examples
    --------
    >>> join(["a road", "a car", "water"])
    'a road, a car and water'
    """
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def caption(names: Sequence[str], background: str) -> str:
    """A plain sentence part that names everything in a scene, the background (or '') last."""
    return join([*names, background] if background else list(names))
