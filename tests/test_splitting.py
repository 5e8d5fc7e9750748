"""Objects of what was measured at pixels: their ids say where that is highest, however large the cells are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_clearclip.cache import Cache
from napari_clearclip.edits import Edits, View
from napari_clearclip.job import Bands
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.result import Scores, Segmentation
from napari_clearclip.settings import Comparing, Index, Prompt, Runtime, Settings, Splitting
from napari_clearclip.splitting import Splitter
from napari_clearclip.stack import Band, Stack
from napari_clearclip.steps import drain

PROMPT = Prompt(id="spots", phrase="spots", threshold=0.5, index=Index(expression="b1", low=0, high=200))
LARGE = Comparing(cell=16)  # several spots a cell


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path)))


def spots(seed: int) -> np.ndarray:
    """Spots of some pixels, brightest at one of them, 200 and brighter in some."""
    image = np.zeros((48, 64))
    rng = np.random.default_rng(seed)
    for row, col in rng.integers(2, (46, 62), (40, 2)):
        image[row, col] = rng.uniform(1500, 4000)
    return ndimage.gaussian_filter(image, 1.2) + rng.uniform(0, 1, image.shape)


def settings(method: str = "components", threshold: float = 0.5) -> Settings:
    prompts = (PROMPT.replace(threshold=threshold),)
    return Settings(prompts=prompts, comparing=LARGE, splitting=Splitting.model_validate({"method": method}))


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_an_id_is_the_brightest_pixel_of_a_spot(seed: int, overlapping: bool, pipeline: Pipeline) -> None:
    image, wanted = spots(seed), settings()
    wanted = wanted.replace(deciding=wanted.deciding.replace(exclusive=not overlapping))
    result = pipeline.run(image, wanted)
    ids = result.instances_of("spots")
    components, count = ndimage.label(image >= 100)
    assert np.unique(ids).size == count + 1 > 12
    np.testing.assert_array_equal(ids > 0, components > 0)
    for number in range(1, count + 1):
        inside = components == number
        (id_,) = np.unique(ids[inside])
        row, col = divmod(int(id_) - 1, 64)
        assert inside[row, col]
        assert image[row, col] == image[inside].max() or image[row, col] >= 200  # all of these are scored 1


@pytest.mark.parametrize("method", ["components", "shape", "score"])
@pytest.mark.parametrize("seed", range(3))
def test_a_spot_keeps_its_id_while_the_threshold_moves(seed: int, method: str, pipeline: Pipeline) -> None:
    image, kept = spots(seed), 0
    before = pipeline.run(image, settings(method, 0.4)).instances
    after = pipeline.run(image, settings(method, 0.6)).instances
    assert before is not None
    assert after is not None
    for id_ in np.unique(before[before > 0]):
        inside = np.unique(after[(before == id_) & (after > 0)])
        if len(inside) == 1 and np.unique(before[after == inside[0]]).tolist() == [id_]:  # neither cut nor joined
            assert inside[0] == id_
            kept += 1
    assert kept > 8


def test_what_was_forgotten_is_measured_again(pipeline: Pipeline) -> None:
    result = pipeline.run(spots(1), settings())
    pipeline.forget()
    first = result.instances
    assert first is not None
    np.testing.assert_array_equal(first, Pipeline(pipeline.runtime).run(spots(1), settings()).instances)


def test_bands_beside_the_image_are_those_that_were_measured(pipeline: Pipeline) -> None:
    bands = Stack([Band("far red", spots(2))])
    wanted = settings().replace(prompts=(PROMPT.replace(index=Index(expression="far_red", low=0, high=200)),))
    steps = pipeline.steps(np.zeros((48, 64, 3), np.uint8), wanted, View(channel_axis=-1), bands=bands)
    found = drain(steps).instances
    assert found is not None
    np.testing.assert_array_equal(found, pipeline.run(spots(2), settings()).instances)


def test_without_its_bands_a_result_has_the_scores_of_its_cells() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[1:3, 1:7] = 1
    scores = Scores(("spots",), np.array([[[0.2, 0.9]]], np.float32), (4, 4))
    bands = Bands.beside(Stack([Band("b1", np.eye(4, 8, 2) * 200)]))  # brightest at (1, 3)
    for known, peak in ((None, (1, 6)), (bands, (1, 3))):
        splitter = Splitter(Cache(2**20), known)
        result = Segmentation(labels, scores, settings(), View(), Edits(), splitter=splitter)
        assert np.unique(result.instances_of("spots")).tolist() == [0, peak[0] * 8 + peak[1] + 1]
