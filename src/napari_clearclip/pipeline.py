"""The chain of stages from an image to its segmentation; the only place that knows their order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.cache import Cache, Folder, cache_folder, key_of
from napari_clearclip.edits import Edits, View
from napari_clearclip.job import Job, filled_in, frame_of, image_key, valid_pixels, windows_at_once
from napari_clearclip.loading import Loader
from napari_clearclip.progress import Cancelled as Cancelled
from napari_clearclip.progress import Progress, counted
from napari_clearclip.result import Georeference, LabelArray, Scores, Segmentation
from napari_clearclip.settings import Runtime, Settings

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.decide import Assignment, Candidates
    from napari_clearclip.engine.encoder import Features, Trunk
    from napari_clearclip.engine.windows import Box

FloatArray = npt.NDArray[np.float32]


class Pipeline:
    """Runs images through view, encode, project, compare, decide, threshold and apply, keeping what can be reused.

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
        self._texts = Folder(cache_folder(self.runtime) / "text")
        self._loader = Loader()

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
        return self._cache.used + self._loader.held

    def release(self) -> None:
        """Forget the model and everything that was kept, and give memory back to the device."""
        from napari_clearclip.engine.device import free_memory

        self._loader.release()
        self._cache.clear()
        free_memory()

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
    ) -> Generator[Progress, None, Segmentation]:
        """A run in steps of about a second of work, returning the `Segmentation`.

        Closing the generator cancels; windows that are finished are kept, and a later run computes only the others.

        Parameters
        ----------
        image : array-like
            As stored: any real type, with axes as `view` says.
        settings : Settings
            What is wanted; it needs at least one object prompt.
        view : View, optional
            How the image is looked at; empty fields are filled in.
        edits : Edits, optional
            What was done by hand.
        georeference : Georeference, optional
            Carried through to the result.

        Yields
        ------
        Progress
            The stage in words and how much of it is done.

        Raises
        ------
        TypeError, ValueError
            If image, view or settings do not fit, with what to do.
        napari_clearclip.engine.model.ModelError
            If the model cannot be loaded.
        """
        job = yield from self._prepare(image, settings, view or View(), edits or Edits())
        cosines = yield from self._cosines(job)
        yield Progress("Making masks")
        candidates, scores = self._scores(job, cosines)
        labels, overlaps = yield from self._masks(job, candidates)
        return self._apply(job, labels, overlaps, scores, georeference)

    # view

    def _prepare(self, image: Any, settings: Settings, view: View, edits: Edits) -> Generator[Progress, None, Job]:
        """Load the model, fill in what it and the image recommend, find valid pixels, set up coordinates."""
        if not settings.objects:
            raise ValueError("there is nothing to look for; add at least one prompt")
        for prompt in settings.objects:
            domains.check_phrases(settings.model, prompt.phrases)
        yield Progress("Looking at the image")
        from napari_clearclip.engine.device import use_threads
        from napari_clearclip.engine.view import plane_shape, resolve_view

        use_threads(self.runtime.threads)
        shape = plane_shape(image, view)
        content = image_key(image, view)
        view = self._cached(("view", content, view), lambda: resolve_view(image, view))
        valid = self._cached(("valid", content, view), lambda: valid_pixels(image, view, shape))
        clip = yield from self._loader.steps(settings.model, self.runtime.device)
        settings = filled_in(settings, clip)
        frame = frame_of(shape, settings, clip.patch)
        key = key_of(content, view, clip.key, frame.resized, settings.tiling.positions, self.runtime.storage)
        return Job(image, view, settings, edits, clip, frame, valid, key)

    def _cached(self, parts: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """A value from the cache, made if it is not there; None counts as a value."""
        key = key_of(*parts)
        if key not in self._cache:
            value = make()
            self._cache.put(key, value, getattr(value, "nbytes", 64))
            return value
        return self._cache.get(key)

    # encode, project, compare

    def _cosines(self, job: Job) -> Generator[Progress, None, dict[str, torch.Tensor]]:
        """Each phrase's cosines on the cells, (h, w) float32; only what is missing is computed."""
        vectors = yield from self._vectors(job)
        attention, cells = job.settings.attention, (job.frame.cells, job.frame.window, job.frame.stride)
        keys = {phrase: key_of("cosines", job.key, attention, cells, vector) for phrase, vector in vectors.items()}
        found = {phrase: self._cache.get(key) for phrase, key in keys.items()}
        missing = {phrase: vector for phrase, vector in vectors.items() if found[phrase] is None}
        if missing:
            made = yield from self._compare(job, missing)
            for phrase, cosines in made.items():
                self._cache.put(keys[phrase], cosines, cosines.nbytes)
            found |= made
        return {phrase: found[phrase] for phrase in vectors}

    def _vectors(self, job: Job) -> Generator[Progress, None, dict[str, FloatArray]]:
        """Each phrase's unit vector (D,), from memory or disk or the text tower."""
        from napari_clearclip.engine.text import embed_steps, sentences

        texts = sentences(job.settings.comparing.templates or job.clip.templates)
        phrases = list(dict.fromkeys(phrase for _, phrase in job.phrases))
        vectors: dict[str, FloatArray] = {}
        for done, phrase in enumerate(phrases):
            key = key_of("text", job.clip.key, texts, phrase)
            vector: FloatArray | None = self._cache.get(key)
            if vector is None:
                vector = self._texts.get(key)
            if vector is None or vector.shape != (job.clip.width,):
                embedding = embed_steps(job.clip, phrase, texts)
                vector = (yield from counted(embedding, Progress("Reading the prompts", done, len(phrases)))).numpy()
                self._texts.put(key, vector)
            self._cache.put(key, vector, vector.nbytes)
            vectors[phrase] = vector
        return vectors

    def _compare(self, job: Job, vectors: dict[str, FloatArray]) -> Generator[Progress, None, dict[str, torch.Tensor]]:
        """Cosines of some phrases, window by window, stitched on the cells."""
        from napari_clearclip.engine.compare import compare
        from napari_clearclip.engine.windows import Stitcher

        boxes = job.frame.boxes
        maps = {phrase: Stitcher(job.frame) for phrase in vectors}
        done = 0
        for chunk in _chunks(boxes, self.runtime.batch_size or windows_at_once(job)):
            state = Progress("Reading windows", done, len(boxes))
            yield state
            features = yield from self._features(job, chunk, state)
            for phrase, vector in vectors.items():
                for box, part in zip(chunk, features, strict=True):
                    maps[phrase].add(box, compare(part, vector)[0])
            done += len(chunk)
        yield Progress("Reading windows", done, len(boxes))
        return {phrase: stitcher.mean() for phrase, stitcher in maps.items()}

    def _features(self, job: Job, boxes: Sequence[Box], state: Progress) -> Generator[Progress, None, list[Features]]:
        """The features of some windows, from the cache or through `encode` and `project`."""
        from napari_clearclip.engine.encoder import halving, project

        attention = job.settings.attention
        keys = [key_of("features", job.key, box, attention) for box in boxes]
        found: list[Features | None] = [self._cache.get(key) for key in keys]
        missing = [index for index, part in enumerate(found) if part is None]

        def work(size: int) -> Generator[Progress, None, None]:
            for chunk in _chunks([index for index in missing if found[index] is None], size):
                trunk = yield from self._trunk(job, [boxes[index] for index in chunk], state)
                made = project(job.clip, trunk, attention)
                for place, index in enumerate(chunk):
                    found[index] = part = made[place].stored(self.runtime.storage)
                    self._cache.put(keys[index], part, part.nbytes)

        if missing:
            yield from halving(work, len(missing))
        return [part for part in found if part is not None]

    def _trunk(self, job: Job, boxes: Sequence[Box], state: Progress) -> Generator[Progress, None, Trunk]:
        """The tokens of some windows that enter the last blocks, from the cache or through `encode`."""
        from napari_clearclip.engine.encoder import Trunk, encode_steps, prepare
        from napari_clearclip.engine.windows import cut

        attention, tiling = job.settings.attention, job.settings.tiling
        keys = [key_of("trunk", job.key, box, attention.blocks) for box in boxes]
        found: list[Trunk | None] = [self._cache.get(key) for key in keys]
        missing = [index for index, part in enumerate(found) if part is None]
        if missing:
            pixels = cut(job.image, job.view, job.frame, [boxes[index] for index in missing])
            encoding = encode_steps(job.clip, prepare(job.clip, pixels), attention.blocks, tiling.positions)
            made = yield from counted(encoding, state)
            for place, index in enumerate(missing):
                found[index] = part = made[place].stored(self.runtime.storage)
                self._cache.put(keys[index], part, part.nbytes)
        return Trunk.join([part for part in found if part is not None])

    # decide, threshold, apply

    def _scores(self, job: Job, cosines: dict[str, torch.Tensor]) -> tuple[Candidates, Scores]:
        """All candidates, and the object prompts' scores on the cells."""
        from napari_clearclip.engine.decide import Candidates, score_cells, valid_cells

        deciding = job.settings.deciding
        owners = tuple(owner for owner, _ in job.phrases)
        maps = [cosines[phrase] for _, phrase in job.phrases]
        key = key_of(job.key, owners, len(job.settings.objects), *(part.numpy() for part in maps))
        candidates = Candidates.join(maps, owners, len(job.settings.objects), key)

        def make() -> npt.NDArray[np.float32]:
            values = score_cells(candidates, deciding).numpy()
            return values if job.valid is None else values * valid_cells(job.valid, job.frame.cells)

        values = self._cached(("scores", candidates.key, deciding.competitors, deciding.scale), make)
        ids = tuple(prompt.id for prompt in job.settings.objects)
        return candidates, Scores(ids, values, job.frame.cell_size)

    def _masks(
        self, job: Job, candidates: Candidates
    ) -> Generator[Progress, None, tuple[LabelArray, LabelArray | None]]:
        """Labels and, where masks may overlap, packed masks, before anything done by hand."""
        from napari_clearclip.engine.apply import combine
        from napari_clearclip.engine.decide import overlap_steps, threshold

        deciding, frame = job.settings.deciding, job.frame
        thresholds = tuple(prompt.threshold for prompt in job.settings.objects)
        key = key_of("masks", candidates.key, frame, deciding, thresholds)
        masks: tuple[LabelArray, LabelArray | None] | None = self._cache.get(key)
        if masks is not None:
            return masks
        state = Progress("Making masks")
        if deciding.exclusive:
            assignment = yield from self._assignment(job, candidates, state)
            masks = (threshold(assignment, thresholds, deciding.lead, job.valid), None)
        else:
            steps = overlap_steps(candidates, frame, deciding, thresholds, job.valid)
            overlaps = yield from counted(steps, state)
            masks = (combine(overlaps, frame.image[1]), overlaps)
        self._cache.put(key, masks, sum(part.nbytes for part in masks if part is not None))
        return masks

    def _assignment(self, job: Job, candidates: Candidates, state: Progress) -> Generator[Progress, None, Assignment]:
        """Who wins each pixel."""
        from napari_clearclip.engine.decide import assign_steps

        deciding = job.settings.deciding
        read = (deciding.competitors, deciding.scale, deciding.area)
        key = key_of("assignment", candidates.key, job.frame, *read)
        assignment: Assignment | None = self._cache.get(key)
        if assignment is None:
            assignment = yield from counted(assign_steps(candidates, job.frame, deciding, job.valid), state)
            self._cache.put(key, assignment, assignment.nbytes)
        return assignment

    def _apply(
        self,
        job: Job,
        labels: LabelArray,
        overlaps: LabelArray | None,
        scores: Scores,
        georeference: Georeference | None,
    ) -> Segmentation:
        """The result, with what was done by hand."""
        from napari_clearclip.engine.apply import apply_edits

        labels, overlaps = apply_edits(labels, overlaps, job.settings.objects, job.edits, job.view.plane)
        unknown = {
            phrase: words
            for prompt in job.settings.prompts
            for phrase in prompt.phrases
            if (words := domains.unknown_words(job.settings.model, phrase))
        }
        return Segmentation(
            labels, scores, job.settings, job.view, job.edits, overlaps, job.valid, unknown, georeference
        )


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
