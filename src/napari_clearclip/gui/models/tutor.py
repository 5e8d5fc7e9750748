"""Trains students in a worker: from the images of the viewer, or of a folder, to a model that can be chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QWidget

from napari_clearclip.batch.inputs import OURS, READABLE
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.jobs import Source
from napari_clearclip.gui.control.runner import Executor, OpenPipeline
from napari_clearclip.gui.models.training_dialog import TrainingDialog
from napari_clearclip.material import Example
from napari_clearclip.progress import Progress
from napari_clearclip.schooling import train_steps
from napari_clearclip.settings import Model, Runtime, Settings
from napari_clearclip.study import Study

STOPPED = "The training was stopped; what it learned is kept beside the file, and Train goes on from there."
NamedSource = tuple[str, Source]
Work = Generator[Progress, None, "Model | Exception | None"]


class Tutor:
    """Between the window of the training and a worker.

    Parameters
    ----------
    parent : QWidget
        Over which the window opens.
    controller : Controller
        Whose settings and runtime are taken.
    sources : callable
        The images of the viewer with their names.
    executor : Executor
        Where work is done.
    open_pipeline : callable
        Makes a pipeline for a `Runtime`; called in the worker.

    Notes
    -----
    `trained` carries the student as a model that can be used.
    """

    trained = Signal(Model)

    def __init__(
        self,
        parent: QWidget,
        controller: Controller,
        sources: Callable[[], Sequence[NamedSource]],
        executor: Executor,
        open_pipeline: OpenPipeline,
    ) -> None:
        self._parent, self._controller, self._sources = parent, controller, sources
        self._executor, self._open_pipeline = executor, open_pipeline
        self._stop: threading.Event | None = None
        self.dialog: TrainingDialog | None = None

    def open(self) -> None:
        """Open the window."""
        if self.dialog is None:
            self.dialog = TrainingDialog(self._parent)
            self.dialog.started.connect(self._start)
            self.dialog.cancelled.connect(self.cancel)
        settings = self._controller.settings
        self.dialog.show_subject(
            len(self._sources()),
            [prompt.phrase for prompt in settings.objects if prompt.words],
            [prompt.phrase for prompt in settings.distractors],
        )
        self.dialog.show()
        self.dialog.raise_()

    def cancel(self) -> None:
        """Stop the training; what was learned is kept."""
        if self._stop is not None:
            self._stop.set()

    def close(self) -> None:
        """Stop, and take no notice of how it ends."""
        self.cancel()
        self._stop = None

    def _start(self, folder: Path | None, minutes: int, out: str) -> None:
        if self.dialog is None or self._stop is not None:
            return
        self._stop = stop = threading.Event()
        self.dialog.show_busy(True)
        settings, runtime = self._controller.settings, self._controller.runtime
        sources = () if folder is not None else tuple(self._sources())
        work = self._work(sources, folder, settings, runtime, minutes, Path(out), stop)
        self._executor(work, partial(self._on_progress, stop), partial(self._on_end, stop))

    def _work(
        self,
        sources: Sequence[NamedSource],
        folder: Path | None,
        settings: Settings,
        runtime: Runtime,
        minutes: int,
        out: Path,
        stop: threading.Event,
    ) -> Work:
        """The steps of a training, in the worker: the student, an error, or None when it was stopped."""
        try:
            yield Progress("Reading the images")
            examples = _from_folder(folder) if folder is not None else [_from_viewer(*named) for named in sources]
            pipeline = self._open_pipeline(runtime)
            steps = train_steps(pipeline, examples, settings, Study.of("small"), out, resume=True, minutes=minutes)
            try:
                while not stop.is_set():
                    yield next(steps)
            except StopIteration:
                return Model(name="", pretrained=str(out))
            finally:
                steps.close()
                pipeline.release()
        except Exception as error:  # the worker's boundary: whatever it is, the window says it
            return error
        return None

    def _on_progress(self, stop: threading.Event, progress: Progress) -> None:
        if stop is self._stop and self.dialog is not None:
            self.dialog.show_progress(progress)

    def _on_end(self, stop: threading.Event, result: Model | Exception | None) -> None:
        if stop is not self._stop or self.dialog is None:
            return
        self._stop = None
        self.dialog.show_busy(False)
        if isinstance(result, Model):
            self.dialog.accept()
            self.trained.emit(result)
        else:
            self.dialog.message.say(STOPPED if result is None else str(result))


def _from_viewer(name: str, source: Source) -> Example:
    """The plane of a viewer's image that is looked at."""
    return Example(name, source.read(source.view.plane), source.view)


def _from_folder(folder: Path) -> list[Example]:
    """Every plane of every image in a folder.

    Raises
    ------
    ValueError
        If there is no image.
    """
    from napari_clearclip.io.images import read_image

    examples = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in READABLE and OURS not in path.name:
            picture = read_image(path)
            examples += [
                Example(
                    f"{path.name} {' '.join(map(str, plane))}".strip(), picture.data, picture.view.replace(plane=plane)
                )
                for plane in picture.planes
            ]
    if not examples:
        raise ValueError(f"there is no image in {folder}; give a folder with {', '.join(READABLE)} files")
    return examples
