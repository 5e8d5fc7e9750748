"""Folders of images that are worked through one by one: which there are, their marks, and where one stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from napari_clearclip.io.files import as_json, read_text, replacing
from napari_clearclip.io.settings_file import explain
from napari_clearclip.settings import Value

VERSION = 1
NAME = "queue.json"
WORK = "clearclip"  # the folder beside the images
_WHAT = "the list"
_MOST = 2**27

Mark = Literal["open", "done", "skip", "doubtful"]
MARKS: tuple[Mark, ...] = get_args(Mark)


class Item(Value):
    """An image of a folder."""

    file: str = Field(min_length=1, description="Its path as seen from the folder, with / between the parts.")
    session: str = Field(pattern=r"^[^/\\]+$", description="What its session file is called, without the ending.")
    mark: Mark = "open"


class Queue(Value):
    """The content of ``queue.json``."""

    version: Literal[1] = 1
    folder: str = Field(description="The folder of the images, absolute.")
    place: str = Field("", description="The image that was looked at last.")
    run: bool = Field(False, description="Whether an image that is opened for the first time is segmented at once.")
    items: tuple[Item, ...] = Field((), description="The images, in order.")
    gone: tuple[Item, ...] = Field((), description="Images that were there once, whose marks are kept.")

    @property
    def at(self) -> int:
        """The place of the image that was looked at last; 0 if there is none."""
        return next((at for at, item in enumerate(self.items) if item.file == self.place), 0)

    @property
    def counts(self) -> Counter[Mark]:
        """How many images have each mark."""
        return Counter(item.mark for item in self.items)

    def path(self, item: Item) -> Path:
        """Where an image lies."""
        return Path(self.folder) / item.file

    def moved(self, at: int) -> Queue:
        """The same, looking at another image."""
        return self.replace(place=self.items[at].file)

    def marked(self, at: int, mark: Mark) -> Queue:
        """The same with another mark at an image."""
        items = list(self.items)
        items[at] = items[at].replace(mark=mark)
        return self.replace(items=tuple(items))

    def next_open(self, at: int, by: int = 1) -> int | None:
        """The nearest image without a mark after another one, round and round; None if all others are marked."""
        count = len(self.items)
        places = ((at + by * step) % count for step in range(1, count))
        return next((place for place in places if self.items[place].mark == "open"), None)

    def listing(self, files: Sequence[str], sessions: Mapping[str, str]) -> Queue:
        """The same for the files that are there now: those that were there before keep what is known of them.

        Parameters
        ----------
        files : sequence of str
            The images, in order.
        sessions : mapping of str to str
            By file, what its session is called; of those that are known already, that counts.
        """
        known = {item.file: item for item in (*self.gone, *self.items)}
        items = tuple(known.get(file) or Item(file=file, session=sessions[file]) for file in files)
        there = set(files)
        return self.replace(items=items, gone=tuple(item for item in known.values() if item.file not in there))


def read_queue(work: Path) -> Queue | None:
    """What a folder of work says of its images; None if it says nothing.

    Raises
    ------
    ValueError
        If it cannot be read, is of a newer version, or is not what it says.
    """
    path = work / NAME
    if not path.exists():
        return None
    content = as_json(read_text(path, _WHAT, _MOST), path, _WHAT, VERSION)
    try:
        return Queue.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{_WHAT} {path} is not valid: {explain(error)}; repair it, or move it away") from error


def write_queue(work: Path, queue: Queue) -> None:
    """Write it into a folder of work.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is still there then.
    """
    with replacing(work / NAME) as path:
        path.write_text(queue.model_dump_json(indent=1), encoding="utf-8")
