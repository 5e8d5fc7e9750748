"""What was drawn by hand to vectors of phrases that have learned from it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.edits import Exemplar, Plane, Region, Strokes
from napari_clearclip.encoding import Encoding
from napari_clearclip.job import Job
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Learned

if TYPE_CHECKING:
    from napari_clearclip.engine.correct import Evidence, Gathering, Surroundings
    from napari_clearclip.engine.encoder import Features

    Gatherings = dict[Region, Gathering]

FloatArray = npt.NDArray[np.float32]
Vectors = dict[str, FloatArray]


@dataclass(frozen=True)
class _Lesson:
    """What was drawn for prompts that are compared now."""

    strokes: tuple[Strokes, ...]
    exemplars: tuple[Exemplar, ...]

    @classmethod
    def of(cls, job: Job) -> _Lesson:
        known = {prompt.id: prompt for prompt in job.settings.worded}
        strokes = [item for item in job.edits.strokes if item.prompt in known]
        exemplars = [item for item in job.edits.exemplars if item.prompt in known]
        return cls(tuple(sorted(strokes, key=_place)), tuple(sorted(exemplars, key=_place)))

    @property
    def items(self) -> tuple[Strokes | Exemplar, ...]:
        return (*self.strokes, *self.exemplars)

    @property
    def planes(self) -> list[Plane]:
        return sorted({item.plane for item in self.items})


@dataclass(frozen=True)
class _Seen:
    """What lies under and around what was drawn.

    By plane and region, features and the numbers of windows that hold it or stand for the image; by plane and window,
    some patches.
    """

    features: dict[tuple[Plane, Region], Evidence]
    windows: dict[tuple[Plane, Region], list[int]]
    patches: dict[tuple[Plane, int], FloatArray]

    def around(self, regions: Iterable[tuple[Plane, Region]]) -> Surroundings:
        """The patches of the windows of some regions, at least one."""
        from napari_clearclip.engine.correct import Surroundings

        places = sorted({(plane, number) for plane, region in regions for number in self.windows[plane, region]})
        return Surroundings.of([self.patches[place] for place in places])


class Teaching:
    """Lets phrases learn from strokes and examples.

    Parameters
    ----------
    cache : Cache
        What was learned.
    encoding : Encoding
        Where features come from: only windows that hold strokes, and some that stand for the image, are looked at.
    """

    def __init__(self, cache: Cache, encoding: Encoding) -> None:
        self._cache = cache
        self._encoding = encoding

    def steps(self, job: Job, vectors: Vectors) -> Generator[Progress, None, Vectors]:
        """Vectors of all phrases after what was drawn; the same where nothing was.

        Parameters
        ----------
        job : Job
            Image, settings, and what was done by hand.
        vectors : dict of str to (D,) float32 array
            The words' own.
        """
        lesson = _Lesson.of(job)
        if not lesson.items:
            return vectors
        jobs = {}
        for plane in lesson.planes:
            jobs[plane] = yield from job.at(plane)
        shown = {item.prompt for item in lesson.exemplars}
        mixes = tuple(prompt.mix for prompt in job.settings.worded if prompt.id in shown)
        read = [(plane, item.key, item.frame, item.settings.attention) for plane, item in jobs.items()]
        rules = job.settings.deciding.competitors, job.settings.deciding.exclusive
        key = key_of("taught", read, lesson, mixes, rules, job.phrases, *vectors.values())
        taught: Vectors | None = self._cache.get(key)
        if taught is None:
            seen = yield from self._seen(jobs, lesson)
            taught = dict(vectors)
            for place in range(len(job.settings.worded)):
                taught |= _taught(job, place, vectors, lesson, seen)
            self._cache.put(key, taught, sum(vector.nbytes for vector in taught.values()))
        return taught

    def _seen(self, jobs: dict[Plane, Job], lesson: _Lesson) -> Generator[Progress, None, _Seen]:
        """Features under everything that was drawn, and of the windows around it."""
        from napari_clearclip.engine.correct import Gathering, spots, spread_windows, thinned, windows_with

        seen = _Seen({}, {}, {})
        for plane, job in jobs.items():
            frame = replace(job.frame, cell=job.frame.patch)
            regions = {region for item in lesson.items if item.plane == plane for region in _regions(item)}
            places = {region: spots(region, frame) for region in regions}
            found = {region: Gathering(where, frame, job.clip.width) for region, where in places.items()}
            spread = spread_windows(frame)
            windows = {region: sorted({*windows_with(where, frame), *spread}) for region, where in places.items()}

            def use(number: int, item: Features, plane: Plane = plane, found: Gatherings = found) -> None:
                seen.patches[plane, number] = thinned(item)
                for gathering in found.values():
                    gathering.add(number, item)

            yield from self._encoding.visit(job, sorted({number for held in windows.values() for number in held}), use)
            for region, gathering in found.items():
                seen.features[plane, region], seen.windows[plane, region] = gathering.evidence(), windows[region]
        return seen


def remembered(job: Job, words: Vectors) -> Vectors:
    """Vectors of all phrases with what this model has learned elsewhere; the words own where it learned nothing."""
    found = dict(words)
    for prompt in job.settings.worded:
        if prompt.learned is None or prompt.learned.weights != job.clip.weights:
            continue
        for phrase in prompt.words:
            vector = prompt.learned.vector(phrase)
            if vector is not None and vector.shape == words[phrase].shape:
                found[phrase] = vector
    return found


def learned(job: Job, words: Vectors, vectors: Vectors) -> dict[str, Learned]:
    """By prompt, the vectors that are no longer those of its words."""
    found = {}
    for prompt in job.settings.worded:
        changed = {text: vectors[text] for text in prompt.words if not np.array_equal(vectors[text], words[text])}
        if changed:
            found[prompt.id] = Learned.of(job.clip.weights, str(job.settings.model), changed)
    return found


def _place(item: Strokes | Exemplar) -> tuple[str, Plane]:
    """What is drawn is a set: nothing depends on when it was drawn, not even how sums are rounded."""
    return item.prompt, item.plane


def _regions(item: Strokes | Exemplar) -> tuple[Region, ...]:
    """What was drawn, without what is empty."""
    regions = (item.region,) if isinstance(item, Exemplar) else (item.positive, item.negative)
    return tuple(region for region in regions if region.tiles)


def _taught(job: Job, place: int, vectors: Vectors, lesson: _Lesson, seen: _Seen) -> Vectors:
    """The vectors of a prompt's phrases after what was drawn; empty if nothing was, or nothing competes with it."""
    from napari_clearclip.engine.correct import Evidence, learn, liken

    prompt, count = job.settings.worded[place], len(job.settings.worded)
    own = [phrase for owner, phrase in job.phrases if owner == place]
    everyone = job.settings.deciding.exclusive or job.settings.deciding.competitors == "all"
    rivals = [phrase for owner, phrase in job.phrases if owner != place and (everyone or owner >= count)]
    shown = [(item.plane, item.region) for item in lesson.exemplars if item.prompt == prompt.id]
    said = _said(prompt.id, lesson)
    shown, drawn = ([at for at in part if len(seen.features[at].signs)] for part in (shown, said))
    if not rivals or not (shown or drawn):
        return {}
    others = [phrase for owner, phrase in job.phrases if owner >= count] or rivals  # the same for all prompts
    parts = (np.stack([vectors[phrase] for phrase in part]).astype(np.float64) for part in (own, rivals, others))
    base, against, beside = parts
    around = seen.around([*shown, *drawn])
    for at in shown:
        base = liken(base, beside, seen.features[at].features, around, prompt.mix)
    if drawn:
        base = base + learn(base, against, Evidence.join([seen.features[at].signed(said[at]) for at in drawn]), around)
    return {phrase: vector.astype(np.float32) for phrase, vector in zip(own, base, strict=True)}


def _said(prompt: str, lesson: _Lesson) -> dict[tuple[Plane, Region], int]:
    """By plane and region, whether strokes say of it that it is a prompt (1) or is not (-1)."""
    mine = [item for item in lesson.strokes if item.prompt == prompt]
    positive = {(item.plane, item.positive): 1 for item in mine if item.positive.tiles}
    return positive | {(item.plane, item.negative): -1 for item in mine if item.negative.tiles}
