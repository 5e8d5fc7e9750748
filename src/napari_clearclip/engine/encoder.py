"""Windows to dense features: `encode` runs the trunk, `project` the last blocks as a variant wants them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.nn import functional

from napari_clearclip.engine.attention import attend, neighbourhood_bias
from napari_clearclip.engine.device import free_memory
from napari_clearclip.engine.student import Student

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.settings import Attention

T = TypeVar("T")


@dataclass(frozen=True)
class Trunk:
    """Tokens that enter the last `blocks` blocks: (B, 1 + gh * gw, C), the class token first."""

    tokens: torch.Tensor
    grid: tuple[int, int]
    blocks: int

    @property
    def nbytes(self) -> int:
        """Memory of the tokens in bytes."""
        return self.tokens.nbytes

    def __getitem__(self, index: int) -> Trunk:
        return Trunk(self.tokens[index : index + 1], self.grid, self.blocks)

    @classmethod
    def join(cls, parts: Sequence[Trunk]) -> Trunk:
        """Several windows' trunks, of one grid and depth, as one."""
        return cls(torch.cat([part.tokens for part in parts]), parts[0].grid, parts[0].blocks)

    def stored(self, storage: str) -> Trunk:
        """A copy in main memory, as float32 or float16."""
        return Trunk(_stored(self.tokens, storage), self.grid, self.blocks)


@dataclass(frozen=True)
class Features:
    """Dense features in the text space.

    Attributes
    ----------
    vectors : (B, gh, gw, D) tensor
        Unit vectors of the patches.
    norms : (B, gh, gw) float32 tensor
        Lengths before normalisation.
    cls : (B, D) tensor
        Unit vector of the class token's row.
    keys : (B, gh, gw, C) tensor or None
        Where asked for, each patch's key in the last block, all heads joined and through the output projection.
    """

    vectors: torch.Tensor
    norms: torch.Tensor
    cls: torch.Tensor
    keys: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        keys = 0 if self.keys is None else self.keys.nbytes
        return self.vectors.nbytes + self.norms.nbytes + self.cls.nbytes + keys

    def __getitem__(self, index: int) -> Features:
        part = slice(index, index + 1)
        keys = None if self.keys is None else self.keys[part]
        return Features(self.vectors[part], self.norms[part], self.cls[part], keys)

    def stored(self, storage: str) -> Features:
        """A copy in main memory, all but the norms as float32 or float16."""
        keys = None if self.keys is None else _stored(self.keys, storage)
        norms = _stored(self.norms, "float32")
        return Features(_stored(self.vectors, storage), norms, _stored(self.cls, storage), keys)


def _stored(tensor: torch.Tensor, storage: str) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=getattr(torch, storage)).copy_(tensor)


def drain(steps: Generator[None, None, T]) -> T:
    """Run a generator to its end and give back what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


@lru_cache(maxsize=32)
def _bias(grid: tuple[int, int], sigma: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return neighbourhood_bias(grid, sigma).to(device, dtype)


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


def prepare(clip: Clip, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised windows, padded with zeros to whole patches.

    Parameters
    ----------
    clip : Clip
        Gives mean, standard deviation and patch size.
    pixels : (B, h, w, 3) float32 tensor
        Values in [0, 1].

    Returns
    -------
    (B, 3, gh * p, gw * p) float32 tensor
        The padding is split evenly, an odd row or column goes to the bottom or right.
    """
    mean, std = pixels.new_tensor(clip.mean), pixels.new_tensor(clip.std)
    images = ((pixels - mean) / std).permute(0, 3, 1, 2)  # (B, 3, h, w)
    rows, cols = -images.shape[2] % clip.patch, -images.shape[3] % clip.patch
    return functional.pad(images, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))


@torch.inference_mode()
def encode_steps(
    clip: Clip, images: torch.Tensor, blocks: int = 1, positions: str = "dino_scale"
) -> Generator[None, None, Trunk]:
    """As `encode`, yielding after each block so that the caller can stop in between."""
    visual = clip.model.visual
    grid = (images.shape[2] // clip.patch, images.shape[3] // clip.patch)
    images = images.to(clip.device, clip.dtype)
    if isinstance(visual, Student):
        return Trunk(visual.tokens(images), grid, blocks)
    tokens = visual.conv1(images).flatten(2).transpose(1, 2)  # (B, gh*gw, C)
    cls = visual.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
    table = resample_positions(visual.positional_embedding, grid, clip.grid, positions)
    tokens = visual.ln_pre(torch.cat([cls, tokens], dim=1) + table.to(tokens.dtype))  # (B, 1 + gh*gw, C)
    yield
    for block in visual.transformer.resblocks[:-blocks]:
        tokens = block(tokens)
        yield
    return Trunk(tokens, grid, blocks)


def encode(clip: Clip, images: torch.Tensor, blocks: int = 1, positions: str = "dino_scale") -> Trunk:
    """The tokens that enter the last blocks; all blocks before are as trained.

    Parameters
    ----------
    clip : Clip
        The model.
    images : (B, 3, H, W) float32 tensor
        Normalised windows, H and W multiples of the patch size.
    blocks : int
        How many last blocks are left to `project`.
    positions : str
        See `resample_positions`.

    Returns
    -------
    Trunk
        Tokens (B, 1 + gh * gw, C) on the model's device.
    """
    return drain(encode_steps(clip, images, blocks, positions))


def _attention_output(block: torch.nn.Module, tokens: torch.Tensor, row: Attention, bias: torch.Tensor | None) -> Any:
    """O(A v) of a block with the row's attention, layer scale included: (B, L, C)."""
    attention: Any = block.attn
    normed = block.ln_1(tokens)  # type: ignore[operator]  # torch types every submodule as Tensor | Module
    heads = attention.num_heads
    letters = {"v", *(letter for term in row.terms if term != "identity" for letter in term)}
    projections = {}
    for index, letter in enumerate("qkv"):
        if letter in letters:
            part = slice(index * tokens.shape[-1], (index + 1) * tokens.shape[-1])
            flat = functional.linear(normed, attention.in_proj_weight[part], attention.in_proj_bias[part])
            projections[letter] = flat.reshape(*flat.shape[:2], heads, -1).transpose(1, 2)  # (B, M, L, d)
    joined = attend(projections, row, bias).transpose(1, 2).flatten(2)  # (B, L, C)
    return block.ls_1(attention.out_proj(joined))  # type: ignore[operator]


def _keys(block: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """The patches' keys (B, L - 1, C) in a block, through its output projection, bias included."""
    attention: Any = block.attn
    part = slice(tokens.shape[-1], 2 * tokens.shape[-1])
    normed = block.ln_1(tokens[:, 1:])  # type: ignore[operator]  # torch types every submodule as Tensor | Module
    keys = functional.linear(normed, attention.in_proj_weight[part], attention.in_proj_bias[part])
    projected: torch.Tensor = attention.out_proj(keys)
    return projected


@torch.inference_mode()
def project(clip: Clip, trunk: Trunk, row: Attention, keys: bool = False) -> Features:
    """Dense features of a variant: its last blocks, then the model's own final norm and projection.

    Parameters
    ----------
    clip : Clip
        The model; it is not modified.
    trunk : Trunk
        From `encode` with ``blocks=row.blocks``.
    row : Attention
        The variant.
    keys : bool
        Whether to give the keys of the last block as well.

    Returns
    -------
    Features
        With x the input of the last block and O(A v) the attention output, summed over the last `row.blocks` blocks
        (the path between them is as trained): ``z = residual * x + alpha * O(A v)``, then
        ``y = z + ffn * MLP(LN2(z))``, then LN_post and the projection of each token.

    Raises
    ------
    ValueError
        If the model has too few blocks, or the trunk was encoded for another number of blocks.

    Notes
    -----
    Without the residual the feed-forward network keeps its own inner skip (row "no RC, FFN" of ClearCLIP Table 1).
    LN_post and the projection are always applied, as in the authors' code, although Eq. (6) writes only the projection.

    References
    ----------
    ClearCLIP, Eqs. (4) to (6) and Table 1.
    """
    joint, found = _joint(clip, trunk, row, keys)
    joint = joint.float()  # (B, L, D)
    norms = joint.norm(dim=-1, keepdim=True)
    unit = joint / norms.clamp_min(1e-12)
    shape = (len(unit), *trunk.grid)
    found = None if found is None else found.reshape(*shape, -1)
    return Features(unit[:, 1:].reshape(*shape, -1), norms[:, 1:, 0].reshape(shape), unit[:, 0], found)


def _joint(clip: Clip, trunk: Trunk, row: Attention, keys: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Vectors (B, L, D) in the joint space and keys (B, L - 1, C): of a variant's last blocks, or of a student."""
    visual = clip.model.visual
    tokens = trunk.tokens.to(clip.device, clip.dtype)
    if isinstance(visual, Student):
        return torch.as_tensor(visual.last(tokens)), None
    if row.blocks >= clip.depth:
        raise ValueError(f"the variant reads the last {row.blocks} blocks, but the model has {clip.depth}")
    if trunk.blocks != row.blocks:
        raise ValueError(f"the trunk ends before the last {trunk.blocks} blocks, but the variant reads {row.blocks}")
    bias = _bias(trunk.grid, row.bias, tokens.device, tokens.dtype) if row.bias else None
    last = visual.transformer.resblocks[-row.blocks :]
    attended = torch.zeros_like(tokens)
    for index, block in enumerate(last):
        attended = attended + _attention_output(block, tokens, row, bias)
        if index < len(last) - 1:
            tokens = block(tokens)
    mixed = row.alpha * attended
    if row.residual:
        mixed = mixed + row.residual * tokens
    if row.ffn:
        mixed = mixed + row.ffn * last[-1].ls_2(last[-1].mlp(last[-1].ln_2(mixed)))
    found = _keys(last[-1], tokens).float() if keys else None
    return torch.as_tensor(visual.ln_post(mixed) @ visual.proj), found


def embed_images(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (B, D) of whole images: the vanilla class token, equal to open_clip's ``encode_image``."""
    from napari_clearclip.engine.attention import variant

    row = variant("vanilla")
    return project(clip, encode(clip, images, row.blocks), row).cls


def halving(work: Callable[[int], Generator[Any, None, T]], size: int) -> Generator[Any, None, T]:
    """Do `work(size)` in steps; when memory runs out, free what can be freed and try with half the size."""
    while True:
        try:
            return (yield from work(size))
        except (torch.OutOfMemoryError, MemoryError):
            if size == 1:
                raise
            size //= 2
            free_memory()
