"""The chain of stages from an image to its segmentation; the only place that knows their order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.cache import Cache, Folder, cache_folder, key_of
from napari_clearclip.edits import Edits, Plane, View
from napari_clearclip.encoding import READING, Cosines, Encoding, Show
from napari_clearclip.job import (
    Bands,
    ImageChangedError,
    Job,
    Picture,
    coarser,
    filled_in,
    frame_of,
    plain_frame,
    valid_pixels,
)
from napari_clearclip.loading import Loader
from napari_clearclip.looking import Looking
from napari_clearclip.masking import Masking
from napari_clearclip.measuring import Measuring
from napari_clearclip.progress import Cancelled as Cancelled
from napari_clearclip.progress import Preview, Progress, counted
from napari_clearclip.result import Georeference, Scores, Segmentation
from napari_clearclip.settings import Refining, Runtime, Settings
from napari_clearclip.splitting import Splitter
from napari_clearclip.stack import Stack
from napari_clearclip.stepping import Stepping
from napari_clearclip.storing import Store
from napari_clearclip.surveying import Surveying, blocks_of
from napari_clearclip.teaching import Teaching, learned, remembered
from napari_clearclip.tidying import Masks

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.model import Clip
    from napari_clearclip.engine.windows import Region

FloatArray = npt.NDArray[np.float32]
See = Callable[[Job, dict[str, FloatArray]], Generator[Progress, None, Cosines]]

TEXTS = "text"  # folder of the cache
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
        self.runtime = runtime or Runtime()
        self._cache = Cache(self.runtime.cache_bytes)
        self._known = Cache(min(_MOST_TEXTS, self.runtime.cache_bytes))
        self._texts = Folder(cache_folder(self.runtime) / TEXTS)
        self._loader = Loader()
        self._encoding = Encoding(self._cache, self.runtime)
        self._teaching = Teaching(self._cache, self._encoding)
        self._measuring = Measuring(self._cache)
        self._stepping = Stepping(self._cache)
        self._masking = Masking(self._cache, self._measuring, self._stepping, cache_folder(self.runtime))

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
            What `block_steps` gave for each of `blocks`, in order; no window is read then.

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
            return self._prepare(Picture(stored, there), settings, there, edits, bands)

        def answer(known: str) -> Generator[Progress, None, Segmentation]:
            job = yield from self._prepare(Picture(image, view, known), settings, view, edits, bands)
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

        show = None
        if preview and job.phrases and self._encoding.is_long(job):
            rough = yield from self._rough(job)
            show = partial(self._show, job, rough)
            yield from show({})
        vectors = yield from self._vectors(job)
        cosines = join_blocks(blocks) if blocks else (yield from self._cosines(job, vectors, first, show))
        cosines = yield from self._adjusted(job, vectors, self._denoised(job, cosines))
        segmentation = yield from self._segmentation(job, cosines, georeference)
        words = yield from self._words(job, list(vectors))
        return replace(segmentation, learned=learned(job, words, vectors))

    def seen_steps(
        self, image: Any, settings: Settings, view: View, see: See
    ) -> Generator[Progress, None, Segmentation]:
        """As `steps`, from the cosines on the cells that `see` makes of the job and its phrases' vectors."""
        job = yield from self._prepare(Picture(image, view), settings, view, Edits())
        cosines = yield from see(job, (yield from self._vectors(job)))
        return (yield from self._segmentation(job, cosines))

    def cutting_steps(
        self, image: Any, settings: Settings, view: View, count: int
    ) -> Generator[Progress, None, tuple[range, ...]]:
        """About `count` blocks of rows of cells that several processes can read of one large image with words.

        Empty where that would not help: windows fit into memory, or are too few.
        """
        job = yield from self._part(image, settings, view)
        surveying = Surveying(lambda: self.store, self.runtime)
        if not surveying.is_for(job):
            return ()
        return blocks_of(job.frame, count)

    def block_steps(
        self, image: Any, settings: Settings, view: View, rows: range | None = None
    ) -> Generator[Progress, None, dict[str, FloatArray]]:
        """Each phrase's cosines (n, w) in a block of rows of cells, or in all; the same bits as in a run."""
        job = yield from self._part(image, settings, view)
        vectors = yield from self._vectors(job)
        if rows is None:
            found = yield from self._cosines(job, vectors)
        else:
            surveying = Surveying(lambda: self.store, self.runtime)
            found = yield from surveying.compare(job, vectors, None, None, READING, rows)
        return {phrase: map_.numpy() for phrase, map_ in found.items()}

    def teacher_steps(
        self, image: Any, settings: Settings, view: View, dense: bool
    ) -> Generator[Progress, None, tuple[Clip, dict[str, FloatArray], FloatArray | None]]:
        """What a student learns from: the model, each phrase's unit vector (D,), and the image's own if wanted.

        The image's vectors (h, w, D) are means over the windows that overlap at a cell.
        """
        job = yield from self._prepare(Picture(image, view), settings, view, Edits())
        texts = yield from self._vectors(job)
        if not dense:
            return job.clip, texts, None
        return job.clip, texts, (yield from self._encoding.means(job))

    def looking_steps(
        self, image: Any, settings: Settings, view: View | None = None, known: str = ""
    ) -> Generator[Progress, None, Looking]:
        """What inspection looks at: the image as a run with these settings reads it; prompts are not needed.

        The arguments are those of `steps`.
        """
        view = view or View()
        job = yield from self._prepared(Picture(image, view, known), settings, view, Edits(), None, with_model=True)
        return Looking(job, self._encoding, self._words)

    def _segmentation(
        self, job: Job, cosines: Cosines, georeference: Georeference | None = None
    ) -> Generator[Progress, None, Segmentation]:
        """What cosines on the cells, and what was done by hand, make of the image."""
        scores, masks = yield from self._masking.steps(job, cosines)
        return self._apply(job, masks, scores, georeference)

    def _part(self, image: Any, settings: Settings, view: View) -> Generator[Progress, None, Job]:
        """What reading a part of an image works on."""
        words = bool(settings.worded)
        return self._prepared(Picture(image, view), settings, view, Edits(), None, with_model=words, whole=False)

    # previews

    def _rough(self, job: Job) -> Generator[Progress, None, Cosines]:
        """The cosines of few large windows, on the job's own cells."""
        from napari_clearclip.engine.windows import resize

        coarse = coarser(job)
        vectors = yield from self._vectors(coarse)
        found = yield from self._cosines(coarse, vectors, stage="Taking a first look")
        return {phrase: resize(cosines, job.frame.cells) for phrase, cosines in found.items()}

    def _show(self, job: Job, rough: Cosines, detailed: Cosines) -> Generator[Progress, None, None]:
        """A preview from detailed cosines where there are any, else from rough ones; refining it would take long."""
        mixed = dict(rough)
        for phrase, cosines in detailed.items():
            mixed[phrase] = cosines.where(~cosines.isnan(), rough[phrase])
        quick = replace(job, settings=job.settings.replace(refining=Refining()))
        segmentation = yield from self._segmentation(quick, mixed)
        yield Preview("Making masks", segmentation=replace(segmentation, settings=job.settings))

    # view

    def _prepare(
        self, picture: Picture, settings: Settings, view: View, edits: Edits, stack: Stack | None = None
    ) -> Generator[Progress, None, Job]:
        """What a run works on; what cannot be looked for is refused."""
        if not settings.objects:
            raise ValueError("there is nothing to look for; add at least one prompt")
        for prompt in settings.objects:
            domains.check_phrases(settings.model, prompt.words)
        return (yield from self._prepared(picture, settings, view, edits, stack, bool(settings.worded)))

    def _prepared(
        self,
        picture: Picture,
        settings: Settings,
        view: View,
        edits: Edits,
        stack: Stack | None,
        with_model: bool,
        whole: bool = True,
    ) -> Generator[Progress, None, Job]:
        """Load the model if it is needed, fill in what it and the image recommend, set up coordinates.

        Where only a part of the image is to be read, nothing is filled in that takes all pixels, and masks need.
        """
        yield Progress("Looking at the image")
        from napari_clearclip.engine.device import use_threads
        from napari_clearclip.engine.view import plane_shape, resolve_view

        use_threads(self.runtime.threads)
        content = picture.content
        shape = self._cache.made(("shape", content, view.look), lambda: plane_shape(picture.pixels, view))
        look = self._cache.made(("view", content, view.look), lambda: resolve_view(picture.pixels, view.look))
        valid = None
        if whole:
            valid = self._cache.made(("valid", content, look), lambda: valid_pixels(picture.pixels, look, shape))
        view = look.replace(scale=view.scale, unit=view.unit, bands=view.bands if stack is None else stack.names)
        clip = None
        frame = plain_frame(shape, settings)
        if with_model:
            clip = yield from self._loader.steps(settings.model, self.runtime.device)
            settings = filled_in(settings, clip)
            frame = frame_of(shape, settings, clip.patch)
        read = (
            look,
            None if clip is None else clip.key,
            frame.resized,
            settings.tiling.positions,
            settings.tiling.antialias,
        )
        key = key_of(content, *read, self.runtime.storage)
        bands = Bands.of(picture, view, shape, stack)
        job = Job(picture, view, settings, edits, clip, frame, valid, key, bands)
        return (yield from self._measuring.filled_in(job)) if whole else job

    # encode, project, compare

    def _cosines(
        self,
        job: Job,
        vectors: dict[str, FloatArray],
        first: Region | None = None,
        show: Show | None = None,
        stage: str = READING,
    ) -> Generator[Progress, None, Cosines]:
        """Each phrase's cosines on the cells, (h, w) float32; only what is missing is computed."""
        attention, cells = job.settings.attention, (job.frame.cells, job.frame.window, job.frame.stride)
        keys = {phrase: key_of("cosines", job.key, attention, cells, vector) for phrase, vector in vectors.items()}
        found = {phrase: self._cache.get(key) for phrase, key in keys.items()}
        missing = {phrase: vector for phrase, vector in vectors.items() if found[phrase] is None}
        if missing:
            surveying = Surveying(lambda: self.store, self.runtime)
            if surveying.is_for(job):
                made = yield from surveying.compare(job, missing, first, show, stage)
            else:
                made = yield from self._encoding.compare(job, missing, first, show, stage)
            for phrase, cosines in made.items():
                self._cache.put(keys[phrase], cosines, cosines.nbytes)
            found |= made
        return {phrase: found[phrase] for phrase in vectors}

    def _denoised(self, job: Job, cosines: Cosines) -> Cosines:
        """Those of prompts that are likely somewhere in the image; all of them if nothing is asked for."""
        from napari_clearclip.engine.compare import improbable
        from napari_clearclip.engine.decide import valid_cells

        least = job.settings.comparing.denoise
        if not least or not cosines:
            return cosines
        maps = [cosines[phrase] for _, phrase in job.phrases]
        valid = None if job.valid is None else valid_cells(job.valid, job.frame.cells)
        dropped = improbable(maps, [owner for owner, _ in job.phrases], least, valid)
        return {phrase: cosines[phrase] for owner, phrase in job.phrases if owner not in dropped}

    def _adjusted(
        self, job: Job, vectors: dict[str, FloatArray], cosines: Cosines
    ) -> Generator[Progress, None, Cosines]:
        """Scores instead of cosines, where each phrase's are to be changed by those of the others; else the same."""
        adjusting, cells = job.settings.comparing.adjusting, (job.frame.cells, job.frame.window, job.frame.stride)
        if not adjusting or not cosines:
            return cosines
        vectors = {phrase: vector for phrase, vector in vectors.items() if phrase in cosines}
        key = key_of("adjusted", job.key, job.settings.attention, cells, adjusting, *vectors.values())
        found: list[torch.Tensor] | None = self._cache.get(key)
        if found is None:
            alone = job.settings.comparing.surgery and len(vectors) == 1
            empty = (yield from self._words(job, [""]))[""] if alone else None
            found = list((yield from self._encoding.adjust(job, vectors, empty)).values())
            self._cache.put(key, found, sum(map_.nbytes for map_ in found))
        return dict(zip(vectors, found, strict=True))

    def _vectors(self, job: Job) -> Generator[Progress, None, dict[str, FloatArray]]:
        """Each phrase's vector (D,), with what its prompt was taught by hand, here or elsewhere."""
        words = yield from self._words(job, job.wording)
        return (yield from self._teaching.steps(job, remembered(job, words)))

    def _words(self, job: Job, phrases: list[str]) -> Generator[Progress, None, dict[str, FloatArray]]:
        """Each phrase's unit vector (D,), from memory or disk or the text tower."""
        from napari_clearclip.engine.text import embed_steps, sentences

        if not phrases:
            return {}
        texts = sentences(job.settings.comparing.templates or job.clip.templates)
        vectors: dict[str, FloatArray] = {}
        for done, phrase in enumerate(phrases):
            key = key_of("text", job.clip.key, texts, phrase)
            vector: FloatArray | None = self._known.get(key)
            if vector is None:
                vector = self._texts.get(key)
            if vector is None or vector.shape != (job.clip.width,):
                embedding = embed_steps(job.clip, phrase, texts)
                vector = (yield from counted(embedding, Progress("Reading the prompts", done, len(phrases)))).numpy()
                self._texts.put(key, vector)
            self._known.put(key, vector, vector.nbytes)
            vectors[phrase] = vector
        return vectors

    # apply

    def _apply(self, job: Job, masks: Masks, scores: Scores, georeference: Georeference | None) -> Segmentation:
        """The result, with what was done by hand."""
        from napari_clearclip.engine.apply import apply_edits

        labels, overlaps = apply_edits(masks.labels, masks.overlaps, job.settings.objects, job.edits, job.view.plane)
        edited, tally = labels if overlaps is None else overlaps, masks.tally
        if edited is not masks.labels:
            tally = self._stepping.tally("edited", job.key, edited, labels.shape, len(job.settings.objects))
        unknown = domains.unknown_in(job.settings.prompts, job.settings.model)
        parts = (labels, scores, job.settings, job.view, job.edits, overlaps, job.valid, unknown, georeference)
        measured = any(prompt.index for prompt in job.settings.objects)
        splitter = Splitter(self._cache, job.bands if measured else None)
        return Segmentation(*parts, splitter=splitter, tally=tally, content=job.content)
