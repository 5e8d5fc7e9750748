"""One export for all images of a folder: asked for, followed, stopped, and told how it went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.runner import Executor, OpenPipeline
from napari_clearclip.gui.queue.export_dialog import ExportDialog
from napari_clearclip.gui.queue.harvest import Order, Yield, harvest
from napari_clearclip.gui.queue.section import QueueSection
from napari_clearclip.gui.queue.walk import Walk
from napari_clearclip.io.queue import Item

_TOLD = 5  # failures that are named in the panel


class ExportAll:
    """Exports what is kept of the images.

    Parameters
    ----------
    walk : Walk
        Which folder is open.
    section : QueueSection
        Where it is asked for, and how far it is.
    controller : Controller
        Whose device and memory are used.
    open_pipeline : callable
        Makes a pipeline.
    executor : Executor
        Where it is done.
    """

    said = Signal(str)

    def __init__(
        self,
        walk: Walk,
        section: QueueSection,
        controller: Controller,
        open_pipeline: OpenPipeline,
        executor: Executor,
    ) -> None:
        self._walk, self._section, self._controller = walk, section, controller
        self._open_pipeline, self._executor = open_pipeline, executor
        self._order: Order | None = None
        section.export_wanted.connect(self.ask)
        section.cancelled.connect(self.stop)

    def ask(self) -> None:
        """Write what was done to the image that is open, and ask which images are wanted, and how."""
        if self._order is None:
            self._walk.save(self._show)

    def _show(self) -> None:
        if self._walk.folder is not None:
            ExportDialog(self._section, self._walk.folder, self._choose).show()

    def _choose(self, items: tuple[Item, ...], format_: str, leave_out: bool) -> None:
        """Ask where to."""
        if self._walk.folder is None:
            return
        start = self._walk.folder.queue.folder
        if chosen := QFileDialog.getExistingDirectory(self._section, "Export to the folder", start):
            self.export(items, Path(chosen), format_, leave_out)

    def export(self, items: tuple[Item, ...], out: Path, format_: str, leave_out: bool = False) -> None:
        """Export images to a folder, in the worker; how it went is said."""
        if self._walk.folder is None or self._order is not None:
            return
        self._order = Order(self._walk.folder, items, out, format_, leave_out)
        work = harvest(self._order, self._open_pipeline, self._controller.runtime)
        self._executor(work, self._section.show_progress, self._finish)

    def stop(self) -> None:
        """Stop; what was written of single images stays."""
        if self._order is not None:
            self._order.stop.set()

    def close(self) -> None:
        """Stop; once is enough, more does no harm."""
        self.stop()

    def _finish(self, result: Any) -> None:
        order, self._order = self._order, None
        self._section.show_progress(None)
        if order is None or result is None:
            self.said.emit("The export was stopped.")
        elif isinstance(result, Yield):
            self.said.emit(_told(result, order.out))
        else:
            self.said.emit(f"Not exported: {result}")


def _told(result: Yield, out: Path) -> str:
    """How an export went."""
    text = f"{result.count} image{'s' * (result.count != 1)} exported to {out}."
    if result.failed:
        named = [f"{file}: {why}." for file, why in result.failed[:_TOLD]]
        more = [f"And {len(result.failed) - _TOLD} more."] if len(result.failed) > _TOLD else []
        text = "\n".join([text, f"Not exported ({len(result.failed)}):", *named, *more])
    return text
