"""What each way to refine masks brings, and what it costs, on scenes that neither training nor choosing saw.

``python -m benchmarks refine [SCENES]`` prints, as means over the kinds of scenes (SCENES of each, 10):
``refine_<step>_miou``, ``refine_<step>_boundary_f`` (tolerance 2 pixels), ``refine_<step>_seconds`` (what the step
takes once the cosines are there) and ``refine_<step>_time`` (a run with the step over one without). Scenes have 512
pixels a side, more than the model reads, as most images have; scenes of the size that it was trained on, which it reads
pixel by pixel, follow as ``refine_native_...``. ``pamr_miou_gain`` is what PAMR alone brings (as in NACLIP),
``default_miou_gain`` and ``boundary_f_gain`` are what *Clean edges* in the panel brings.

Where ``CLEARCLIP_TEST_DATA`` names the folder of real images and ``../models/street`` lies beside it,
``refine_street_...`` says the same of photographs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_clearclip.chains import CHAINS, DEFAULT
from napari_clearclip.evaluate.cases import Case, scene_case
from napari_clearclip.evaluate.metrics import Counts, boundary_f, confusion_matrix, mean_iou
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import KINDS, make_scene
from napari_clearclip.settings import Cleaning, Comparing, Deciding, Model, Prompt, Refining, Settings, Tiling

SIZES = {"": 512, "native_": 192}
FIRST_SEED = 7000  # the default chain was chosen on seeds from 5000
STREET = ("sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
STREET_TEMPLATES = (
    "a photo of {}.",
    "a photo of the {}.",
    "a photo of a {}.",
    "there is {} in the scene.",
    "{} in a street.",
)

Change = Callable[[Settings], Settings]


def _part(name: str, value: Comparing | Refining | Cleaning) -> Change:
    return lambda settings: settings.replace(**{name: value})


STEPS: dict[str, Change] = {
    "none": lambda settings: settings,
    "denoise": lambda settings: settings.replace(comparing=settings.comparing.replace(denoise=0.5)),
    "smooth": lambda settings: settings.replace(comparing=settings.comparing.replace(smooth=1)),
    "pamr": CHAINS["naclip"].on,
    "pamr_figures": CHAINS["naclip_figures"].on,
    "guided": _part("refining", Refining(guided=8)),
    "felzenszwalb": _part("cleaning", Cleaning(edges="felzenszwalb")),
    "watershed": _part("cleaning", Cleaning(edges="watershed")),
    "clean": _part("cleaning", Cleaning(smallest=64, hole=64)),
    "default": CHAINS[DEFAULT].on,  # superpixels of slic
}


@dataclass
class Tally:
    """What one step found and took, over images of one kind."""

    counts: list[Counts] = field(default_factory=list)
    outlines: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def miou(self) -> float:
        """Of all images together, without the class that has no name."""
        return 100 * mean_iou(np.sum(self.counts, axis=0), exclude=(0,))

    @property
    def boundary_f(self) -> float:
        """The mean over images of the mean over classes."""
        return 100 * float(np.nanmean(self.outlines))


def main(arguments: list[str]) -> None:
    """Print the tables."""
    count = int(arguments[0]) if arguments else 10
    for prefix, size in SIZES.items():
        tallies = [_tally(_scenes(kind, count, size)) for kind in KINDS]
        for kind, tally in zip(KINDS, tallies, strict=True):
            for step, found in tally.items():
                print(f"refine_{prefix}{kind}_{step}_miou: {found.miou:.1f} %")
                print(f"refine_{prefix}{kind}_{step}_boundary_f: {found.boundary_f:.1f} %", flush=True)
        _print(prefix, tallies)
    folder = os.environ.get("CLEARCLIP_TEST_DATA", "")
    weights = Path(folder).parent / "models/street/street.safetensors"
    if folder and weights.exists():
        _print("street_", [_tally(_photographs(Path(folder) / "camvid", weights))])


def _scenes(kind: str, count: int, size: int) -> Iterator[Case]:
    return (scene_case(make_scene(kind, seed, size)) for seed in range(FIRST_SEED, FIRST_SEED + count))


def _tally(cases: Iterable[Case]) -> dict[str, Tally]:
    """What each step makes of some images; the first, without any, reads the image as well."""
    tallies = {step: Tally() for step in STEPS}
    pipeline = Pipeline()
    for case in cases:
        pipeline.run(np.zeros((64, 64), np.uint8), case.settings)  # loads the model and reads the prompts
        for step, change in STEPS.items():
            began = time.perf_counter()
            predicted = case.predicted(pipeline, change(case.settings))
            tallies[step].seconds.append(time.perf_counter() - began)
            tallies[step].counts.append(confusion_matrix(case.truth, predicted, case.classes, case.ignore))
            outlines = boundary_f(case.truth, predicted, case.classes, ignore=case.ignore)[1:]
            tallies[step].outlines.append(float(np.nanmean(outlines)))
    return tallies


def _print(prefix: str, tallies: list[dict[str, Tally]]) -> None:
    """Means over the kinds of images, and what is gained."""
    miou = {step: np.mean([tally[step].miou for tally in tallies]) for step in STEPS}
    outlines = {step: np.mean([tally[step].boundary_f for tally in tallies]) for step in STEPS}
    seconds = {step: np.mean([np.mean(tally[step].seconds) for tally in tallies]) for step in STEPS}
    for step in STEPS:
        added = 0 if step == "none" else seconds[step]
        print(f"refine_{prefix}{step}_miou: {miou[step]:.1f} %")
        print(f"refine_{prefix}{step}_boundary_f: {outlines[step]:.1f} %")
        print(f"refine_{prefix}{step}_seconds: {seconds[step]:.2f} s")
        print(f"refine_{prefix}{step}_time: {(seconds['none'] + added) / seconds['none']:.2f} ratio")
    print(f"{prefix}pamr_miou_gain: {miou['pamr'] - miou['none']:.1f} points")
    print(f"{prefix}default_miou_gain: {miou['default'] - miou['none']:.1f} points")
    print(f"{prefix}boundary_f_gain: {outlines['default'] / outlines['none']:.2f} ratio", flush=True)


def _photographs(folder: Path, weights: Path) -> Iterator[Case]:
    """Street photographs; all names compete and nothing else does."""
    import imageio.v3 as imageio

    settings = Settings(
        model=Model(name="", pretrained=str(weights)),
        prompts=tuple(Prompt(id=name, phrase=name, threshold=0) for name in STREET),
        tiling=Tiling(short_side=192, window=64, stride=32),
        comparing=Comparing(templates=STREET_TEMPLATES),
        deciding=Deciding(competitors="all"),
    )
    classes = np.arange(len(STREET) + 1)
    for path in sorted((folder / "images").glob("*.png")):
        labels = imageio.imread(folder / "labels" / path.name)
        truth = np.where(labels < len(STREET), labels + 1, 255)
        yield Case(imageio.imread(path), settings, truth, classes, len(classes), ignore=255)
