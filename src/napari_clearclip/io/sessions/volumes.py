"""The journals of each panel that runs, and what panels that were killed have left behind."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from napari_clearclip.io.sessions.journal import SUFFIX, Journal, array_file, read_journal
from napari_clearclip.io.sessions.lock import Lock
from napari_clearclip.io.sessions.schema import Session

_LOCK = "lock"


def folder() -> Path:
    """Where journals are kept: in the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-clearclip", appauthor=False)) / "journals"


class Volume:
    """The journals of one panel: a folder with a lock, which is held as long as the process lives.

    Parameters
    ----------
    parent : Path
        The folder of all journals; made if it is not there.

    Raises
    ------
    OSError
        If it cannot be written to.
    """

    def __init__(self, parent: Path) -> None:
        while True:
            name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}-{os.urandom(4).hex()}"
            self.path = parent / name
            self.path.mkdir(parents=True)
            self._lock = Lock(self.path / _LOCK)
            if self._lock.take():
                break  # else somebody who looked for what was left behind was quicker
        self._journals: dict[str, Journal] = {}

    def write(self, name: str, session: Session) -> None:
        """Note what stands in a journal; it is on the disk when this returns.

        Raises
        ------
        OSError
            If it cannot be written; what was noted before is still there.
        """
        if name not in self._journals:
            self._journals[name] = Journal(self.path / f"{name}{SUFFIX}")
        self._journals[name].write(session)
        self._tidy()

    def drop(self, name: str) -> None:
        """Remove a journal."""
        if (journal := self._journals.pop(name, None)) is not None:
            journal.close()
            journal.path.unlink(missing_ok=True)
            self._tidy()

    def _tidy(self) -> None:
        """Remove arrays that nothing stands for any more; what stands was written before."""
        used = {array_file(digest) for journal in self._journals.values() for digest in journal.arrays}
        for file in self.path.glob(array_file("*")):
            if file.name not in used:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all of them; once is enough, more does no harm."""
        for journal in self._journals.values():
            journal.close()
        self._journals = {}
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True)
class Left:
    """What a process that did not end well has left.

    Attributes
    ----------
    path : Path
        The folder of its journals.
    sessions : tuple of (Path, Session)
        What stood in each.
    changed : datetime
        When the last one was written.
    """

    path: Path
    sessions: tuple[tuple[Path, Session], ...]
    changed: datetime

    def take(self) -> Lock | None:
        """Make it this process's, so that no other takes it too; None if another has it, or it is gone."""
        lock = Lock(self.path / _LOCK)
        try:
            return lock if self.path.exists() and lock.take() else None
        except OSError:
            return None

    def remove(self) -> None:
        """Remove it; what cannot be removed stays."""
        shutil.rmtree(self.path, ignore_errors=True)


def left_behind(parent: Path) -> list[Left]:
    """What processes that do not live any more have left, the latest first; folders without anything are removed."""
    found = []
    for path in sorted(parent.iterdir() if parent.is_dir() else ()):
        lock = Lock(path / _LOCK)
        try:
            if not (path / _LOCK).exists() or not lock.take():
                continue
            left = _left(path)
            if left.sessions:
                found.append(left)
            elif not any(path.glob(f"*{SUFFIX}")):
                left.remove()
            lock.release()
        except OSError:
            continue  # not ours to read, or just being removed by another
    return sorted(found, key=lambda left: left.changed, reverse=True)


def _left(path: Path) -> Left:
    """What is in a folder of journals."""
    journals = sorted(path.glob(f"*{SUFFIX}"))
    pairs = [(file, session) for file in journals if (session := read_journal(file)) is not None]
    times = [file.stat().st_mtime for file, _ in pairs] or [0.0]
    return Left(path, tuple(pairs), datetime.fromtimestamp(max(times)).astimezone())
