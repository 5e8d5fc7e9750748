"""The masks of many images from their sessions, in the worker: as they were found, or found again."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clearclip.batch.exports import Exports
from napari_clearclip.batch.folder import Folder
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.jobs import Outcome
from napari_clearclip.gui.control.runner import OpenPipeline
from napari_clearclip.gui.exporting.exporter import placed
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.layers.gathering import gathered
from napari_clearclip.gui.layers.shelf import Shelf
from napari_clearclip.gui.layers.writing import Writer
from napari_clearclip.gui.sessions.restoring import Finder, restore
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.masks import TRAITS, Masks
from napari_clearclip.io.queue import Item
from napari_clearclip.io.sessions import Session, read
from napari_clearclip.progress import Cancelled, Progress
from napari_clearclip.settings import Runtime

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_clearclip.pipeline import Pipeline

NOTHING = "nothing was found or painted on it"
OTHER = "it is no longer the image that its session was made with; go to it and decide"


@dataclass(frozen=True)
class Order:
    """What is to be exported.

    Attributes
    ----------
    folder : Folder
        The images.
    items : tuple of Item
        Which of them.
    out : Path
        The folder to write to.
    format : str
        A key of `FORMATS`.
    leave_out : bool
        Whether what the format cannot hold may be left out.
    stop : Event
        Set to end it; what was written alone stays.
    """

    folder: Folder
    items: tuple[Item, ...]
    out: Path
    format: str
    leave_out: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Yield:
    """What came of it: how many images were exported, and by file why others were not."""

    count: int
    failed: tuple[tuple[str, str], ...] = ()


def harvest(
    order: Order, open_pipeline: OpenPipeline, runtime: Runtime
) -> Generator[Progress, None, Yield | Exception | None]:
    """Write the masks of all images; the error if that fails as a whole, None if it was stopped.

    Parameters
    ----------
    order : Order
        Which images, and how.
    open_pipeline : callable
        Makes the pipeline, should something have to be found again.
    runtime : Runtime
        Device and memory for it.
    """
    desk = _Desk(open_pipeline, runtime)
    failed: list[tuple[str, str]] = []
    try:
        with tempfile.TemporaryDirectory(prefix=".clearclip_", dir=writable_folder(order.out)) as spool:
            exports = Exports(order.out, Path(spool), (order.format,), TRAITS if order.leave_out else ())
            for at, item in enumerate(order.items):
                try:
                    exports.put(item.session, (yield from _told(desk.masks(order.folder, item), order, at)))
                except Exception as error:  # whatever is wrong with one image, the others are exported
                    failed.append((item.file, " ".join(str(error).split()) or type(error).__name__))
            exports.finish(item.session for item in order.items)
    except Cancelled:
        return None
    except (ImportError, OSError, ValueError, MemoryError) as error:
        return error
    finally:
        desk.close()
    return Yield(len(order.items) - len(failed), tuple(failed))


def _told(work: Generator[Any, None, Masks], order: Order, at: int) -> Generator[Progress, None, Masks]:
    """Follow the work on an image, unless it was stopped."""
    while not order.stop.is_set():
        yield Progress("Exporting", at, len(order.items), "images")
        try:
            next(work)
        except StopIteration as end:
            masks: Masks = end.value
            return masks
    work.close()
    raise Cancelled


class _Turns:
    """An executor that works when it is told to, in the thread in which it is told."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Generator[Any, None, Any], Callable[[Any], None], Callable[[Any], None]]] = deque()

    def __call__(
        self, work: Generator[Any, None, Any], progress: Callable[[Any], None], finished: Callable[[Any], None]
    ) -> None:
        self._waiting.append((work, progress, finished))

    def take(self) -> Generator[Any, None, None]:
        """Work until there is nothing more to do."""
        while self._waiting:
            work, progress, finished = self._waiting.popleft()
            try:
                while True:
                    progress(state := next(work))
                    yield state
            except StopIteration as end:
                finished(end.value)
            finally:
                work.close()


class _Desk:
    """Opens sessions in viewers without a window, one after the other, on one pipeline."""

    def __init__(self, open_pipeline: OpenPipeline, runtime: Runtime) -> None:
        self._open_pipeline, self._runtime = open_pipeline, runtime
        self._pipeline: Pipeline | None = None

    def _opened(self, runtime: Runtime) -> Pipeline:
        if self._pipeline is None:
            self._pipeline = self._open_pipeline(runtime)
        return self._pipeline

    def masks(self, folder: Folder, item: Item) -> Generator[Any, None, Masks]:
        """The masks of an image as its session says, found again where they are not in it.

        Raises
        ------
        ValueError
            If the session or the image cannot be read, or there are none.
        """
        yield
        path, file = folder.queue.path(item), folder.session(item)
        viewer, turns = viewer_without_window(), _Turns()
        failed: list[Exception] = []
        controller = Controller(turns, self._opened)
        controller.runtime = self._runtime
        shelf, images = Shelf(viewer), Images(viewer)
        writer = Writer(viewer, shelf, controller)

        def keep(outcome: Outcome) -> None:
            if not outcome.preview:
                writer.outcomes[outcome.source.spot] = outcome

        images.looked.connect(lambda _: controller.look_at(images.source))
        controller.result_changed.connect(keep)
        controller.failed.connect(failed.append)
        finder = Finder(viewer, file, lambda _: None, _refuse)
        failed += [ValueError(text) for text in restore(lying_at(read(file), path), finder, controller, images)]
        yield from turns.take()
        if self._pipeline is not None:
            self._pipeline.forget()
        if failed:
            raise failed[0]
        key = str(controller.key)
        image = shelf.image(key)
        masks = None if image is None else gathered(image, key, controller.state_of(key), writer)
        if masks is None:
            raise ValueError(NOTHING)
        return placed(replace(masks, image=item.file), path)

    def close(self) -> None:
        """Free the model."""
        if self._pipeline is not None:
            self._pipeline.release()
            self._pipeline = None


def _refuse(_: str) -> bool:
    raise ValueError(OTHER)


def lying_at(session: Session, path: Path) -> Session:
    """A session whose image lies where the folder has it by now."""
    images = (
        image.replace(path=str(path)) if image.path is not None and Path(image.path).name == path.name else image
        for image in session.images
    )
    return session.replace(images=tuple(images))


def viewer_without_window() -> ViewerModel:
    """A viewer for one image, which may be made and used in a worker."""
    from napari.components import ViewerModel

    class Unseen(ViewerModel):
        """Opens files without napari's bar of progress, which is a widget."""

        def open(self, path: Any, *, plugin: str | None = "napari", **options: Any) -> list[Any]:
            opened: list[Any] = self._add_layers_with_plugins([path], kwargs={}, plugin=plugin, stack=False)
            return opened

    return Unseen()
