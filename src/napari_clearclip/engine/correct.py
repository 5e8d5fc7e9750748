"""Strokes and examples to what they add to a phrase's vector: how a prompt learns from corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_clearclip.edits import Region
    from napari_clearclip.engine.encoder import Features
    from napari_clearclip.engine.windows import Frame

Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

SCALE = 50.0  # factor on cosines in a softmax, as in the papers
MEMORY = 5.0  # weight of the words' own scores on the surroundings against a stroke
PRIOR = 0.003  # weight of how far logits of the surroundings move, against a stroke
RIDGE = 0.03  # share of the plain distance in the metric, for directions in which a picture shows nothing
BETWEEN = 0.4  # where a likeness begins to count, from the average patch (0) to the example (1)
CERTAINTY = 6.0  # lead of an example over the distractors, as a difference of logits
MOST_CELLS = 256  # of a stroke; a longer one is thinned evenly
MOST_WINDOWS = 32  # of a plane that are looked at beside those with strokes
MOST_IN_WINDOW = 512  # patches of a window that are looked at
MOST_PATCHES = 2048  # that stand for the surroundings


@dataclass(frozen=True)
class Spots:
    """Cells under a region.

    Attributes
    ----------
    rows, cols : (n,) int64 arrays
        The cells.
    weights : (n,) float64 array
        How much each counts, by its pixels in the region; those of each connected part sum to 1, so that a long stroke
        does not drown a short one.
    """

    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    weights: Array


@dataclass(frozen=True)
class Evidence:
    """What strokes say: features of cells (n, D), whether each is meant (1) or not (-1), (n,), and its weight (n,)."""

    features: FloatArray
    signs: Array
    weights: Array

    def signed(self, sign: int) -> Evidence:
        """The same, as meant (1) or not meant (-1)."""
        return replace(self, signs=np.full(len(self.signs), float(sign)))

    @classmethod
    def join(cls, parts: Sequence[Evidence]) -> Evidence:
        """All evidence together."""
        fields = zip(*((part.features, part.signs, part.weights) for part in parts), strict=True)
        return cls(*(np.concatenate(field) for field in fields))


@dataclass(frozen=True)
class Surroundings:
    """Patches (N, D) of an image with strokes: what a change of a vector is measured by."""

    patches: FloatArray

    @classmethod
    def of(cls, parts: Sequence[FloatArray]) -> Surroundings:
        """Those of some windows, at most `MOST_PATCHES`, spread evenly."""
        patches = np.concatenate(parts)
        return cls(patches[:: -(-len(patches) // MOST_PATCHES)])

    @cached_property
    def second(self) -> Array:
        """Mean of f f^T over the patches, (D, D)."""
        patches = self.patches.astype(np.float64)
        return np.asarray(patches.T @ patches / len(patches), np.float64)

    @cached_property
    def metric(self) -> Array:
        """``S = (1 - RIDGE) second + RIDGE trace(second) / D``, (D, D)."""
        size = len(self.second)
        metric: Array = (1 - RIDGE) * self.second + RIDGE * np.trace(self.second) / size * np.eye(size)
        return metric

    @cached_property
    def root(self) -> Array:
        """Lower triangular L (D, D) with ``L L^T = d S``, so that a patch f has ``|L^-1 f|^2 = 1`` on average."""
        spread = np.trace(np.linalg.solve(self.metric, self.second))  # d
        return np.asarray(np.linalg.cholesky(spread * self.metric), np.float64)

    @cached_property
    def white(self) -> Array:
        """``L^-1 f`` of each patch, (N, D)."""
        return np.asarray(np.linalg.solve(self.root, self.patches.T.astype(np.float64)).T, np.float64)

    def fit(self, values: Array) -> Array:
        """The vector (D,) whose products with the patches come nearest to `values` (N,), by ridge regression."""
        product = self.patches.T.astype(np.float64) @ values / len(values)
        return np.asarray(np.linalg.solve(self.metric, product), np.float64)


def spots(region: Region, frame: Frame) -> Spots:
    """The cells of a frame that a region touches."""
    from scipy.ndimage import label

    counts = np.zeros(frame.cells, np.int64)
    for (rows, cols), inside in region.parts(frame.image):
        places = np.nonzero(inside)
        at = [
            ((place + part.start + 0.5) / size).astype(np.int64)
            for place, part, size in zip(places, (rows, cols), frame.cell_size, strict=True)
        ]
        np.add.at(counts, (np.minimum(at[0], counts.shape[0] - 1), np.minimum(at[1], counts.shape[1] - 1)), 1)
    strokes, _ = label(counts, np.ones((3, 3)))
    rows_, cols_ = np.nonzero(_thinned(strokes))
    stroke = strokes[rows_, cols_]
    weights = counts[rows_, cols_] / np.bincount(stroke, counts[rows_, cols_])[stroke]
    return Spots(rows_, cols_, weights)


def _thinned(strokes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Where labels (h, w) are not 0; of a label with many cells, `MOST_CELLS` at most, spread evenly."""
    kept = strokes > 0
    sizes = np.bincount(strokes[kept])
    for stroke in np.flatnonzero(sizes > MOST_CELLS):
        cells = np.flatnonzero(strokes == stroke)
        kept.flat[np.delete(cells, np.s_[:: -(-sizes[stroke] // MOST_CELLS)])] = False
    return kept


def thinned(features: Features) -> FloatArray:
    """The patches (n, D) of a window, at most `MOST_IN_WINDOW`, spread evenly."""
    patches: FloatArray = features.vectors.float().flatten(0, 2).numpy()
    return patches[:: -(-len(patches) // MOST_IN_WINDOW)].copy()


def windows_with(where: Spots, frame: Frame) -> list[int]:
    """The numbers of the windows that hold any of some cells."""
    held = np.zeros(frame.cells, bool)
    held[where.rows, where.cols] = True
    return [number for number, box in enumerate(frame.boxes) if held[frame.cells_in(box)].any()]


def spread_windows(frame: Frame) -> list[int]:
    """The numbers of at most `MOST_WINDOWS` windows, spread evenly over the image."""
    return sorted({round(place) for place in np.linspace(0, frame.count - 1, min(frame.count, MOST_WINDOWS)).tolist()})


class Gathering:
    """Collects features of some cells from a frame's windows, as `stitch` does maps.

    Parameters
    ----------
    where : Spots
        The n cells.
    frame : Frame
        Coordinates.
    width : int
        D, the size of a feature.
    """

    def __init__(self, where: Spots, frame: Frame, width: int) -> None:
        self._where, self._frame = where, frame
        self._total = np.zeros((len(where.rows), width), np.float32)
        self._count = np.zeros((len(where.rows), 1), np.float32)

    def add(self, number: int, features: Features) -> None:
        """Add the features of a window, by its number."""
        box = self._frame.boxes[number]
        rows, cols = self._frame.cells_in(box)
        where = self._where
        inside = (rows.start <= where.rows) & (where.rows < rows.stop)
        inside &= (cols.start <= where.cols) & (where.cols < cols.stop)
        if inside.any():
            down, across = self._frame.sampling(box)
            vectors = features.vectors[0].float().numpy()  # (gh, gw, D)
            sampled = np.einsum("jw,iwd->ijd", across, np.tensordot(down, vectors, 1), optimize=True)  # (n, m, D)
            self._total[inside] += sampled[where.rows[inside] - rows.start, where.cols[inside] - cols.start]
            self._count[inside] += 1

    def evidence(self) -> Evidence:
        """The mean over the windows, as meant; its product with a vector is the stitched cosine of each cell."""
        return Evidence(self._total / self._count, np.ones(len(self._total)), self._where.weights)


def _level(features: Array, rivals: Array) -> Array:
    """What competes at features (n, D): log-sum-exp of the rivals' (R, D) logits, (n,)."""
    logits = SCALE * features @ rivals.T  # (n, R)
    most = logits.max(axis=1, initial=-np.inf)
    level: Array = most + np.log(np.exp(logits - most[:, None]).sum(axis=1))
    return level


def liken(own: Array, rivals: Array, example: FloatArray, surroundings: Surroundings, mix: float) -> Array:
    """Vectors of phrases, mixed with the likeness to an example.

    Parameters
    ----------
    own : (K, D) float64 array
        The phrases' vectors.
    rivals : (R, D) float64 array
        Those of the distractors, at least one; the same for all prompts, so that examples can be told apart.
    example : (n, D) float32 array
        Features of the example.
    surroundings : Surroundings
        What is around it.
    mix : float
        0 = words only, 1 = example only.

    Returns
    -------
    (K, D) float64 array
        ``(1 - mix) own + mix e``.

    Notes
    -----
    Features of images are much nearer to each other than to any text, so that an example's cosines cannot stand beside
    those of phrases. The likeness ``a . f`` with ``a = example - mean patch`` is therefore put on their scale:
    ``e = r + g (a - theta)`` where r is a linear fit of what the rivals reach together, and g and theta are such that
    the example leads over the rivals by `CERTAINTY` and a patch that is `BETWEEN` the average one and it, not at all.
    Constants are vectors too: a fit of 1.
    """
    if not mix:
        return own
    middle = example.astype(np.float64).mean(axis=0)
    middle /= np.linalg.norm(middle)
    average = surroundings.patches.mean(axis=0, dtype=np.float64)
    likeness = middle - average
    start = likeness @ (average + BETWEEN * likeness)
    gain = CERTAINTY / SCALE / max(float(likeness @ middle - start), 1e-6)
    one = surroundings.fit(np.ones(len(surroundings.patches)))
    rival = surroundings.fit(_level(surroundings.patches.astype(np.float64), rivals) / SCALE)
    return np.asarray((1 - mix) * own + mix * (rival + gain * (likeness - start * one)), np.float64)


def learn(own: Array, rivals: Array, evidence: Evidence, surroundings: Surroundings) -> Array:
    """What strokes add to the vectors of a prompt.

    Parameters
    ----------
    own : (K, D) float64 array
        The vectors of its phrases; of several, the best one counts.
    rivals : (R, D) float64 array
        Those of what it competes with, at least one.
    evidence : Evidence
        What was drawn.
    surroundings : Surroundings
        What is around it.

    Returns
    -------
    (D,) float64 array
        The delta that minimises, with u = L^T s delta and s = `SCALE`, ``sum_i weight_i log(1 + exp(-sign_i z_i)) +
        MEMORY mean_j KL(b_j, z_j) + PRIOR / 2 |u|^2``: i goes over the evidence, j over the surroundings; the logit of
        a feature f is ``b = s max_k own_k . f - log sum_r exp(s rival_r . f)`` by the words and ``z = b + s delta . f``
        after learning, and KL is the divergence of the scores 1 / (1 + exp(-logit)). In the mean, all patches together
        that one phrase wins weigh as much as those of another, so that small things are not forgotten for large ones.

    Notes
    -----
    A logistic head on the score itself. It starts from the words and cannot forget them: at the minimum no term is more
    than what the words alone lose on the strokes, ``sum_i weight_i log(1 + exp(-sign_i b_i))``, so that the mean
    divergence of scores around is at most that over `MEMORY`, however the strokes lie; where strokes agree with the
    words, nothing moves.

    Distances are measured by how much logits of the surroundings change (L), not by how far the vector moves: features
    share most of what they are, so that a plain step towards one patch would lift all of them. For the same reason the
    vectors are not made unit again, which would lower all cosines of the prompt.

    References
    ----------
    Hariharan et al., Discriminative decorrelation for clustering and classification, ECCV 2012, and Wang et al., A
    hard-to-beat baseline for training-free CLIP-based adaptation, ICLR 2024 (the metric); Li and Hoiem, Learning
    without forgetting, ECCV 2016, Eq. (1) (the second term); Zhang et al., Tip-Adapter, ECCV 2022, and Silva-Rodriguez
    et al., A closer look at the few-shot adaptation of large vision-language models, CVPR 2024 (heads that start from
    the text's vectors).
    """
    from scipy.optimize import minimize

    features = evidence.features.astype(np.float64)
    base, around = (_lead(part, own, rivals) for part in (features, surroundings.patches.astype(np.float64)))
    seen = np.linalg.solve(surroundings.root, features.T).T  # (n, D)
    scores, shares = _sigmoid(around), _shares(surroundings.patches, np.concatenate([own, rivals]))

    def loss(step: Array) -> tuple[float, Array]:
        margin, logits = evidence.signs * (base + seen @ step), around + surroundings.white @ step
        kept = shares @ (np.logaddexp(0, logits) - scores * logits)
        value = evidence.weights @ np.logaddexp(0, -margin) + MEMORY * kept + PRIOR / 2 * step @ step
        slope = -(evidence.weights * evidence.signs * _sigmoid(-margin)) @ seen
        slope += MEMORY * (shares * (_sigmoid(logits) - scores)) @ surroundings.white + PRIOR * step
        return float(value), slope

    options: dict[str, Any] = {"maxiter": 500, "gtol": 1e-8, "ftol": 1e-12}
    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options=options)
    delta: Array = np.linalg.solve(surroundings.root.T, found.x) / SCALE
    return delta


def _lead(features: Array, own: Array, rivals: Array) -> Array:
    """The logits of a prompt at features (n, D): what its best phrase has over all that competes, (n,)."""
    lead: Array = SCALE * (features @ own.T).max(axis=1) - _level(features, rivals)
    return lead


def _shares(patches: FloatArray, vectors: Array) -> Array:
    """Weights (N,) of patches (N, D) that sum to 1; those that one vector wins, together as much as another's."""
    winners = np.argmax(patches @ vectors.T, axis=1)
    counts = np.bincount(winners)
    shares: Array = 1 / counts[winners] / np.count_nonzero(counts)
    return shares


def _sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-logit))."""
    scores: Array = np.exp(-np.logaddexp(0, -logits))
    return scores
