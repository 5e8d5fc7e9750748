"""Sessions in the panel: which file is the current one, and the worker that reads and writes it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.errand import Errand
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.prompts.view import PromptView
from napari_clearclip.gui.sessions.restoring import Finder, restore
from napari_clearclip.gui.sessions.section import SessionSection
from napari_clearclip.gui.sessions.taking import Draft, session_of
from napari_clearclip.io.files import slug
from napari_clearclip.io.sessions import SUFFIX, Image, Session, read, write

if TYPE_CHECKING:
    from napari.components import ViewerModel

NOTHING = "There is nothing to keep yet: open an image."
_KINDS = f"ClearCLIP session (*{SUFFIX})"


class Sessions:
    """Keeps all that is in a viewer in a file.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    section : SessionSection
        The buttons.
    controller : Controller
        What is wanted of the images.
    results : Results
        What was found and painted.
    images : Images
        The images.
    table : PromptView
        Where a prompt is selected.
    executor : Executor
        Where files are read and written.

    Attributes
    ----------
    path : Path or None
        The file that `save` writes to.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        section: SessionSection,
        controller: Controller,
        results: Results,
        images: Images,
        table: PromptView,
        executor: Executor,
    ) -> None:
        self._viewer, self._section, self._controller = viewer, section, controller
        self._results, self._images, self._table = results, images, table
        self._errand = Errand(executor, section.show_busy)
        self.path: Path | None = None
        section.save.connect(self.save)
        section.save_as.connect(self.save_as)
        section.open.connect(self.ask)

    # Writing

    def save(self) -> None:
        """Write to the file that is known, else ask for one."""
        if self.path is None:
            self.save_as()
        else:
            self.write(self.path)

    def save_as(self) -> None:
        """Ask for a file and write to it."""
        image = self._images.current
        if image is None:
            self.said.emit(NOTHING)
            return
        path = image.source.path
        start = Path(path).parent if path and Path(path).parent.is_dir() else Path()
        suggested = self.path or start / f"{slug(image.name)}{SUFFIX}"
        chosen, _ = QFileDialog.getSaveFileName(self._section, "Save the session", str(suggested), _KINDS)
        if chosen:
            file = Path(chosen)
            self.write(file if file.suffix.lower() == SUFFIX else file.with_name(file.name + SUFFIX))

    def write(self, path: Path) -> None:
        """Write everything to a file, in the worker; how it went is said."""
        if self._images.current is None:
            self.said.emit(NOTHING)
        elif not self._errand.busy:
            keep = {"pixels": self._section.pixels.isChecked(), "found": self._section.results.isChecked()}
            draft = session_of(self._viewer, self._controller, self._results, **keep)
            draft = replace(draft, session=draft.session.replace(prompt=self._table.current_id()))
            self._errand.start(_writing(path, draft), self._written)

    def _written(self, done: Path | Exception | None) -> None:
        if isinstance(done, Path):
            self._keep(done)
            self.said.emit(f"The session was saved as {done.name}.")
        elif done is not None:
            self.said.emit(f"Not saved: {done}")

    # Reading

    def ask(self) -> None:
        """Ask for a file and open it."""
        start = "" if self.path is None else str(self.path.parent)
        chosen, _ = QFileDialog.getOpenFileName(self._section, "Open a session", start, _KINDS)
        if chosen:
            self.open(Path(chosen))

    def open(self, path: Path) -> None:
        """Read a session, in the worker, and make everything as it was."""
        if not self._errand.busy:
            self._errand.start(_reading(path), lambda found: self._opened(path, found))

    def _opened(self, path: Path, found: Session | Exception | None) -> None:
        if isinstance(found, Session):
            said = self.restore(found, path)
            self._keep(path)
            self.said.emit(" ".join(said) or f"{path.name} was opened.")
        elif found is not None:
            self.said.emit(f"Not opened: {found}")

    def restore(self, session: Session, path: Path) -> list[str]:
        """Make everything as a session that was read from a file says; what could not be, is returned in sentences."""
        finder = Finder(self._viewer, path, self._find, self._confirm)
        said = restore(session, finder, self._controller, self._images)
        if session.prompt is not None:
            self._table.select_prompt(session.prompt)
        return said

    def _find(self, image: Image) -> Path | None:
        """Ask where an image is now."""
        title = f"Where is {image.name}? It is no longer {image.path}" if image.path else f"Which file is {image.name}?"
        chosen, _ = QFileDialog.getOpenFileName(self._section, title, "")
        return Path(chosen) if chosen else None

    def _confirm(self, text: str) -> bool:
        """Ask whether to go on."""
        buttons = QMessageBox.StandardButton
        return QMessageBox.question(self._section, "Open a session", text) == buttons.Yes

    def _keep(self, path: Path) -> None:
        self.path = path
        self._section.show_file(path)


def _writing(path: Path, draft: Draft) -> Generator[None, None, Path | Exception]:
    """The path that was written to, or the error."""
    try:
        yield
        write(path, draft.complete())
    except (OSError, ValueError, MemoryError) as error:
        return error
    return path


def _reading(path: Path) -> Generator[None, None, Session | Exception]:
    """What a file holds, or the error."""
    try:
        yield
        return read(path)
    except (ValueError, MemoryError) as error:
        return error
