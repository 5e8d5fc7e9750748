"""From image to image: what was done to one is on the disk before the next one is opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_clearclip.batch.folder import Folder
from napari_clearclip.edits import Edits
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.errand import Errand
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.gui.queue.desk import Desk
from napari_clearclip.gui.queue.harvest import lying_at
from napari_clearclip.gui.queue.image_list import ImageList
from napari_clearclip.gui.queue.section import QueueSection
from napari_clearclip.gui.queue.turning import WriteError, done, listing_of, turning, without_open
from napari_clearclip.gui.sessions.sessions import Sessions
from napari_clearclip.gui.sessions.taking import Draft, session_of
from napari_clearclip.io.queue import Item, Mark, Queue, write_queue
from napari_clearclip.io.sessions import Session, write

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

_LOG = logging.getLogger(__name__)
DELAY = 5.0  # seconds from a change until the session of the image is written, though nobody goes on
READ_ONLY = "{error} Choose a folder for the sessions of these images."
LAST = "This is the last image of the folder."
FIRST = "This is the first image of the folder."
ALL_MARKED = "Every other image of the folder has a mark."


class Walk:
    """Goes through a folder of images, each with a session of its own.

    Parameters
    ----------
    viewer : ViewerModel
        Where images are opened and closed; layers of the user's own that lie on none of them stay.
    section : QueueSection
        The row in the panel.
    controller : Controller
        What is wanted of the images.
    results : Results
        What was found and painted.
    images : Images
        The images of the viewer.
    sessions : Sessions
        What opens a session.
    run : callable
        Segments what is looked at.
    executor : Executor
        Where files are read and written.

    Notes
    -----
    One write at a time, of what stands when it begins; the image is left only if nothing was done to it meanwhile.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        section: QueueSection,
        controller: Controller,
        results: Results,
        images: Images,
        sessions: Sessions,
        run: Callable[[], None],
        executor: Executor,
    ) -> None:
        self._viewer, self._section, self._controller, self._results = viewer, section, controller, results
        self._sessions, self._run, self._errand = sessions, run, Errand(executor)
        self.folder: Folder | None = None
        self._desk = Desk(viewer, controller, results, images)
        self._note = ""
        self._to: int | None = None
        self._unwritten = False
        self._timer = QTimer(section)
        self._timer.setSingleShot(True)
        self._timer.setInterval(round(1000 * DELAY))
        self._timer.timeout.connect(self._keep_up)
        controller.changed.connect(self._on_changed)
        section.open_wanted.connect(self.ask)
        section.close_wanted.connect(self.leave)
        section.went.connect(self.step)
        section.next_open_wanted.connect(self.go_to_open)
        section.marked.connect(self.mark)
        section.list_wanted.connect(self.list_images)
        section.run_wanted.connect(lambda on: self._set(lambda queue: queue.replace(run=on)))

    @property
    def idle(self) -> bool:
        """Whether everything has been written and opened."""
        return not self._errand.busy

    @property
    def item(self) -> Item | None:
        """The image that one has come to."""
        if self.folder is None:
            return None
        return self.folder.queue.items[self.folder.queue.at]

    # Folders

    def ask(self) -> None:
        """Ask for a folder and open it."""
        start = "" if self.folder is None else self.folder.queue.folder
        if chosen := QFileDialog.getExistingDirectory(self._section, "Open a folder of images", start):
            self.open(Path(chosen))

    def open(self, path: Path, work: Path | None = None) -> None:
        """Go to where one stopped in a folder; what was open of another one is written first."""
        if self.folder is not None:
            self.leave(lambda: self.open(path, work))
        elif not self._errand.busy:
            self._errand.start(listing_of(path, work), lambda found: self._listed(path, found))

    def _listed(self, path: Path, found: Folder | Exception | None) -> None:
        if isinstance(found, OSError):
            chosen = QFileDialog.getExistingDirectory(self._section, READ_ONLY.format(error=found), "")
            self.open(path, Path(chosen)) if chosen else self.said.emit(f"Not opened: {found}")
        elif isinstance(found, Folder):
            self.folder = found
            parts = [f"{count} {what}" for count, what in ((found.added, "new"), (found.gone, "gone")) if count]
            if parts:
                self._note = f"Since the folder was open last, images have changed: {', '.join(parts)}."
            self.go(found.queue.at)
        elif found is not None:
            self.said.emit(f"Not opened: {found}")

    def leave(self, then: Callable[[], None] = lambda: None) -> None:
        """Write what was done and close the image; no folder is open from then on."""
        if self.folder is None:
            return

        def end() -> None:
            self._clear()
            self.folder = None
            self._section.show_folder(None)
            then()

        self._write(None, end)

    # Images

    def step(self, by: int) -> None:
        """Go to the next or the previous image."""
        if self.folder is None:
            return
        at = (self.folder.queue.at if self._to is None else self._to) + by
        if 0 <= at < len(self.folder.queue.items):
            self.go(at)
        else:
            self.said.emit(LAST if by > 0 else FIRST)

    def save(self, then: Callable[[], None] = lambda: None) -> None:
        """Write what was done to the image, then do something else."""
        self._write(None, then)

    def go_to_open(self) -> None:
        """Go to the next image without a mark."""
        if self.folder is None:
            return
        at = self.folder.queue.next_open(self.folder.queue.at)
        if at is None:
            self.said.emit(ALL_MARKED)
        else:
            self.go(at)

    def go(self, at: int) -> None:
        """Go to an image, once what was done to this one is written."""
        self._to = at
        self._go_on()

    def mark(self, mark: Mark) -> None:
        """Mark the image, and write what was done to it."""
        self._set(lambda queue: queue.marked(queue.at, mark))

    def toggle(self, mark: Mark) -> None:
        """Mark the image, or take that mark away."""
        if self.item is not None:
            self.mark("open" if self.item.mark == mark else mark)

    def list_images(self) -> None:
        """Show all images with their marks."""
        if self.folder is not None:
            ImageList(self._section, self.folder.queue, self.go).show()

    def _set(self, make: Callable[[Queue], Queue]) -> None:
        if self.folder is not None:
            self.folder = replace(self.folder, queue=make(self.folder.queue))
            self._section.show_folder(self.folder)
            self._unwritten = True
            self._go_on()

    def _go_on(self) -> None:
        """Write what is to be written, and go where one wants to go."""
        if self._errand.busy or self.folder is None:
            return
        if self._to is not None:
            to, self._to = self._to, None
            self._write(to, lambda: None)
        elif self._unwritten:
            self._write(None, lambda: None)

    def _on_changed(self, *_: object) -> None:
        if self.folder is not None and not self._timer.isActive():
            self._timer.start()

    def _keep_up(self) -> None:
        """Write what was done, once nothing is being computed or drawn."""
        if self._controller.busy or QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._timer.start()
        else:
            self._unwritten = True
            self._go_on()

    def keep(self) -> None:
        """Write what is not written yet, now: the window may be about to close."""
        if self._timer.isActive() and not self._errand.busy:
            self._timer.stop()
            self._keep()

    def _write(self, to: int | None, then: Callable[[], None]) -> None:
        """Write the image's session and the queue, then go to another image, or do something else."""
        if self.folder is None or self.item is None or self._errand.busy:
            return
        self._unwritten = False
        draft, file, queue = self._draft(found=True), self.folder.session(self.item), self.folder.queue
        following = None if to is None else self.folder.session(queue.items[to])
        queue = queue if to is None else queue.moved(to)
        work = turning(draft, file, queue, self.folder.work, following)

        def finish(result: Session | Exception | None) -> None:
            if isinstance(result, WriteError):
                self.said.emit(f"Not saved, so the image stays open: {result}")
            elif to is None:
                then()
                self._go_on()
            elif draft is not None and done(draft) != done(self._draft(found=False)):
                self.go(to)
            else:
                self._arrive(to, result)
                self._go_on()

        self._errand.start(work, finish)

    def _draft(self, found: bool) -> Draft | None:
        """The image as a session; None if nothing was done to it."""
        keys = {key_of(layer) for layer in self._sources}
        if not keys or self.folder is None or self.item is None:
            return None
        draft = session_of(self._viewer, self._controller, self._results, keys, found=found)
        known = any(
            image.settings is not None
            and (image.readings or image.edits != Edits() or image.settings != self._desk.came)
            for image in draft.session.images
        )
        if not known and not draft.session.layers and not self.folder.session(self.item).exists():
            return None
        return draft

    @property
    def _sources(self) -> list[Image]:
        """The layers of the image that is open."""
        return [] if self.folder is None or self.item is None else self._desk.sources(self.folder.queue.path(self.item))

    def _clear(self) -> None:
        """Close the image."""
        if self.folder is not None and self.item is not None:
            self._desk.clear(self.folder.queue.path(self.item))

    def _arrive(self, at: int, session: Session | Exception | None) -> None:
        """Close the image before, and open one, as its session says if it has one."""
        if self.folder is None:
            return
        self._clear()
        self.folder = replace(self.folder, queue=self.folder.queue.moved(at))
        item = self.folder.queue.items[at]
        path, file = self.folder.queue.path(item), self.folder.session(item)
        self.said.emit(self._note)  # in place of what was said of the image before
        self._note = ""
        with self._desk.coming():
            try:
                if isinstance(session, Exception):
                    raise session
                if session is None:
                    self._desk.open(path)
                else:
                    said = self._sessions.restore(without_open(lying_at(session, path), self._sources), file)
                    if said:
                        self.said.emit(" ".join(said))
            except Exception as error:  # a reader of any plugin, which may raise anything
                _LOG.debug("An image was not opened", exc_info=error)
                self.said.emit(f"{item.file} was not opened: {error}")
        self._section.show_folder(self.folder)
        if self.folder.queue.run and self._desk.is_new:
            self._run()

    # The end

    def close(self) -> None:
        """Write what was done to the image; once is enough, more does no harm."""
        self._controller.changed.disconnect(self._on_changed, missing_ok=True)
        self._timer.stop()
        self._keep()
        self.folder = None

    def _keep(self) -> None:
        """Write session and queue, in this thread."""
        folder = self.folder
        if folder is None:
            return
        draft, file = self._draft(found=True), folder.session(folder.queue.items[folder.queue.at])
        try:
            if draft is not None:
                write(file, draft.complete())
            write_queue(folder.work, folder.queue)
        except (OSError, ValueError, MemoryError) as error:
            from napari.utils.notifications import show_error

            show_error(f"Not saved: {error}")
