"""CLIP's ResNets, whose attention pool is the one block that variants can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_clearclip.engine.tower import Heads, resample_positions, split_heads

if TYPE_CHECKING:
    from open_clip.modified_resnet import ModifiedResNet


class ResNetTower:
    """A ResNet as open_clip builds it: tokens are the places of its last map and, first, their mean.

    Parameters
    ----------
    visual : open_clip.modified_resnet.ModifiedResNet
        It is read and never modified.
    grid : tuple of 2 int, optional
        Rows and columns of places; those that it was trained on if left out.
    positions : str
        How position embeddings are resampled, see `resample_positions`.

    Notes
    -----
    There is no residual connection and no feed-forward network: the row ``qk`` is the model unchanged. Where each place
    keeps its own value (MaskCLIP), positions are left out, as in MaskCLIP's code.
    """

    prefix, depth, has_residual = 1, 1, False

    def __init__(
        self, visual: ModifiedResNet, grid: tuple[int, int] | None = None, positions: str = "dino_scale"
    ) -> None:
        self._visual: Any = visual
        self._pool: Any = visual.attnpool
        side = int((len(self._pool.positional_embedding) - 1) ** 0.5)
        self.grid = side, side
        self.patch = 32
        self.channels, self.width = int(self._pool.k_proj.in_features), int(self._pool.c_proj.out_features)
        self._at, self._positions = grid or self.grid, positions

    def at(self, grid: tuple[int, int]) -> ResNetTower:
        """The tower for another grid of places."""
        return ResNetTower(self._visual, grid, self._positions)

    def enter(self, images: torch.Tensor, positions: str) -> torch.Tensor:
        """Tokens (B, 1 + gh * gw, C) before the attention pool, without positions."""
        maps = self._visual.stem(images)
        for layer in (self._visual.layer1, self._visual.layer2, self._visual.layer3, self._visual.layer4):
            maps = layer(maps)  # (B, C, gh, gw)
        tokens = maps.flatten(2).transpose(1, 2)  # (B, gh*gw, C)
        return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)

    def block(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """The attention pool has no block after it; its tokens are what they were."""
        return tokens

    def norm(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """What the attention pool reads; it has no norm."""
        return tokens

    def project(self, index: int, normed: torch.Tensor, letters: str) -> Heads:
        """Queries, keys and values, those that are named in `letters`, split into heads: (B, M, L, d)."""
        if letters != "v":
            table = resample_positions(self._pool.positional_embedding, self._at, self.grid, self._positions)
            normed = normed + table.to(normed.dtype)
        layers = {letter: getattr(self._pool, f"{letter}_proj") for letter in letters}
        return {letter: split_heads(layer(normed), self._pool.num_heads) for letter, layer in layers.items()}

    def output(self, index: int, joined: torch.Tensor) -> torch.Tensor:
        """The output projection of heads that are joined again, (B, L, D): it leads into the text space."""
        return torch.as_tensor(self._pool.c_proj(joined))

    def scale(self, index: int, attended: torch.Tensor) -> torch.Tensor:
        """The same: there is no layer scale."""
        return attended

    def feed(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """Nothing: there is no feed-forward network."""
        return torch.zeros_like(tokens)

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """The same, which are vectors in the text space."""
        return tokens

    def share(self, part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """The part itself, as `read` gives it."""
        return part

    def pool(self, tokens: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """The vector (B, D) of the whole image: that of the mean token."""
        return read[:, 0]
