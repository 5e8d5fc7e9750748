"""What a result says of pixels is what its masks say."""

from __future__ import annotations

import numpy as np
import pytest

from napari_clearclip.edits import Edits, View
from napari_clearclip.result import Scores, Segmentation
from napari_clearclip.settings import Prompt, Settings

IDS = ("road", "tree", "sky")


@pytest.mark.parametrize("overlapping", [False, True])
def test_owners_are_the_prompts_whose_masks_hold_the_pixel(overlapping: bool) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (5, 11)).astype(np.uint8)
    masks = rng.random((3, 5, 11)) < 0.5
    result = Segmentation(
        labels,
        Scores(IDS, np.zeros((3, 1, 1), np.float32), (5.0, 11.0)),
        Settings(prompts=tuple(Prompt(id=id_, phrase=id_) for id_ in IDS)),
        View(),
        Edits(),
        overlaps=np.packbits(masks, axis=-1) if overlapping else None,
    )
    share = masks.mean(axis=(1, 2)) if overlapping else [np.mean(labels == at) for at in (1, 2, 3)]
    assert result.coverage() == pytest.approx(dict(zip(IDS, share, strict=True)))
    for row, col in np.ndindex(labels.shape):
        held = masks[:, row, col] if overlapping else labels[row, col] == np.arange(1, 4)
        assert result.owners(row, col) == tuple(np.array(IDS)[held])


def test_the_score_map_is_that_of_the_prompt_that_has_the_pixel() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (6, 8)).astype(np.uint8)
    scores = Scores(IDS, rng.random((3, 3, 4), np.float32), (2.0, 2.0))
    settings = Settings(prompts=tuple(Prompt(id=id_, phrase=id_) for id_ in IDS))
    result = Segmentation(labels, scores, settings, View(), Edits())
    found = result.score_map(("road", "sky"))
    for row, col in np.ndindex(labels.shape):
        wanted = {1: "road", 3: "sky"}.get(int(labels[row, col]))
        box = slice(row, row + 1), slice(col, col + 1)
        assert found[row, col] == (scores.at(wanted, *box)[0, 0] if wanted else 0)


def test_scores_at_pixels_are_bilinear_between_the_cells_centres() -> None:
    values = np.random.default_rng(1).random((1, 3, 4)).astype(np.float32)
    scores = Scores(("road",), values, (4.0, 2.5))  # 12 x 10 pixels
    found = scores.at("road", slice(0, 12), slice(0, 10))
    for row, col in np.ndindex(12, 10):
        y, x = min(max((row + 0.5) / 4 - 0.5, 0), 2), min(max((col + 0.5) / 2.5 - 0.5, 0), 3)
        top, left = min(int(y), 1), min(int(x), 2)
        (a, b), (c, d) = values[0, top : top + 2, left : left + 2].astype(float)
        wanted = (a * (top + 1 - y) + c * (y - top)) * (left + 1 - x) + (b * (top + 1 - y) + d * (y - top)) * (x - left)
        assert found[row, col] == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_array_equal(scores.at("road", slice(3, 9), slice(2, 7)), found[3:9, 2:7])
    assert found.dtype == np.float32
