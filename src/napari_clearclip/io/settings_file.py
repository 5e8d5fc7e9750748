"""Settings files: what was wanted and how the image was looked at, as JSON that makes the same result again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from napari_clearclip.edits import View
from napari_clearclip.io.files import as_json, read_text, replacing
from napari_clearclip.settings import Settings, Value

VERSION = 1
_WHAT = "the settings file"


class SettingsFile(Value):
    """The content of a settings file: ``{"version": 1, "settings": {...}, "view": {...}}``.

    All keys may be left out: ``settings`` then has its defaults, and without a ``view`` each image says how it is
    looked at. A view without a plane means every plane of a stack.
    """

    version: Literal[1] = 1
    settings: Settings = Settings()
    view: View | None = None


def write_settings(path: Path, session: SettingsFile) -> None:
    """A settings file, readable by people.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(path) as file:
        file.write_text(session.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_settings(path: Path) -> SettingsFile:
    """The content of a settings file.

    Raises
    ------
    ValueError
        If the file cannot be read, is no JSON, comes from a newer version, or has a key or value that is not allowed.
    """
    content = as_json(read_text(path, _WHAT), path, _WHAT, VERSION)
    try:
        return SettingsFile.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"the settings file {path} is not valid: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """What is wrong, as one sentence that names each field.

    Examples
    --------
    >>> try:
    ...     Settings(deciding={"scale": -1})
    ... except ValidationError as error:
    ...     explain(error)
    'deciding.scale is -1; it should be greater than 0'
    """
    return "; ".join(_explain_one(dict(item)) for item in error.errors(include_url=False))


def _explain_one(item: dict[str, object]) -> str:
    """One item of a validation error in words."""
    place = item["loc"]
    name = ".".join(str(part) for part in place) if isinstance(place, tuple) else ""
    message = str(item["msg"])
    if item["type"] == "extra_forbidden":
        return f"there is no setting {name!r}"
    if item["type"] == "value_error":
        return message.removeprefix("Value error, ")
    given = repr(item["input"])
    return f"{name or 'the content'} is {given[:60]}; {message.replace('Input should', 'it should')}"
