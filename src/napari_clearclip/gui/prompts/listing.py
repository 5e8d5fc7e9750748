"""Settings with prompts added, changed, moved or removed, and sentences for what is refused: no Qt, no napari."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from napari_clearclip.domains import as_prompts, check_phrases, distractors_for
from napari_clearclip.io.prompt_bank import Line
from napari_clearclip.settings import COLORS, Index, Model, Prompt, Settings

Kind = Literal["object", "distractor"]

Refused = tuple[str, str]  # what was typed, and the sentence that says why not


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


def refusal(make: Callable[[], Settings]) -> str:
    """Why a change is refused, in a sentence; empty if it is not."""
    try:
        make()
    except ValueError as error:
        return sentence(error)
    return ""


def next_color(settings: Settings) -> str:
    """The first colour that the fewest prompts have."""
    used = Counter(prompt.color.upper() for prompt in settings.objects)
    return min(COLORS, key=lambda color: used[color.upper()])


def shared_threshold(settings: Settings) -> float:
    """The threshold that all prompts have, or the default one."""
    thresholds = {prompt.threshold for prompt in settings.worded}
    return thresholds.pop() if len(thresholds) == 1 else float(Prompt.model_fields["threshold"].default)


# Added


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
    if prompt.index is not None:
        return with_index(settings, prompt.phrase, prompt.index)
    _check(settings, prompt)
    return _with_last(settings, prompt)


def with_index(settings: Settings, name: str, index: Index) -> Settings:
    """Settings with a band expression, last of the objects.

    Raises
    ------
    ValueError
        If the name is there already.
    """
    prompt = Prompt(phrase=name, index=index, color=next_color(settings), threshold=index.usual_threshold)
    _check(settings, prompt)
    return _with_last(settings, prompt)


def _with_last(settings: Settings, prompt: Prompt) -> Settings:
    """Settings with one more prompt, last of its kind; objects come before distractors."""
    prompts = (*settings.prompts, prompt)
    return settings.replace(prompts=tuple(sorted(prompts, key=lambda item: item.kind == "distractor")))


def added_lines(settings: Settings, lines: Iterable[Line]) -> tuple[Settings, tuple[Refused, ...]]:
    """Settings with a prompt for each line that is allowed, and the others with the reason."""
    refused = []
    for line in lines:
        try:
            settings = added(settings, line.text, line.kind)
        except ValueError as error:
            refused.append((line.text, sentence(error)))
    return settings, tuple(refused)


def report(refused: Sequence[Refused], added: int) -> str:
    """What was left out of several lines and why, in a sentence."""
    if not refused:
        return ""
    reasons: dict[str, list[str]] = {}
    for text, reason in refused:
        reasons.setdefault(_in_short(reason), []).append(f"“{text}”")
    parts = "; ".join(f"{_joined(texts)} ({reason})" for reason, texts in reasons.items())
    return f"Added {added} of {added + len(refused)}; left out {parts}."


def _in_short(reason: str) -> str:
    """The part of a refusal that is the same for all phrases."""
    known = {"already": "in the list already", "knows no word": "no word that this model knows"}
    return next((short for mark, short in known.items() if mark in reason), reason.rstrip("."))


def _joined(texts: Sequence[str]) -> str:
    """Up to four texts, and how many more."""
    more = len(texts) - 4
    shown = [*texts[:4], *([f"{more} more"] if more > 0 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _check(settings: Settings, prompt: Prompt) -> None:
    """Refuse a phrase that the list has, or of which the model knows no word."""
    listed = {phrase.casefold() for other in settings.prompts if other.kind == prompt.kind for phrase in other.phrases}
    for phrase in prompt.phrases:
        if phrase.casefold() in listed and prompt.kind == "object":
            raise ValueError(f"“{phrase}” is in the list already; change its threshold there, or type another phrase.")
        if phrase.casefold() in listed:
            raise ValueError(f"“{phrase}” is in the list of distractors already; type another phrase.")
    if prompt.kind == "object":
        check_phrases(settings.model, prompt.words)


# Changed


def changed(settings: Settings, ids: Collection[str], **fields: Any) -> Settings:
    """Settings in which the prompts with these ids have other fields; ``text`` stands for phrase and synonyms."""
    if "text" in fields:
        text = fields.pop("text")
        for prompt in settings.prompts:
            if prompt.id in ids:
                fields |= _typed(text, prompt.index)
                _check(removed(settings, ids), prompt.replace(**fields))
    prompts = (_changed(prompt, **fields) if prompt.id in ids else prompt for prompt in settings.prompts)
    return settings.replace(prompts=tuple(prompts))


def _changed(prompt: Prompt, **fields: Any) -> Prompt:
    """A prompt with other fields; a threshold that is set by hand is no longer set by each image."""
    if "threshold" in fields and "index" not in fields and prompt.index is not None:
        fields["index"] = prompt.index.replace(otsu=False)
    return prompt.replace(**fields)


def _typed(text: str, before: Index | None = None) -> dict[str, Any]:
    """The fields that typed text stands for; an index keeps its range and Otsu's threshold with its expression."""
    typed = Prompt.parse(text)
    same = before is not None and typed.index is not None and typed.index.expression == before.expression
    return {"phrase": typed.phrase, "synonyms": typed.synonyms, "index": before if same else typed.index}


def with_range(settings: Settings, id_: str, **ends: float | None) -> Settings:
    """Settings with other values of a band expression that are scored 0 (``low``) and 1 (``high``); None = automatic.

    Raises
    ------
    ValueError
        If they do not rise.
    """
    prompts = (
        prompt.replace(index=prompt.index.replace(**ends)) if prompt.id == id_ and prompt.index else prompt
        for prompt in settings.prompts
    )
    return settings.replace(prompts=tuple(prompts))


def with_thresholds(settings: Settings, thresholds: Mapping[str, float]) -> Settings:
    """Settings with other thresholds by id; locked prompts keep theirs."""
    prompts = (
        _changed(prompt, threshold=thresholds[prompt.id]) if prompt.id in thresholds and not prompt.locked else prompt
        for prompt in settings.prompts
    )
    return settings.replace(prompts=tuple(prompts))


def as_found(settings: Settings, thresholds: Mapping[str, float]) -> Settings:
    """Settings to be shown: thresholds that each image sets are those that were found, by id, on this one."""
    prompts = (
        prompt.replace(threshold=thresholds[prompt.id])
        if prompt.id in thresholds and prompt.fixed_threshold is None
        else prompt
        for prompt in settings.prompts
    )
    return settings.replace(prompts=tuple(prompts))


def removed(settings: Settings, ids: Collection[str]) -> Settings:
    """Settings without the prompts with these ids."""
    return settings.replace(prompts=tuple(prompt for prompt in settings.prompts if prompt.id not in ids))


def without_objects(settings: Settings) -> Settings:
    """Settings that look for nothing; distractors stay."""
    return removed(settings, {prompt.id for prompt in settings.objects})


def moved(settings: Settings, ids: Collection[str], before: str | None) -> Settings:
    """Settings in which some prompts stand before another one, or last of all."""
    moving = [prompt for prompt in settings.prompts if prompt.id in ids]
    rest = [prompt for prompt in settings.prompts if prompt.id not in ids]
    at = next((place for place, prompt in enumerate(rest) if prompt.id == before), len(rest))
    prompts = [*rest[:at], *moving, *rest[at:]]
    return settings.replace(prompts=tuple(sorted(prompts, key=lambda item: item.kind == "distractor")))


def duplicated(settings: Settings, source: str, text: str) -> Settings:
    """Settings with a copy of a prompt below it, which has other words and, where it gets a mask, another colour.

    Raises
    ------
    ValueError
        As for `added`.
    """
    at, prompt = next((at, prompt) for at, prompt in enumerate(settings.prompts) if prompt.id == source)
    fields = prompt.model_dump(exclude={"id", "locked", "visible"}) | _typed(text, prompt.index)
    if prompt.kind == "object":
        fields["color"] = next_color(settings)
    copy = Prompt.model_validate(fields)
    _check(settings, copy)
    return settings.replace(prompts=(*settings.prompts[: at + 1], copy, *settings.prompts[at + 1 :]))


def with_kind(settings: Settings, id_: str, kind: Kind) -> Settings:
    """Settings in which a prompt is of the other kind, last there.

    Raises
    ------
    ValueError
        If the same phrase is there already, or the model knows no word of what should get a mask.
    """
    prompt = next(prompt for prompt in settings.prompts if prompt.id == id_)
    settings = removed(settings, (id_,))
    color = prompt.color if prompt.color.upper() in COLORS or kind == "distractor" else next_color(settings)
    prompt = prompt.replace(kind=kind, color=color, locked=False, muted=False, visible=True)
    _check(settings, prompt)
    return _with_last(settings, prompt)


# Whole lists


def opened(settings: Settings, prompts: Sequence[Prompt]) -> tuple[Settings, tuple[Refused, ...]]:
    """Settings with the prompts of a file, and those of them that are not allowed with the reason.

    What the file does not say stays as it is with a prompt of the same phrase, so that its mask and edits do too; if
    it names no distractor, all of them stay. A lock belongs to an image and is never taken from a file.
    """
    known = {(prompt.kind, prompt.phrase.casefold()): prompt for prompt in settings.prompts}
    if all(prompt.kind == "object" for prompt in prompts):
        prompts = (*prompts, *(prompt for prompt in settings.prompts if prompt.kind == "distractor"))
    made, refused = settings.replace(prompts=()), []
    for prompt in prompts:
        given = {name: getattr(prompt, name) for name in prompt.model_fields_set - {"locked"}}
        if prompt.kind == "distractor":
            base = as_prompts((prompt.text,))[0]
        else:
            base = Prompt(phrase=prompt.phrase, color=next_color(made), threshold=shared_threshold(settings))
        if given.get("index") is not None:
            given.setdefault("synonyms", ())
        prompt = known.get((prompt.kind, prompt.phrase.casefold()), base).replace(**given)
        try:
            _check(made, prompt)
            made = _with_last(made, prompt)
        except ValueError as error:
            refused.append((prompt.text, sentence(error)))
    return made, tuple(refused)


def unlearned(prompts: Sequence[Prompt]) -> str:
    """That another model has learned what some prompts are, in a sentence."""
    names = ", ".join(f"“{prompt.phrase}”" for prompt in prompts)
    models = " and ".join(dict.fromkeys(item.learned.model for item in prompts if item.learned and item.learned.model))
    return f"What {names} learned with {models or 'another model'} means nothing to this one: only the words count."


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
