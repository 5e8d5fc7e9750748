"""Image towers of timm: SigLIP's and EVA02's, and plain vision transformers, with a text tower or without."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from napari_clearclip.engine.tower import Heads, normed_share, resample_positions, split_heads


class TimmTower:
    """A vision transformer of timm, by itself or inside open_clip's ``TimmModel``.

    Parameters
    ----------
    visual : nn.Module
        It is read and never modified; its position table stays at the trained grid.
    grid : tuple of 2 int, optional
        Rows and columns of patches, on which rotary positions depend; those that it was trained on if left out.

    Raises
    ------
    ValueError
        If its attention has a gate, or it has registers, which no variant here says how to take apart.

    Notes
    -----
    Without a class token (SigLIP) the image is pooled by attention with a query of its own. A patch is read by the same
    pool as if it were alone: by the values, since a softmax over one token is 1.
    """

    has_residual = True

    def __init__(self, visual: nn.Module, grid: tuple[int, int] | None = None) -> None:
        self._visual = visual
        self._trunk: Any = getattr(visual, "trunk", visual)
        self._head: Any = getattr(visual, "head", nn.Identity()) if self._trunk is not visual else nn.Identity()
        self._blocks: Any = self._trunk.blocks
        self.depth = len(self._blocks)
        self.prefix = int(self._trunk.num_prefix_tokens)
        if self.prefix > 1 or any(getattr(block.attn, "gate", None) is not None for block in self._blocks):
            raise ValueError("a tower with registers or gated attention cannot be taken apart; choose another model")
        rows, cols = self._trunk.patch_embed.grid_size
        self.grid = int(rows), int(cols)
        self.patch = int(self._trunk.patch_embed.patch_size[0])
        self.channels = int(self._trunk.embed_dim)
        linear = [layer for layer in (self._trunk.head, *self._head.modules()) if isinstance(layer, nn.Linear)]
        self.width = linear[-1].out_features if linear else self.channels
        rope = getattr(self._trunk, "rope", None)
        self._rope = None if rope is None else _rotary(rope, grid or self.grid)

    def at(self, grid: tuple[int, int]) -> TimmTower:
        """The tower for another grid of patches."""
        return self if self._rope is None else TimmTower(self._visual, grid)

    def enter(self, images: torch.Tensor, positions: str) -> torch.Tensor:
        """Tokens (B, P + gh * gw, C) before the first block."""
        trunk = self._trunk
        maps = trunk.patch_embed.proj(images)  # (B, C, gh, gw)
        tokens = maps.flatten(2).transpose(1, 2)  # (B, gh*gw, C)
        if self.prefix:
            tokens = torch.cat([trunk.cls_token.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], dim=1)
        if trunk.pos_embed is not None:
            table = trunk.pos_embed[0]
            own = self.prefix and not trunk.no_embed_class  # the class token has a position of its own
            table = table if own else torch.cat([torch.zeros_like(table[:1]), table])
            table = resample_positions(table, (maps.shape[2], maps.shape[3]), self.grid, positions)
            tokens = tokens + table[1 - self.prefix :].to(tokens.dtype)
        return torch.as_tensor(trunk.norm_pre(tokens))

    def block(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """A block as it was trained."""
        if self._rope is None:
            return torch.as_tensor(self._blocks[index](tokens))
        return torch.as_tensor(self._blocks[index](tokens, rope=self._rope.to(tokens)))

    def norm(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """What a block's attention reads."""
        return torch.as_tensor(self._blocks[index].norm1(tokens))

    def project(self, index: int, normed: torch.Tensor, letters: str) -> Heads:
        """Queries, keys and values, those that are named in `letters`, split into heads: (B, M, L, d)."""
        attention, found = self._blocks[index].attn, {}
        for place, letter in enumerate("qkv"):
            if letter in letters:
                part = split_heads(_projected(attention, normed, place, letter), attention.num_heads)
                found[letter] = part if letter == "v" else self._turned(getattr(attention, f"{letter}_norm")(part))
        return found

    def _turned(self, part: torch.Tensor) -> torch.Tensor:
        """Queries or keys with their places in them, where these are rotary."""
        if self._rope is None:
            return part
        from timm.layers.pos_embed_sincos import apply_rot_embed_cat

        patches = apply_rot_embed_cat(part[:, :, self.prefix :], self._rope.to(part))
        return torch.cat([part[:, :, : self.prefix], patches], dim=2)

    def output(self, index: int, joined: torch.Tensor) -> torch.Tensor:
        """The output projection of heads that are joined again, (B, L, C)."""
        attention = self._blocks[index].attn
        return torch.as_tensor(attention.proj(attention.norm(joined)))

    def scale(self, index: int, attended: torch.Tensor) -> torch.Tensor:
        """The layer scale of what attention gives."""
        return _scaled(self._blocks[index], 1, attended)

    def feed(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """The feed-forward network of a block, with its norm and layer scale and without its skip."""
        block = self._blocks[index]
        return _scaled(block, 2, block.mlp(block.norm2(tokens)))

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors (B, L, D) in the text space, token by token."""
        trunk, normed = self._trunk, self._trunk.norm(tokens)
        pool = trunk.attn_pool
        if pool is not None:
            half = pool.kv.weight.shape[0] // 2
            bias = None if pool.kv.bias is None else pool.kv.bias[half:]
            normed = pool.proj(functional.linear(normed, pool.kv.weight[half:], bias))
            normed = normed + pool.mlp(pool.norm(normed)) if pool.mlp is not None else normed
        return torch.as_tensor(self._head(trunk.head(trunk.fc_norm(normed))))

    def share(self, part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """What a part of a whole adds to `read` of that."""
        trunk = self._trunk
        norms = [layer for layer in (trunk.norm, trunk.fc_norm) if isinstance(layer, nn.LayerNorm)]
        linear = [layer for layer in (trunk.head, *self._head.modules()) if not list(layer.children())]
        linear = [layer for layer in linear if not isinstance(layer, nn.Identity | nn.Dropout)]
        if trunk.attn_pool is not None or len(norms) != 1 or not all(isinstance(layer, nn.Linear) for layer in linear):
            raise ValueError("what this tower does after its last block cannot be split into parts")
        shared = normed_share(norms[0], part, whole)
        for layer in linear:
            shared = functional.linear(shared, layer.weight)
        return shared

    def pool(self, tokens: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """The vector (B, D) of the whole image."""
        return torch.as_tensor(self._head(self._trunk.forward_head(self._trunk.norm(tokens))))


def _rotary(rope: Any, grid: tuple[int, int]) -> torch.Tensor:
    """Sines and cosines of places on a grid, which timm keeps for the trained one only."""
    from timm.layers.pos_embed_sincos import RotaryEmbeddingCat

    names = ("dim", "max_res", "temperature", "in_pixels", "linear_bands", "ref_feat_shape", "grid_offset")
    own = {name: getattr(rope, name) for name in (*names, "grid_indexing")}
    return torch.as_tensor(RotaryEmbeddingCat(**own, feat_shape=list(grid)).get_embed())


def _projected(attention: Any, normed: torch.Tensor, place: int, letter: str) -> torch.Tensor:
    """One of queries, keys and values, (B, L, C), from a fused projection or one of its own."""
    if getattr(attention, "qkv", None) is None:
        return torch.as_tensor(getattr(attention, f"{letter}_proj")(normed))
    width = attention.qkv.weight.shape[0] // 3
    part, bias = slice(place * width, (place + 1) * width), attention.qkv.bias
    if bias is not None:
        bias = bias[part]
    elif getattr(attention, "q_bias", None) is not None:
        bias = getattr(attention, f"{letter}_bias")
    return functional.linear(normed, attention.qkv.weight[part], bias)


def _scaled(block: Any, which: int, values: torch.Tensor) -> torch.Tensor:
    """Values with a block's first or second layer scale."""
    if hasattr(block, f"ls{which}"):
        return torch.as_tensor(getattr(block, f"ls{which}")(values))
    gamma = getattr(block, f"gamma_{which}", None)
    return values if gamma is None else values * gamma
