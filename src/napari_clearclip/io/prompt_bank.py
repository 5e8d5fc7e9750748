"""Lists of prompts as files: JSON with every field, plain text with a prompt a line, and class lists of data sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from napari_clearclip.io.files import as_json, as_yaml, read_text, replacing
from napari_clearclip.io.settings_file import explain
from napari_clearclip.settings import MOST_PROMPTS, Prompt, Settings, Value

VERSION = 1
_LARGEST = 10_000_000  # bytes; a list of words is small, so that a larger file was chosen by mistake
_LARGEST_DATA = 2**30  # of a COCO file, which has annotations beside its categories
_COLOR = re.compile("#[0-9A-Fa-f]{6}")
_WHAT = "the list"


class PromptBank(Value):
    """The content of a JSON list: ``{"version": 1, "prompts": [{"phrase": "tree", ...}, ...]}``."""

    version: Literal[1] = 1
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True)
class Line:
    """A prompt in a plain text: the number of its line from 1 on, what stands there, and what it is."""

    number: int
    text: str
    kind: Literal["object", "distractor"]


def lines_of(text: str) -> tuple[Line, ...]:
    r"""The prompts in a plain text, one a line.

    Blank lines and those that start with # are left out; a line that starts with - is a distractor.

    Examples
    --------
    >>> [(line.number, line.text, line.kind) for line in lines_of("tree, bush\n\n# no roads\n- sky")]
    [(1, 'tree, bush', 'object'), (4, 'sky', 'distractor')]
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            other = line.startswith("-")
            found.append(Line(number, line[1:].strip() if other else line, "distractor" if other else "object"))
    return tuple(found)


def write_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    """A list of prompts: JSON if the file's name ends in .json, else plain text.

    Plain text has phrases and synonyms only; muted distractors become comments.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If a phrase cannot be written as plain text.
    """
    if path.suffix.lower() == ".json":
        text = PromptBank(prompts=tuple(prompts)).model_dump_json(indent=2) + "\n"
    else:
        text = "".join(_as_line(prompt) + "\n" for prompt in prompts)
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8", newline="\n")


def _as_line(prompt: Prompt) -> str:
    """A prompt as a line of plain text."""
    text = prompt.text
    line = text if prompt.kind == "object" else f"- {text}"
    read = [Prompt.parse(line.text, kind=line.kind) for line in lines_of(line)]
    if [(one.phrases, one.kind, one.index) for one in read] != [(prompt.phrases, prompt.kind, prompt.index)]:
        raise ValueError(f"“{text}” would be read as something else in plain text; save the list as .json")
    return f"# {line}" if prompt.muted else line


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """The prompts in a list; only fields that stand in the file are set on them.

    Parameters
    ----------
    path : Path
        A list of ours as JSON or plain text, or a class list: a name a line, the categories of a COCO file, or the
        names of YOLO's ``data.yaml``. Where a class is called ``traffic_light``, the words are looked for as well.

    Raises
    ------
    ValueError
        If the file cannot be read, or a prompt in it is not allowed; the message names the line or the field.
    """
    ending = path.suffix.lower()
    text = read_text(path, _WHAT, _LARGEST_DATA if ending == ".json" else _LARGEST)
    if ending in (".yaml", ".yml"):
        prompts = _from_yaml(path, text)
    elif ending == ".json" or text.lstrip().startswith(("{", "[")):
        prompts = _from_json(path, text)
    else:
        prompts = _from_text(path, text)
    if not prompts:
        raise ValueError(f"the list {path} is empty; write a phrase in each line")
    return prompts


def _from_json(path: Path, text: str) -> tuple[Prompt, ...]:
    content = as_json(text, path, _WHAT, VERSION)
    if isinstance(content, dict) and "categories" in content:
        return _from_classes(path, content["categories"])
    try:
        bank = PromptBank.model_validate({"prompts": content} if isinstance(content, list) else content)
        Settings(prompts=bank.prompts)
    except ValidationError as error:
        raise ValueError(f"the list {path} is not valid: {explain(error)}") from error
    return bank.prompts


def _from_yaml(path: Path, text: str) -> tuple[Prompt, ...]:
    """The names of a YOLO data set: a list, or by number."""
    content = as_yaml(text, path, _WHAT)
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        names = [name for _, name in sorted(names.items(), key=lambda item: str(item[0]).zfill(9))]
    if not isinstance(names, list):
        raise ValueError(f"{_WHAT} {path} has no names of classes; write names: [car, tree]")
    return _from_classes(path, [{"name": name} for name in names])


def _from_classes(path: Path, items: object) -> tuple[Prompt, ...]:
    """Prompts of classes with a name each, and a colour where it is one."""
    prompts = []
    try:
        for number, item in enumerate(items if isinstance(items, list) else [items], 1):
            where = f"{_WHAT} {path}, class {number}"
            if not isinstance(item, dict) or not isinstance(item.get("name"), str | int):
                raise ValueError(f"{where} has no name")
            name = str(item["name"])
            words = name.replace("_", " ").strip()
            given: dict[str, Any] = {"phrase": name}
            if words not in ("", name):
                given["synonyms"] = (words,)
            if _COLOR.fullmatch(str(item.get("color"))):
                given["color"] = item["color"]
            prompts.append(Prompt(**given))
        Settings(prompts=tuple(prompts))
    except ValidationError as error:
        raise ValueError(f"{where}: {explain(error)}") from error
    return tuple(prompts)


def _from_text(path: Path, text: str) -> tuple[Prompt, ...]:
    prompts: list[Prompt] = []
    seen: dict[tuple[str, str], int] = {}
    for line in lines_of(text):
        where = f"the list {path}, line {line.number}"
        try:
            prompt = Prompt.parse(line.text, kind=line.kind)
        except ValidationError as error:
            raise ValueError(f"{where}: {explain(error)}") from error
        for phrase in prompt.phrases:
            first = seen.setdefault((line.kind, phrase.casefold()), line.number)
            if first != line.number:
                raise ValueError(f"{where}: “{phrase}” stands in line {first} already; remove one")
        prompts.append(prompt)
        if sum(prompt.kind == "object" for prompt in prompts) > MOST_PROMPTS:
            raise ValueError(f"{where}: at most {MOST_PROMPTS} prompts can be compared at once")
    return tuple(prompts)
