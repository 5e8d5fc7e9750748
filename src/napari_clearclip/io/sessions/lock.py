"""Files that one process holds as long as it lives; the system lets go of them when it dies."""

from __future__ import annotations

import os
from pathlib import Path


class Lock:
    """A file that is held by at most one owner.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether it is held from now on; False if another holds it.

        Raises
        ------
        OSError
            If the file cannot be made.
        """
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not (_held(handle) and _stands(handle, self._path)):
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Let go of it; once is enough, more does no harm."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def _held(handle: int) -> bool:
    """Whether an open file could be locked for this owner alone."""
    try:
        import fcntl
    except ImportError:
        return _held_on_windows(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _stands(handle: int, path: Path) -> bool:
    """Whether a file has not been removed since it was opened."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _held_on_windows(handle: int) -> bool:
    import msvcrt

    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return False
    return True
