"""Coordinates, resizing and stitching against loops, torch and the authors' sliding windows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional as F

from napari_clearclip.edits import View
from napari_clearclip.engine.compare import compare
from napari_clearclip.engine.decide import Candidates, assign_steps
from napari_clearclip.engine.encoder import encode, prepare, project
from napari_clearclip.engine.stitching import RowStitching
from napari_clearclip.engine.stitching import stitch as stitch_parts
from napari_clearclip.engine.variants import variant
from napari_clearclip.engine.view import resolve_view
from napari_clearclip.engine.windows import Frame, bilinear, cut, resampling, resize, resized_shape, taps
from napari_clearclip.settings import Deciding
from napari_clearclip.steps import drain


def frame_of(shape: tuple[int, int], window: int, stride: int, patch: int = 8, cell: int = 1, scale: int = 1) -> Frame:
    return Frame((shape[0] * scale, shape[1] * scale), shape, window, stride, patch, cell)


def stitch(frame: Frame, maps: list[torch.Tensor]) -> torch.Tensor:
    return stitch_parts(frame, {number: {"": map_} for number, map_ in enumerate(maps)})[""]


# ----------------------------------------------------------------------------------------------------------------------
# Sizes and boxes


@pytest.mark.parametrize(
    ("shape", "short_side", "expected"),
    [
        pytest.param((500, 375), 448, (597, 448), id="aspect kept, rounded half up"),
        pytest.param((160, 100), 101, (162, 101), id="rows rounded up"),
        pytest.param((100, 160), 101, (101, 162), id="columns rounded up"),
        pytest.param((448, 336), 336, (448, 336), id="already so"),
        pytest.param((5000, 900), 448, (2048, 369), id="the long side is bounded"),
        pytest.param((10, 20), 448, (448, 896), id="enlarged"),
        pytest.param((1, 1), 448, (448, 448), id="one pixel"),
        pytest.param((1, 4000), 448, (1, 2048), id="a line"),
        pytest.param((123, 45), "native", (123, 45), id="native"),
    ],
)
def test_resized_shape(shape: tuple[int, int], short_side: int | str, expected: tuple[int, int]) -> None:
    assert resized_shape(shape, short_side) == expected


def papers_boxes(height: int, width: int, crop: int, stride: int) -> list[tuple[int, int, int, int]]:
    """The window loop of the published evaluations."""
    boxes = []
    for row in range(max(height - crop + stride - 1, 0) // stride + 1):
        for col in range(max(width - crop + stride - 1, 0) // stride + 1):
            y1, x1 = row * stride, col * stride
            y2, x2 = min(y1 + crop, height), min(x1 + crop, width)
            boxes.append((max(y2 - crop, 0), max(x2 - crop, 0), y2, x2))
    return boxes


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 100), st.data())
def test_windows_are_the_papers_and_cover_every_pixel(
    height: int, width: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(4, window))
    frame = frame_of((height, width), window, stride)
    assert list(frame.boxes) == papers_boxes(height, width, window, stride)
    seen = np.zeros((height, width), int)
    for y0, x0, y1, x1 in frame.boxes:
        assert (y1 - y0, x1 - x0) == frame.window_shape
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.integers(1, 20), st.sampled_from([8, 14]))
def test_every_cell_is_covered_and_a_constant_stays(
    height: int, width: int, window: int, cell: int, patch: int
) -> None:
    frame = frame_of((height, width), window, max(window // 2, 4), patch, cell)
    stitched = stitch(frame, [torch.full(frame.grid, 0.7) for _ in frame.boxes])
    assert stitched.shape == frame.cells
    torch.testing.assert_close(stitched, torch.full(frame.cells, 0.7))


def test_cells_cover_the_image_exactly() -> None:
    frame = Frame(image=(100, 333), resized=(45, 150), window=32, stride=16, patch=8, cell=8)
    assert frame.cells == (6, 19)
    assert frame.cell_size == (100 / 6, 333 / 19)
    assert frame.cells_in((0, 0, 45, 150)) == (slice(0, 6), slice(0, 19))


def test_grid_and_padding_are_those_of_the_normalised_windows(golden_clip: Any) -> None:
    for shape in [(30, 45), (13, 32), (32, 32), (1, 9)]:
        frame = frame_of(shape, 32, 16)
        window = frame.window_shape
        images = prepare(golden_clip, torch.full((1, *window, 3), 10.0))
        assert images.shape[2:] == (frame.grid[0] * 8, frame.grid[1] * 8)
        filled = images[0, 0] != 0
        assert filled.any(1).nonzero()[0].item() == frame.padding[0]
        assert filled.any(0).nonzero()[0].item() == frame.padding[1]


# ----------------------------------------------------------------------------------------------------------------------
# Stitching


def test_one_window_is_a_plain_resize() -> None:
    map_ = torch.rand(4, 6)
    frame = frame_of((32, 48), 48, 24)
    assert len(frame.boxes) == 1
    expected = F.interpolate(map_[None, None], size=(32, 48), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(stitch(frame, [map_]), expected, atol=1e-6, rtol=0)


def test_cells_of_one_patch_keep_one_windows_values() -> None:
    map_ = torch.rand(4, 6)
    torch.testing.assert_close(stitch(frame_of((32, 48), 48, 24, cell=8), [map_]), map_, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(30, 45), (72, 104), (33, 31), (8, 100)])
def test_stitching_is_the_published_loop(shape: tuple[int, int]) -> None:
    """Upsample each padded window, cut the padding off, add, divide by the count."""
    frame = frame_of(shape, 32, 16)
    maps = [torch.rand(frame.grid) for _ in frame.boxes]
    total, count = torch.zeros(shape), torch.zeros(shape)
    for (y0, x0, y1, x1), map_ in zip(papers_boxes(*shape, 32, 16), maps, strict=True):
        height, width = y1 - y0, x1 - x0
        pad = (-height % 8, -width % 8)
        up = F.interpolate(map_[None, None], size=(height + pad[0], width + pad[1]), mode="bilinear")[0, 0]
        total[y0:y1, x0:x1] += up[pad[0] // 2 : pad[0] // 2 + height, pad[1] // 2 : pad[1] // 2 + width]
        count[y0:y1, x0:x1] += 1
    torch.testing.assert_close(stitch(frame, maps), total / count, atol=1e-5, rtol=0)


def test_missing_windows_leave_nan() -> None:
    frame = frame_of((32, 64), 32, 32, cell=8)
    stitched = stitch(frame, [torch.ones(4, 4)])
    assert torch.equal(stitched[:, :4], torch.ones(4, 4))
    assert stitched[:, 4:].isnan().all()


# ----------------------------------------------------------------------------------------------------------------------
# The authors' sliding windows


@pytest.mark.parametrize("size", ["30x45_to_60x90", "72x104_to_144x208"])
@pytest.mark.parametrize(("method", "name"), [("vanilla", "qk"), ("SCLIP", "sclip_clear"), ("ClearCLIP", "clearclip")])
def test_golden_sliding_windows(method: str, name: str, size: str, golden: Path, golden_clip: Any) -> None:
    tensors = load_file(golden / "vit_tiny_slide.safetensors")
    expected = tensors[f"{method}.slide_crop32_stride16.{size}"][0]  # (4, H, W)
    image = tensors[f"input.{size.split('_')[0]}"][0].permute(1, 2, 0)  # (h, w, 3), normalised
    clip = dataclasses.replace(golden_clip, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    frame = frame_of(tuple(image.shape[:2]), 32, 16, scale=2)
    windows = torch.stack([image[y0:y1, x0:x1] for y0, x0, y1, x1 in frame.boxes])
    row = variant(name)
    features = project(clip, encode(clip, prepare(clip, windows)), row)
    stitched = torch.stack([stitch(frame, list(compare(features, text))) for text in tensors["text"]])
    resized = F.interpolate(stitched[None], size=expected.shape[1:], mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(resized, expected, atol=1e-4, rtol=0)

    candidates = Candidates.join(list(stitched), (0, 1, 2, 3), 4)
    winner = drain(assign_steps(candidates, frame, Deciding(), None)).winner
    best = expected.topk(2, dim=0)
    clear = (best.values[0] - best.values[1] > 1e-3).numpy()
    assert clear.mean() > 0.9
    assert np.array_equal(winner[clear], best.indices[0].numpy()[clear] + 1)


# ----------------------------------------------------------------------------------------------------------------------
# Resampling


@pytest.mark.parametrize("new", [5, 16, 17, 40, 100])
def test_resampling_is_torch_antialiased_bilinear(new: int) -> None:
    values = torch.rand(40)
    needed, weights = resampling(40, new, 0, new)
    expected = F.interpolate(values[None, None, None], size=(1, new), mode="bilinear", antialias=True)[0, 0, 0]
    torch.testing.assert_close(torch.from_numpy(weights) @ values[needed], expected, atol=1e-5, rtol=0)


def test_a_part_is_resampled_as_in_the_whole() -> None:
    whole_slice, whole = resampling(100, 37, 0, 37)
    needed, part = resampling(100, 37, 11, 20)
    assert whole_slice == slice(0, 100)
    assert needed.stop - needed.start < 40
    np.testing.assert_allclose(part, whole[11:20, needed], atol=1e-6)
    np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-6)


def test_windows_are_cut_from_the_resized_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 61, 3), np.uint8)
    frame = Frame(image.shape[:2], (45, 30), window=24, stride=12, patch=8, cell=8)
    view = resolve_view(image, View(channel_axis=-1))
    whole = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    resized = F.interpolate(whole, size=(45, 30), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    windows = cut(image, view, frame, frame.boxes)
    assert windows.shape == (len(frame.boxes), 24, 24, 3)
    for window, (y0, x0, y1, x1) in zip(windows, frame.boxes, strict=True):
        torch.testing.assert_close(window, resized[y0:y1, x0:x1], atol=1e-5, rtol=0)


def test_a_window_reads_only_its_pixels() -> None:
    class Counting:
        """An image that remembers how many pixels were read."""

        def __init__(self, data: np.ndarray[Any, Any]) -> None:
            self.data, self.shape, self.dtype, self.read = data, data.shape, data.dtype, 0

        def __getitem__(self, index: Any) -> Any:
            part = self.data[index]
            self.read = max(self.read, part.size)
            return part

    image = Counting(np.zeros((1000, 1000), np.uint8))
    frame = Frame((1000, 1000), (500, 500), window=32, stride=32, patch=8, cell=8)
    cut(image, View(channels=(0,), limits=((0, 255),)), frame, frame.boxes[17:18])
    assert 0 < image.read <= 70 * 70


# ----------------------------------------------------------------------------------------------------------------------
# Taps


def test_taps_by_hand() -> None:
    left, right, weight = taps(np.array([-1.0, 0.0, 0.25, 2.0, 9.0]), 3)
    places = np.array([0, 0, 0.25, 2, 2])
    np.testing.assert_allclose(left * (1 - weight) + right * weight, places)
    assert left.min() >= 0
    assert right.max() <= 2


def test_one_sample_is_constant() -> None:
    assert np.array_equal(bilinear(np.array([-3.0, 0.0, 7.0]), 1), np.ones((3, 1)))


@pytest.mark.parametrize("shape", [(40, 60), (448, 448), (8, 900), (1000, 37)])
@pytest.mark.parametrize(("window", "stride"), [(32, 16), (64, 64), (448, 224), (10, 7)])
def test_windows_are_counted_without_making_them(shape: tuple[int, int], window: int, stride: int) -> None:
    frame = frame_of(shape, window, stride)
    assert frame.count == len(frame.boxes)
    assert [frame.box(number) for number in range(frame.count)] == list(frame.boxes)


def test_parts_are_stitched_in_the_order_of_the_windows() -> None:
    frame = frame_of((40, 60), 32, 16)
    random = torch.Generator().manual_seed(0)
    parts = {at: {"road": torch.rand(frame.grid, generator=random)} for at in range(frame.count)}
    turned = {at: parts[at] for at in reversed(parts)}
    assert torch.equal(stitch_parts(frame, turned)["road"], stitch_parts(frame, parts)["road"])
    assert torch.equal(stitch_parts(frame, turned)["road"], stitch(frame, [part["road"] for part in parts.values()]))
    assert stitch_parts(frame, {0: parts[0]})["road"].isnan().any()


ROWS = {
    "overlap": ((40, 60), 32, 16, 8),
    "no overlap": ((64, 64), 32, 32, 8),
    "one window": ((20, 30), 32, 16, 8),
    "pushed back": ((75, 41), 32, 24, 5),
    "gaps in the stride": ((90, 33), 32, 32, 3),
}


@pytest.mark.parametrize(("shape", "window", "stride", "cell"), ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("begin", [0, 3, 7])
def test_vectors_by_rows_are_those_of_all_windows(
    shape: tuple[int, int], window: int, stride: int, cell: int, begin: int
) -> None:
    """Each axis of the vectors is a map; and a phrase's cosines are those of the mean vectors."""
    frame = frame_of(shape, window, stride, cell=cell)
    vectors = torch.randn(frame.count, *frame.grid, 5)
    first = min(begin, frame.cells[0] - 1)
    rows = RowStitching(frame, 5, first)
    found = []
    for start in range(0, frame.count, frame.across):
        boxes = frame.boxes[start : start + frame.across]
        if frame.cells_in(boxes[0])[0].stop <= first:
            continue
        for number, box in enumerate(boxes, start):
            rows.add(box, vectors[number])
        found.append(torch.from_numpy(rows.finished(boxes[-1])))
    stitched = torch.cat(found)
    expected = torch.stack([stitch(frame, list(vectors[..., axis])) for axis in range(5)], dim=-1)[first:]
    torch.testing.assert_close(stitched, expected, atol=1e-6, rtol=0)
    phrase = torch.randn(5)
    torch.testing.assert_close(stitched @ phrase, stitch(frame, list(vectors @ phrase))[first:], atol=1e-5, rtol=0)
    assert len(found[0]) < frame.cells[0] or frame.count == frame.across


def test_maps_are_resized_without_a_shift() -> None:
    ramp = torch.arange(4.0)[:, None].expand(4, 6)
    wide = resize(ramp, (8, 12))
    assert wide[:, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert torch.equal(resize(ramp, (4, 6)), ramp)


# ----------------------------------------------------------------------------------------------------------------------
# As the published code reads images


@pytest.mark.parametrize(("new", "shape"), [((50, 67), (101, 135)), ((224, 299), (97, 131)), ((33, 40), (100, 57))])
def test_without_antialias_an_image_is_resized_as_by_opencv(new: tuple[int, int], shape: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    frame = Frame(shape, new, max(new), max(new), 8, 1)
    view = resolve_view(image, View(channel_axis=-1))
    found = cut(image, view, frame, frame.boxes, antialias=False)[0].numpy() * 255
    expected = cv2.resize(image, new[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(found - expected).max() <= 1
    smooth = cut(image, view, frame, frame.boxes)[0].numpy() * 255
    assert (np.abs(smooth - expected).max() <= 1) == (new[0] >= shape[0])
