"""The chain of stages from an image to its segmentation; the only place that knows their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.cache import Cache, Folder, key_of
from napari_clearclip.edits import Edits, Mask, View
from napari_clearclip.result import Georeference, LabelArray, Scores, Segmentation
from napari_clearclip.settings import Model, Runtime, Settings, Tiling

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.decide import Assignment, Candidates
    from napari_clearclip.engine.encoder import Features, Trunk
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.engine.windows import Box, Frame

# Work that a CPU does in about half a second, in floating point operations; a step between two yields is about that.
_CPU_STEP = 2e10
_GPU_STEP = 2e12
_POLL_SECONDS = 0.1


class Cancelled(Exception):  # noqa: N818  # not an error: the user asked for it
    """Raised inside work that was cancelled."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: a stage in words, and units done of a total (0 if unknown)."""

    stage: str
    done: int = 0
    total: int = 0


Steps = Generator[Progress, None, Any]


@dataclass(frozen=True)
class _Job:
    """What a run works on, with everything filled in that image and model decide."""

    image: Any
    view: View
    settings: Settings
    edits: Edits
    clip: Clip
    frame: Frame
    valid: Mask | None
    key: str  # of image, view and all that changes the trunk, but not the window

    @property
    def phrases(self) -> tuple[tuple[int, str], ...]:
        """Each phrase with the position of its prompt: objects first, then distractors."""
        prompts = (*self.settings.objects, *self.settings.distractors)
        return tuple((index, phrase) for index, prompt in enumerate(prompts) for phrase in prompt.phrases)


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
        self._loader = ThreadPoolExecutor(1, "clearclip-load")
        self._loaded: tuple[tuple[Model, str], Clip] | None = None

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

    def release(self) -> None:
        """Forget the model and everything that was kept, and give memory back to the device."""
        self._loaded = None
        self._cache.clear()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

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
        candidates, scores = self._scores(job, cosines)
        labels, overlaps = yield from self._masks(job, candidates)
        return self._apply(job, labels, overlaps, scores, georeference)

    # view

    def _prepare(self, image: Any, settings: Settings, view: View, edits: Edits) -> Generator[Progress, None, _Job]:
        """Load the model, fill in what it and the image recommend, find valid pixels, set up coordinates."""
        if not settings.objects:
            raise ValueError("there is nothing to look for; add at least one prompt")
        for prompt in settings.objects:
            domains.check_phrase(settings.model, prompt.phrase)
        yield Progress("Looking at the image")
        from napari_clearclip.engine.view import plane_shape, resolve_view
        from napari_clearclip.engine.windows import Frame, resized_shape

        plane_shape(image, view)
        if isinstance(image, np.ndarray):
            image_key = key_of(image[view.plane])
        else:
            from dask.base import tokenize

            image_key = key_of(tokenize(image), view.plane)
        view = resolve_view(image, view)
        view_key = key_of(image_key, view)
        shape = plane_shape(image, view)
        valid = self._cached(("valid", view_key), lambda: _valid_pixels(image, view, shape))
        clip = yield from self._load(settings.model)
        settings = _filled_in(settings, clip)
        tiling, attention = settings.tiling, settings.attention
        if attention.blocks >= clip.depth:
            raise ValueError(f"the variant reads {attention.blocks} blocks, the model has {clip.depth}")
        resized = resized_shape(shape, tiling.short_side or "native")
        frame = Frame(shape, resized, _number(tiling.window), _number(tiling.stride), clip.patch, _number(settings.comparing.cell))
        key = key_of(view_key, clip.key, resized, tiling.positions, self.runtime.storage)
        return _Job(image, view, settings, edits, clip, frame, valid, key)

    def _cached(self, parts: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """A value from the cache, made if it is not there; None counts as a value."""
        key = key_of(*parts)
        if key not in self._cache:
            value = make()
            self._cache.put(key, value, getattr(value, "nbytes", 64))
            return value
        return self._cache.get(key)

    def _load(self, model: Model) -> Generator[Progress, None, Clip]:
        """The model, loaded in a thread of its own so that waiting can be cancelled."""
        wanted = (model, self.device)
        if self._loaded is not None and self._loaded[0] == wanted:
            return self._loaded[1]
        self._loaded = None
        state = Progress("Loading the model")
        cancelled = threading.Event()

        def report(done: int, total: int) -> None:
            nonlocal state
            state = Progress("Downloading the model", done, total)
            if cancelled.is_set():
                raise Cancelled

        def work() -> Clip:
            from napari_clearclip.engine.model import load

            return load(model, wanted[1], report)

        future: Future[Clip] = self._loader.submit(work)
        try:
            while True:
                yield state
                try:
                    clip = future.result(timeout=_POLL_SECONDS)
                except FutureTimeoutError:
                    if future.done():
                        raise
                    continue
                break
        finally:
            cancelled.set()
            future.cancel()
        self._loaded = (wanted, clip)
        return clip

    # encode, project, compare

    def _cosines(self, job: _Job) -> Generator[Progress, None, dict[str, torch.Tensor]]:
        """Each phrase's cosines on the cells, (h, w) float32; only what is missing is computed."""
        vectors = yield from self._vectors(job)
        attention, cells = job.settings.attention, (job.frame.cells, job.frame.window, job.frame.stride)
        keys = {phrase: key_of("cosines", job.key, attention, cells, vector.numpy()) for phrase, vector in vectors.items()}
        found = {phrase: self._cache.get(key) for phrase, key in keys.items()}
        missing = {phrase: vector for phrase, vector in vectors.items() if found[phrase] is None}
        if missing:
            made = yield from self._compare(job, missing)
            for phrase, cosines in made.items():
                self._cache.put(keys[phrase], cosines, cosines.nbytes)
            found |= made
        return {phrase: found[phrase] for phrase in vectors}

    def _vectors(self, job: _Job) -> Generator[Progress, None, dict[str, torch.Tensor]]:
        """Each phrase's unit vector (D,), from memory or disk or the text tower."""
        import torch

        from napari_clearclip.engine.text import embed_steps, sentences

        texts = sentences(job.settings.comparing.templates or job.clip.templates)
        phrases = list(dict.fromkeys(phrase for _, phrase in job.phrases))
        vectors: dict[str, torch.Tensor] = {}
        for done, phrase in enumerate(phrases):
            key = key_of("text", job.clip.key, texts, phrase)
            vector = self._cache.get(key)
            if vector is None and (stored := self._texts.get(key)) is not None and stored.ndim == 1:
                vector = torch.from_numpy(stored)
            if vector is None:
                embedding = embed_steps(job.clip, phrase, texts)
                vector = yield from _counted(embedding, Progress("Reading the prompts", done, len(phrases)))
                self._texts.put(key, vector.numpy())
            self._cache.put(key, vector, vector.nbytes)
            vectors[phrase] = vector
        return vectors

    def _compare(self, job: _Job, vectors: dict[str, torch.Tensor]) -> Generator[Progress, None, dict[str, torch.Tensor]]:
        """Cosines of some phrases, window by window, stitched on the cells."""
        import torch

        from napari_clearclip.engine.compare import compare
        from napari_clearclip.engine.windows import coverage, stitch_into

        boxes = job.frame.boxes
        totals = {phrase: torch.zeros(job.frame.cells) for phrase in vectors}
        done = 0
        for chunk in _chunks(boxes, self._batch_size(job)):
            state = Progress("Reading windows", done, len(boxes))
            yield state
            features = yield from self._features(job, chunk, state)
            for phrase, vector in vectors.items():
                for box, part in zip(chunk, features, strict=True):
                    stitch_into(totals[phrase], job.frame, box, compare(part, vector.to(part.vectors.device))[0].cpu())
            done += len(chunk)
        yield Progress("Reading windows", done, len(boxes))
        count = torch.from_numpy(coverage(job.frame, boxes))
        return {phrase: total / count for phrase, total in totals.items()}

    def _batch_size(self, job: _Job) -> int:
        """Windows at once: as asked for, or as many as one block computes in a step."""
        if self.runtime.batch_size is not None:
            return self.runtime.batch_size
        tokens, width = 1 + job.frame.grid[0] * job.frame.grid[1], job.clip.model.visual.transformer.width
        work = 24 * tokens * width**2 + 4 * tokens**2 * width
        return int(np.clip((_CPU_STEP if job.clip.device == "cpu" else _GPU_STEP) / work, 1, 64))

    def _features(self, job: _Job, boxes: Sequence[Box], state: Progress) -> Generator[Progress, None, list[Features]]:
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

    def _trunk(self, job: _Job, boxes: Sequence[Box], state: Progress) -> Generator[Progress, None, Trunk]:
        """The tokens of some windows that enter the last blocks, from the cache or through `encode`."""
        import torch

        from napari_clearclip.engine.encoder import Trunk, encode_steps, prepare

        attention, tiling = job.settings.attention, job.settings.tiling
        keys = [key_of("trunk", job.key, box, attention.blocks) for box in boxes]
        found: list[Trunk | None] = [self._cache.get(key) for key in keys]
        missing = [index for index, part in enumerate(found) if part is None]
        if missing:
            pixels = torch.stack([_pixels(job, boxes[index]) for index in missing])
            encoding = encode_steps(job.clip, prepare(job.clip, pixels), attention.blocks, tiling.positions)
            made = yield from _counted(encoding, state)
            for place, index in enumerate(missing):
                found[index] = part = made[place].stored(self.runtime.storage)
                self._cache.put(keys[index], part, part.nbytes)
        parts = [part for part in found if part is not None]
        return Trunk(torch.cat([part.tokens for part in parts]), parts[0].grid, attention.blocks)

    # decide, threshold, apply

    def _scores(self, job: _Job, cosines: dict[str, torch.Tensor]) -> tuple[Candidates, Scores]:
        """All candidates, and the object prompts' scores on the cells."""
        import torch

        from napari_clearclip.engine.decide import Candidates, score_cells, valid_cells

        deciding = job.settings.deciding
        maps = torch.stack([cosines[phrase] for _, phrase in job.phrases])
        owners = tuple(owner for owner, _ in job.phrases)
        candidates = Candidates(maps, owners, len(job.settings.objects), key_of(job.key, maps.numpy(), owners))

        def make() -> npt.NDArray[np.float32]:
            values = score_cells(candidates, deciding).numpy()
            return values if job.valid is None else values * valid_cells(job.valid, job.frame.cells)

        values = self._cached(("scores", candidates.key, deciding.competitors, deciding.scale), make)
        ids = tuple(prompt.id for prompt in job.settings.objects)
        return candidates, Scores(ids, values, job.frame.cell_size)

    def _masks(
        self, job: _Job, candidates: Candidates
    ) -> Generator[Progress, None, tuple[LabelArray, LabelArray | None]]:
        """Labels and, where masks may overlap, packed masks, before anything done by hand."""
        from napari_clearclip.engine.decide import assign_steps, combine, overlap_steps, threshold

        deciding, frame = job.settings.deciding, job.frame
        thresholds = tuple(prompt.threshold for prompt in job.settings.objects)
        key = key_of("masks", candidates.key, frame, deciding, thresholds)
        masks: tuple[LabelArray, LabelArray | None] | None = self._cache.get(key)
        if masks is not None:
            return masks
        if deciding.exclusive:
            decided = key_of("assignment", candidates.key, frame, deciding.competitors, deciding.scale, deciding.area)
            assignment: Assignment | None = self._cache.get(decided)
            if assignment is None:
                steps = assign_steps(candidates, frame, deciding, job.valid)
                assignment = yield from _counted(steps, Progress("Making masks"))
                self._cache.put(decided, assignment, assignment.nbytes)
            masks = threshold(assignment, thresholds, deciding.lead, job.valid), None
        else:
            steps = overlap_steps(candidates, frame, deciding, thresholds, job.valid)
            overlaps = yield from _counted(steps, Progress("Making masks"))
            masks = combine(overlaps, frame.image[1]), overlaps
        self._cache.put(key, masks, sum(part.nbytes for part in masks if part is not None))
        return masks

    def _apply(
        self,
        job: _Job,
        labels: LabelArray,
        overlaps: LabelArray | None,
        scores: Scores,
        georeference: Georeference | None,
    ) -> Segmentation:
        """The result, with what was done by hand."""
        from napari_clearclip.engine.decide import apply_edits

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


def cache_folder(runtime: Runtime) -> Path:
    """The folder in which text vectors are kept."""
    import platformdirs

    return Path(runtime.cache_folder or platformdirs.user_cache_dir("napari-clearclip", appauthor=False))


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _counted(steps: Generator[None, None, Any], state: Progress) -> Steps:
    """Pass on the result of some steps, yielding `state` for each."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
        yield state


def _number(value: int | None) -> int:
    """A field that `_filled_in` has filled in."""
    if value is None:
        raise ValueError("settings are not filled in")
    return value


def _filled_in(settings: Settings, clip: Clip) -> Settings:
    """The settings with every empty field as the model recommends it."""
    tiling = settings.tiling
    given = {name: value for name in Tiling.model_fields if (value := getattr(tiling, name)) is not None}
    merged = {**clip.tiling.model_dump(), **given}
    if tiling.stride is None:
        merged["stride"] = min(merged["stride"], merged["window"])
    comparing = settings.comparing.replace(
        templates=settings.comparing.templates or clip.templates, cell=settings.comparing.cell or clip.patch
    )
    return settings.replace(tiling=Tiling(**merged), comparing=comparing)


def _valid_pixels(image: Any, view: View, shape: tuple[int, int]) -> Mask | None:
    """Pixels with data, (H, W); None if all have."""
    from napari_clearclip.engine.view import render

    valid = np.ones(shape, bool)
    step = max(4_000_000 // shape[1], 1)
    for start in range(0, shape[0], step):
        valid[start : start + step] = render(image, view, slice(start, start + step), slice(None))[1]
    return None if valid.all() else valid


def _pixels(job: _Job, box: Box) -> torch.Tensor:
    """A window of the image at the size that the model reads: (h, w, 3) float32 in [0, 1]."""
    import torch

    from napari_clearclip.engine.view import render
    from napari_clearclip.engine.windows import resampling

    (rows, row_weights), (cols, col_weights) = (
        resampling(job.frame.image[axis], job.frame.resized[axis], box[axis], box[axis + 2]) for axis in (0, 1)
    )
    shown, _ = render(job.image, job.view, rows, cols)
    return torch.einsum(
        "yr,rcd,xc->yxd", torch.from_numpy(row_weights), torch.from_numpy(shown), torch.from_numpy(col_weights)
    ).contiguous()
