"""What is exported of an image and imported to it, and the worker that writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.errand import Errand
from napari_clearclip.gui.control.runner import Executor
from napari_clearclip.gui.exporting.importing import accepted, copied, fitting
from napari_clearclip.gui.exporting.section import LEAVE_OUT, ExportSection
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.layers.results import Results
from napari_clearclip.io.files import slug
from napari_clearclip.io.formats import FORMATS, LossError, read, write
from napari_clearclip.io.images import lies_where
from napari_clearclip.io.masks import TRAITS, Masks

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

NO_IMAGE = "Open the image first that the masks belong to."
_KINDS = "Masks (*.json *.geojson *.npz *.zip *.png *.tif *.tiff *.yaml);;All files (*)"
NOTHING = "There is nothing to export yet: press Run, or paint into a prompt's layer."
BUSY = "Masks are still being made; export again when that is done, or press Cancel."


class Exporter:
    """Writes the masks of the image that is looked at, and reads some for it.

    Parameters
    ----------
    viewer : ViewerModel
        Where what is read is shown.
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
        self,
        viewer: ViewerModel,
        section: ExportSection,
        controller: Controller,
        results: Results,
        images: Images,
        executor: Executor,
    ) -> None:
        self._viewer = viewer
        self._section, self._controller, self._results = section, controller, results
        self._images = images
        self._errand = Errand(executor, section.show_busy)
        section.export.connect(self.ask)
        section.import_.connect(self.ask_source)

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
        if image is None or self._errand.busy:
            return
        masks = self._results.masks(key_of(image))
        if self._controller.busy:
            self.said.emit(BUSY)
        elif masks is None:
            self.said.emit(NOTHING)
        else:
            give_up = TRAITS if self._section.leave_out.isChecked() else ()
            self._errand.start(_writing(path, _named(masks, image), image.source.path, name, give_up), self._written)

    def ask_source(self, what: str) -> None:
        """Ask where masks are, ``file`` or ``folder``, and import them; or take the selected ``layer``."""
        image = self._images.current
        if image is None:
            self.said.emit(NO_IMAGE)
        elif what == "layer":
            self._add(partial(copied, self._viewer.layers.selection.active, image))
        else:
            start = str(Path(image.source.path).parent) if image.source.path else ""
            if what == "folder":
                chosen = QFileDialog.getExistingDirectory(self._section, "Import masks from a folder", start)
            else:
                chosen, _ = QFileDialog.getOpenFileName(self._section, "Import masks", start, _KINDS)
            if chosen:
                self.import_(Path(chosen))

    def import_(self, path: Path) -> None:
        """Read masks in the worker, and add them as layers that lie on the image that is looked at."""
        image = self._images.current
        if image is not None and not self._errand.busy:
            self._errand.start(_reading(path), partial(self._read, image, path))

    def _read(self, image: Image, path: Path, result: Any) -> None:
        if isinstance(result, Exception):
            self.said.emit(f"Not imported: {result}")
        elif result is not None:
            self._add(lambda: accepted(fitting(result, image, path.name), image))

    def _add(self, make: Callable[[], list[Labels]]) -> None:
        """Add layers of the user's own, and say so."""
        try:
            layers = make()
        except ValueError as error:
            self.said.emit(f"Not imported: {error}.")
            return
        for layer in layers:
            self._viewer.layers.append(layer)
        names = ", ".join(f"“{layer.name}”" for layer in layers)
        self.said.emit(f"Imported as {names}; select it to see its objects, paint in it to correct it.")

    def _written(self, result: Any) -> None:
        if isinstance(result, Path):
            self.said.emit(f"The masks were written to {result}.")
        elif isinstance(result, LossError):
            other = f"Choose {', '.join(result.titles)}; or check" if result.titles else "Check"
            self.said.emit(f"Not exported: {result.reason}. {other} “{LEAVE_OUT}”.")
        elif result is not None:
            self.said.emit(f"Not exported: {result}")


def _named(masks: Masks, image: Image) -> Masks:
    return replace(masks, image=Path(image.source.path).name if image.source.path else image.name)


def placed(masks: Masks, source: Path) -> Masks:
    """Masks that lie where the file of their image says, unless they know already."""
    if masks.georeference is not None or masks.placement.tags:
        return masks
    placement, georeference = lies_where(source, masks.labels.shape[-2:])
    return masks if placement is None else replace(masks, placement=placement, georeference=georeference)


def _writing(
    path: Path, masks: Masks, source: str | None, name: str, give_up: tuple[str, ...]
) -> Generator[None, None, Path | Exception]:
    """The path that was written to, or the error."""
    try:
        yield
        write(path, [masks if source is None else placed(masks, Path(source))], name, give_up)
    except (ImportError, OSError, ValueError, MemoryError) as error:
        return error
    return path


def _reading(path: Path) -> Generator[None, None, list[Masks] | Exception]:
    """The masks of a file, or the error."""
    try:
        yield
        return read(path)
    except (ImportError, OSError, ValueError, MemoryError) as error:
        return error
