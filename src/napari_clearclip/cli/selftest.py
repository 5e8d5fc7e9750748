"""``selftest``: whether a loaded model sees what it should see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.cli.console import show, tell
from napari_clearclip.cli.request import find_model
from napari_clearclip.cli.segment import pipeline_for
from napari_clearclip.scenes import KINDS, make_scene, vocabulary

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.model import Clip
    from napari_clearclip.settings import Model

Pixels = npt.NDArray[np.uint8]

# A photograph in scikit-image's package (no download), and what it shows.
_PHOTOGRAPHS = {
    "chelsea": "cat",
    "astronaut": "astronaut",
    "coffee": "cup of coffee",
    "rocket": "rocket on a launch pad",
    "stereo_motorcycle": "motorcycle in a garage",
    "camera": "man with a camera on a tripod",
    "horse": "silhouette of a horse",
    "page": "page of printed text",
}
_SCENES_A_KIND, _WINDOW = 20, 64
# One photograph or a fifth of the scenes may be mistaken: a wrong normalisation or activation costs more than that.
_NEEDED = {"photographs": 0.87, "scenes": 0.8}


@dataclass(frozen=True)
class Case:
    """A picture, what it shows, and what else it could be."""

    name: str
    image: Pixels
    truth: str
    others: tuple[str, ...]


def run_selftest(text: str | None, device: str) -> int:
    """Print each case, then pass or fail; 0 for pass and 1 for fail is returned."""
    from napari_clearclip.engine.model import load

    model = find_model(text)
    clip = load(model, pipeline_for(device).device)
    kind = "scenes" if model.name == "demo" else "photographs"
    cases = scenes() if kind == "scenes" else photographs()
    vectors = _vectors(clip, cases)
    right = 0
    for case in cases:
        best, share = best_phrase(clip, case, vectors)
        right += best == case.truth
        said = "right" if best == case.truth else f"wrong, it says {best!r}"
        show(f"{case.name}: {case.truth!r} {said} ({100 * share:.0f} % sure)")
    passed = right >= _NEEDED[kind] * len(cases)
    show(f"selftest of {model}: {'pass' if passed else 'fail'} ({right} of {len(cases)} {kind})")
    if not passed:
        tell(_advice(model, kind))
    return 0 if passed else 1


def photographs() -> tuple[Case, ...]:
    """Photographs that everybody with scikit-image has."""
    import skimage.data

    phrases = tuple(_PHOTOGRAPHS.values())
    cases = []
    for name, truth in _PHOTOGRAPHS.items():
        image = getattr(skimage.data, name)()
        image = np.asarray(image[0] if isinstance(image, tuple) else image)
        image = image.astype(np.uint8) * 255 if image.dtype == np.bool_ else image
        rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        cases.append(Case(name, rgb, truth, tuple(phrase for phrase in phrases if phrase != truth)))
    return tuple(cases)


def scenes() -> tuple[Case, ...]:
    """The window of each drawn scene that one thing fills most, and three things of its kind that are not in it."""
    cases = []
    for kind in KINDS:
        names = vocabulary(kind)
        for seed in range(_SCENES_A_KIND):
            scene = make_scene(kind, seed)
            corners = [(row, col) for row in range(0, 129, 32) for col in range(0, 129, 32)]
            windows = [(slice(row, row + _WINDOW), slice(col, col + _WINDOW)) for row, col in corners]
            counts = [np.bincount(scene.truth[window].ravel(), minlength=1 + len(scene.names)) for window in windows]
            best = int(np.argmax([count[1:].max() for count in counts]))
            truth = scene.names[int(counts[best][1:].argmax())]
            present = {name for name, count in zip(scene.names, counts[best][1:], strict=True) if count}
            absent = [name for name in names if name not in present]
            others = np.random.default_rng(seed).permutation(absent)[:3].tolist()
            cases.append(Case(f"{kind} {seed}", scene.image[windows[best]], truth, tuple(others)))
    return tuple(cases)


def _vectors(clip: Clip, cases: Sequence[Case]) -> dict[str, torch.Tensor]:
    """The unit vector of every phrase; one template is enough where the model has none of its own."""
    from napari_clearclip.engine.text import embed

    phrases = list(dict.fromkeys(phrase for case in cases for phrase in (case.truth, *case.others)))
    templates = "single" if isinstance(clip.templates, str) else clip.templates
    return dict(zip(phrases, embed(clip, phrases, templates), strict=True))


def best_phrase(clip: Clip, case: Case, vectors: dict[str, torch.Tensor]) -> tuple[str, float]:
    """What the model's own image vector says a picture is, and its probability."""
    from napari_clearclip.engine.encoder import embed_images, prepare

    phrases = (case.truth, *case.others)
    pixels = clip.model.logit_scale.new_tensor(_fitted(case.image, clip)[None]).float()
    image = embed_images(clip, prepare(clip, pixels))[0].float().cpu()
    cosines = np.array([float(vectors[phrase] @ image) for phrase in phrases])
    shares = np.exp(float(clip.model.logit_scale.exp()) * (cosines - cosines.max()))
    place = int(shares.argmax())
    return phrases[place], float(shares[place] / shares.sum())


def _fitted(image: Pixels, clip: Clip) -> npt.NDArray[np.float32]:
    """The middle of a picture at the model's input size: (h, w, 3) in [0, 1]."""
    from napari_clearclip.engine.windows import resampling

    shown = image.astype(np.float32) / 255
    wanted = [count * clip.patch for count in clip.grid]
    scale = max(side / length for side, length in zip(wanted, shown.shape, strict=False))
    for axis, side in enumerate(wanted):
        new = max(round(shown.shape[axis] * scale), side)
        source, weights = resampling(shown.shape[axis], new, (new - side) // 2, (new - side) // 2 + side)
        part = np.moveaxis(shown, axis, 0)[source]
        shown = np.moveaxis(np.tensordot(weights, part, axes=1), 0, axis)
    return np.asarray(shown, np.float32)


def _advice(model: Model, kind: str) -> str:
    """What a failed test may mean."""
    if kind == "scenes":
        return "The bundled model is damaged; install napari-clearclip again."
    if model.name:
        return "This model does not see what it should: its weights or their preprocessing may not fit."
    return (
        "The file's weights may not fit their configuration (activation, mean and std, patch size), "
        "or the model was trained for another world than everyday photographs."
    )
