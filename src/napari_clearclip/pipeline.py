"""The chain of stages from an image to its segmentation; the only place that knows their order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_clearclip.cache import Cache
from napari_clearclip.edits import Edits, Plane, View
from napari_clearclip.job import ImageChangedError, Job, Picture
from napari_clearclip.loading import Loader
from napari_clearclip.previewing import first_look_steps, show_steps
from napari_clearclip.progress import Cancelled as Cancelled
from napari_clearclip.progress import Progress
from napari_clearclip.result import Georeference, Segmentation
from napari_clearclip.settings import Runtime, Settings
from napari_clearclip.stack import Stack
from napari_clearclip.stages import FloatArray, Stages
from napari_clearclip.storing import Store
from napari_clearclip.teaching import learned

if TYPE_CHECKING:
    from napari_clearclip.engine.windows import Region

_MOST_TEXTS = 2**26  # bytes of phrases' vectors, which are no image's


class Pipeline:
    """Runs images through view, encode, project, compare, decide, threshold, apply and split, keeping what it can.

    Parameters
    ----------
    runtime : Runtime
        Device, memory and storage.

    Examples
    --------
    >>> from napari_clearclip.scenes import make_scene
    >>> from napari_clearclip.settings import Prompt, Settings
    >>> scene = make_scene("shapes", seed=1)
    >>> settings = Settings(prompts=(Prompt(phrase=scene.names[0]),))
    >>> result = Pipeline().run(scene.image, settings, View(channel_axis=-1))
    >>> result.labels.shape
    (192, 192)
    """

    def __init__(self, runtime: Runtime | None = None) -> None:
        runtime = runtime or Runtime()
        self._cache = Cache(runtime.cache_bytes)
        self._known = Cache(min(_MOST_TEXTS, runtime.cache_bytes))
        self._loader = Loader()
        self.stages = Stages(runtime, self._loader, self._cache, self._known)

    @property
    def runtime(self) -> Runtime:
        """Device, memory and storage; another one counts from the next stage on."""
        return self.stages.runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self.stages.runtime = runtime

    @property
    def store(self) -> Store:
        """Where features of large images are kept."""
        return Store.of(self.runtime)

    @property
    def device(self) -> str:
        """The torch device that is used."""
        return self._device()[0]

    @property
    def device_reason(self) -> str:
        """One sentence that says why this device is used."""
        return self._device()[1]

    def _device(self) -> tuple[str, str]:
        from napari_clearclip.engine.device import resolve_device

        return resolve_device(self.runtime.device)

    @property
    def held(self) -> int:
        """Bytes of the model and of all that is kept."""
        return self._cache.used + self._known.used + self._loader.held

    def release(self) -> None:
        """Forget the model and everything that was kept, and give memory back to the device."""
        from napari_clearclip.engine.device import free_memory

        self._loader.release()
        self._cache.clear()
        self._known.clear()
        free_memory()

    def forget(self) -> None:
        """Forget what was kept of images; the model and the vectors of phrases stay."""
        self._cache.clear()

    def run(
        self,
        image: Any,
        settings: Settings,
        view: View | None = None,
        edits: Edits | None = None,
        georeference: Georeference | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Segmentation:
        """The segmentation of one plane of an image; see `steps`.

        Parameters
        ----------
        progress : callable, optional
            Called with units done and total; what it raises stops the run.
        """
        steps = self.steps(image, settings, view, edits, georeference)
        while True:
            try:
                state = next(steps)
                if progress is not None:
                    progress(state.done, state.total)
            except StopIteration as stop:
                result: Segmentation = stop.value
                return result

    def steps(
        self,
        image: Any,
        settings: Settings,
        view: View | None = None,
        edits: Edits | None = None,
        georeference: Georeference | None = None,
        preview: bool = False,
        first: Region | None = None,
        bands: Stack | None = None,
        read: Callable[[Plane], Any] | None = None,
        known: str = "",
        blocks: Sequence[Mapping[str, FloatArray]] = (),
    ) -> Generator[Progress, None, Segmentation]:
        """A run in steps of about a second of work, returning the `Segmentation`.

        Closing the generator cancels; windows that are finished are kept, and a later run computes only the others.

        Parameters
        ----------
        image : array-like or callable
            As stored: any real type, with axes as `view` says; or what returns that once pixels are read.
        settings : Settings
            What is wanted; it needs at least one object prompt.
        view : View, optional
            How the image is looked at; empty fields are filled in.
        edits : Edits, optional
            What was done by hand.
        georeference : Georeference, optional
            Carried through to the result.
        preview : bool
            Whether to yield a coarse answer before the detail of many windows, and what is finished in between.
        first : tuple of 4 float, optional
            The part of the image (y0, x0, y1, x1) that is computed first; the result does not depend on it.
        bands : Stack, optional
            What band expressions are computed from; the image's own channels by default.
        read : callable, optional
            Takes a plane and returns the image as stored, for planes with strokes from which prompts learn; by default
            `image` holds them all.
        known : str, optional
            The `content` of an earlier result that this one is to be of, so that the image need not be looked at while
            all that it takes is kept; if pixels have to be read and are others by now, the result is of those.
        blocks : sequence of mapping, optional
            What `blocks.block_steps` gave for each block, in order; no window is read then.

        Yields
        ------
        Progress
            The stage in words and how much of it is done; or a `Preview`.

        Raises
        ------
        TypeError, ValueError
            If image, view or settings do not fit, with what to do.
        napari_clearclip.engine.model.ModelError
            If the model cannot be loaded.
        """
        view, edits = view or View(), edits or Edits()

        def elsewhere(plane: Plane) -> Generator[Progress, None, Job]:
            there = view.replace(plane=plane)
            stored = image if read is None else partial(read, plane)
            return self.stages.prepare(Picture(stored, there), settings, there, edits, bands)

        def answer(known: str) -> Generator[Progress, None, Segmentation]:
            job = yield from self.stages.prepare(Picture(image, view, known), settings, view, edits, bands)
            return (yield from self._answer(replace(job, elsewhere=elsewhere), georeference, preview, first, blocks))

        try:
            return (yield from answer(known))
        except ImageChangedError:
            return (yield from answer(""))

    def _answer(
        self,
        job: Job,
        georeference: Georeference | None,
        preview: bool,
        first: Region | None,
        blocks: Sequence[Mapping[str, FloatArray]],
    ) -> Generator[Progress, None, Segmentation]:
        """The stages, one after the other."""
        from napari_clearclip.engine.stitching import join_blocks

        stages, show = self.stages, None
        if preview and job.phrases and stages.encoding.is_long(job):
            rough = yield from first_look_steps(stages, job)
            show = partial(show_steps, stages, job, rough)
            yield from show({})
        vectors = yield from stages.vectors(job)
        cosines = join_blocks(blocks) if blocks else (yield from stages.cosines(job, vectors, first, show))
        cosines = yield from stages.adjusted(job, vectors, stages.denoised(job, cosines))
        segmentation = yield from stages.segmentation(job, cosines, georeference)
        words = yield from stages.words(job, list(vectors))
        return replace(segmentation, learned=learned(job, words, vectors))
