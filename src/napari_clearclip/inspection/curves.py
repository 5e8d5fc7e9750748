"""How tokens change from block to block, and what the last block adds: curves and numbers of an image."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import View
from napari_clearclip.engine.variants import variant
from napari_clearclip.looking import looking_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Settings
from napari_clearclip.steps import drain

if TYPE_CHECKING:
    from napari_clearclip.engine.towers import Plain

FloatArray = npt.NDArray[np.float64]

# Variants of ClearCLIP's Figure 2, and what attends to what in each.
KINDS = {
    "qk": "q-k",
    "qq": "q-q (ClearCLIP)",
    "kk": "k-k",
    "vv": "v-v",
    "sclip_clear": "q-q + k-k (SCLIP)",
    "maskclip": "own value (MaskCLIP)",
}


@dataclass(frozen=True, eq=False)
class Curves:
    """What is in each block of a tower, the mean over windows; parts are ``x_res``, ``x_attn`` and ``x_sum``.

    Attributes
    ----------
    entropy : dict of str to (N,) float64 array
        By part, from 0 (one entry stands out) to 1 (all alike).
    maximum : dict of str to (N,) float64 array
        By part, the largest entry.
    channels : (N, C) float64 array
        The mean of each channel of ``x_res`` over the tokens.
    """

    entropy: Mapping[str, FloatArray]
    maximum: Mapping[str, FloatArray]
    channels: FloatArray


@dataclass(frozen=True)
class LastBlock:
    """The size of what the last block adds up, for one attention; means over windows.

    Attributes
    ----------
    residual, attended : tuple of 2 float
        Of X_res and X_attn, the Frobenius norm and the mean length of a token.
    angle : float
        Mean angle, in degrees, between what the feed-forward network adds and what comes out.
    """

    residual: tuple[float, float]
    attended: tuple[float, float]
    angle: float


def block_curves(
    image: Any,
    settings: Settings,
    view: View | None = None,
    other: Plain | None = None,
    pipeline: Pipeline | None = None,
) -> Curves:
    """Entropy, maximum and channel means of every block of the model, or of another tower on the same windows.

    Parameters
    ----------
    image, settings, view, pipeline
        As for `attention_map`.
    other : Plain, optional
        From `napari_clearclip.engine.towers.plain_tower`, such as DINO's.

    Notes
    -----
    Of large images 32 windows, spread evenly.

    References
    ----------
    ClearCLIP, Eq. (5), Figs. 4 and 5.
    """
    return drain(curves_steps(pipeline or Pipeline(), image, settings, view, other))


def curves_steps(
    pipeline: Pipeline, image: Any, settings: Settings, view: View | None = None, other: Plain | None = None
) -> Generator[Progress, None, Curves]:
    """As `block_curves`, yielding how far it is."""
    from napari_clearclip.engine.anatomy import blocks_of, entropy
    from napari_clearclip.engine.correct import spread_windows
    from napari_clearclip.engine.encoder import prepare

    looking = yield from looking_steps(pipeline, image, settings, view)
    clip = looking.job.clip
    if not clip.has_variants and other is None:
        raise ValueError("a student (MaskCLIP+) has no attention to look at; choose the model that it learned from")
    tower, numbers = (clip.tower if other is None else other.tower), spread_windows(looking.job.frame)
    spread: list[list[list[float]]] = []
    channels = []
    for done, number in enumerate(numbers):
        images = prepare(clip if other is None else other, looking.pixels(number))
        images = images.to(clip.device, clip.dtype) if other is None else images
        values, means = [], []
        for block in blocks_of(tower, images, looking.job.settings.tiling.positions):
            yield Progress("Reading blocks", done, len(numbers), "windows")
            parts = (block.residual, block.attended, block.total)
            values.append([float(measure) for part in parts for measure in (entropy(part)[0], part.max())])
            means.append(block.residual[0].double().mean(dim=0).cpu().numpy())
        spread.append(values)
        channels.append(means)
    table = np.asarray(spread).mean(axis=0)  # (N, 6)
    names = ("x_res", "x_attn", "x_sum")
    entropies = {name: table[:, 2 * at] for at, name in enumerate(names)}
    most = {name: table[:, 2 * at + 1] for at, name in enumerate(names)}
    return Curves(entropies, most, np.asarray(channels).mean(axis=0))


def last_block_norms(
    image: Any,
    settings: Settings,
    names: Sequence[str] = tuple(KINDS),
    view: View | None = None,
    pipeline: Pipeline | None = None,
) -> dict[str, LastBlock]:
    """Norms of X_res and X_attn, and the angle of the feed-forward network, in the last block by kind of attention.

    Parameters
    ----------
    image, settings, view, pipeline
        As for `attention_map`.
    names : sequence of str
        Of `VARIANTS`; of each the attention counts, whatever else its row keeps.

    References
    ----------
    ClearCLIP, Fig. 2 and Sec. 3.3.
    """
    return drain(norms_steps(pipeline or Pipeline(), image, settings, names, view))


def norms_steps(
    pipeline: Pipeline, image: Any, settings: Settings, names: Sequence[str] = tuple(KINDS), view: View | None = None
) -> Generator[Progress, None, dict[str, LastBlock]]:
    """As `last_block_norms`, yielding how far it is."""
    from napari_clearclip.engine.anatomy import feed_forward_angles, last_block, norms_of
    from napari_clearclip.engine.correct import spread_windows

    looking = yield from looking_steps(pipeline, image, settings, view)
    clip, numbers = looking.job.clip, spread_windows(looking.job.frame)
    found = {}
    for name in names:
        row, values = variant(name), []
        for done, number in enumerate(numbers):
            yield Progress("Measuring the last block", done, len(numbers), "windows")
            trunk = yield from looking.by(row).trunk(number)
            prefix = clip.tower.prefix
            parts = [part[:, prefix:] for part in last_block(clip, trunk, row)]
            norms = [float(norm[0]) for part in parts for norm in norms_of(part)]
            values.append([*norms, float(feed_forward_angles(clip, trunk, row).mean())])
        mean = np.asarray(values).mean(axis=0).tolist()
        found[name] = LastBlock((mean[0], mean[1]), (mean[2], mean[3]), mean[4])
    return found
