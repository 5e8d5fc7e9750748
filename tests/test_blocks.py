"""Blocks of a large image, read apart and put together: the bits of a run that reads all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.blocks import block_steps, cutting_steps
from napari_clearclip.edits import View
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Model, Prompt, Runtime, Settings, Tiling
from napari_clearclip.steps import drain

RGB = View(channel_axis=-1)
IMAGE = np.random.default_rng(3).integers(0, 256, (300, 101, 3), np.uint8)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"), cache_bytes=10_000)


@pytest.fixture
def settings(tiny: Path) -> Settings:
    prompts = (Prompt(id="cat", phrase="cat"), Prompt(id="sky", phrase="sky", kind="distractor"))
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=prompts,
        comparing=Comparing(templates="single"),
        tiling=Tiling(short_side="native", window=32, stride=32),
    )


def test_blocks_are_rows_of_cells_that_make_the_run(settings: Settings, runtime: Runtime) -> None:
    pipeline = Pipeline(runtime)
    rows = drain(cutting_steps(pipeline, IMAGE, settings, RGB, 3))
    assert len(rows) > 1
    assert [cell for part in rows for cell in part] == list(range(rows[-1].stop))  # each once, in order
    blocks = [drain(block_steps(Pipeline(runtime.replace(store_bytes=0)), IMAGE, settings, RGB, part)) for part in rows]
    assert {tuple(block) for block in blocks} == {("cat", "sky")}
    assert [len(block["cat"]) for block in blocks] == [len(part) for part in rows]
    joined = drain(pipeline.steps(IMAGE, settings, RGB, blocks=blocks))
    alone = Pipeline(runtime).run(IMAGE, settings, RGB)
    np.testing.assert_array_equal(joined.labels, alone.labels)
    np.testing.assert_array_equal(joined.scores.values, alone.scores.values)


def test_all_rows_are_a_block_too(settings: Settings, runtime: Runtime) -> None:
    everything = drain(block_steps(Pipeline(runtime), IMAGE, settings, RGB))
    joined = drain(Pipeline(runtime).steps(IMAGE, settings, RGB, blocks=[everything]))
    np.testing.assert_array_equal(joined.scores.values, Pipeline(runtime).run(IMAGE, settings, RGB).scores.values)


def test_what_fits_into_memory_is_not_cut(settings: Settings, runtime: Runtime) -> None:
    large = Pipeline(runtime.replace(cache_bytes=2**30))
    assert drain(cutting_steps(large, IMAGE, settings, RGB, 3)) == ()
