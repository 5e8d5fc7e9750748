"""What the user wants, as frozen values: every default, range and help text stands here once."""

from __future__ import annotations

from napari_clearclip.settings.deciding import Comparing, Deciding, Refining, TemplateSet
from napari_clearclip.settings.prompts import COLORS, MOST_PROMPTS, Index, Learned, Prompt, clean_phrase
from napari_clearclip.settings.reading import Attention, Model, Term, Tiling
from napari_clearclip.settings.tidying import Cleaning, Linking, Splitting
from napari_clearclip.settings.tree import Runtime, Settings
from napari_clearclip.settings.value import Value

__all__ = [
    "COLORS",
    "MOST_PROMPTS",
    "Attention",
    "Cleaning",
    "Comparing",
    "Deciding",
    "Index",
    "Learned",
    "Linking",
    "Model",
    "Prompt",
    "Refining",
    "Runtime",
    "Settings",
    "Splitting",
    "TemplateSet",
    "Term",
    "Tiling",
    "Value",
    "clean_phrase",
]
