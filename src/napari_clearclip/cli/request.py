"""Options and a settings file, put together: what is wanted."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from napari_clearclip import domains
from napari_clearclip.cli.console import UsageError, options, tell
from napari_clearclip.cli.sessions import from_session
from napari_clearclip.edits import Edits
from napari_clearclip.io.formats import FORMATS
from napari_clearclip.io.masks import TRAITS
from napari_clearclip.io.settings_file import SettingsFile, read_settings
from napari_clearclip.settings import (
    COLORS,
    Attention,
    Comparing,
    Model,
    Prompt,
    Settings,
    TemplateSet,
    Tiling,
    clean_phrase,
)

_GOLDEN_ANGLE = 0.618033988749895


@dataclass(frozen=True)
class Flags:
    """What `segment` was told besides images, device and folder; None or () is left to the settings file."""

    prompts: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    otsu: bool = False
    bands: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    no_distractors: bool = False
    variant: str | None = None
    model: str | None = None
    threshold: float | None = None
    templates: str | None = None
    short_side: str | None = None
    settings: Path | None = None
    session: Path | None = None
    formats: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


def check_formats(flags: Flags) -> None:
    """Whether all formats, and what may be left out of them, are known.

    Raises
    ------
    UsageError
        If one is not.
    """
    for given, known, option in ((flags.formats, FORMATS, "--format"), (flags.leave_out, TRAITS, "--leave-out")):
        for name in given:
            if name not in known:
                raise UsageError(f"{option} {name} is not known; there are {', '.join(known)}")


def check_scheduler(scheduler: str | None) -> None:
    """Refuse a scheduler that can be none, or for which a library is missing; None is this process.

    Raises
    ------
    UsageError
        With what to give or to install.
    """
    if scheduler is not None:
        with options():
            from napari_clearclip.batch.cluster import check_scheduler as check

            check(scheduler)


def wanted_of(flags: Flags, images: Sequence[Path]) -> tuple[SettingsFile, Edits]:
    """The settings file, or what a session says of the images, with the flags put over it; and what was done by hand.

    Raises
    ------
    UsageError
        As `settings_of`, and as `from_session`.
    """
    if flags.session is None:
        return settings_of(flags), Edits()
    if flags.settings is not None:
        raise UsageError("--settings and --session exclude each other; give one of them")
    with options():
        wanted, edits = from_session(flags.session, images)
    return settings_of(flags, wanted), edits


def settings_of(flags: Flags, wanted: SettingsFile | None = None) -> SettingsFile:
    """The settings file, or `wanted`, with the flags put over it.

    Raises
    ------
    UsageError
        If a value is not allowed, a variant or model does not exist, or there is nothing to look for.
    """
    if flags.distractors and flags.no_distractors:
        raise UsageError("--distractor and --no-distractors exclude each other; give one of them")
    with options():
        wanted = wanted or (read_settings(flags.settings) if flags.settings else SettingsFile())
        settings = wanted.settings
        if flags.prompts or flags.model or settings.worded or not (flags.indices or settings.objects):
            settings = _with_model(settings, flags.model)  # band expressions alone need none
        settings = _with_prompts(settings, flags)
        settings = settings.replace(
            attention=_attention(flags.variant) if flags.variant else settings.attention,
            tiling=_with_short_side(settings.tiling, flags.short_side),
            comparing=_with_templates(settings.comparing, flags.templates),
        )
        for prompt in settings.objects:
            domains.check_phrases(settings.model, prompt.words)
    if not settings.objects:
        raise UsageError('there is nothing to look for; give at least one --prompt, such as --prompt "road"')
    return wanted.replace(settings=settings)


def find_model(text: str | None) -> Model:
    """The model that was named; without a name a published one that is on this machine, else the demo.

    Raises
    ------
    UsageError
        If there is no such model or file.
    """
    if text is None:
        from napari_clearclip.engine.model import cached_models

        cached = cached_models()
        if cached:
            tell(f"Model: {cached[0]}, which is on this machine; choose another with --model.")
            return cached[0]
        tell(
            "Warning: no published model is on this machine, so the bundled demo is used. It knows a few dozen words "
            "of drawn scenes and nothing of real images. For these give --model ViT-B-16/openai (downloaded once, "
            "600 MB) or a weights file."
        )
        return Model()
    with options():
        model = Model.parse(text)
    given, weights = Path(text).expanduser(), Path(model.pretrained).expanduser()
    if given.exists() and not (model.pretrained and weights.is_file()):
        raise UsageError(f"{text} is no weights file; give a .safetensors, .pt, .pth, .bin or .ckpt file")
    return _checked(model)


def _checked(model: Model) -> Model:
    """The model, with a file's full path, once it is known to exist; nothing is downloaded for that."""
    if model.name == "demo" or model.name.startswith("hf-hub:"):
        return model
    path = Path(model.pretrained).expanduser()
    if model.pretrained and path.exists():
        return model.replace(pretrained=str(path.resolve()))
    from napari_clearclip.engine.model import load, published_models
    from napari_clearclip.engine.sources import check_published

    with options():
        if model in published_models():
            check_published(model)
        else:
            load(model)
    return model


def _with_model(settings: Settings, text: str | None) -> Settings:
    """Settings with the model; one that the file was not made for brings its own tiling and templates."""
    if text is None and "model" in settings.model_fields_set:
        return settings.replace(model=_checked(settings.model))
    model = find_model(text)
    if "model" in settings.model_fields_set and model != settings.model:
        return settings.replace(model=model, tiling=Tiling(), comparing=Comparing())
    return settings.replace(model=model)


def _with_prompts(settings: Settings, flags: Flags) -> Settings:
    """Settings with objects and distractors as the flags say, else as in the file, else the model's distractors."""
    objects = settings.objects
    if flags.prompts or flags.indices:
        objects = prompts_of((*flags.prompts, *(_complete(text) for text in flags.indices)))
    if flags.threshold is not None:
        objects = tuple(_by_hand(prompt, flags.threshold) for prompt in objects)
    if flags.otsu:
        objects = tuple(_by_otsu(prompt) for prompt in objects)
    distractors = tuple(prompt for prompt in settings.prompts if prompt.kind == "distractor")
    if flags.no_distractors:
        distractors = ()
    elif flags.distractors:
        distractors = domains.as_prompts(tuple(dict.fromkeys(clean_phrase(text) for text in flags.distractors)))
    elif not settings.prompts and any(prompt.index is None for prompt in objects):
        distractors = domains.as_prompts(domains.distractors_for(settings.model))
    return settings.replace(prompts=(*objects, *distractors))


def _complete(text: str) -> str:
    """The text of a band expression, which must have a name."""
    name, is_named, expression = text.partition("=")
    if not (is_named and name.strip() and expression.strip()):
        raise ValueError(f'--index is {text!r}; give NAME=EXPRESSION, such as "NDVI=(nir - red) / (nir + red)"')
    return text


def _by_hand(prompt: Prompt, threshold: float) -> Prompt:
    """The prompt with a threshold that no image sets."""
    index = None if prompt.index is None else prompt.index.replace(otsu=False)
    return prompt.replace(threshold=threshold, index=index)


def _by_otsu(prompt: Prompt) -> Prompt:
    """The prompt with a threshold that each image sets, if it is a band expression."""
    return prompt if prompt.index is None else prompt.replace(index=prompt.index.replace(otsu=True))


def prompts_of(texts: Sequence[str]) -> tuple[Prompt, ...]:
    """Object prompts, each with its colour; ids follow from the order, so that a run can be repeated to the byte."""
    return tuple(
        Prompt.parse(text, id=f"prompt-{place + 1}", color=prompt_color(place)) for place, text in enumerate(texts)
    )


def prompt_color(place: int) -> str:
    """A colour for each prompt: first those that everybody can tell apart, then ever new hues."""
    if place < len(COLORS):
        return COLORS[place]
    red, green, blue = colorsys.hls_to_rgb(place * _GOLDEN_ANGLE % 1, 0.4 + place % 3 * 0.12, 0.75)
    return f"#{round(255 * red):02X}{round(255 * green):02X}{round(255 * blue):02X}"


def _attention(name: str) -> Attention:
    from napari_clearclip.engine.variants import variant

    return variant(name)


def _with_short_side(tiling: Tiling, text: str | None) -> Tiling:
    if text is None:
        return tiling
    if text != "native" and not text.isdecimal():
        raise ValueError(f"--short-side is {text!r}; give a number of pixels, or native")
    return tiling.replace(short_side=text if text == "native" else int(text))


def _with_templates(comparing: Comparing, text: str | None) -> Comparing:
    if text is None:
        return comparing
    if "{}" not in text and text not in get_args(TemplateSet):
        raise ValueError(
            f"unknown templates {text!r}; known are {', '.join(get_args(TemplateSet))}, "
            "or give a sentence with {} for the phrase"
        )
    return comparing.replace(templates=(text,) if "{}" in text else text)
