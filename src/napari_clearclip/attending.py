"""What the last block's attention is made from, and what it gives, kept for the variants that come after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_clearclip.cache import Cache, key_of
from napari_clearclip.job import Job

if TYPE_CHECKING:
    from napari_clearclip.engine.encoder import Trunk
    from napari_clearclip.engine.tower import Heads
    from napari_clearclip.engine.windows import Box

_FLOAT = 4  # bytes


class Attending:
    """Queries, keys and values of the last block, and what each term of a variant gives there.

    Parameters
    ----------
    cache : Cache
        Where they are kept: as they are, and for the windows that were computed together, so that keeping them costs
        no time and changes no bit.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def outputs(self, job: Job, boxes: Sequence[Box], trunk: Trunk) -> Heads | None:
        """What each of the variant's terms gives in the last block of some windows; None where it would not be kept."""
        if not self._is_for(job):
            return None
        from napari_clearclip.engine.encoder import heads_of, letters_of, outputs_of

        row = job.settings.attention
        terms = [term for term in row.terms if term != "identity"]  # that is the values, which are kept anyway
        keys: dict[str, str] = {term: key_of("outputs", job.key, boxes, row.alone(term)) for term in terms}
        found = self._found(keys)
        missing = tuple(term for term in row.terms if term not in found)
        if not missing:
            return found
        row = row.replace(terms=missing)
        places = {letter: key_of("heads", job.key, boxes, letter) for letter in letters_of(row)}
        heads = self._found(places)
        letters = "".join(letter for letter in places if letter not in heads)
        if letters:
            heads |= self._kept(places, heads_of(job.clip, trunk, letters))
        return found | self._kept(keys, outputs_of(job.clip, trunk, row, heads))

    def _is_for(self, job: Job) -> bool:
        """Whether a variant reads the last block alone on a CPU, where it spends most of its time on that.

        All that is kept of the windows may take half the memory: what is made of them later must not push features and
        trunk out. A ResNet's values depend on what they are asked for with.
        """
        clip, row = job.clip, job.settings.attention
        if clip.device != "cpu" or row.entry > 1 or not clip.has_variants or not clip.tower.has_residual:
            return False
        patches = job.frame.grid[0] * job.frame.grid[1]
        features = patches * (clip.width + 1) + clip.width
        tokens = (clip.tower.prefix + patches) * clip.tower.channels
        of_window = features + (4 + len(row.terms)) * tokens  # the trunk, queries, keys, values, and the terms' outputs
        return 2 * _FLOAT * job.frame.count * of_window <= self._cache.budget

    def _found(self, keys: Mapping[str, str]) -> Heads:
        """What the cache has, by name."""
        found = {name: self._cache.get(key) for name, key in keys.items()}
        return {name: part for name, part in found.items() if part is not None}

    def _kept(self, keys: Mapping[str, str], made: Heads) -> Heads:
        """The same, kept where it has a key."""
        for name, part in made.items():
            if name in keys:
                self._cache.put(keys[name], part, part.nbytes)
        return made
