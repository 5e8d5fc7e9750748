"""What the parts of the last block find of a phrase, and where variants disagree: maps of a whole image."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import View
from napari_clearclip.engine.variants import VARIANTS, variant
from napari_clearclip.looking import looking_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Settings
from napari_clearclip.steps import drain

FloatArray = npt.NDArray[np.float32]

PARTS = ("x_sum", "x_res", "x_attn")
USUAL = ("clearclip", "sclip", "naclip", "maskclip", "qk", "vanilla")


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What each part of the last block finds of a phrase, on the cells of a run.

    Attributes
    ----------
    alone : dict of str to (h, w) float32 array
        Cosines of ``x_sum``, ``x_res`` and ``x_attn``, each through a norm of its own (ClearCLIP, Fig. 3).
    shares : dict of str to (h, w) float32 array
        What ``x_res``, ``x_attn`` and the norm's ``bias`` add to the cosine of ``x_sum``; they sum to it exactly.
    """

    alone: Mapping[str, FloatArray]
    shares: Mapping[str, FloatArray]


def decompose(
    image: Any, settings: Settings, phrase: str, view: View | None = None, pipeline: Pipeline | None = None
) -> Decomposition:
    """What each part of the last block finds of a phrase, with the attention of the variant that the settings name.

    Parameters
    ----------
    image, settings, view, pipeline
        As for `attention_map`.
    phrase : str
        What is looked for.

    Raises
    ------
    ValueError
        If the model knows no word of the phrase, or its last block has no residual connection.
    """
    return drain(decompose_steps(pipeline or Pipeline(), image, settings, phrase, view))


def decompose_steps(
    pipeline: Pipeline, image: Any, settings: Settings, phrase: str, view: View | None = None
) -> Generator[Progress, None, Decomposition]:
    """As `decompose`, yielding how far it is."""
    from napari_clearclip import domains
    from napari_clearclip.engine.anatomy import shares_of
    from napari_clearclip.engine.encoder import project
    from napari_clearclip.engine.stitching import Stitching

    domains.check_phrases(settings.model, [phrase])
    looking = yield from looking_steps(pipeline, image, settings, view)
    vector = (yield from looking.words([phrase]))[phrase]
    clip, frame, row = looking.job.clip, looking.job.frame, looking.job.settings.attention
    rows = {"x_sum": (1, 1), "x_res": (1, 0), "x_attn": (0, 1)}
    parts = Stitching(frame)
    for number in range(frame.count):
        yield Progress("Taking windows apart", number, frame.count, "windows")
        trunk = yield from looking.trunk(number)
        vectors = {f"share {name}": share for name, share in shares_of(clip, trunk, row).items()}
        for name, (residual, alpha) in rows.items():
            part = row.replace(residual=residual, alpha=alpha, ffn=0, debias=0)
            vectors[name] = project(clip, trunk, part).vectors.float()
        parts.add(number, {name: (found @ found.new_tensor(vector))[0] for name, found in vectors.items()})
    maps = {name: values.numpy() for name, values in parts.maps().items()}
    shares = {name.removeprefix("share "): values for name, values in maps.items() if name.startswith("share ")}
    return Decomposition({name: maps[name] for name in PARTS}, shares)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What variants make of an image.

    Attributes
    ----------
    labels : dict of str to (H, W) uint8 array
        By variant, for each pixel the place of its prompt among the objects, from 1; 0 for none.
    disagreement : (H, W) float32 array
        The share of pairs of variants that give a pixel different labels: 0 where all agree, 1 where no two do.
    """

    labels: Mapping[str, npt.NDArray[np.uint8]]
    disagreement: FloatArray


def disagreement(labels: Sequence[npt.NDArray[np.integer[Any]]]) -> FloatArray:
    """The share of pairs of label maps (H, W) that differ, pixel by pixel.

    Raises
    ------
    ValueError
        If there are fewer than two.

    Examples
    --------
    >>> import numpy as np
    >>> disagreement([np.array([[0, 1, 1]]), np.array([[0, 1, 2]]), np.array([[0, 2, 3]])]).round(2)
    array([[0.  , 0.67, 1.  ]], dtype=float32)
    """
    if len(labels) < 2:
        raise ValueError(f"{len(labels)} variant cannot disagree; give two or more")
    found = np.zeros(labels[0].shape, np.float32)
    for at, one in enumerate(labels):
        for other in labels[at + 1 :]:
            found += one != other
    found /= len(labels) * (len(labels) - 1) / 2
    return found


def compare_variants(
    image: Any,
    settings: Settings,
    names: Sequence[str] = USUAL,
    view: View | None = None,
    pipeline: Pipeline | None = None,
) -> Comparison:
    """What variants make of an image with the same prompts, and where they disagree; the trunk is shared.

    Parameters
    ----------
    image, settings, view, pipeline
        As for `Pipeline.run`.
    names : sequence of str
        Of `VARIANTS`.

    Raises
    ------
    ValueError
        If there is no prompt or such a variant, or the model cannot compute it.
    """
    return drain(compare_steps(pipeline or Pipeline(), image, settings, names, view))


def compare_steps(
    pipeline: Pipeline, image: Any, settings: Settings, names: Sequence[str] = USUAL, view: View | None = None
) -> Generator[Progress, None, Comparison]:
    """As `compare_variants`, yielding how far it is."""
    rows = {name: variant(name) for name in names}
    labels = {}
    for name in sorted(rows, key=lambda name: -rows[name].entry):  # what begins earlier in the tower serves the others
        steps = pipeline.steps(image, settings.replace(attention=rows[name]), view)
        while True:
            try:
                state = next(steps)
            except StopIteration as end:
                labels[name] = end.value.labels
                break
            yield Progress(f"{VARIANTS[name].title}: {state.stage}", state.done, state.total, state.unit)
    return Comparison({name: labels[name] for name in names}, disagreement(list(labels.values())))
