"""The plain way: the published pipeline, read literally and with nothing else in mind.

One window after another goes through the whole tower, the last block is run as trained and once more in its modified
form with its attention written out; each phrase is put into every template and read in the full context; all prompts'
maps are upsampled to pixels, added up, divided and put through the softmax at once. Of the package it takes the weights
only, as open_clip's own model, so that it is also a second opinion on every score. It computes where the model is and
as precise as that; maps are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from torch.nn import functional

FloatArray = npt.NDArray[np.float32]
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PAIRS = {"qq": (0, 0), "kk": (1, 1), "vv": (2, 2), "qk": (0, 1)}


@torch.inference_mode()
def embed(model: Any, phrases: Sequence[str]) -> torch.Tensor:
    """Unit vectors (Q, D) of phrases, each in all 80 templates of 77 tokens."""
    vectors = []
    for phrase in phrases:
        tokens = open_clip.tokenize([template(phrase) for template in open_clip.OPENAI_IMAGENET_TEMPLATES])
        found = functional.normalize(model.encode_text(tokens.to(model.logit_scale.device)).float(), dim=-1)  # (80, D)
        vectors.append(functional.normalize(found.mean(dim=0), dim=-1))
    return torch.stack(vectors)


def starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of windows along a side; the last is pushed back inside."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return [max(min(number * stride + window, length) - window, 0) for number in range(count)]


@torch.inference_mode()
def score(
    model: Any,
    image: npt.NDArray[np.uint8],
    texts: torch.Tensor,
    terms: Sequence[str] = ("qq",),
    whole: bool = False,
    window: int = 448,
    stride: int = 224,
    scale: float = 50.0,
) -> FloatArray:
    """Scores (Q, H, W) of phrases at pixels.

    Parameters
    ----------
    model : open_clip.model.CLIP
        A model of OpenAI's architecture.
    image : (H, W, 3) uint8 array
        No smaller than a window; windows are whole patches.
    texts : (Q, D) tensor
        From `embed`.
    terms : sequence of str
        The pairs whose softmaxes are added up in the last block.
    whole : bool
        Whether the last block keeps residual connection and feed-forward network.
    window, stride : int
        In pixels; the image is read at its own size.
    scale : float
        Factor on the cosines before the softmax.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    pixels, texts = pixels.to(model.visual.proj), texts.to(model.visual.proj.device)
    height, width = image.shape[:2]
    total = torch.zeros(len(texts), height, width, device=texts.device)
    count = torch.zeros(height, width, device=texts.device)
    for top in starts(height, window, stride):
        for left in starts(width, window, stride):
            part = np.s_[..., top : top + window, left : left + window]
            vectors = read(model.visual, pixels[part][None], terms, whole).float()  # (h, w, D)
            maps = (vectors @ texts.T).permute(2, 0, 1)  # (Q, h, w)
            total[part] += functional.interpolate(maps[None], size=(window, window), mode="bilinear")[0]
            count[part] += 1
    maps = functional.interpolate((total / count)[None], size=(height, width), mode="bilinear")[0]
    return np.asarray(torch.softmax(scale * maps, dim=0).cpu().numpy())


def segment(scores: FloatArray, threshold: float) -> npt.NDArray[np.int64]:
    """Labels (H, W): the best phrase + 1, 0 below the threshold."""
    return np.where(scores.max(axis=0) >= threshold, scores.argmax(axis=0) + 1, 0)


def read(visual: Any, images: torch.Tensor, terms: Sequence[str], whole: bool) -> torch.Tensor:
    """Unit vectors (h, w, D) of the patches of one window (1, 3, H, W)."""
    maps = visual.conv1(images)  # (1, C, h, w)
    rows, cols = maps.shape[2:]
    table = positions(visual.positional_embedding, (rows, cols), visual.grid_size)
    tokens = torch.cat([visual.class_embedding[None, None], maps.flatten(2).transpose(1, 2)], dim=1)
    tokens = visual.ln_pre(tokens + table)  # (1, 1 + h * w, C)
    for block in visual.transformer.resblocks:
        before, tokens = tokens, block(tokens)
    mixed = modified(visual.transformer.resblocks[-1], before, terms, whole)
    vectors = functional.normalize(visual.ln_post(mixed) @ visual.proj, dim=-1)[0, 1:]  # (h * w, D)
    return vectors.reshape(rows, cols, -1)


def positions(table: torch.Tensor, grid: tuple[int, int], trained: tuple[int, int]) -> torch.Tensor:
    """Position embeddings (1 + h * w, C) for another grid, with the papers' scale factor."""
    if grid == tuple(trained):
        return table
    square = table[1:].reshape(1, *trained, -1).permute(0, 3, 1, 2)
    factor = ((grid[0] + 0.1) / trained[0], (grid[1] + 0.1) / trained[1])
    square = functional.interpolate(square, scale_factor=factor, mode="bicubic", align_corners=False)
    return torch.cat([table[:1], square.permute(0, 2, 3, 1).flatten(0, 2)])


def modified(block: Any, tokens: torch.Tensor, terms: Sequence[str], whole: bool) -> torch.Tensor:
    """The last block with the sum of some pairs' attention, all scores written out: (1, L, C)."""
    attention = block.attn
    packed = functional.linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)[0]  # (L, 3 * C)
    parts = [part.unflatten(1, (attention.num_heads, -1)).transpose(0, 1) for part in packed.chunk(3, dim=1)]
    weights: Any = 0
    for term in terms:
        left, right = (parts[place] for place in PAIRS[term])
        weights = weights + torch.softmax(torch.bmm(left, right.transpose(1, 2)) * left.shape[-1] ** -0.5, dim=-1)
    heads = torch.bmm(weights, parts[2])  # (M, L, d)
    mixed = attention.out_proj(heads.transpose(0, 1).flatten(1))[None]
    if not whole:
        return mixed
    mixed = tokens + mixed
    return mixed + block.mlp(block.ln_2(mixed))
