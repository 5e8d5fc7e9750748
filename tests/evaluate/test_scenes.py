from __future__ import annotations

import numpy as np
import pytest

from napari_clearclip.evaluate.bootstrap import bootstrap_interval
from napari_clearclip.evaluate.methods import ABLATION
from napari_clearclip.evaluate.metrics import accuracy, mean_iou
from napari_clearclip.evaluate.scenes import scene_confusions
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import KINDS, make_scene, vocabulary
from napari_clearclip.settings import Runtime


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path_factory.mktemp("cache"))))


def test_the_interval_of_equal_images_is_a_point() -> None:
    confusions = np.tile([[3, 1], [0, 4]], (5, 1, 1))
    assert bootstrap_interval(confusions, accuracy, samples=20) == (0.875, 0.875)


def test_the_interval_is_that_of_a_mean_of_coin_throws() -> None:
    # 400 images of one pixel each, 300 of them right: the share's standard error is sqrt(0.75 * 0.25 / 400) = 0.0217
    right, wrong = np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])
    low, high = bootstrap_interval(np.array([right] * 300 + [wrong] * 100), accuracy, samples=4000)
    assert low == pytest.approx(0.75 - 1.96 * 0.0217, abs=0.006)
    assert high == pytest.approx(0.75 + 1.96 * 0.0217, abs=0.006)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pixel_is_counted_under_its_true_name(kind: str, pipeline: Pipeline) -> None:
    scene = make_scene(kind, 0, size=96)
    ((confusion,),) = scene_confusions(pipeline, [scene], [ABLATION["clearclip"]])
    expected = np.zeros(len(vocabulary(kind)) + 1, int)
    expected[0] = np.count_nonzero(scene.truth == 0)
    for index, name in enumerate(scene.names):
        expected[vocabulary(kind).index(name) + 1] = np.count_nonzero(scene.truth == index + 1)
    np.testing.assert_array_equal(confusion.sum(axis=1), expected)


def test_all_names_of_the_kind_may_win_where_they_are_candidates(pipeline: Pipeline) -> None:
    scenes = [make_scene("shapes", seed, size=96) for seed in range(3)]
    rows = [ABLATION["vanilla"]]
    own = sum(found[0] for found in scene_confusions(pipeline, scenes, rows))
    every = sum(found[0] for found in scene_confusions(pipeline, scenes, rows, "kind"))
    np.testing.assert_array_equal(own.sum(axis=1), every.sum(axis=1))
    shown = {name for scene in scenes for name in scene.names}
    absent = [index + 1 for index, name in enumerate(vocabulary("shapes")) if name not in shown]
    assert own[:, absent].sum() == 0
    assert not np.array_equal(own, every)


def test_the_bundled_model_finds_names_where_vanilla_does_not(pipeline: Pipeline) -> None:
    rows = [ABLATION["clearclip"], ABLATION["vanilla"]]
    found = {}
    for kind in KINDS:
        scenes = [make_scene(kind, 5000 + seed) for seed in range(8)]
        confusions = np.array(list(scene_confusions(pipeline, scenes, rows)))
        found[kind] = [mean_iou(confusions[:, row].sum(axis=0), exclude=(0,)) for row in (0, 1)]
    assert min(clear for clear, _ in found.values()) > 0.45
    assert min(clear / vanilla for clear, vanilla in found.values()) > 1.8
    clear, vanilla = np.mean(list(found.values()), axis=0)
    assert clear > 2 * vanilla
