"""What can be reused: a least-recently-used store with a byte budget, and small arrays on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.settings import Runtime

log = logging.getLogger(__name__)


def key_of(*parts: object) -> str:
    """A key that changes with any of its parts; parts are compared by `repr`, arrays by content."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def cache_folder(runtime: Runtime) -> Path:
    """The folder in which text vectors are kept."""
    import platformdirs

    return Path(runtime.cache_folder or platformdirs.user_cache_dir("napari-clearclip", appauthor=False))


class Cache:
    """Values by key, the least recently used dropped first when a byte budget is exceeded; for several threads.

    Parameters
    ----------
    budget : int
        Most bytes that are kept; a value larger than that is not kept at all.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._entries: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.RLock()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Any:
        """The value, or None; it becomes the most recently used."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: str, value: Any, nbytes: int) -> None:
        """Keep a value that takes `nbytes` bytes."""
        with self._lock:
            if key in self._entries:
                self.used -= self._entries.pop(key)[1]
            if nbytes > self.budget:
                return
            self._entries[key] = (value, nbytes)
            self.used += nbytes
            while self.used > self.budget:
                self.used -= self._entries.popitem(last=False)[1][1]

    def made(self, parts: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """The value whose key these parts make, made if it is not there; None counts as a value."""
        key = key_of(*parts)
        with self._lock:
            if key in self:
                return self.get(key)
        value = make()
        self.put(key, value, getattr(value, "nbytes", 64))
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.used = 0


class Folder:
    """Small arrays on disk, one file each; safe against several writers and damaged files.

    Parameters
    ----------
    path : Path
        The folder; it is made when something is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, key: str) -> npt.NDArray[np.float32] | None:
        """The array, or None if it is not there or damaged."""
        file = self.path / f"{key}.npy"
        try:
            return np.asarray(np.load(file, allow_pickle=False), np.float32)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as error:
            log.warning("%s is damaged and will be made again: %s", file, error)
            return None

    def put(self, key: str, value: npt.NDArray[np.float32]) -> None:
        """Keep an array: written beside its place and then renamed, so that no reader sees half a file.

        A folder that cannot be written to costs time later, but is no error.
        """
        temporary = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path, suffix=".tmp", delete=False) as file:
                temporary = file.name
                np.save(file, value, allow_pickle=False)
            os.replace(temporary, self.path / f"{key}.npy")
        except OSError as error:
            log.warning("%s cannot be written to, so nothing is kept there: %s", self.path, error)
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
