"""What a process that was killed has left: offered in the panel, restored or discarded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.sections import GAP, Message, breakable
from napari_clearclip.io.sessions import Session
from napari_clearclip.io.sessions.volumes import Left, left_behind

GONE = "Another panel has taken that already."
KEPT = "It is kept, and offered again with the next panel."


class Notice(Message):
    """What was left, and what to do with it; it is put aside until the next start by its cross."""

    def __init__(self) -> None:
        super().__init__()
        self.restore_button, self.discard_button = QPushButton("Restore"), QPushButton("Discard")
        self.restore_button.setToolTip("Open the images, with prompts and all that was done by hand as it was")
        self.discard_button.setToolTip("Forget it for good")
        self.close_button.setToolTip("Ask again at the next start")
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.restore_button, 2)
        row.addWidget(self.discard_button, 1)
        self.body.addLayout(row)


class Rescue:
    """Offers what was left.

    Parameters
    ----------
    notice : Notice
        Where it is offered.
    parent : Path
        The folder of all journals.
    restore : callable
        Takes a session and the file it was read from, makes everything as it was, and returns what could not be.
    flush : callable
        Writes what stands now, so that what was left can be removed; whether it could be written.
    executor : Executor
        Where journals are read.
    """

    said = Signal(str)

    def __init__(
        self,
        notice: Notice,
        parent: Path,
        restore: Callable[[Session, Path], list[str]],
        flush: Callable[[], bool],
        executor: Executor,
    ) -> None:
        self._notice, self._restore, self._flush = notice, restore, flush
        self._left: list[Left] = []
        notice.restore_button.clicked.connect(self.restore)
        notice.discard_button.clicked.connect(self.discard)
        if parent.is_dir():
            executor(_looking(parent), lambda _: None, self._offer)

    def _offer(self, found: list[Left] | None) -> None:
        self._left = found or []
        self._show()

    def _show(self) -> None:
        if not self._left:
            self._notice.clear()
            return
        left, others = self._left[0], len(self._left) - 1
        names = [f"“{breakable(_name(session))}”" for _, session in left.sessions]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        what = (", " if more else " and ").join(names[:2]) + more
        when = f"{left.changed:%d %B, %H:%M}".lstrip("0")
        rest = f" There is older work too ({others})." if others else ""
        self._notice.say(f"napari was not closed properly. What was done to {what} until {when} can be restored.{rest}")

    def restore(self) -> None:
        """Make everything as it was; what was left is removed once it is safe again."""
        if (left := self._next()) is None:
            return
        lock = left.take()
        if lock is None:
            self.said.emit(GONE)
            return
        said = [text for path, session in left.sessions for text in self._restore(session, path)]
        if not said and self._flush():
            left.remove()
        lock.release()
        if not said:
            self.said.emit("What was done was restored.")
        else:
            self.said.emit(" ".join([*said, KEPT]))

    def discard(self) -> None:
        """Forget what was left."""
        left = self._next()
        if left is not None and (lock := left.take()) is not None:
            left.remove()
            lock.release()

    def _next(self) -> Left | None:
        left = self._left.pop(0) if self._left else None
        self._show()
        return left


def _name(session: Session) -> str:
    """Of the image that a journal is about."""
    return session.images[session.current or 0].name if session.images else "an image"


def _looking(parent: Path) -> Generator[None, None, list[Left]]:
    """What was left, read in the worker."""
    yield
    with suppress(OSError):
        return left_behind(parent)
    return []
