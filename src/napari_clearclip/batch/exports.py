"""Masks in the formats of other programs, for one image at a time and for all together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clearclip.io.files import remove_unfinished
from napari_clearclip.io.formats import FORMATS, fitted, write
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.npz import read_npz, write_npz

if TYPE_CHECKING:
    from napari_clearclip.io.images import Picture
    from napari_clearclip.result import Segmentation


class Exports:
    """Writes each image's masks, and at the end the files that hold those of all images.

    Parameters
    ----------
    folder : Path
        Where to.
    spool : Path
        A folder for the masks of formats that hold all images, until these are done: they need not stay in memory, and
        images that were done by another process, or in an earlier run, are there too.
    formats : sequence of str
        Keys of `FORMATS`.
    leave_out : collection of str
        What may be left out where a format cannot hold it.
    """

    def __init__(self, folder: Path, spool: Path, formats: Sequence[str], leave_out: Collection[str]) -> None:
        self._folder, self._spool, self._leave_out = folder, spool, leave_out
        self._alone = [name for name in dict.fromkeys(formats) if not FORMATS[name].joins]
        self._joined = [name for name in dict.fromkeys(formats) if FORMATS[name].joins]

    def add(self, name: str, picture: Picture, file_name: str, results: Sequence[Segmentation]) -> list[Path]:
        """The files of one image that were written.

        Raises
        ------
        OSError, ValueError
            If a format cannot be written, or cannot hold the masks.
        """
        if not self._alone and not self._joined:
            return []
        stack = picture.stack if len(results) > 1 else ()
        return self.put(name, Masks.of(results, stack, file_name, picture.placement))

    def put(self, name: str, masks: Masks) -> list[Path]:
        """The files of the masks of one image that were written.

        Raises
        ------
        OSError, ValueError
            If a format cannot be written, or cannot hold the masks.
        """
        files = []
        for form in self._alone:
            files.append(self._folder / f"{name}_clearclip_{FORMATS[form].ending}")
            write(files[-1], [masks], form, self._leave_out)
        for form in self._joined:
            files.append(self._spooled(form, name))
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            write_npz(files[-1], fitted(masks, form, self._leave_out))
        return files

    def finish(self, names: Iterable[str]) -> None:
        """Write what holds the masks of all images.

        Parameters
        ----------
        names : iterable of str
            The images, in the order in which they are to be; those without masks are left out.

        Raises
        ------
        OSError, ValueError
            If a file cannot be written.
        """
        names = list(names)
        for form in self._joined:
            paths = [path for name in names if (path := self._spooled(form, name)).exists()]
            if paths:
                path = self._folder / f"clearclip_{FORMATS[form].ending}"
                write(path, (read_npz(path) for path in paths), form, self._leave_out)

    def remove_unfinished(self) -> None:
        """Remove what a process or a worker that was killed had begun to write; nothing may be writing meanwhile."""
        for folder in (self._folder, *(self._spool / form for form in self._joined)):
            remove_unfinished(folder)

    def _spooled(self, form: str, name: str) -> Path:
        return self._spool / form / f"{name}.npz"
