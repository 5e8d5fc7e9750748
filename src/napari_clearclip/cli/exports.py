"""Masks in the formats of other programs, for one image at a time and for all together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
        An empty folder for the masks until all images are done, so that they need not stay in memory.
    formats : sequence of str
        Keys of `FORMATS`.
    leave_out : sequence of str
        What may be left out where a format cannot hold it.
    """

    def __init__(self, folder: Path, spool: Path, formats: Sequence[str], leave_out: Collection[str]) -> None:
        self._folder, self._spool, self._leave_out = folder, spool, leave_out
        self._alone = [name for name in dict.fromkeys(formats) if not FORMATS[name].joins]
        self._joined = [name for name in dict.fromkeys(formats) if FORMATS[name].joins]
        self._count = 0
        for name in self._joined:
            (spool / name).mkdir()

    def add(self, name: str, picture: Picture, file_name: str, results: Sequence[Segmentation]) -> None:
        """Write one image's masks.

        Raises
        ------
        OSError, ValueError
            If a format cannot be written, or cannot hold the masks.
        """
        if not self._alone and not self._joined:
            return
        stack = picture.stack if len(results) > 1 else ()
        masks = Masks.of(results, stack, file_name, picture.placement)
        for form in self._alone:
            write(self._folder / f"{name}_clearclip_{FORMATS[form].ending}", [masks], form, self._leave_out)
        for form in self._joined:
            write_npz(self._spool / form / f"{self._count:08}.npz", fitted(masks, form, self._leave_out))
        self._count += 1

    def finish(self) -> None:
        """Write what holds the masks of all images.

        Raises
        ------
        OSError, ValueError
            If a file cannot be written.
        """
        for form in self._joined if self._count else ():
            spooled = (read_npz(path) for path in sorted((self._spool / form).iterdir()))
            write(self._folder / f"clearclip_{FORMATS[form].ending}", spooled, form, self._leave_out)
