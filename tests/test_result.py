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
