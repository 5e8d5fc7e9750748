"""What is exported of an image, and the worker that writes it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.exporting.section import ExportSection
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.io.files import slug
from napari_clearclip.io.formats import FORMATS, write
from napari_clearclip.io.images import lies_where
from napari_clearclip.io.masks import TRAITS, Masks

if TYPE_CHECKING:
    from napari.layers import Image

NOTHING = "There is nothing to export yet: press Run, or paint into a prompt's layer."
BUSY = "Masks are still being made; export again when that is done, or press Cancel."


class Exporter:
    """Writes the masks of the image that is looked at.

    Parameters
    ----------
    section : ExportSection
        Where a format is chosen.
    controller : Controller
        What is wanted.
    results : Results
        What was found, and what was painted.
    images : Images
        Which image.
    executor : Executor
        Where files are written.
    """

    said = Signal(str)

    def __init__(
        self, section: ExportSection, controller: Controller, results: Results, images: Images, executor: Executor
    ) -> None:
        self._section, self._controller, self._results = section, controller, results
        self._images, self._executor = images, executor
        self._writing = False
        section.export.connect(self.ask)

    def ask(self, name: str) -> None:
        """Ask where to, and export."""
        image = self._images.current
        if image is None:
            self.said.emit(NOTHING)
            return
        path = image.source.path
        start = Path(path).parent if path and Path(path).parent.is_dir() else Path()
        suggested = start / f"{slug(image.name)}_clearclip_{FORMATS[name].ending}"
        ending = Path(FORMATS[name].ending).suffix
        kinds = f"{FORMATS[name].title} (*{ending})" if ending else FORMATS[name].title
        chosen, _ = QFileDialog.getSaveFileName(self._section, "Export masks", str(suggested), kinds)
        if chosen:
            self.export(Path(chosen), name)

    def export(self, path: Path, name: str) -> None:
        """Write the masks of the image that is looked at, in the worker; how it went is said."""
        image = self._images.current
        if image is None or self._writing:
            return
        masks = self._results.masks(key_of(image))
        if self._controller.busy:
            self.said.emit(BUSY)
        elif masks is None:
            self.said.emit(NOTHING)
        else:
            self._writing = True
            self._section.show_busy(True)
            give_up = TRAITS if self._section.leave_out.isChecked() else ()
            work = _writing(path, _named(masks, image), image.source.path, name, give_up)
            self._executor(work, lambda _: None, self._finished)

    def _finished(self, result: Any) -> None:
        self._writing = False
        self._section.show_busy(False)
        if isinstance(result, Path):
            self.said.emit(f"The masks were written to {result}.")
        elif result is not None:
            self.said.emit(f"Not exported: {result}")


def _named(masks: Masks, image: Image) -> Masks:
    return replace(masks, image=Path(image.source.path).name if image.source.path else image.name)


def _writing(
    path: Path, masks: Masks, source: str | None, name: str, give_up: tuple[str, ...]
) -> Generator[None, None, Path | Exception]:
    """The path that was written to, or the error."""
    try:
        yield
        known = masks.georeference is not None or masks.placement.tags
        placement, georeference = (
            lies_where(Path(source), masks.labels.shape[-2:]) if source and not known else (None, None)
        )
        if placement is not None:
            masks = replace(masks, placement=placement, georeference=georeference)
        write(path, [masks], name, give_up)
    except (ImportError, OSError, ValueError, MemoryError) as error:
        return error
    return path
