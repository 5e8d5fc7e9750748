"""What the model does with an image, as arrays: every function takes an image and `Settings`, and needs no viewer.

Examples
--------
>>> from napari_clearclip import Settings, View
>>> from napari_clearclip.inspection import attention_map
>>> from napari_clearclip.scenes import make_scene
>>> found = attention_map(make_scene("shapes", seed=1).image, Settings(), (60, 80), View(channel_axis=-1))
>>> found.mean.shape
(12, 12)
"""

from __future__ import annotations

from napari_clearclip.inspection.points import AttentionMap, Likeness, attention_map, words_at

__all__ = ["AttentionMap", "Likeness", "attention_map", "words_at"]
