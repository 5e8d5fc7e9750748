"""What the model does with an image, as arrays: every function takes an image and `Settings`, and needs no viewer.

Examples
--------
>>> from napari_clearclip import Settings, View
>>> from napari_clearclip.inspection import attention_map
>>> from napari_clearclip.scenes import make_scene
>>> found = attention_map(make_scene("shapes", seed=1).image, Settings(), (60, 80), View(channel_axis=-1))
>>> found.mean.ndim
2
"""

from __future__ import annotations

from napari_clearclip.inspection.curves import Curves, LastBlock, block_curves, last_block_norms
from napari_clearclip.inspection.maps import Comparison, Decomposition, compare_variants, decompose, disagreement
from napari_clearclip.inspection.points import AttentionMap, Likeness, attention_map, words_at

__all__ = [
    "AttentionMap",
    "Comparison",
    "Curves",
    "Decomposition",
    "LastBlock",
    "Likeness",
    "attention_map",
    "block_curves",
    "compare_variants",
    "decompose",
    "disagreement",
    "last_block_norms",
    "words_at",
]
