"""Features on disk: row after row of an image's cells, the least recently used images dropped first."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import cache_folder
from napari_clearclip.settings import Runtime

log = logging.getLogger(__name__)

Rows = npt.NDArray[np.floating[Any]]
_LOCK, _ENDING = "lock", "features"
_FOLDER = "features"  # of the cache


def blank(shape: tuple[int, int], most: int, folder: Path) -> npt.NDArray[np.uint8]:
    """An array (H, W) of 0, in memory up to `most` bytes, else in a file that goes with it.

    So the system can take its memory back, and an image of any size has labels. The file has no name, or one that ends
    with it; where the folder cannot be written to or the disk is full, memory is taken.
    """
    size = shape[0] * shape[1]
    if size > most:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                if hasattr(os, "posix_fallocate"):  # a full disk is told now, and not by the end of the process
                    os.posix_fallocate(file.fileno(), 0, size)
                return np.asarray(np.memmap(file, np.uint8, "w+", shape=shape))
        except OSError as error:
            log.warning("labels are held in memory, since %s cannot be written to: %s", folder, error)
    return np.zeros(shape, np.uint8)


class Volume:
    """Rows (n, w, D) of an image's features, in files that each begin at some row and grow at their end.

    So a run that was stopped goes on in another file, and several workers write blocks of the same image.

    Parameters
    ----------
    folder : Path
        The image's.
    key : str
        What the files' names begin with.
    shape : tuple of 3 int
        Shape (h, w, D) once all rows are there.
    dtype : dtype
        How the numbers are stored.
    """

    def __init__(self, folder: Path, key: str, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
        self._folder, self._key, self.shape, self.dtype = folder, key, shape, np.dtype(dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all rows that there can be."""
        return self.shape[0] * self.row_bytes

    @property
    def present(self) -> int:
        """Bytes of what is there."""
        return sum(file.stat().st_size for file in self._folder.glob(f"{self._key}.*.{_ENDING}"))

    def owns(self, file: Path) -> bool:
        """Whether a file is one of its own."""
        return file.parent == self._folder and file.name.startswith(f"{self._key}.")

    def _file(self, first: int) -> Path:
        return self._folder / f"{self._key}.{first}.{_ENDING}"

    def _files(self) -> list[range]:
        """The rows of each file, in order; half a row that a run left does not count."""
        found = []
        for file in self._folder.glob(f"{self._key}.*.{_ENDING}"):
            with suppress(FileNotFoundError):
                first = int(file.name.split(".")[-2])
                found.append(range(first, min(first + file.stat().st_size // self.row_bytes, self.shape[0])))
        return sorted((rows for rows in found if rows), key=lambda rows: rows.start)

    def missing(self, wanted: range) -> list[range]:
        """Which of some rows are not there, in order."""
        at, found = wanted.start, []
        for rows in self._files():
            if at < min(rows.start, wanted.stop):
                found.append(range(at, min(rows.start, wanted.stop)))
            at = max(at, rows.stop)
        return found + ([range(at, wanted.stop)] if at < wanted.stop else [])

    def read(self, start: int, stop: int) -> Rows:
        """Some rows, (stop - start, w, D).

        Raises
        ------
        OSError
            If they are not there.
        """
        parts: list[Rows] = []
        for rows in self._files():
            if start < stop and start in rows:
                count = min(rows.stop, stop) - start
                offset = (start - rows.start) * self.row_bytes
                parts.append(np.fromfile(self._file(rows.start), self.dtype, count * self._width, offset=offset))
                start += count
        if start < stop or any(part.size % self._width for part in parts):
            raise OSError(f"{self._folder} has lost rows")
        return np.concatenate([part.reshape(-1, *self.shape[1:]) for part in parts])

    @property
    def _width(self) -> int:
        return self.shape[1] * self.shape[2]

    @contextmanager
    def writer(self, first: int) -> Iterator[Writer | None]:
        """What writes rows from the row `first` on, while the block runs.

        None where another process is at it, or the disk refuses.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self._folder / f"{self._key}.{first}.{_LOCK}")
        try:
            lock.acquire(timeout=0)
        except (OSError, Timeout) as error:
            log.warning("features are not kept in %s: %s", self._folder, error)
            yield None
            return
        try:
            yield Writer(self._file(first), first, self.row_bytes, self.dtype)
        finally:
            lock.release()


@dataclass(frozen=True)
class Writer:
    """Writes rows into a file that begins with the row `first`."""

    path: Path
    first: int
    row_bytes: int
    dtype: np.dtype[Any]

    def write(self, at: int, rows: Rows) -> None:
        """Write rows (n, w, D) from the row `at` on, behind those that are there or over them.

        Raises
        ------
        OSError
            If the disk is full.
        """
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.seek((at - self.first) * self.row_bytes)
            file.write(np.ascontiguousarray(rows, self.dtype).data)


class Store:
    """Volumes by image and key, with a limit on their bytes; for several processes.

    Parameters
    ----------
    folder : Path
        Where they are; it is made when something is kept.
    most : int
        Most bytes that are kept.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most

    @property
    def used(self) -> int:
        """Bytes of all that is kept."""
        return sum(file.stat().st_size for file in self.folder.glob("*/*") if file.is_file())

    @classmethod
    def of(cls, runtime: Runtime) -> Store:
        """The one that a runtime names."""
        return cls(cache_folder(runtime) / _FOLDER, runtime.store_bytes)

    def missing(
        self, image: str, key: str, shape: tuple[int, int, int], dtype: npt.DTypeLike, wanted: range
    ) -> list[range]:
        """Which of some rows of an image are not there by key; see `volume`."""
        return Volume(self.folder / image, key, shape, dtype).missing(wanted)

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def volume(self, image: str, key: str, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> Volume | None:
        """The volume of an image by key, once there is room for all of it.

        Images that were used least recently make room, never this one; its own other volumes go only if that does not
        do. None where it would not fit, or the disk refuses.
        """
        found = Volume(self.folder / image, key, shape, dtype)
        if found.nbytes > self.most:
            return None
        try:
            (self.folder / image).mkdir(parents=True, exist_ok=True)
            os.utime(self.folder / image)
            self._make_room(image, found)
        except OSError as error:
            log.warning("features are not kept in %s: %s", self.folder, error)
            return None
        return found

    def _make_room(self, image: str, kept: Volume) -> None:
        """Drop what was used least recently until all rows of a volume have room."""
        images = [one for one in self.folder.iterdir() if one.is_dir()]
        others = sorted((one for one in images if one.name != image), key=lambda one: one.stat().st_mtime)
        siblings = [one for one in (self.folder / image).glob(f"*.{_ENDING}") if not kept.owns(one)]
        needed = kept.nbytes - kept.present
        for one in (*others, *siblings):
            if self.used + needed <= self.most:
                return
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink(missing_ok=True)
