"""Windows through encode, project and compare, keeping by window what can be reused."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.attending import Attending
from napari_clearclip.cache import Cache, key_of
from napari_clearclip.job import MANY_WINDOWS, Job, milestones, nearest_first, windows_at_once
from napari_clearclip.progress import Pace, Progress, counted
from napari_clearclip.settings import Runtime
from napari_clearclip.settings.reading import DEEPEST

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.encoder import Features, Trunk
    from napari_clearclip.engine.windows import Box, Region

FloatArray = npt.NDArray[np.float32]
Cosines = dict[str, "torch.Tensor"]
Show = Callable[[Cosines], Generator[Progress, None, None]]

READING = "Reading windows"
ADJUSTING = "Comparing phrases"
LEARNING = "Learning from strokes"


class Encoding:
    """Compares phrases with windows of images.

    Parameters
    ----------
    cache : Cache
        What is kept of each window.
    runtime : Runtime
        Size of the batches and how features are stored.
    """

    def __init__(self, cache: Cache, runtime: Runtime) -> None:
        self._cache = cache
        self._runtime = runtime
        self._attending = Attending(cache)

    def compare(
        self, job: Job, vectors: dict[str, FloatArray], first: Region | None, show: Show | None, stage: str
    ) -> Generator[Progress, None, Cosines]:
        """Cosines of some phrases, window by window, stitched on the cells.

        Parameters
        ----------
        job : Job
            Image, model and coordinates.
        vectors : dict of str to (D,) float32 array
            Each phrase's unit vector.
        first : tuple of 4 float or None
            The part of the image that is computed first.
        show : callable or None
            Called with what is finished at the `milestones`.
        stage : str
            What the progress is called.
        """
        from napari_clearclip.engine.compare import compare
        from napari_clearclip.engine.stitching import Stitching

        boxes, worth_showing, pace = job.frame.boxes, milestones(job.frame, first), Pace()
        parts, done = Stitching(job.frame), 0
        job = job.by_rows() if first is None else job
        for chunk in nearest_first(list(_chunks(range(len(boxes)), self._batch(job))), job.frame, first):
            before, part = done, [boxes[number] for number in chunk]
            state = Progress(stage, before, len(boxes), "windows", pace.rate)
            yield state
            unread, began = sum(1 for _ in self._unread(job, part)), time.perf_counter()
            features = yield from self._features(job, part, state)
            for number, item in zip(chunk, features, strict=True):
                parts.add(number, {phrase: compare(item, vector)[0] for phrase, vector in vectors.items()})
            done += len(chunk)
            pace = pace.after(unread, time.perf_counter() - began)
            if show is not None and any(before < count <= done for count in worth_showing):
                yield from show(parts.maps())
        yield Progress(stage, done, len(boxes), "windows", pace.rate)
        return parts.maps()

    def adjust(
        self, job: Job, vectors: dict[str, FloatArray], empty: FloatArray | None
    ) -> Generator[Progress, None, Cosines]:
        """Scores of all phrases that compete, each changed by the others inside each window, stitched on the cells.

        Smoothed ones are divided by the number of patches in a window, which changes no winner and keeps them in
        [-1, 1]. `empty` is the vector of an empty phrase, for feature surgery on one phrase alone.
        """
        from napari_clearclip.engine.compare import compare, feature_surgery, smooth_by_keys
        from napari_clearclip.engine.stitching import Stitching

        boxes, comparing = job.frame.boxes, job.settings.comparing
        parts, job = Stitching(job.frame), job.by_rows()
        for chunk in _chunks(range(len(boxes)), self._batch(job)):
            state = Progress(ADJUSTING, chunk[0], len(boxes), "windows")
            yield state
            features = yield from self._features(job, [boxes[number] for number in chunk], state)
            for number, item in zip(chunk, features, strict=True):
                maps = [compare(item, vector)[0] for vector in vectors.values()]
                if comparing.surgery:
                    whole = item.cls[0].float().cpu().numpy()
                    likeness = [float(whole @ vector) for vector in vectors.values()]
                    maps = feature_surgery(maps, likeness, None if empty is None else compare(item, empty)[0])
                if comparing.smooth:
                    scores = smooth_by_keys(maps, item, comparing.smooth, comparing.smooth_axis)
                    maps = [map_ / map_.numel() for map_ in scores]
                parts.add(number, dict(zip(vectors, maps, strict=True)))
        return parts.maps()

    def means(self, job: Job) -> Generator[Progress, None, FloatArray]:
        """The vectors of an image's cells (h, w, D) float32, each the mean over the windows that overlap there."""
        from napari_clearclip.engine.stitching import RowStitching

        stitching = RowStitching(job.frame, job.clip.width)

        def add(number: int, features: Features) -> None:
            stitching.add(job.frame.box(number), features.vectors[0])

        yield from self.visit(job.by_rows(), range(job.frame.count), add)
        return stitching.finished(job.frame.box(job.frame.count - 1))

    def visit(
        self, job: Job, numbers: Sequence[int], use: Callable[[int, Features], None]
    ) -> Generator[Progress, None, None]:
        """Call `use` with the number and the features of each of some windows."""
        box, done = job.frame.box, 0
        for chunk in self.batches(job, numbers):
            state = Progress(LEARNING, done, len(numbers), "windows")
            yield state
            features = yield from self._features(job, [box(number) for number in chunk], state)
            for number, item in zip(chunk, features, strict=True):
                use(number, item)
            done += len(chunk)

    def trunk(self, job: Job, number: int) -> Generator[Progress, None, Trunk]:
        """The tokens of one window that enter the last blocks."""
        state = Progress(READING, 0, 1, "windows")
        yield state
        return (yield from self._trunk(job, [job.frame.box(number)], state))

    def batches(self, job: Job, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """The numbers of windows that go through the image encoder together."""
        return _chunks(numbers, self._batch(job))

    def is_long(self, job: Job) -> bool:
        """Whether so much is to be read that a first look is worth having: many windows, and more than two steps."""
        least = max(MANY_WINDOWS, 2 * self._batch(job))
        return sum(1 for _ in islice(self._unread(job, job.frame.boxes), least + 1)) > least

    def _batch(self, job: Job) -> int:
        return self._runtime.batch_size or windows_at_once(job)

    def _unread(self, job: Job, boxes: Sequence[Box]) -> Iterator[Box]:
        """The windows that have to go through the image encoder."""
        entry = job.settings.attention.entry
        for box in boxes:
            if _features_key(job, box) not in self._cache and key_of("trunk", job.key, box, entry) not in self._cache:
                yield box

    def _features(self, job: Job, boxes: Sequence[Box], state: Progress) -> Generator[Progress, None, list[Features]]:
        """The features of some windows, from the cache or through `encode` and `project`."""
        from napari_clearclip.engine.encoder import halving, project

        attention = job.settings.attention
        keys = [_features_key(job, box) for box in boxes]
        found: list[Features | None] = [self._cache.get(key) for key in keys]
        missing = [index for index, part in enumerate(found) if part is None]

        def work(size: int) -> Generator[Progress, None, None]:
            for chunk in _chunks([index for index in missing if found[index] is None], size):
                part = [boxes[index] for index in chunk]
                trunk = yield from self._trunk(job, part, state)
                known = self._attending.outputs(job, part, trunk)
                made = project(job.clip, trunk, attention, bool(job.settings.comparing.smooth), known)
                for place, index in enumerate(chunk):
                    found[index] = item = made[place].stored(self._runtime.storage)
                    self._cache.put(keys[index], item, item.nbytes)

        if missing:
            yield from halving(work, len(missing))
        return [part for part in found if part is not None]

    def _trunk(self, job: Job, boxes: Sequence[Box], state: Progress) -> Generator[Progress, None, Trunk]:
        """The tokens of some windows that enter the last blocks, from the cache or through `encode`."""
        from napari_clearclip.engine.encoder import Trunk, advance_steps, encode_steps, prepare
        from napari_clearclip.engine.windows import cut

        entry, tiling = job.settings.attention.entry, job.settings.tiling
        keys = [key_of("trunk", job.key, box, entry) for box in boxes]
        found: list[Trunk | None] = [self._cache.get(key) for key in keys]
        missing = [index for index, part in enumerate(found) if part is None]
        if missing:
            begun = [self._begun(job, boxes[index]) for index in missing]
            ready = [part for part in begun if part is not None]
            if len(ready) == len(missing) and len({part.blocks for part in ready}) == 1:
                encoding = advance_steps(job.clip, Trunk.join(ready), entry)
            else:
                pixels = cut(job.image, job.view, job.frame, [boxes[index] for index in missing], tiling.antialias)
                encoding = encode_steps(job.clip, prepare(job.clip, pixels), entry, tiling.positions)
            made = yield from counted(encoding, state)
            for place, index in enumerate(missing):
                found[index] = part = made[place].stored(self._runtime.storage)
                self._cache.put(keys[index], part, part.nbytes)
        return Trunk.join([part for part in found if part is not None])

    def _begun(self, job: Job, box: Box) -> Trunk | None:
        """A window's tokens from farther back in the tower, left by a variant that reads more blocks."""
        for entry in range(job.settings.attention.entry + 1, DEEPEST + 1):
            part: Trunk | None = self._cache.get(key_of("trunk", job.key, box, entry))
            if part is not None:
                return part
        return None


def _features_key(job: Job, box: Box) -> str:
    asked = ("keys",) if job.settings.comparing.smooth else ()
    return key_of("features", job.key, box, job.settings.attention, *asked)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
