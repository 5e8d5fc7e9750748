"""The models that can be chosen, as the list shows them: no torch, no Qt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clearclip.gui.amounts import bytes_text
from napari_clearclip.settings import Model
from napari_clearclip.study import read_card

if TYPE_CHECKING:
    from napari_clearclip.engine.catalogue import Published

_FEW = 6  # phrases of a student that are named
DEMO_ABOUT = (
    "Comes with the plugin. It knows a few dozen words of drawn scenes, for trying things out and for the samples."
)

Group = Literal["At hand", "Recommended", "SigLIP", "For biomedical images", "For aerial images", "All published"]
State = Literal["bundled", "on this machine", "not downloaded", "extra missing", "file by hand", "looking …", ""]


@dataclass(frozen=True)
class Entry:
    """One model of the list.

    Attributes
    ----------
    title, good_for, about : str
        Its name, what it is good for in a few words, and more about it.
    group : str
        Where in the list it stands.
    state : str
        Whether it can be used at once.
    model : Model or None
        What is chosen; None where a file must be picked first.
    size : int
        Of the weights, in bytes, about; 0 if it does not matter or is not known.
    lacking : str
        What must be installed before it can be used, in a sentence; empty if nothing.
    architecture, file, page : str
        Of a file that is picked by hand: what it holds, its name and where it comes from.
    """

    title: str
    good_for: str
    about: str
    group: Group
    state: State
    model: Model | None = None
    size: int = 0
    lacking: str = ""
    architecture: str = ""
    file: str = ""
    page: str = ""

    @property
    def is_here(self) -> bool:
        """Whether nothing must be downloaded or picked before it can be used."""
        return self.state in ("bundled", "on this machine")

    @property
    def size_text(self) -> str:
        """Its size, or nothing."""
        return bytes_text(self.size) if self.size else ""

    def matches(self, text: str) -> bool:
        """Whether each word of a text is in its name or in what it is good for."""
        there = f"{self.title} {self.model} {self.good_for} {self.about}".casefold()
        return all(word in there for word in text.casefold().split())


def title_of(model: Model) -> str:
    """A model as it is called in the panel."""
    if is_file(model):
        return model.pretrained.replace("\\", "/").rpartition("/")[2]
    names = {row["model"]: row["name"] for row in _read()["described"] if "name" in row}
    return names.get(str(model), str(model))


def is_file(model: Model) -> bool:
    """Whether the model is a file that the user has picked."""
    return bool(model.pretrained) and (not model.name or Path(model.pretrained).suffix in WEIGHTS)


def entries(current: Model, published: Iterable[Published] | None) -> tuple[Entry, ...]:
    """The list, in order.

    Parameters
    ----------
    current : Model
        The chosen one, which the list always has.
    published : iterable of Published, or None
        What is published and what of it is on this machine; None until that is known.
    """
    known = {} if published is None else {entry.model: entry for entry in published}
    demo = Entry("demo", "trying things out", DEMO_ABOUT, "At hand", "bundled", Model())
    rows = {Model.parse(row["model"]): row for row in _read()["described"]}
    described = tuple(
        _described(model, row, known.get(model)) for model, row in rows.items() if published is None or model in known
    )
    by_hand = tuple(_by_hand(row) for row in _read()["aerial"])
    others = tuple(_other(entry) for model, entry in known.items() if model not in rows)
    chosen = () if current in {Model(), *known, *(entry.model for entry in described)} else (_own(current),)
    return (demo, *chosen, *described, *by_hand, *others)


def entry_of(model: Model, published: Iterable[Published] | None) -> Entry:
    """The entry of a model."""
    return next(entry for entry in entries(model, published) if entry.model == model)


def state_text(entry: Entry) -> str:
    """Size and state of a model in a line."""
    return " · ".join(part for part in (entry.size_text and f"about {entry.size_text}", entry.state) if part)


def _described(model: Model, row: dict[str, Any], found: Published | None) -> Entry:
    size = row["megabytes"] * 1_000_000
    about, lacking = row["about"], "" if found is None else found.lacking
    return Entry(title_of(model), row["good_for"], about, row["group"], _state(found), model, size, lacking)


def _by_hand(row: dict[str, Any]) -> Entry:
    return Entry(
        row["name"],
        row["good_for"],
        row["about"],
        "For aerial images",
        "file by hand",
        size=row.get("megabytes", 0) * 1_000_000,
        architecture=row["architecture"],
        file=row["file"],
        page=row["page"],
    )


def _other(found: Published) -> Entry:
    patch = re.search(r"-(\d+)", found.model.name)
    good_for = f"patches of {patch[1]} pixels" if patch else ""
    if side := re.search(r"-(\d{3})(-|$)", found.model.name):
        good_for += f", pictures of {side[1]}"
    about = f"One of the models that open_clip publishes: {found.model.name}, trained as {found.model.pretrained}."
    return Entry(
        str(found.model), good_for, about, "All published", _state(found), found.model, found.size, found.lacking
    )


def _own(model: Model) -> Entry:
    if is_file(model):
        good_for, about = _about_file(model)
        return Entry(title_of(model), good_for, about, "At hand", "on this machine", model)
    return Entry(title_of(model), "your choice", f"Named as {model}.", "At hand", "", model)


def _about_file(model: Model) -> tuple[str, str]:
    """What a file is good for, and more about it: a student's card says what it learned."""
    try:
        card = None if model.name else read_card(Path(model.pretrained))
    except ValueError:
        card = None  # loading it says what is wrong
    if card is None:
        return "your file", model.pretrained
    words = ", ".join(card.phrases[:_FEW]) + (", …" if len(card.phrases) > _FEW else "")
    images = f"{len(card.images)} image{'s' if len(card.images) > 1 else ''}"
    about = f"{model.pretrained}: learned from {images} what {card.teacher} finds for {words}"
    return f"images like yours, student of {title_of(card.teacher)}", about


def _state(found: Published | None) -> State:
    if found is None:
        return "looking …"
    if found.lacking:
        return "extra missing"
    return "on this machine" if found.here else "not downloaded"


@cache
def _read() -> dict[str, list[Any]]:
    text = files("napari_clearclip").joinpath("data/models.json").read_text("utf-8")
    content: dict[str, list[Any]] = json.loads(text)
    return content


# Files that the user picks

WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def has_configuration(path: Path) -> bool:
    """Whether a weights file says by a file beside it what it holds."""
    return path.with_suffix(".json").is_file() or (path.parent / "open_clip_config.json").is_file()


def architectures() -> tuple[str, ...]:
    """What a weights file can hold."""
    return tuple(_read()["architectures"])


def guess_architecture(path: Path) -> str:
    """The architecture that a file's name tells, or nothing.

    Examples
    --------
    >>> guess_architecture(Path("RemoteCLIP-ViT-B-32.pt")), guess_architecture(Path("SkyCLIP_ViT_L14/epoch.pt"))
    ('ViT-B-32-quickgelu', 'ViT-L-14')
    """
    known = [row["architecture"] for row in _read()["aerial"] if row["file"] == path.name]
    text = _letters(str(path))
    return max(known or [name for name in architectures() if _letters(name) in text], key=len, default="")


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())
