"""Windows to dense features: `encode` runs the trunk, `project` the last blocks as a variant wants them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.nn import functional

from napari_clearclip.engine.attention import PAIRS, attend, attend_each, neighbourhood_bias, sides_of, summed
from napari_clearclip.engine.calibration import CLASS_SHARE, Calibration, calibrate
from napari_clearclip.engine.device import free_memory, sent
from napari_clearclip.engine.student import Student
from napari_clearclip.engine.tower import Heads, Tower, join_heads
from napari_clearclip.engine.variants import unmet, variant
from napari_clearclip.settings.reading import CROSSED
from napari_clearclip.steps import drain

if TYPE_CHECKING:
    from napari_clearclip.engine.attention import Sides
    from napari_clearclip.engine.model import Clip
    from napari_clearclip.engine.towers import Plain
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
        Unit vectors of the patches; where a variant takes off a share of the class token's, without it.
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


@lru_cache(maxsize=32)
def _bias(grid: tuple[int, int], sigma: float, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return neighbourhood_bias(grid, sigma).to(device, dtype)


def prepare(clip: Clip | Plain, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised windows, padded with zeros to whole patches.

    Parameters
    ----------
    clip : Clip or Plain
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
    grid = (images.shape[2] // clip.patch, images.shape[3] // clip.patch)
    images = sent(images, clip.device, clip.dtype)
    if isinstance(clip.model.visual, Student):
        return Trunk(clip.model.visual.tokens(images), grid, blocks)
    tokens = clip.tower.enter(images, positions)
    yield
    return (yield from advance_steps(clip, Trunk(tokens, grid, clip.depth), blocks))


@torch.inference_mode()
def advance_steps(clip: Clip, trunk: Trunk, blocks: int) -> Generator[None, None, Trunk]:
    """A trunk that ended early, gone on with until `blocks` blocks are left; yields after each block."""
    tokens = sent(trunk.tokens, clip.device, clip.dtype)
    tower = clip.tower.at(trunk.grid)
    for index in range(clip.depth - trunk.blocks, clip.depth - blocks):
        tokens = tower.block(index, tokens)
        yield
    return Trunk(tokens, trunk.grid, blocks)


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


def _attended(
    tower: Tower,
    index: int,
    tokens: torch.Tensor,
    row: Attention,
    bias: torch.Tensor | None,
    earlier: Sequence[Heads],
    known: Heads | None,
) -> torch.Tensor:
    """O(A v) of a block with the row's attention, of which outputs may be known, layer scale included: (B, L, C)."""
    if known is None:
        heads = attend(sides_at(tower, index, tokens, row), row, bias, earlier)
    else:
        heads = summed(known, row) * row.gain
    return tower.scale(index, tower.output(index, join_heads(heads)))


def letters_of(row: Attention) -> str:
    """Which of queries, keys and values a row reads."""
    letters = {"v", *(letter for term in row.terms if term in PAIRS for letter in term)}
    if {"uu", "random"}.intersection(row.terms):
        letters.add("q")  # whose length the others take on
    return "".join(sorted(letters))


def sides_at(
    tower: Tower, index: int, tokens: torch.Tensor, row: Attention, known: Heads | None = None
) -> dict[str, Sides]:
    """What attends to what in a block that `tokens` (B, L, C) enter; see `sides_of`, whose projections may be known."""
    normed = tower.norm(index, tokens)
    return sides_of(known or tower.project(index, normed, letters_of(row)), normed, row)


@torch.inference_mode()
def heads_of(clip: Clip, trunk: Trunk, letters: str) -> Heads:
    """Queries, keys and values of the last block, those that are named in `letters`: (B, M, L, d) each.

    Parameters
    ----------
    clip : Clip
        The model.
    trunk : Trunk
        From `encode` with ``blocks=1``.
    letters : str
        Some of ``qkv``.
    """
    tower = clip.tower.at(trunk.grid)
    last, tokens = tower.depth - 1, sent(trunk.tokens, clip.device, clip.dtype)
    return tower.project(last, tower.norm(last, tokens), letters)


@torch.inference_mode()
def outputs_of(clip: Clip, trunk: Trunk, row: Attention, heads: Heads) -> dict[str, torch.Tensor]:
    """What each of a row's terms gives in the last block, (B, M, L, d): see `attend_each`.

    Parameters
    ----------
    clip : Clip
        The model.
    trunk : Trunk
        From `encode` with ``blocks=1``.
    row : Attention
        A variant that reads the last block only.
    heads : mapping of str to (B, M, L, d) tensor
        What `heads_of` gives for the `letters_of` the row.
    """
    tower = clip.tower.at(trunk.grid)
    tokens = sent(trunk.tokens, clip.device, clip.dtype)
    sides = sides_at(tower, tower.depth - 1, tokens, row, heads)
    return attend_each(sides, row, bias_for(tower, trunk.grid, row, tokens))


def among_patches(
    sides: dict[str, Sides], bias: torch.Tensor | None, earlier: Sequence[Heads], prefix: int
) -> tuple[dict[str, Sides], torch.Tensor | None, list[Heads]]:
    """What `attend` reads, without the tokens before the patches."""
    cut = {term: [(a[:, :, prefix:], b[:, :, prefix:]) for a, b in pairs] for term, pairs in sides.items()}
    crossed = [{letter: part[:, :, prefix:] for letter, part in heads.items()} for heads in earlier]
    return cut, None if bias is None else bias[prefix:, prefix:], crossed


def _calibrated(
    tower: Tower, found: Calibration, row: Attention, bias: torch.Tensor | None, earlier: Sequence[Heads]
) -> torch.Tensor:
    """What the last block's attention makes of both passes of a calibration, the class token as it is: (B, L, C)."""
    last, total = tower.depth - 1, torch.zeros_like(found.passes[0][:, tower.prefix :])
    for tokens in found.passes:
        sides, near, crossed = among_patches(sides_at(tower, last, tokens, row), bias, earlier, tower.prefix)
        heads = attend(sides, row, near, crossed, found.alike)
        attended = tower.scale(last, tower.output(last, join_heads(heads)))
        total = total + found.shared @ (attended + CLASS_SHARE * tokens[:, :1])
    return torch.cat([found.passes[0][:, : tower.prefix], total], dim=1)


def bias_for(tower: Tower, grid: tuple[int, int], row: Attention, like: torch.Tensor) -> torch.Tensor | None:
    """What a row adds to the logits (L, L) of a tower's tokens, where and as precise as `like`; None if nothing."""
    if not row.bias:
        return None
    bias = _bias(grid, row.bias, like.device, like.dtype)
    return bias if tower.prefix else bias[1:, 1:]


def _keys(tower: Tower, tokens: torch.Tensor) -> torch.Tensor:
    """The patches' keys (B, L - P, C) in the last block, through its output projection, bias included."""
    last = tower.depth - 1
    normed = tower.norm(last, tokens[:, tower.prefix :])
    return tower.output(last, join_heads(tower.project(last, normed, "k")["k"])).float()


@torch.inference_mode()
def project(clip: Clip, trunk: Trunk, row: Attention, keys: bool = False, known: Heads | None = None) -> Features:
    """Dense features of a variant: its last blocks, then the model's own final norm and projection.

    Parameters
    ----------
    clip : Clip
        The model; it is not modified.
    trunk : Trunk
        From `encode` with ``blocks=row.entry``.
    row : Attention
        The variant.
    keys : bool
        Whether to give the keys of the last block as well.
    known : mapping of str to (B, M, L, d) tensor, optional
        What `outputs_of` gives, to save computing it; of a row that reads the last block only.

    Returns
    -------
    Features
        With x the input of the last block and O(A v) the attention output, summed over the last `row.blocks` blocks
        (the path between them is as trained): ``z = residual * x + alpha * O(A v)``, then
        ``y = z + ffn * MLP(LN2(z))``, then LN_post and the projection of each token. With ``origin="first"``, x is
        the input of the first of these blocks.

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
    tokens = sent(trunk.tokens, clip.device, clip.dtype)
    if isinstance(clip.model.visual, Student):
        joint = torch.as_tensor(clip.model.visual.last(tokens)).float()
        return _features(joint[:, 1:], joint[:, 0], trunk.grid, row.debias)
    tower = tower_for(clip, trunk, row)
    mixed, entering = _mixed(tower, tokens, trunk.grid, row, known)
    joint = tower.read(mixed)
    if row.own_class:
        after = tower.block(tower.depth - 1, entering)
        pooled = tower.pool(after, tower.read(after))
    else:
        pooled = tower.pool(mixed, joint)
    found = _keys(tower, entering) if keys else None
    return _features(joint[:, tower.prefix :].float(), pooled.float(), trunk.grid, row.debias, found)


def tower_for(clip: Clip, trunk: Trunk, row: Attention) -> Tower:
    """The tower for a trunk's grid.

    Raises
    ------
    ValueError
        If the model cannot compute the row, or the trunk was encoded for another number of blocks.
    """
    if not clip.has_variants:
        raise ValueError("a student (MaskCLIP+) has no attention to look at; choose the model that it learned from")
    lacking = unmet(row, clip.depth, bool(clip.tower.prefix), clip.tower.has_residual)
    if lacking:
        raise ValueError(f"this model cannot compute the variant. {lacking} Choose another variant")
    if trunk.blocks != row.entry:
        raise ValueError(f"the trunk ends before the last {trunk.blocks} blocks, but the variant reads {row.entry}")
    return clip.tower.at(trunk.grid)


def _mixed(
    tower: Tower, tokens: torch.Tensor, grid: tuple[int, int], row: Attention, known: Heads | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a variant makes of tokens, and the tokens that enter the last block; both (B, L, C)."""
    bias = bias_for(tower, grid, row, tokens)
    origin, earlier, outputs, entered = tokens, list[Heads](), list[torch.Tensor](), list[torch.Tensor]()
    last = tower.depth - 1
    for left in range(row.entry, 0, -1):
        index = tower.depth - left
        if row.cross and left in CROSSED:
            earlier.append(tower.project(index, tower.norm(index, tokens), "qk"))
        if left == row.blocks:
            origin = tokens
        entered.append(tokens)
        if left <= row.blocks and (left > 1 or not row.calibrated):
            outputs.append(_attended(tower, index, tokens, row, bias, earlier, known))
        if index < last:
            tokens = tower.block(index, tokens)
    if row.calibrated:
        outputs.append(_calibrated(tower, calibrate(entered, tower.prefix, grid), row, bias, earlier))
    mixed = row.alpha * sum(outputs[1:], start=outputs[0])
    if row.residual:
        mixed = mixed + row.residual * (origin if row.origin == "first" else tokens)
    if row.ffn:
        mixed = mixed + row.ffn * tower.feed(last, mixed)
    return mixed, tokens


def _features(
    joint: torch.Tensor,
    pooled: torch.Tensor,
    grid: tuple[int, int],
    debias: float,
    keys: torch.Tensor | None = None,
) -> Features:
    """Vectors (B, gh * gw, D) of patches and (B, D) of the whole as features."""
    norms = joint.norm(dim=-1, keepdim=True)
    vectors = joint / norms.clamp_min(1e-12)
    cls = pooled / pooled.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    if debias:
        vectors = vectors - debias * cls[:, None]
    shape = (len(joint), *grid)
    keys = None if keys is None else keys.reshape(*shape, -1)
    return Features(vectors.reshape(*shape, -1), norms[..., 0].reshape(shape), cls, keys)


def embed_images(clip: Clip, images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (B, D) of whole images: pooled from the unchanged model, equal to open_clip's ``encode_image``."""
    row = variant("qk" if clip.has_variants and not clip.tower.has_residual else "vanilla")
    return project(clip, encode(clip, images, row.entry), row).cls


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
