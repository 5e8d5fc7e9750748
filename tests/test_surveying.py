"""An image too large for memory gives what it would give in memory, and is read once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_clearclip.edits import View
from napari_clearclip.engine import encoder
from napari_clearclip.io.images import read_image
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Notice, Preview, Progress
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Runtime, Settings, Splitting, Tiling
from napari_clearclip.stack import Slab

RGB = View(channel_axis=-1)
IMAGE = np.random.default_rng(3).integers(0, 256, (150, 231, 3), np.uint8)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"), cache_bytes=10_000)


@pytest.fixture
def settings(tiny: Path) -> Settings:
    prompts = tuple(Prompt(id=name, phrase=name, threshold=0.3) for name in ("cat", "dog"))
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=(*prompts, Prompt(id="sky", phrase="sky", kind="distractor")),
        comparing=Comparing(templates="single"),
        tiling=Tiling(short_side="native", window=32, stride=16),
        deciding=Deciding(scale=20),
    )


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many windows went through the image encoder."""
    counter: Counter[str] = Counter()
    original = encoder.encode_steps

    def counting(clip: Any, images: Any, *rest: Any) -> Any:
        counter["all"] += len(images)
        return original(clip, images, *rest)

    monkeypatch.setattr(encoder, "encode_steps", counting)
    return counter


def whole(settings: Settings, runtime: Runtime, view: View = RGB, image: Any = IMAGE) -> Segmentation:
    return Pipeline(runtime.replace(cache_bytes=2**30)).run(image, settings, view)


def compared(settings: Settings, runtime: Runtime) -> tuple[Segmentation, Any]:
    """What comes out in memory, and the pixels whose winner leads, and whose score is off its threshold, by 1e-5."""
    pipeline = Pipeline(runtime.replace(cache_bytes=2**30))
    plain = pipeline.run(IMAGE, settings, RGB)
    sure = np.ones(plain.labels.shape, bool)
    for least, lead in ((0.3 - 1e-5, 0.0), (0.3 + 1e-5, 0.0), (0.3, 1e-5)):
        prompts = tuple(item.replace(threshold=least) if item.kind == "object" else item for item in settings.prompts)
        other = settings.replace(prompts=prompts, deciding=settings.deciding.replace(lead=lead))
        sure &= pipeline.run(IMAGE, other, RGB).labels == plain.labels
    return plain, sure


@pytest.mark.parametrize(
    ("changes", "stride"),
    [({}, 16), ({"batch_size": 3}, 20), ({"store_bytes": 0}, 32), ({"storage": "float16"}, 16)],
    ids=str,
)
def test_the_same_as_in_memory(changes: dict[str, Any], stride: int, settings: Settings, runtime: Runtime) -> None:
    settings = settings.replace(tiling=settings.tiling.replace(stride=stride))
    plain, sure = compared(settings, runtime)
    large = Pipeline(runtime.replace(**changes)).run(IMAGE, settings, RGB)
    exact = changes.get("storage") != "float16"
    np.testing.assert_allclose(large.scores.values, plain.scores.values, atol=1e-5 if exact else 5e-3)
    assert sure.mean() > 0.99
    if exact:
        np.testing.assert_array_equal(large.labels[sure], plain.labels[sure])
    assert (large.labels != plain.labels).mean() < (1e-4 if exact else 0.02)
    assert large.coverage() == pytest.approx(plain.coverage(), abs=1e-2)


def test_labels_and_instances_do_not_depend_on_chunks(settings: Settings, runtime: Runtime, tmp_path: Path) -> None:
    settings = settings.replace(splitting=Splitting(method="shape"))
    plain = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert plain.instances is not None
    assert plain.instances.max() > 0
    for chunks in ((150, 231, 3), (64, 64, 1), (7, 231, 3), (150, 5, 2)):
        path = tmp_path / "-".join(map(str, chunks))
        zarr.open_array(path, mode="w", shape=IMAGE.shape, chunks=chunks, dtype="u1")[...] = IMAGE
        other = runtime.replace(cache_folder=str(path.with_suffix(".cache")))
        found = Pipeline(other).run(read_image(path).data, settings, RGB)
        np.testing.assert_array_equal(found.labels, plain.labels)
        np.testing.assert_array_equal(found.instances, plain.instances)


def test_a_second_phrase_reads_no_window(settings: Settings, runtime: Runtime, windows: Counter[str]) -> None:
    first = Pipeline(runtime).run(IMAGE, settings, RGB)
    count = windows["all"]
    assert count == 9 * 14
    more = settings.replace(prompts=(*settings.prompts, Prompt(id="bird", phrase="bird")))
    second = Pipeline(runtime).run(IMAGE, more, RGB)  # another process, or another day
    assert windows["all"] == count
    assert np.array_equal(second.scores.of("cat"), first.scores.of("cat"))
    Pipeline(runtime.replace(store_bytes=0)).run(IMAGE, more, RGB)
    assert windows["all"] == 2 * count


def test_a_run_that_was_stopped_goes_on(settings: Settings, runtime: Runtime, windows: Counter[str]) -> None:
    plain = Pipeline(runtime.replace(store_bytes=0)).run(IMAGE, settings, RGB)
    windows.clear()
    steps = Pipeline(runtime).steps(IMAGE, settings, RGB)
    while windows["all"] < 5 * 14:
        next(steps)
    steps.close()
    began = windows["all"]
    again = Pipeline(runtime).run(IMAGE, settings, RGB)
    assert windows["all"] - began <= 6 * 14  # nine rows of windows, of which four are finished and one overlaps
    np.testing.assert_allclose(again.scores.values, plain.scores.values, atol=1e-6)


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (2 * 10**9, "of at most 2.0 GB on disk, so that other phrases read none of them"),
        (10, "where 0.0 GB are allowed, and are not kept for other phrases"),
    ],
)
def test_what_a_long_run_takes_is_said_once(
    most: int, said: str, settings: Settings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clearclip.surveying._LONG", 0)
    pipeline = Pipeline(runtime.replace(store_bytes=most))
    notices = [state for state in pipeline.steps(IMAGE, settings, RGB) if isinstance(state, Notice)]
    assert len(notices) == 1
    assert notices[0].text.startswith("126 windows are to be read, in about 0 minutes; their features ")
    assert said in notices[0].text


def test_disk_that_is_allowed_when_it_is_asked_for_is_used(
    settings: Settings, runtime: Runtime, windows: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clearclip.surveying._LONG", 0)
    pipeline = Pipeline(runtime.replace(store_bytes=0))
    for state in pipeline.steps(IMAGE, settings, RGB):
        if isinstance(state, Notice):
            pipeline.runtime = pipeline.runtime.replace(store_bytes=state.disk)
    count = windows["all"]
    Pipeline(pipeline.runtime).run(IMAGE, settings, RGB)
    assert windows["all"] == count


def test_a_preview_comes_first(settings: Settings, runtime: Runtime) -> None:
    states: list[Progress] = list(Pipeline(runtime.replace(batch_size=3)).steps(IMAGE, settings, RGB, preview=True))
    shown = [place for place, state in enumerate(states) if isinstance(state, Preview)]
    at = shown[0]
    assert not [state for state in states[:at] if state.stage == "Reading windows"]
    assert 3 <= len(shown) <= 5  # the first look, then what is finished
    previews = [state.segmentation.scores.values for state in states if isinstance(state, Preview)]
    plain = Pipeline(runtime).run(IMAGE, settings, RGB).scores.values
    right = [int((preview == plain).all(axis=(0, 2)).sum()) for preview in previews]
    assert right[0] == 0 < right[1] < right[2]  # rows of cells
    assert [state for state in states[at:] if state.stage == "Reading windows"][-1].done == 9 * 14


def previewed(settings: Settings, runtime: Runtime, first: Any) -> tuple[list[Segmentation], Segmentation]:
    """What is shown on the way, and what comes out."""
    steps = Pipeline(runtime).steps(IMAGE, settings, RGB, preview=True, first=first)
    shown: list[Segmentation] = []
    while True:
        try:
            state = next(steps)
        except StopIteration as end:
            return shown, end.value
        shown += [state.segmentation] if isinstance(state, Preview) else []


def test_what_is_in_view_is_shown_first_and_read_once(
    settings: Settings, runtime: Runtime, windows: Counter[str]
) -> None:
    runtime = runtime.replace(store_bytes=0, cache_bytes=120_000, batch_size=3)
    _, plain = previewed(settings, runtime, None)
    count = windows.pop("all")
    shown, final = previewed(settings, runtime, (120, 205, 130, 220))
    assert windows["all"] == count
    np.testing.assert_array_equal(final.scores.values, plain.scores.values)
    cells = final.scores.values.shape[1:]
    rows, cols = (slice(-(-start * n // whole), stop * n // whole) for start, stop, n, whole in (
        (120, 130, cells[0], 150), (205, 220, cells[1], 231)
    ))  # fmt: skip
    for early in shown[1:]:
        np.testing.assert_allclose(early.scores.values[:, rows, cols], final.scores.values[:, rows, cols], atol=1e-6)
    assert np.abs(shown[1].scores.values[:, : cells[0] // 2] - final.scores.values[:, : cells[0] // 2]).max() > 1e-4


def test_pixels_without_data_stay_empty(settings: Settings, runtime: Runtime) -> None:
    image = IMAGE.astype(np.float32)
    image[70:, :40] = np.nan
    plain, large = whole(settings, runtime, image=image), Pipeline(runtime).run(image, settings, RGB)
    assert not large.labels[70:, :40].any()
    np.testing.assert_array_equal(large.valid, plain.valid)
    np.testing.assert_allclose(large.scores.values, plain.scores.values, atol=1e-5)


def test_the_shares_of_prompts_are_those_of_the_whole(settings: Settings, runtime: Runtime) -> None:
    settings = settings.replace(deciding=settings.deciding.replace(area=0.45))
    plain, large = whole(settings, runtime), Pipeline(runtime).run(IMAGE, settings, RGB)
    assert len(np.unique(plain.labels)) < 3
    assert (large.labels != plain.labels).mean() < 1e-4


@pytest.mark.parametrize("axis", [0, 2])
def test_a_slab_is_the_image_and_reads_rows_once(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.stack._SLAB_BYTES", 231 * 60)

    class Counting:
        shape, dtype, read = IMAGE.shape, IMAGE.dtype, 0

        def __getitem__(self, index: Any) -> Any:
            part = np.moveaxis(IMAGE, 2, axis)[index]
            self.read += part.size
            return part

    stored = Counting()
    stored.shape = np.moveaxis(IMAGE, 2, axis).shape
    slab = Slab(stored)
    assert (slab.shape, slab.dtype) == (stored.shape, IMAGE.dtype)
    for top in range(0, 150 - 32, 16):
        for left in range(0, 200, 30):
            for channel in range(3):
                index: list[Any] = [slice(top, top + 32), slice(left, left + 31)]
                index.insert(axis, channel)
                wanted = IMAGE[top : top + 32, left : left + 31, channel]
                np.testing.assert_array_equal(slab[tuple(index)], wanted)
    assert stored.read < 2 * IMAGE.size
