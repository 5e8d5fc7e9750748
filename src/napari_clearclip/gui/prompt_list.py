"""Settings with a prompt added, changed or removed, and sentences for what is refused: no Qt, no napari."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from napari_clearclip.domains import as_prompts, check_phrase, distractors_for
from napari_clearclip.settings import COLORS, Model, Prompt, Settings

Kind = Literal["object", "distractor"]


def sentence(error: BaseException) -> str:
    """What went wrong in one sentence, without the wrapping that libraries add."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        text = first["msg"].removeprefix("Value error, ")
        text = text if first["type"] == "value_error" or not where else f"{where}: {text}"
    else:
        text = str(error).strip() or type(error).__name__
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?)" else text + "."


def as_text(prompt: Prompt) -> str:
    """A prompt as it is typed: the phrase and its synonyms, separated by commas."""
    return ", ".join((prompt.phrase, *prompt.synonyms))


def next_color(settings: Settings) -> str:
    """The first colour that the fewest prompts have."""
    used = Counter(prompt.color.upper() for prompt in settings.objects)
    return min(COLORS, key=lambda color: used[color.upper()])


def shared_threshold(settings: Settings) -> float:
    """The threshold that all prompts have, or the default one."""
    thresholds = {prompt.threshold for prompt in settings.objects}
    return thresholds.pop() if len(thresholds) == 1 else float(Prompt.model_fields["threshold"].default)


def added(settings: Settings, text: str, kind: Kind = "object") -> Settings:
    """Settings with a prompt made from typed text, last of its kind.

    Raises
    ------
    ValueError
        If the text is empty, a phrase is there already, or the model knows no word of it.
    """
    if kind == "object":
        prompt = Prompt.parse(text, color=next_color(settings), threshold=shared_threshold(settings))
    else:
        (prompt,) = as_prompts((text,))
    _check(settings, prompt)
    objects = [item for item in settings.prompts if item.kind == "object"]
    others = [item for item in settings.prompts if item.kind == "distractor"]
    (objects if kind == "object" else others).append(prompt)
    return settings.replace(prompts=(*objects, *others))


def _check(settings: Settings, prompt: Prompt) -> None:
    """Refuse a phrase that the list has, or of which the model knows no word."""
    listed = {phrase.casefold() for other in settings.prompts if other.kind == prompt.kind for phrase in other.phrases}
    for phrase in prompt.phrases:
        if phrase.casefold() in listed:
            raise ValueError(f"“{phrase}” is in the list already; change its threshold there, or type another phrase.")
    if prompt.kind == "object":
        check_phrase(settings.model, prompt.phrase)


def changed(settings: Settings, ids: Collection[str], **fields: Any) -> Settings:
    """Settings in which the prompts with these ids have other fields; ``text`` stands for phrase and synonyms."""
    if "text" in fields:
        typed = Prompt.parse(fields.pop("text"))
        fields |= {"phrase": typed.phrase, "synonyms": typed.synonyms}
        for prompt in settings.prompts:
            if prompt.id in ids:
                _check(removed(settings, ids), prompt.replace(**fields))
    prompts = (prompt.replace(**fields) if prompt.id in ids else prompt for prompt in settings.prompts)
    return settings.replace(prompts=tuple(prompts))


def removed(settings: Settings, ids: Collection[str]) -> Settings:
    """Settings without the prompts with these ids."""
    return settings.replace(prompts=tuple(prompt for prompt in settings.prompts if prompt.id not in ids))


def with_phrases(settings: Settings, phrases: Sequence[str], distractors: Sequence[str]) -> Settings:
    """Settings with other prompts altogether, as a sample brings them."""
    settings = settings.replace(prompts=as_prompts(tuple(distractors)))
    for phrase in phrases:
        settings = added(settings, phrase)
    return settings


def with_model(settings: Settings, model: Model) -> Settings:
    """Settings with another model; distractors that nobody changed become those of its domain."""
    have = tuple(prompt.phrase for prompt in settings.prompts if prompt.kind == "distractor")
    if have in ((), distractors_for(settings.model)) and not any(prompt.muted for prompt in settings.prompts):
        settings = settings.replace(prompts=(*settings.objects, *as_prompts(distractors_for(model))))
    return settings.replace(model=model)
