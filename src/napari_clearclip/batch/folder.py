"""A folder of images as a queue: what lies in it now, and what is known of it from earlier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_clearclip.batch.inputs import expand, output_names
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.queue import WORK, Item, Queue, read_queue, write_queue
from napari_clearclip.io.sessions import SUFFIX


@dataclass(frozen=True)
class Folder:
    """A queue, and the folder where it and its sessions are kept.

    Attributes
    ----------
    work : Path
        Where sessions are written to.
    queue : Queue
        The images, their marks, and which was looked at last.
    added, gone : int
        How many images have come and gone since it was opened last; 0 the first time.
    """

    work: Path
    queue: Queue
    added: int = 0
    gone: int = 0

    def session(self, item: Item) -> Path:
        """The session file of an image, which need not exist."""
        return self.work / f"{item.session}{SUFFIX}"


def open_folder(path: Path, work: Path | None = None) -> Folder:
    """The images of a folder, and of those inside it, with what is known of them.

    Parameters
    ----------
    path : Path
        The folder of images, or one of work that belongs to one.
    work : Path, optional
        Where to keep the queue and the sessions; by default in ``clearclip`` beside the images.

    Raises
    ------
    OSError
        If nothing can be written to the folder of work.
    ValueError
        If there is no image in it, the folder of work belongs to another one, or what it says cannot be read.
    """
    path = path.absolute()
    known = read_queue(path) if work is None else None
    if known is not None:  # the folder of work itself was chosen
        work, path = path, path.parent if path.name == WORK else Path(known.folder)
    else:
        work = path / WORK if work is None else work.absolute()
        known = read_queue(work)
    if known is not None and work != path / WORK and Path(known.folder) != path:
        raise ValueError(f"{work} holds the work on {known.folder}; choose another folder for that on {path}")
    found = [file for file in expand([str(path)]) if work not in file.absolute().parents]
    if not found:
        raise ValueError(f"{path} has no image in it")
    files = [file.absolute().relative_to(path).as_posix() for file in found]
    before = known or Queue(folder=str(path))
    kept = {str(path / item.file): item.session for item in (*before.items, *before.gone)}
    queue = before.replace(folder=str(path)).listing(files, dict(zip(files, output_names(found, kept), strict=True)))
    writable_folder(work)
    write_queue(work, queue)
    was, now = ({item.file for item in one.items} for one in (before, queue))
    return Folder(work, queue, len(now - was) if known else 0, len(was - now))
