"""What variants of the last block share: each part is made once, counted, and changes no bit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_clearclip.edits import View
from napari_clearclip.engine import encoder
from napari_clearclip.engine.variants import variant
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Attention, Comparing, Deciding, Model, Prompt, Runtime, Settings

RGB = View(channel_axis=-1)
IMAGE = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
WINDOWS = 40  # at the model's own tiling the image is read at 96 x 144, in 5 x 8 windows of 32

# Of a window of 4 x 4 patches and a class token: its features, and the tokens that enter the last block; float32.
FEATURE_BYTES = 4 * (16 * 24 + 16 + 24)
TOKEN_BYTES = 4 * 17 * 32


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"), batch_size=7)


@pytest.fixture
def settings(tiny: Path) -> Settings:
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=tuple(Prompt(id=name, phrase=name, threshold=0.3) for name in ("cat", "dog")),
        comparing=Comparing(templates="single"),
        deciding=Deciding(scale=20, competitors="all"),
    )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """For how many windows each letter and each term was computed to be kept; the engine does its work as ever."""
    counter: Counter[str] = Counter()
    heads_of, outputs_of = encoder.heads_of, encoder.outputs_of

    def heads(clip: Any, trunk: Any, letters: str) -> Any:
        counter.update(dict.fromkeys(letters, len(trunk.tokens)))
        return heads_of(clip, trunk, letters)

    def outputs(clip: Any, trunk: Any, row: Attention, heads: Any) -> Any:
        counter.update(dict.fromkeys(row.terms, len(trunk.tokens)))
        return outputs_of(clip, trunk, row, heads)

    monkeypatch.setattr(encoder, "heads_of", heads)
    monkeypatch.setattr(encoder, "outputs_of", outputs)
    return counter


ONCE = {
    "clearclip": {"q", "v", "qq"},
    "maskclip": {"identity"},  # the values themselves
    "sclip_clear": {"k", "kk"},
    "segearth": {"vv"},
    "sclip": set[str](),
    "kk": set[str](),
    "naclip": {"kk"},  # with a bias
    "x_res": {"qk"},
    "vanilla": set[str](),
    "sclip_random": {"random"},
}


def test_each_part_is_made_once(settings: Settings, runtime: Runtime, made: Counter[str]) -> None:
    pipeline = Pipeline(runtime)
    for name, parts in ONCE.items():
        made.clear()
        pipeline.run(IMAGE, settings.replace(attention=variant(name)), RGB)
        assert made == dict.fromkeys(parts, WINDOWS)


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_bits_are_the_same_whatever_is_kept(
    storage: str, settings: Settings, runtime: Runtime, made: Counter[str]
) -> None:
    runtime = runtime.replace(storage=storage)
    keeping, rows = Pipeline(runtime), [variant(name) for name in ONCE]
    other = 255 - IMAGE
    for row in (*rows, Attention(terms=("vv", "qk"), unit=True, iterations=1), Attention(terms=("random",), bias=2)):
        changed = settings.replace(attention=row)
        for image in (IMAGE, other):
            found = keeping.run(image, changed, RGB)
            before = made.copy()
            alone = Pipeline(runtime.replace(cache_bytes=200_000)).run(image, changed, RGB)
            assert made == before
            assert np.array_equal(found.scores.values, alone.scores.values)
            assert np.array_equal(found.labels, alone.labels)


def test_bytes_are_counted(settings: Settings, runtime: Runtime) -> None:
    """All are kept only where windows take half the memory at most, even if queries, keys and values are asked for."""
    used = []
    for row, terms in (("clearclip", 1), ("sclip_clear", 2)):
        enough = 2 * WINDOWS * (FEATURE_BYTES + (4 + terms) * TOKEN_BYTES)
        for most in (enough, enough - 1):
            pipeline = Pipeline(runtime.replace(cache_bytes=most))
            pipeline.run(IMAGE, settings.replace(attention=variant(row)), RGB)
            used.append(pipeline._cache.used)
        assert max(used) < enough
    assert used[0] - used[1] == (2 + 1) * WINDOWS * TOKEN_BYTES
    assert used[2] - used[3] == (3 + 2) * WINDOWS * TOKEN_BYTES


def test_where_windows_do_not_fit_into_memory_nothing_is_kept(
    settings: Settings, runtime: Runtime, made: Counter[str]
) -> None:
    Pipeline(runtime.replace(cache_bytes=10_000)).run(IMAGE, settings, RGB)
    assert not made


def test_values_of_a_resnet_are_not_shared(
    settings: Settings, runtime: Runtime, resnet: Path, made: Counter[str]
) -> None:
    """They have places in them or not, by what they are asked for with."""
    settings, pipeline = settings.replace(model=Model(name="", pretrained=str(resnet))), Pipeline(runtime)
    pipeline.run(IMAGE, settings.replace(attention=variant("maskclip")), RGB)
    found = pipeline.run(IMAGE, settings, RGB)
    assert np.array_equal(found.scores.values, Pipeline(runtime).run(IMAGE, settings, RGB).scores.values)
    assert not made
