"""Features on disk: row after row of an image's cells, the least recently used images dropped first."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import cache_folder
from napari_clearclip.settings import Runtime

log = logging.getLogger(__name__)

Rows = npt.NDArray[np.floating[Any]]
_LOCK = "lock"
_FOLDER = "features"  # of the cache


class Volume:
    """Rows (n, w, D) of features in a file, to which more are added at the end.

    Parameters
    ----------
    path : Path
        The file; its folder is there.
    shape : tuple of 3 int
        Shape (h, w, D) once it is whole.
    dtype : dtype
        How the numbers are stored.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def rows(self) -> int:
        """How many rows are there."""
        try:
            return min(self.path.stat().st_size // self.row_bytes, self.shape[0])
        except FileNotFoundError:
            return 0

    def read(self, start: int, stop: int) -> Rows:
        """Some rows, (stop - start, w, D).

        Raises
        ------
        OSError
            If they are not there.
        """
        count = (stop - start) * self.shape[1] * self.shape[2]
        found: Rows = np.fromfile(self.path, self.dtype, count, offset=start * self.row_bytes)
        if found.size != count:
            raise OSError(f"{self.path} has lost rows")
        return found.reshape(stop - start, *self.shape[1:])

    def append(self, rows: Rows) -> None:
        """Add rows (n, w, D) behind those that are there; half a row that an earlier run left is written over.

        Raises
        ------
        OSError
            If the disk is full.
        """
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.seek(self.rows * self.row_bytes)
            file.truncate()
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

    def rows(self, image: str, key: str, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> int:
        """How many rows are there of an image by key; see `volume`."""
        return self._found(image, key, shape, dtype).rows

    def _found(self, image: str, key: str, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> Volume:
        return Volume(self.folder / image / f"{key}.features", shape, dtype)

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def volume(
        self, image: str, key: str, shape: tuple[int, int, int], dtype: npt.DTypeLike
    ) -> Iterator[Volume | None]:
        """The volume of an image by key, alone to be written to while the block runs, once there is room for all of it.

        Images that were used least recently make room, never this one; its own other volumes go only if that does not
        do. None where it would not fit, another process has it, or the disk refuses.
        """
        from filelock import FileLock, Timeout

        size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        if size > self.most:
            yield None
            return
        try:
            (self.folder / image).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / image / f"{key}.{_LOCK}")
            lock.acquire(timeout=0)
        except (OSError, Timeout) as error:
            log.warning("features are not kept in %s: %s", self.folder, error)
            yield None
            return
        try:
            os.utime(self.folder / image)
            found = self._found(image, key, shape, dtype)
            self._make_room(size, found.path)
            yield found
        finally:
            lock.release()

    def _make_room(self, size: int, kept: Path) -> None:
        """Drop what was used least recently until a file of `size` bytes has room."""
        images = [one for one in self.folder.iterdir() if one.is_dir()]
        others = sorted((one for one in images if one != kept.parent), key=lambda one: one.stat().st_mtime)
        siblings = [one for one in kept.parent.glob("*.features") if one != kept]
        present = kept.stat().st_size if kept.exists() else 0
        for one in (*others, *siblings):
            if self.used - present + size <= self.most:
                return
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink(missing_ok=True)
