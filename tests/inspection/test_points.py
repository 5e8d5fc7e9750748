"""What is shown of a point: from which window and patch, and the same numbers as by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_clearclip.edits import View
from napari_clearclip.engine.encoder import encode, prepare, project
from napari_clearclip.engine.inspection import attention_of
from napari_clearclip.engine.model import load
from napari_clearclip.engine.text import embed
from napari_clearclip.engine.windows import Frame
from napari_clearclip.inspection import attention_map, words_at
from napari_clearclip.inspection.points import default_vocabulary
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Index, Model, Prompt, Settings

from .conftest import IMAGE

RGB = View(channel_axis=-1, limits=((0.0, 255.0),) * 3)


def window(box: tuple[int, int, int, int]) -> torch.Tensor:
    y0, x0, y1, x1 = box
    return torch.from_numpy(IMAGE[None, y0:y1, x0:x1].astype(np.float32) / 255)


def test_a_window_is_the_one_in_whose_middle_the_point_lies() -> None:
    frame = Frame((40, 60), (40, 60), 32, 16, 8, 8)
    assert frame.boxes == (
        (0, 0, 32, 32),
        (0, 16, 32, 48),
        (0, 28, 32, 60),
        (8, 0, 40, 32),
        (8, 16, 40, 48),
        (8, 28, 40, 60),
    )
    assert frame.windows_at((0, 0)) == [0]
    assert frame.windows_at((39, 59)) == [5]
    assert frame.windows_at((17, 31)) == [1, 4, 2, 0, 5, 3]  # columns 31.5 from middles 32, 44, 16; rows 17.5: 16, 24
    assert frame.windows_at((35, 20)) == [3, 4]
    assert frame.patch_at(4, (35, 20)) == (3, 0)
    assert frame.patches_of(4) == (8, 16, 40, 48)
    with pytest.raises(ValueError, match=r"the point \(40, 0\) lies outside the image of \(40, 60\) pixels"):
        frame.windows_at((40, 0))


def test_padding_and_another_size_are_reckoned_with() -> None:
    frame = Frame((100, 30), (50, 15), 20, 10, 8, 8)  # windows of 20 x 15, padded to 24 x 16 by 2 and 0
    assert frame.padding == (2, 0)
    assert frame.patches_of(0) == (-4, 0, 44, 32)
    assert frame.patch_at(0, (0, 29)) == (0, 1)
    assert frame.patch_at(0, (12, 0)) == (1, 0)
    assert frame.patch_at(0, (11, 0)) == (0, 0)


@pytest.mark.parametrize("number", [None, 5])
def test_attention_comes_from_the_window_that_it_names(
    number: int | None, settings: Settings, pipeline: Pipeline
) -> None:
    found = attention_map(IMAGE, settings, (17, 31), RGB, number, pipeline)
    assert found.place.holding == (1, 4, 2, 0, 5, 3)
    assert found.place.window == (1 if number is None else 5)
    box = (0, 16, 32, 48) if number is None else (8, 28, 40, 60)
    patch = (2, 1) if number is None else (1, 0)
    assert (found.place.region, found.place.patch) == (box, patch)
    clip = load(settings.model)
    heads, rest = attention_of(clip, encode(clip, prepare(clip, window(box))), settings.attention, patch)
    np.testing.assert_allclose(found.heads, heads, atol=1e-5)
    np.testing.assert_allclose(found.rest, rest, atol=1e-5)
    np.testing.assert_allclose(found.mean, heads.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.of(3), heads[3], atol=1e-5)
    with pytest.raises(ValueError, match="head is 4, but the model has 4; give 0 to 3"):
        found.of(4)


def test_the_place_says_how_many_windows_hold_the_point(settings: Settings, pipeline: Pipeline) -> None:
    say = [
        str(attention_map(IMAGE, settings, point, RGB, None, pipeline).place) for point in ((0, 0), (35, 20), (17, 31))
    ]
    assert say == [
        "window 1 of 6",
        "window 4 of 6, and 1 more window holds it",
        "window 2 of 6, and 5 more windows hold it",
    ]
    with pytest.raises(ValueError, match=r"window 2 does not hold the point \(0, 0\); those that do are \(0,\)"):
        attention_map(IMAGE, settings, (0, 0), RGB, 2, pipeline)


def test_words_are_ranked_by_their_cosine_with_the_patch(settings: Settings, pipeline: Pipeline) -> None:
    names = ("cat", "a red roof", "dog")
    found = words_at(IMAGE, settings, (35, 20), names, RGB, pipeline)
    clip = load(settings.model)
    features = project(clip, encode(clip, prepare(clip, window((8, 0, 40, 32)))), settings.attention)
    cosines = embed(clip, names, "single") @ features.vectors[0, 3, 2]
    expected = dict(zip(names, cosines.tolist(), strict=True))
    assert [item.word for item in found] == sorted(names, key=lambda name: -expected[name])
    total = sum(np.exp(settings.deciding.scale * value) for value in expected.values())
    for item in found:
        assert item.cosine == pytest.approx(expected[item.word], abs=1e-5)
        assert item.share == pytest.approx(np.exp(settings.deciding.scale * expected[item.word]) / total, abs=1e-4)


def test_the_vocabulary_is_what_the_model_knows() -> None:
    small = default_vocabulary(
        Settings(
            prompts=(
                Prompt.parse("disk, ring"),
                Prompt(phrase="NDVI", index=Index(expression="(b1 - b2) / (b1 + b2)")),
            )
        )
    )
    assert small[:2] == ("disk", "ring")
    assert "NDVI" not in small
    assert len(set(small)) == len(small) > 20
    large = default_vocabulary(Settings(model=Model.parse("ViT-B-16/openai")))
    assert {"swivel chair", "window"} <= set(large)
    assert "window" not in default_vocabulary(Settings(model=Model.parse("ViT-B-32/remoteclip.pt")))
    with pytest.raises(ValueError, match="knows no word of 'zebra'"):
        words_at(IMAGE, Settings(), (0, 0), ("zebra",), RGB)
