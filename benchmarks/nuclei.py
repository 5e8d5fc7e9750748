"""How many touching nuclei are told apart: ``python -m benchmarks nuclei``, with ``CLEARCLIP_TEST_DATA`` set.

Figures are F1 of nuclei at an intersection over union of 0.5, on the fluorescence image of the test data.

- ``nuclei_f1``: the true foreground, split by its shape with the defaults; ``nuclei_components_f1``: not cut at necks.
- ``nuclei_half_size_f1``, ``nuclei_double_size_f1``: the same defaults on the image at other sizes.
- ``nuclei_otsu_f1``: the foreground by a band expression with Otsu's threshold instead, as it is;
  ``nuclei_otsu_clean_f1``: with smooth outlines and without specks.
- ``nuclei_text_f1``: the foreground that the bundled model finds for "nucleus", at its own threshold;
  ``nuclei_text_iou`` is how well that agrees with the true one, as ``nuclei_otsu_iou`` for the band expression.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from napari_clearclip.domains import as_prompts, distractors_for
from napari_clearclip.engine.instances import split
from napari_clearclip.evaluate.metrics import match_instances
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Cleaning, Index, Model, Prompt, Settings, Splitting

SIZES = {"": 1.0, "half_size_": 0.5, "double_size_": 2.0}


def main(_: list[str]) -> int:
    """Print the figures."""
    if not (folder := os.environ.get("CLEARCLIP_TEST_DATA")):
        print("set CLEARCLIP_TEST_DATA to the folder with the test data", file=sys.stderr)
        return 2
    import tifffile
    from skimage.transform import resize

    image = tifffile.imread(Path(folder) / "microscopy" / "nuclei_2d.tif")
    truth = tifffile.imread(Path(folder) / "microscopy" / "nuclei_2d_labels.tif").astype(np.int64)
    for name, size in SIZES.items():
        shape = tuple(round(size * side) for side in truth.shape)
        sized = resize(truth, shape, order=0, preserve_range=True, anti_aliasing=False).astype(np.int64)
        for method in ("shape", "components") if size == 1 else ("shape",):
            kind = "components_" if method == "components" else ""
            _print(f"nuclei_{name}{kind}f1", _f1(sized, sized > 0, Splitting(method=method)))
    bright = Prompt(id="nucleus", phrase="nucleus", index=Index(expression="b1", otsu=True))
    words = Prompt(id="nucleus", phrase="nucleus", synonyms=("nuclei",))
    _print_found("otsu", image, truth, bright, Cleaning())
    _print_found("otsu_clean", image, truth, bright, Cleaning(smooth=1, smallest=30))
    _print_found("text", image, truth, words, Cleaning())
    return 0


def _print_found(name: str, image: np.ndarray, truth: np.ndarray, prompt: Prompt, cleaning: Cleaning) -> None:
    """F1 and agreement of what a prompt finds, against the distractors of the bundled model."""
    prompts = (prompt, *as_prompts(distractors_for(Model())))
    settings = Settings(prompts=prompts, cleaning=cleaning, splitting=Splitting(method="shape"))
    result = Pipeline().run(image, settings)
    found = result.mask("nucleus")
    _print(f"nuclei_{name}_f1", match_instances(truth, result.instances_of("nucleus")).f1)
    _print(f"nuclei_{name}_iou", np.logical_and(found, truth).sum() / np.logical_or(found, truth).sum())


def _print(name: str, value: float) -> None:
    print(f"{name}: {value:.3f} ratio", flush=True)


def _f1(truth: np.ndarray, mask: np.ndarray, splitting: Splitting) -> float:
    """F1 of what a mask is split into."""
    ids = split(mask.astype(np.uint8), lambda _, rows, cols: mask[rows, cols].astype(np.float32), splitting)
    return match_instances(truth, ids).f1
