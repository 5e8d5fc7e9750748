"""Maps and curves of an image in several windows against windows taken one by one."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from napari_clearclip.edits import View
from napari_clearclip.engine.anatomy import blocks_of, entropy, feed_forward_angles, last_block
from napari_clearclip.engine.encoder import encode, prepare
from napari_clearclip.engine.model import load
from napari_clearclip.engine.towers import plain_tower
from napari_clearclip.engine.variants import variant
from napari_clearclip.inspection import block_curves, compare_variants, decompose, disagreement, last_block_norms
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Prompt, Settings

from .conftest import IMAGE

RGB = View(channel_axis=-1, limits=((0.0, 255.0),) * 3)
BOXES = ((0, 0, 32, 32), (0, 16, 32, 48), (0, 28, 32, 60), (8, 0, 40, 32), (8, 16, 40, 48), (8, 28, 40, 60))


def windows() -> list[torch.Tensor]:
    return [torch.from_numpy(IMAGE[None, y:v, x:u].astype(np.float32) / 255) for y, x, v, u in BOXES]


def test_shares_of_a_phrase_sum_to_its_cosines(settings: Settings, pipeline: Pipeline) -> None:
    found = decompose(IMAGE, settings, "cat", RGB, pipeline)
    assert found.alone["x_sum"].shape == (5, 8)
    np.testing.assert_allclose(sum(found.shares.values()), found.alone["x_sum"], atol=1e-5)
    only = settings.replace(prompts=(Prompt(id="cat", phrase="cat"),))
    for name in ("x_res", "x_sum"):
        row = variant(name).replace(terms=settings.attention.terms)
        scores = pipeline.run(IMAGE, only.replace(attention=row), RGB).scores
        assert scores.values.shape[1:] == found.alone[name].shape
    assert np.abs(found.alone["x_res"] - found.alone["x_attn"]).max() > 1e-3


def test_variants_are_those_of_runs_and_disagree_where_they_differ(settings: Settings, pipeline: Pipeline) -> None:
    names = ("clearclip", "vanilla", "maskclip")
    found = compare_variants(IMAGE, settings, names, RGB, pipeline)
    assert tuple(found.labels) == names
    for name in names:
        expected = pipeline.run(IMAGE, settings.replace(attention=variant(name)), RGB).labels
        assert np.array_equal(found.labels[name], expected)
    for row, col in ((0, 0), (20, 30), (39, 59)):
        given = [int(labels[row, col]) for labels in found.labels.values()]
        pairs = [(given[0], given[1]), (given[0], given[2]), (given[1], given[2])]
        assert found.disagreement[row, col] == pytest.approx(sum(one != other for one, other in pairs) / 3)
    with pytest.raises(ValueError, match="1 variant cannot disagree; give two or more"):
        disagreement([found.labels["vanilla"]])


def test_curves_are_means_over_windows(settings: Settings, pipeline: Pipeline) -> None:
    found = block_curves(IMAGE, settings, RGB, pipeline=pipeline)
    clip = load(settings.model)
    blocks = [list(blocks_of(clip.tower, prepare(clip, window))) for window in windows()]
    for at in range(3):
        parts = {name: [getattr(window[at], part) for window in blocks] for name, part in NAMED.items()}
        for name, each in parts.items():
            assert found.entropy[name][at] == pytest.approx(np.mean([float(entropy(part)[0]) for part in each]))
            assert found.maximum[name][at] == pytest.approx(np.mean([float(part.max()) for part in each]), rel=1e-5)
        channels = np.mean([part[0].mean(dim=0).numpy() for part in parts["x_res"]], axis=0)
        np.testing.assert_allclose(found.channels[at], channels, atol=1e-5)


NAMED = {"x_res": "residual", "x_attn": "attended", "x_sum": "total"}


def test_another_tower_reads_the_same_windows(settings: Settings, pipeline: Pipeline) -> None:
    torch.manual_seed(0)
    plain = plain_tower("vit_tiny_patch16_224")
    found = block_curves(IMAGE, settings, RGB, plain, pipeline)
    assert found.channels.shape == (12, 192)
    first = [next(blocks_of(plain.tower, prepare(plain, window))).residual for window in windows()]
    assert found.maximum["x_res"][0] == pytest.approx(np.mean([float(part.max()) for part in first]), rel=1e-5)
    assert plain.mean == tuple(timm.get_pretrained_cfg("vit_tiny_patch16_224").mean)
    with pytest.raises(ValueError, match="timm has no model 'vit_of_mine'"):
        plain_tower("vit_of_mine")


def test_norms_and_angles_are_means_over_windows(settings: Settings, pipeline: Pipeline) -> None:
    found = last_block_norms(IMAGE, settings, ("qk", "kk"), RGB, pipeline)
    clip = load(settings.model)
    trunks = [encode(clip, prepare(clip, window)) for window in windows()]
    for name, block in found.items():
        parts = [[part[0, 1:].numpy() for part in last_block(clip, trunk, variant(name))] for trunk in trunks]
        for at, norms in enumerate((block.residual, block.attended)):
            assert norms[0] == pytest.approx(np.mean([np.linalg.norm(each[at]) for each in parts]), rel=1e-5)
            lengths = [np.linalg.norm(each[at], axis=1).mean() for each in parts]
            assert norms[1] == pytest.approx(np.mean(lengths), rel=1e-5)
        angles = [float(feed_forward_angles(clip, trunk, variant(name)).mean()) for trunk in trunks]
        assert block.angle == pytest.approx(np.mean(angles), rel=1e-4)
