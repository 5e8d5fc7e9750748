"""Bands that lie in several arrays: read where they are asked for, and known by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.edits import View
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Index, Prompt, Runtime, Settings
from napari_clearclip.stack import Band, Stack
from napari_clearclip.steps import drain

RGB = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3), np.uint8)  # a stack of three planes
NIR = np.random.default_rng(1).random((3, 20, 30)).astype(np.float32) * 255
BANDS = (Band("red", RGB, (1,), (0,)), Band("green", RGB, (1,), (1,)), Band("nir", NIR, (1,)))


def test_a_stack_is_an_array_of_bands() -> None:
    stack = Stack(BANDS)
    assert (stack.shape, stack.dtype, stack.names) == ((3, 20, 30), np.float32, ("red", "green", "nir"))
    np.testing.assert_array_equal(stack[1, slice(2, 5), slice(7, 30)], RGB[1, 2:5, 7:, 1])
    np.testing.assert_array_equal(stack[2, slice(None, None, 3), slice(None)], NIR[1, ::3])


def test_bands_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bands of the sizes \[\(20, 29\), \(20, 30\)\] are not of one image"):
        Stack([*BANDS, Band("cut", NIR[:, :, 1:], (0,))])


def test_a_band_is_known_by_its_content() -> None:
    stack, same = (
        Stack(BANDS),
        Stack(
            [Band("other name", array.copy(), (1,), after) for array, after in ((RGB, (0,)), (RGB, (1,)), (NIR, ()))]
        ),
    )
    assert stack.key((0, 2)) == same.key((0, 2))
    assert len({stack.key((0,)), stack.key((1,)), stack.key((2,)), stack.key((0, 1)), stack.key((1, 0))}) == 5
    changed = NIR.copy()
    changed[1, 0, 0] += 1
    assert Stack([Band("nir", changed, (1,))]).key((0,)) != stack.key((2,))
    changed = NIR.copy()
    changed[0] += 1  # on another plane
    assert Stack([Band("nir", changed, (1,))]).key((0,)) == stack.key((2,))


def test_indices_are_computed_from_a_stack_beside_the_image(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask.array", reason="dask is not installed")
    read: list[int] = []

    def block(part: np.ndarray) -> np.ndarray:
        read.append(part.size)
        return part

    unused = dask.from_array(NIR, chunks=(1, 20, 30)).map_blocks(block, dtype=np.float32, meta=NIR[:0])
    lazy = dask.from_array(NIR, chunks=(1, 7, 30))
    settings = Settings(
        prompts=(Prompt(id="v", phrase="NDVI", threshold=0.6, index=Index(expression="(nir - red) / (nir + red)")),)
    )
    pipeline = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path)))
    bands = Stack([*BANDS[:2], Band("nir", lazy, (1,)), Band("unused", unused, (1,))])
    result = drain(pipeline.steps(RGB[..., 1], settings, View(plane=(1,)), bands=bands))
    red, nir = RGB[1, ..., 0].astype(np.float32), NIR[1]
    np.testing.assert_array_equal(result.mask("v"), ((nir - red) / (nir + red) + 1) / 2 >= 0.6)
    assert result.view.bands == ("red", "green", "nir", "unused")
    assert not read
    steps = pipeline.steps(RGB[..., 1], settings, View(channel_axis=2), bands=bands)
    with pytest.raises(ValueError, match=r"the bands have \(20, 30\) pixels and the image \(3, 20\)"):
        drain(steps)


def test_another_band_costs_no_run_of_what_was_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that come and go beside the image change nothing of the expressions that do not name them."""
    from napari_clearclip.engine import bands as engine

    calls = []
    measure = engine.measure_steps
    monkeypatch.setattr(engine, "measure_steps", lambda *args: calls.append(args) or measure(*args))
    pipeline = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path)))
    settings = Settings(prompts=(Prompt(phrase="bright", index=Index(expression="nir")),))
    for bands in (Stack(BANDS), Stack(BANDS[::-1]), Stack(BANDS[2:])):
        drain(pipeline.steps(RGB[1], settings, View(channel_axis=-1), bands=bands))
    assert len(calls) == 1
