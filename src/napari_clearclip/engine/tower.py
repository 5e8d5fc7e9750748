"""What variants need of an image tower, and the towers that have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

Heads = dict[str, torch.Tensor]


class Tower(Protocol):
    """A stack of attention blocks, taken apart.

    Attributes
    ----------
    depth : int
        Number of blocks.
    prefix : int
        Tokens before the patches: 1 with a class token, else 0.
    grid : tuple of 2 int
        Rows and columns of patches that it was trained on.
    patch : int
        Side of a patch in pixels.
    channels, width : int
        C, the size of a token, and D, the size of the text space.
    has_residual : bool
        Whether the last block has a residual connection and a feed-forward network.
    """

    depth: int
    prefix: int
    grid: tuple[int, int]
    patch: int
    channels: int
    width: int
    has_residual: bool

    def at(self, grid: tuple[int, int]) -> Tower:
        """The tower for images of another grid of patches; needed before all below but `enter`."""

    def enter(self, images: torch.Tensor, positions: str) -> torch.Tensor:
        """Tokens (B, L, C) before the first block, of normalised images (B, 3, H, W)."""

    def block(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """A block as it was trained."""

    def norm(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """What a block's attention reads."""

    def project(self, index: int, normed: torch.Tensor, letters: str) -> Heads:
        """Queries, keys and values, those that are named in `letters`, split into heads: (B, M, L, d)."""

    def output(self, index: int, joined: torch.Tensor) -> torch.Tensor:
        """The output projection of heads that are joined again, (B, L, C)."""

    def scale(self, index: int, attended: torch.Tensor) -> torch.Tensor:
        """The layer scale of what attention gives."""

    def feed(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """The feed-forward network of a block, with its norm and layer scale and without its skip."""

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors (B, L, D) in the text space, token by token."""

    def share(self, part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """What tokens that are a part (B, L, C) of a whole add to `read` of that: linear in the part, without biases.

        Raises
        ------
        ValueError
            If what follows the last block is not one norm and one linear layer.
        """

    def pool(self, tokens: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """The vector (B, D) of the whole image, of tokens after the last block and what `read` makes of them."""


def normed_share(norm: Any, part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """What a part (B, L, C) adds to a layer norm of a whole, of which mean and spread are; without the norm's bias."""
    spread = (whole.var(dim=-1, keepdim=True, unbiased=False) + norm.eps).sqrt()
    return torch.as_tensor((part - part.mean(dim=-1, keepdim=True)) / spread * norm.weight)


def split_heads(flat: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, L, M * d) as (B, M, L, d), a copy in that order: a softmax saves twice the time that it takes."""
    return flat.reshape(*flat.shape[:2], heads, -1).transpose(1, 2).contiguous()


def join_heads(split: torch.Tensor) -> torch.Tensor:
    """(B, M, L, d) as (B, L, M * d)."""
    return split.transpose(1, 2).flatten(2)


class ClipTower:
    """CLIP's own vision transformer, as open_clip builds it.

    Parameters
    ----------
    visual : open_clip.transformer.VisionTransformer
        It is read and never modified.
    """

    prefix, has_residual = 1, True

    def __init__(self, visual: VisionTransformer) -> None:
        self._visual: Any = visual
        self._blocks: Any = visual.transformer.resblocks
        self.depth = len(self._blocks)
        rows, cols = self._visual.grid_size
        self.grid = int(rows), int(cols)
        self.patch = int(self._visual.patch_size[0])
        self.channels = int(visual.transformer.width)
        self.width = int(self._visual.output_dim)

    def at(self, grid: tuple[int, int]) -> ClipTower:
        """Itself: positions are in the tokens."""
        return self

    def enter(self, images: torch.Tensor, positions: str) -> torch.Tensor:
        """Tokens (B, 1 + gh * gw, C) before the first block."""
        visual = self._visual
        maps = visual.conv1(images)  # (B, C, gh, gw)
        tokens = maps.flatten(2).transpose(1, 2)  # (B, gh*gw, C)
        cls = visual.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
        table = resample_positions(visual.positional_embedding, tuple(maps.shape[2:]), self.grid, positions)
        return torch.as_tensor(visual.ln_pre(torch.cat([cls, tokens], dim=1) + table.to(tokens.dtype)))

    def block(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """A block as it was trained."""
        return torch.as_tensor(self._blocks[index](tokens))

    def norm(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """What a block's attention reads."""
        return torch.as_tensor(self._blocks[index].ln_1(tokens))

    def project(self, index: int, normed: torch.Tensor, letters: str) -> Heads:
        """Queries, keys and values, those that are named in `letters`, split into heads: (B, M, L, d)."""
        attention, width, found = self._blocks[index].attn, normed.shape[-1], {}
        for place, letter in enumerate("qkv"):
            if letter in letters:
                part = slice(place * width, (place + 1) * width)
                flat = functional.linear(normed, attention.in_proj_weight[part], attention.in_proj_bias[part])
                found[letter] = split_heads(flat, attention.num_heads)
        return found

    def output(self, index: int, joined: torch.Tensor) -> torch.Tensor:
        """The output projection of heads that are joined again, (B, L, C)."""
        return torch.as_tensor(self._blocks[index].attn.out_proj(joined))

    def scale(self, index: int, attended: torch.Tensor) -> torch.Tensor:
        """The layer scale of what attention gives."""
        return torch.as_tensor(self._blocks[index].ls_1(attended))

    def feed(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """The feed-forward network of a block, with its norm and layer scale and without its skip."""
        block = self._blocks[index]
        return torch.as_tensor(block.ls_2(block.mlp(block.ln_2(tokens))))

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors (B, L, D) in the text space, token by token."""
        return torch.as_tensor(self._visual.ln_post(tokens) @ self._visual.proj)

    def share(self, part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """What a part of a whole adds to `read` of that."""
        return torch.as_tensor(normed_share(self._visual.ln_post, part, whole) @ self._visual.proj)

    def pool(self, tokens: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """The vector (B, D) of the whole image: the class token's."""
        return read[:, 0]


def resample_positions(table: torch.Tensor, grid: tuple[int, int], trained: tuple[int, int], mode: str) -> torch.Tensor:
    """Position embeddings for another grid of patches.

    Parameters
    ----------
    table : (1 + g * g', C) tensor
        Trained embeddings, the class token's first.
    grid, trained : tuple of 2 int
        Wanted and trained rows and columns. Grids are compared, not token counts: 7 x 28 is not 14 x 14.
    mode : {"dino_scale", "size", "size_antialias", "bilinear"}
        ``dino_scale`` is the papers': bicubic with the scale factor (h + 0.1) / g used as is. The others go by the
        output size: bicubic, bicubic with antialiasing (open_clip, GEM) and bilinear (CLIP Surgery).

    Returns
    -------
    (1 + h * w, C) tensor
        The table itself where the grid is the trained one.
    """
    if grid == trained:
        return table
    patches = table[1:].float().reshape(1, *trained, -1).permute(0, 3, 1, 2)  # (1, C, g, g')
    options: dict[str, Any] = {"size": grid, "mode": "bicubic"}
    if mode == "dino_scale":
        scale = tuple((new + 0.1) / old for new, old in zip(grid, trained, strict=True))
        options = {"scale_factor": scale, "mode": "bicubic", "recompute_scale_factor": False}
    elif mode == "size_antialias":
        options["antialias"] = True
    elif mode == "bilinear":
        options["mode"] = "bilinear"
    patches = functional.interpolate(patches, align_corners=False, **options)  # (1, C, h, w)
    return torch.cat([table[:1], patches.flatten(2)[0].T.to(table)])  # (1 + h*w, C)
