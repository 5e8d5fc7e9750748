"""Large images: features row of windows by row of windows, kept on disk by cells, and cosines made of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.encoding import Cosines, Encoding, Show
from napari_clearclip.job import Job
from napari_clearclip.progress import Notice, Pace, Progress
from napari_clearclip.settings import Runtime
from napari_clearclip.storing import Store

if TYPE_CHECKING:
    from napari_clearclip.engine.encoder import Features
    from napari_clearclip.engine.stitching import RowComparing
    from napari_clearclip.engine.windows import Frame, Region
    from napari_clearclip.storing import Volume, Writer


log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]

_READ_BYTES = 2**25  # of rows that are read together
_BLOCK_ROWS = 8  # of windows in a block, at least, for each that is read twice
# Seconds of a floating point operation, about, for an estimate before anything is measured; and how many are long.
_CPU_SECONDS, _GPU_SECONDS, _LONG = 2e-11, 1e-13, 60


class Surveying:
    """Compares phrases with images whose windows do not fit into memory.

    Parameters
    ----------
    store : callable
        Returns where features are kept, and how much of them, as it stands.
    runtime : Runtime
        How much memory there is, and how features are stored.
    """

    def __init__(self, store: Callable[[], Store], runtime: Runtime) -> None:
        self._store, self._runtime = store, runtime
        self._encoding = Encoding(Cache(0), runtime)  # windows are not kept: their features are, by cells

    def is_for(self, job: Job) -> bool:
        """Whether the features of an image's windows are more than memory may keep: none would be used again."""
        rows, cols = job.frame.grid
        return job.frame.count * rows * cols * job.clip.width * self._dtype.itemsize > self._runtime.cache_bytes

    @property
    def _dtype(self) -> np.dtype[np.floating]:
        return np.dtype(self._runtime.storage)

    def _notices(self, job: Job, key: str, wanted: range) -> Iterator[Notice]:
        """What reading the rest of some rows takes, if that is long."""
        store, shape = self._store(), self._shape(job)
        missing = store.missing(job.content, key, shape, self._dtype, wanted)
        count = sum(len(numbers) for span in missing for numbers in _windows(job.frame, span))
        speed = _CPU_SECONDS if job.clip.device == "cpu" else _GPU_SECONDS
        seconds = count * job.clip.work(job.frame.grid) * job.clip.depth * speed
        if seconds < _LONG:
            return
        size = int(np.prod(shape, dtype=object)) * self._dtype.itemsize
        what = f"{count:,} windows are to be read, in about {seconds / 60:.0f} minutes"
        yield Notice("Reading windows", what=what, disk=size, most=store.most)

    def _shape(self, job: Job) -> tuple[int, int, int]:
        return (*job.frame.cells, job.clip.width)

    def compare(
        self,
        job: Job,
        vectors: dict[str, FloatArray],
        first: Region | None,
        show: Show | None,
        stage: str,
        rows: range | None = None,
    ) -> Generator[Progress, None, Cosines]:
        """Cosines of some phrases on the cells; only rows that are not on disk go through the image encoder.

        Parameters
        ----------
        job : Job
            Image, model and coordinates.
        vectors : dict of str to (D,) float32 array
            Each phrase's unit vector.
        first : tuple of 4 float or None
            The part of the image that is shown first, if its windows are few.
        show : callable or None
            Called with what is finished: what is shown first, then after an eighth of the rows and whenever they are
            twice as many.
        stage : str
            What the progress is called.
        rows : range, optional
            The rows of cells that are wanted, of which maps are made; all by default.
        """
        from napari_clearclip.engine.stitching import RowComparing

        frame, positions = job.frame, job.settings.tiling.positions
        rows = range(frame.cells[0]) if rows is None else rows
        found = RowComparing(rows, frame.cells[1], vectors)
        key = key_of("cells", job.key, job.settings.attention, frame.cells, frame.window, frame.stride, positions)
        yield from self._notices(job, key, rows)
        volume, missing = self._store().volume(job.content, key, self._shape(job), self._dtype), [rows]
        if volume is not None:
            missing = volume.missing(rows)
            yield from _known(volume, rows, missing, found)
        ahead = _Ahead({}, {})
        if show is not None and first is not None:
            ahead = yield from self._look(job, missing, vectors, first, stage)
            if ahead.maps:
                yield from show(ahead.filling(found.maps))
        yield from self._read(job, missing, volume, found, ahead, show, stage)
        return found.maps

    def _look(
        self, job: Job, missing: Sequence[range], vectors: dict[str, FloatArray], first: Region, stage: str
    ) -> Generator[Progress, None, _Ahead]:
        """What is to be shown first, read ahead of its row; nothing where that is much of the image.

        Windows are read in the company that they would have later, so that not a bit depends on where one looks.
        """
        from napari_clearclip.engine.compare import compare
        from napari_clearclip.engine.stitching import Stitching

        job, frame = job.by_rows(), job.frame
        y0, x0, y1, x1 = frame.to_resized(first)
        unread = dict.fromkeys(row for span in missing for row in _windows(frame, span))
        rows = [row for row in unread if frame.box(row[0])[0] < y1 and y0 < frame.box(row[0])[2]]
        batches = [
            batch
            for row in rows
            for batch in self._encoding.batches(job, row)
            if frame.box(batch[0])[1] < x1 and x0 < frame.box(batch[-1])[3]
        ]
        count, (down, across) = sum(map(len, batches)), frame.grid
        room = self._runtime.cache_bytes // (2 * down * across * job.clip.width * self._dtype.itemsize)
        if count > min(frame.count // 4, room):
            return _Ahead({}, {})
        stitching = Stitching(frame)
        kept: dict[int, Features] = {}

        def add(number: int, features: Features) -> None:
            kept[number] = features
            stitching.add(number, {phrase: compare(features, vector)[0] for phrase, vector in vectors.items()})

        for batch in batches:
            for _ in self._encoding.visit(job, batch, add):
                yield Progress(stage, len(kept), frame.count, "windows")
        return _Ahead(kept, stitching.maps())

    def _read(
        self,
        job: Job,
        missing: Sequence[range],
        volume: Volume | None,
        found: RowComparing,
        ahead: _Ahead,
        show: Show | None,
        stage: str,
    ) -> Generator[Progress, None, None]:
        """Rows of cells from the image."""
        from napari_clearclip.engine.stitching import RowStitching

        job = job.by_rows()
        frame, pace, worth_showing = job.frame, Pace(), _worth_showing(missing, job.frame.cells[0])
        for span in missing:
            stitching, at = RowStitching(frame, job.clip.width, span.start), span.start

            def add(number: int, features: Features, stitching: RowStitching = stitching) -> None:
                stitching.add(frame.box(number), features.vectors[0])

            with nullcontext() if volume is None else volume.writer(span.start) as writer:
                for numbers in _windows(frame, span):
                    began, before = time.perf_counter(), len(ahead.features)
                    for batch in self._encoding.batches(job, numbers):
                        if ahead.give(batch, add):
                            continue
                        for _ in self._encoding.visit(job, batch, add):
                            yield Progress(stage, batch[0], frame.count, "windows", pace.rate)
                    pace = pace.after(len(numbers) - before + len(ahead.features), time.perf_counter() - began)
                    rows = stitching.finished(frame.box(numbers[-1]))[: span.stop - at].astype(self._dtype)
                    writer = _written(writer, at, rows)
                    found.add(at, rows)  # as a later phrase will find them
                    top, at = at, at + len(rows)
                    if show is not None and any(top < count <= at for count in worth_showing):
                        yield from show(ahead.filling(found.maps))
        yield Progress(stage, frame.count, frame.count, "windows", pace.rate)


@dataclass(frozen=True)
class _Ahead:
    """Windows that were read before it was their turn: features until they are given, and cosines on the cells."""

    features: dict[int, Features]
    maps: Cosines

    def give(self, batch: Sequence[int], add: Callable[[int, Features], None]) -> bool:
        """Add the features of a batch, and let them go; whether they are there."""
        if batch[0] not in self.features:
            return False
        for number in batch:
            add(number, self.features.pop(number))
        return True

    def filling(self, maps: Cosines) -> Cosines:
        """The maps, and where they are unknown what was read ahead."""
        if not self.maps:
            return maps
        return {phrase: map_.where(~map_.isnan(), self.maps[phrase]) for phrase, map_ in maps.items()}


def _windows(frame: Frame, rows: range) -> Iterator[range]:
    """The numbers of the windows of each row of windows that has a part in some rows of cells."""
    for start in range(0, frame.count, frame.across):
        cells = frame.cells_in(frame.box(start))[0]
        if rows.start < cells.stop and cells.start < rows.stop:
            yield range(start, start + frame.across)


def blocks_of(frame: Frame, count: int) -> tuple[range, ...]:
    """Blocks of rows of cells, about `count` of them, that together are all; () where one would be all.

    Each has so many rows of windows that those at its ends, which have a part in the block beside it, too, and are read
    twice, are few.
    """
    down = frame.count // frame.across
    overlapping = -(-frame.window // frame.stride) - 1
    count = min(count, down // max(_BLOCK_ROWS * overlapping, 1))
    if count < 2:
        return ()
    firsts = [down * place // count * frame.across for place in range(1, count)]
    edges = [0, *(frame.cells_in(frame.box(number))[0].start for number in firsts), frame.cells[0]]
    return tuple(range(start, stop) for start, stop in pairwise(edges))


def _worth_showing(missing: Sequence[range], total: int) -> list[int]:
    """After how many rows of cells it is worth showing what there is: an eighth, then twice as many each time."""
    count, found = max(2 * missing[0].start, total // 8, 1) if missing else total, []
    while count < total:
        found.append(count)
        count *= 2
    return found


def _written(writer: Writer | None, at: int, rows: npt.NDArray[np.floating[Any]]) -> Writer | None:
    """What writes rows, once it has written these; None once it cannot, which costs time later and no result."""
    if writer is None:
        return None
    try:
        writer.write(at, rows)
    except OSError as error:
        log.warning("%s cannot be written to, so no more is kept there: %s", writer.path, error)
        return None
    return writer


def _known(
    volume: Volume, rows: range, missing: Sequence[range], found: RowComparing
) -> Generator[Progress, None, None]:
    """Rows of cells from the disk: all of some rows but those that are missing."""
    step = max(_READ_BYTES // volume.row_bytes, 1)
    starts, stops = [rows.start, *(span.stop for span in missing)], [*(span.start for span in missing), rows.stop]
    for start, stop in zip(starts, stops, strict=True):
        for top in range(start, stop, step):
            yield Progress("Reading what is kept", top, rows.stop)
            found.add(top, volume.read(top, min(top + step, stop)))
