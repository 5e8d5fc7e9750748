"""What is made of an image on its way to a segmentation, stage by stage, keeping what can be reused."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.cache import Cache, Folder, cache_folder, key_of
from napari_clearclip.edits import Edits, View
from napari_clearclip.encoding import READING, Cosines, Encoding, Show
from napari_clearclip.job import Bands, Job, Picture, filled_in, frame_of, plain_frame, valid_pixels
from napari_clearclip.loading import Loader
from napari_clearclip.masking import Masking
from napari_clearclip.measuring import Measuring
from napari_clearclip.progress import Progress, counted
from napari_clearclip.result import Georeference, Scores, Segmentation
from napari_clearclip.settings import Runtime, Settings
from napari_clearclip.splitting import Splitter
from napari_clearclip.stack import Stack
from napari_clearclip.stepping import Stepping
from napari_clearclip.storing import Store
from napari_clearclip.surveying import Surveying
from napari_clearclip.teaching import Teaching, remembered
from napari_clearclip.tidying import Masks

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.windows import Region

FloatArray = npt.NDArray[np.float32]

TEXTS = "text"  # folder of the cache


class Stages:
    """The stages; each takes what those before it have made, and `Pipeline` and others bring them into order.

    Parameters
    ----------
    runtime : Runtime
        Device, memory and storage.
    loader : Loader
        Has the model.
    cache : Cache
        What is kept of images.
    known : Cache
        What is kept of phrases.
    """

    def __init__(self, runtime: Runtime, loader: Loader, cache: Cache, known: Cache) -> None:
        self.runtime, self._loader, self._cache, self._known = runtime, loader, cache, known
        self._texts = Folder(cache_folder(runtime) / TEXTS)
        self.encoding = Encoding(cache, runtime)
        self._teaching = Teaching(cache, self.encoding)
        self._measuring = Measuring(cache)
        self._stepping = Stepping(cache)
        self._masking = Masking(cache, self._measuring, self._stepping, cache_folder(runtime))

    @property
    def surveying(self) -> Surveying:
        """Encode, project and compare where windows do not fit into memory."""
        return Surveying(lambda: Store.of(self.runtime), self.runtime)

    # view

    def prepare(
        self, picture: Picture, settings: Settings, view: View, edits: Edits, stack: Stack | None = None
    ) -> Generator[Progress, None, Job]:
        """What a run works on; what cannot be looked for is refused."""
        if not settings.objects:
            raise ValueError("there is nothing to look for; add at least one prompt")
        for prompt in settings.objects:
            domains.check_phrases(settings.model, prompt.words)
        return (yield from self.look(picture, settings, view, edits, stack, bool(settings.worded)))

    def look(
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

    def cosines(
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
            if self.surveying.is_for(job):
                made = yield from self.surveying.compare(job, missing, first, show, stage)
            else:
                made = yield from self.encoding.compare(job, missing, first, show, stage)
            for phrase, cosines in made.items():
                self._cache.put(keys[phrase], cosines, cosines.nbytes)
            found |= made
        return {phrase: found[phrase] for phrase in vectors}

    def denoised(self, job: Job, cosines: Cosines) -> Cosines:
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

    def adjusted(
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
            empty = (yield from self.words(job, [""]))[""] if alone else None
            found = list((yield from self.encoding.adjust(job, vectors, empty)).values())
            self._cache.put(key, found, sum(map_.nbytes for map_ in found))
        return dict(zip(vectors, found, strict=True))

    def vectors(self, job: Job) -> Generator[Progress, None, dict[str, FloatArray]]:
        """Each phrase's vector (D,), with what its prompt was taught by hand, here or elsewhere."""
        words = yield from self.words(job, job.wording)
        return (yield from self._teaching.steps(job, remembered(job, words)))

    def words(self, job: Job, phrases: list[str]) -> Generator[Progress, None, dict[str, FloatArray]]:
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

    # refine to apply

    def segmentation(
        self, job: Job, cosines: Cosines, georeference: Georeference | None = None
    ) -> Generator[Progress, None, Segmentation]:
        """What cosines on the cells, and what was done by hand, make of the image."""
        scores, masks = yield from self._masking.steps(job, cosines)
        return self._apply(job, masks, scores, georeference)

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
