"""What suits which world: template sets, distractors and small vocabularies, from the package's data (no torch)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_clearclip.settings import Model, Prompt

# Published checkpoints and files whose names tell that they were trained on another world than photographs.
_WORLDS = {
    "aerial": ("remoteclip", "georsclip", "skyclip", "rs5m", "skyscript"),
    "microscopy": ("biomed", "pmc", "quilt", "plip"),
}
_FILLERS = frozenset(
    ("a", "an", "and", "at", "by", "from", "image", "in", "of", "on", "or", "photo", "picture", "the", "view", "with")
)
_DISTRACTOR_COLOR = "#808080"


@cache
def _domains() -> dict[str, dict[str, list[str]]]:
    text = files("napari_clearclip").joinpath("data/domains.json").read_text("utf-8")
    domains: dict[str, dict[str, list[str]]] = json.loads(text)
    return domains


@cache
def demo_folder() -> Path:
    """The folder with the bundled model's configuration and weights."""
    return Path(str(files("napari_clearclip").joinpath("data/demo")))


@cache
def _read(path: Path, changed: float) -> dict[str, Any]:
    """A model's configuration file; `changed` makes an edited file be read again."""
    config = json.loads(path.read_text("utf-8"))
    return config if isinstance(config, dict) else {}


def recommendations(model: Model) -> dict[str, Any]:
    """What a model's own configuration file recommends (its ``clearclip`` entry); empty if it has none.

    Keys, all optional: ``token_ids``, ``vocabulary``, ``templates``, ``distractors``, ``tiling``, ``mean``, ``std``.
    """
    if model.name == "demo":
        path = demo_folder() / "demo.json"
    elif model.pretrained:
        path = Path(model.pretrained).expanduser().with_suffix(".json")
    else:
        return {}
    try:
        entry = _read(path, path.stat().st_mtime).get("clearclip", {})
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def world_of(model: Model) -> str:
    """``photograph``, ``aerial`` or ``microscopy``: what the model's name says it was trained on."""
    name = str(model).casefold()
    return next((world for world, marks in _WORLDS.items() if any(mark in name for mark in marks)), "photograph")


def templates(world: str) -> tuple[str, ...]:
    """The template set of a world: sentences with {} for the phrase."""
    return tuple(_domains()[world]["templates"])


def distractors_for(model: Model) -> tuple[str, ...]:
    """Phrases that compete by default: the model's own list, or that of its world."""
    own = recommendations(model).get("distractors")
    return tuple(own) if own else tuple(_domains()[world_of(model)]["distractors"])


def as_prompts(phrases: tuple[str, ...] | list[str]) -> tuple[Prompt, ...]:
    """Distractor prompts for some phrases; the id follows from the phrase, so that the same list is the same value."""
    return tuple(
        Prompt.parse(
            phrase, id=f"not-{'-'.join(phrase.casefold().split())}", kind="distractor", color=_DISTRACTOR_COLOR
        )
        for phrase in phrases
    )


def unknown_words(model: Model, phrase: str) -> tuple[str, ...]:
    """The words of a phrase that a model with a small vocabulary has never seen; always empty for other models."""
    known = recommendations(model).get("vocabulary")
    return _unknown(phrase, known) if known else ()


def unknown_in(prompts: Iterable[Prompt], model: Model) -> dict[str, tuple[str, ...]]:
    """`unknown_words` of each phrase of some prompts, synonyms included; phrases without any are left out."""
    known = recommendations(model).get("vocabulary")
    if not known:
        return {}
    phrases = [phrase for prompt in prompts for phrase in prompt.words]
    return {phrase: words for phrase in phrases if (words := _unknown(phrase, known))}


def _unknown(phrase: str, known: Collection[str]) -> tuple[str, ...]:
    return tuple(word for word in _words(phrase) if word not in known and word not in _FILLERS)


def check_phrases(model: Model, phrases: Iterable[str]) -> None:
    """Refuse a phrase, be it a synonym, of which the model knows no word.

    Raises
    ------
    ValueError
        With some of the words that a model with a small vocabulary knows.
    """
    for phrase in phrases:
        words = [word for word in _words(phrase) if word not in _FILLERS]
        if words and len(unknown_words(model, phrase)) == len(words):
            known = vocabulary(model)
            some = ", ".join(known[:: max(len(known) // 12, 1)])
            raise ValueError(
                f"this model knows no word of {phrase!r}; it knows {len(known)} words, such as {some}. "
                f"Use its words, or choose a published model"
            )


def vocabulary(model: Model) -> tuple[str, ...]:
    """The words with a meaning of their own that a model with a small vocabulary knows; empty for other models."""
    return tuple(word for word in recommendations(model).get("vocabulary", ()) if word not in _FILLERS)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
