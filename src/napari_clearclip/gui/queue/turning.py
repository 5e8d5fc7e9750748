"""What reading and writing a folder takes, in the worker, and what is compared before and after it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clearclip.batch.folder import Folder, open_folder
from napari_clearclip.gui.sessions.taking import Draft
from napari_clearclip.io.queue import Queue, write_queue
from napari_clearclip.io.sessions import Session, read, write

if TYPE_CHECKING:
    from napari.layers import Image


class WriteError(Exception):
    """What was done could not be written."""


def listing_of(path: Path, work: Path | None) -> Generator[None, None, Folder | Exception]:
    """The folder, or why it cannot be opened."""
    try:
        yield
        return open_folder(path, work)
    except (OSError, ValueError) as error:
        return error


def turning(
    draft: Draft | None, file: Path, queue: Queue, work: Path, following: Path | None
) -> Generator[None, None, Session | Exception | None]:
    """The session of the following image, once that of this one is written; None if it has none, or the error."""
    try:
        yield
        if draft is not None:
            write(file, draft.complete())
        write_queue(work, queue)
    except (OSError, ValueError, MemoryError) as error:
        return WriteError(str(error))
    try:
        return read(following) if following is not None and following.exists() else None
    except (ValueError, MemoryError) as error:
        return error


def done(draft: Draft | None) -> object:
    """What was done to an image, without how it is looked at."""
    if draft is None:
        return None
    return [(image.settings, image.edits, image.readings) for image in draft.session.images], draft.session.layers


def without_open(session: Session, there: list[Image]) -> Session:
    """A session that leaves what is wanted of images that are open already."""
    open_ = {layer.source.path for layer in there}
    images = (image.replace(settings=None) if image.path in open_ else image for image in session.images)
    return session.replace(images=tuple(images))
