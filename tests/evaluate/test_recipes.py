"""Each protocol's windows, scale and decision at full resolution against a literal loop around open_clip's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch.nn.functional import interpolate, pad

from napari_clearclip.edits import Edits, View
from napari_clearclip.engine.variants import variant
from napari_clearclip.evaluate.recipes import PROTOCOLS, Recipe
from napari_clearclip.job import Picture
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Model, Prompt, Runtime, Settings
from napari_clearclip.steps import drain

RGB = View(channel_axis=-1)
WORDS = (("cat",), ("dog", "hound"), ("sky",), ("wall",))
RECIPES = {f"{protocol}-{data}": recipe for protocol, sets in PROTOCOLS.items() for data, recipe in sets.items()}
# By what the windows depend on, and by what is decided, each once.
DIFFERENT = {(r.short_side, r.window, r.stride, r.scale, r.threshold, r.area): name for name, r in RECIPES.items()}


def dense(model: CLIP, images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (gh, gw, D) of an image's patches by open_clip's own blocks, positions as in the papers' code."""
    visual: Any = model.visual
    maps = visual.conv1(images)
    rows, cols = maps.shape[2:]
    table, side = visual.positional_embedding, visual.grid_size[0]
    patches = table[1:].T.reshape(1, -1, side, side)
    factor = (rows + 0.1) / side, (cols + 0.1) / side
    if (rows, cols) != visual.grid_size:
        patches = interpolate(patches, scale_factor=factor, mode="bicubic", recompute_scale_factor=False)
    tokens = torch.cat([visual.class_embedding[None], maps[0].flatten(1).T]) + torch.cat(
        [table[:1], patches[0].flatten(1).T]
    )
    tokens = visual.ln_post(visual.transformer(visual.ln_pre(tokens[None]))) @ visual.proj
    return torch.nn.functional.normalize(tokens[0, 1:], dim=-1).reshape(rows, cols, -1)


@torch.inference_mode()
def literal(model: CLIP, image: np.ndarray, recipe: Recipe) -> tuple[torch.Tensor, ...]:
    """Maps (Q, H, W) of all phrases and classes (H, W), step by step as the published evaluations do it."""
    sentences = [f"a photo of a {phrase}." for words in WORDS for phrase in words]
    vectors = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(sentences), normalize=True)
    patch = model.visual.conv1.weight.shape[-1]
    height, width = image.shape[:2]
    factor = min(recipe.short_side * 2048 / 448 / max(height, width), recipe.short_side / min(height, width))
    size = int(height * factor + 0.5), int(width * factor + 0.5)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    pixels = interpolate(pixels, size=size, mode="bilinear", align_corners=False)
    statistics = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    mean, std = (torch.tensor(values)[None, :, None, None] for values in statistics)
    pixels = (pixels - mean) / std
    total, count = torch.zeros(len(vectors), *size), torch.zeros(*size)
    crop, stride = recipe.window, recipe.stride
    for row in range(max(size[0] - crop + stride - 1, 0) // stride + 1):
        for col in range(max(size[1] - crop + stride - 1, 0) // stride + 1):
            y2, x2 = min(row * stride + crop, size[0]), min(col * stride + crop, size[1])
            y1, x1 = max(y2 - crop, 0), max(x2 - crop, 0)
            part = pixels[:, :, y1:y2, x1:x2]
            down, across = -(y2 - y1) % patch, -(x2 - x1) % patch
            top, left = down // 2, across // 2
            padded = pad(part, (left, across - left, top, down - top))
            logits = torch.einsum("hwd,qd->qhw", dense(model, padded), vectors)[None]
            logits = interpolate(logits, size=padded.shape[2:], mode="bilinear", align_corners=False)[0]
            total[:, y1:y2, x1:x2] += logits[:, top : top + y2 - y1, left : left + x2 - x1]
            count[y1:y2, x1:x2] += 1
    maps = interpolate((total / count)[None], size=(height, width), mode="bilinear", align_corners=False)[0]
    scores = torch.softmax(recipe.scale * maps, dim=0)
    owner = [index for index, words in enumerate(WORDS) for _ in words]
    classes = torch.stack([scores[[o == index for o in owner]].amax(0) for index in range(len(WORDS))])
    best, winner = classes.max(0)
    if recipe.area:
        winners = winner[winner > 0]
        shares = torch.bincount(winners, minlength=len(WORDS)) / max(len(winners), 1)
        classes[1:][shares[1:] <= recipe.area] = 0
        best, winner = classes.max(0)
    return maps, torch.where(best < recipe.threshold, 0, winner), classes


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path_factory.mktemp("cache"))))


@pytest.mark.parametrize("shape", [(61, 83), (90, 47)], ids=["wide", "high"])
@pytest.mark.parametrize("name", sorted(DIFFERENT.values()))
def test_a_recipe_is_the_literal_loop(
    name: str, shape: tuple[int, int], pipeline: Pipeline, tiny: Path, clips: dict[str, Any]
) -> None:
    """At a seventh of the published sizes, for a model whose patches are as much smaller."""
    recipe = RECIPES[name]
    small = Recipe(
        *(side // 7 if side < 4096 else 4096 for side in (recipe.short_side, recipe.window, recipe.stride)),
        recipe.scale,
        recipe.threshold,
        recipe.area,
    )
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    background = "distractor" if recipe.threshold else "object"
    prompts = tuple(
        Prompt(id=words[0], phrase=words[0], synonyms=words[1:], threshold=recipe.threshold, kind=kind)
        for words, kind in zip(WORDS, (background, *["object"] * 3), strict=True)
    )
    settings = Settings(model=Model(name="", pretrained=str(tiny)), attention=variant("vanilla"), prompts=prompts)
    settings = small.on(settings, exact=True)
    settings = settings.replace(comparing=Comparing(templates="single", cell=1))
    maps, winner, classes = literal(clips["patch8"][1], image, small)
    job = drain(pipeline.stages.prepare(Picture(image, RGB), settings, RGB, Edits()))
    cosines = drain(pipeline.stages.cosines(job, drain(pipeline.stages.vectors(job))))
    stacked = torch.stack([cosines[phrase] for words in WORDS for phrase in words])
    sampled = job.frame.sample(stacked, slice(0, shape[0]), slice(0, shape[1]))
    torch.testing.assert_close(sampled, maps, atol=1e-5, rtol=0)
    labels = pipeline.run(image, settings, RGB).labels
    predicted = np.array([0, 1, 2, 3] if recipe.threshold else [0, 0, 1, 2, 3])[labels]
    top = classes.topk(2, dim=0).values
    sure = ((top[0] - top[1] > 1e-5) & ((top[0] - recipe.threshold).abs() > 1e-5)).numpy()
    assert sure.mean() > 0.5
    np.testing.assert_array_equal(predicted[sure], winner.numpy()[sure])
