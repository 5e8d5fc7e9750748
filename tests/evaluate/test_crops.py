"""CLIP-DIY's maps against a loop over crops that asks open_clip itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate, normalize

from napari_clearclip.edits import View
from napari_clearclip.engine.text import embed
from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.evaluation import predictions
from napari_clearclip.evaluate.methods import method_of
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Runtime, Settings

WORDS = ("cat", "dog", "sky")


def test_each_pixel_has_the_word_of_the_crops_around_it(clips: dict[str, Any], tiny: Path, tmp_path: Path) -> None:
    clip, model, _ = clips["patch8"]
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (clip.mean, clip.std))
    texts, total = embed(clip, WORDS, "single"), torch.zeros(len(WORDS), 256, 256)
    for side in (256, 128, 64):
        starts = range(0, 256 - side + 1, side // 2)
        grid = torch.zeros(len(WORDS), len(starts), len(starts))
        for row, y in enumerate(starts):
            for col, x in enumerate(starts):
                crop = pixels[None, :, y : y + side, x : x + side]
                crop = interpolate(crop, size=(32, 32), mode="bicubic", antialias=True).clamp(0, 1)
                with torch.inference_mode():
                    grid[:, row, col] = texts @ normalize(model.encode_image((crop - mean) / std)[0], dim=0)
        total += interpolate(grid[None], size=(256, 256), mode="bilinear", align_corners=False)[0]
    prompts = tuple(Prompt(id=word, phrase=word, threshold=0) for word in WORDS)
    settings = Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=prompts,
        comparing=Comparing(templates="single", cell=1),
        deciding=Deciding(competitors="all"),
    )
    settings = settings.replace(tiling=settings.tiling.replace(short_side=256))
    case = Case(image, settings, np.zeros((256, 256), int), np.arange(-1, 3), 3, view=View(channel_axis=-1))
    pipeline = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path / "cache")))
    found = dict(predictions(pipeline, case, [method_of("clip_diy"), method_of("clearclip")]))
    best, second = total.topk(2, dim=0).values
    sure = ((best - second) > 1e-4).numpy()
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(found[0][sure], total.argmax(0).numpy()[sure])
    assert (found[0] != found[1]).any()
    assert len(set(found[0].ravel())) > 1


def test_crops_are_no_variant() -> None:
    method = method_of("clip_diy+naclip")
    assert method.crops
    assert method.key != method_of("clearclip+naclip").key
    assert method.on(Settings()).refining.pamr == 10
