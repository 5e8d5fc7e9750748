"""What contrastive training computes: class token and caption to unit vectors, and the loss between them."""

from __future__ import annotations

import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional as F


def see(model: CLIP, images: Tensor, corner: tuple[int, int], keep: Tensor, fresh: Tensor) -> Tensor:
    """Unit vectors (B, D) of images that fill only a part of the model's patch grid.

    Parameters
    ----------
    images : (B, 3, S, S), normalised, S = patch times number of patches, at most the model's grid
    corner : row and column in the grid at which the images lie
    keep : (B,) factor on the last block's feed-forward part
    fresh : (B,) bool, whether the class token skips all blocks but the last

    Notes
    -----
    Equal to ``model.encode_image`` for full-size images, ``keep = 1`` and none `fresh`. In the last block only the
    class token is computed, as nothing else is read.
    """
    visual = model.visual
    patches = visual.conv1(images)  # (B, C, g, g)
    rows, cols = patches.shape[-2:]
    positions = visual.positional_embedding[1:].unflatten(0, visual.grid_size)  # (G, G, C)
    positions = positions[corner[0] : corner[0] + rows, corner[1] : corner[1] + cols]
    patches = patches.flatten(2).mT + positions.flatten(0, 1)  # (B, g*g, C)
    first = visual.class_embedding + visual.positional_embedding[0]
    x = begin = visual.ln_pre(torch.cat([first.expand(len(patches), 1, -1), patches], dim=1))  # (B, 1 + g*g, C)
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    x = torch.cat([torch.where(fresh[:, None, None], begin[:, :1], x[:, :1]), x[:, 1:]], dim=1)
    keys = last.ln_1(x)
    x = x[:, :1] + last.attention(keys[:, :1], keys, keys)  # (B, 1, C)
    x = (x + keep[:, None, None] * last.mlp(last.ln_2(x)))[:, 0]
    return F.normalize(visual.ln_post(x) @ visual.proj, dim=-1)


def read(model: CLIP, tokens: Tensor) -> Tensor:
    """Unit vectors (N, D) of captions (N, L), computed no further than the longest one reaches."""
    length = int((tokens.argmax(-1) + 1).max())
    tokens = tokens[:, :length]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    return F.normalize(x[torch.arange(len(x)), tokens.argmax(-1)] @ model.text_projection, dim=-1)


def contrast(images: Tensor, texts: Tensor, true: Tensor, scale: Tensor) -> Tensor:
    """Symmetric contrastive loss; half of the target is the own caption, half all captions that hold.

    Parameters
    ----------
    images : (B, D) unit vectors
    texts : (C, D) unit vectors, the first B belong to the images
    true : (B, C) bool, which captions hold for which images
    scale : inverse temperature
    """
    logits = scale * images @ texts.T  # (B, C)
    number = len(images)
    target = true.float()
    own = torch.eye(number, len(texts))
    by_image = 0.5 * own + 0.5 * target / target.sum(-1, keepdim=True)
    square = target[:, :number]
    by_text = 0.5 * own[:, :number] + 0.5 * square / square.sum(0)
    loss_image = -(by_image * logits.log_softmax(-1)).sum(-1).mean()
    loss_text = -(by_text * logits[:, :number].log_softmax(0)).sum(0).mean()
    return 0.5 * (loss_image + loss_text)
