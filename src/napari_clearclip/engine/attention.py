"""The table of attention variants, and the one function that computes all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_clearclip.settings import Attention

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


@dataclass(frozen=True)
class Variant:
    """A row of the table with its name for people, what it computes in one sentence, and the paper it comes from."""

    title: str
    row: Attention
    summary: str
    paper: str = ""


_CLIP = "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021"
_MASKCLIP = "Zhou et al., Extract Free Dense Labels from CLIP, ECCV 2022"
_SCLIP = "Wang et al., SCLIP: Rethinking Self-Attention for Dense Vision-Language Inference, ECCV 2024"
_CLEARCLIP = "Lan et al., ClearCLIP: Decomposing CLIP Representations for Dense Vision-Language Inference, ECCV 2024"
_NACLIP = "Hajimiri et al., Pay Attention to Your Neighbours, WACV 2025"

VARIANTS: dict[str, Variant] = {
    "clearclip": Variant(
        "ClearCLIP",
        Attention(terms=("qq",)),
        "Queries attend to queries; no residual, no feed-forward network.",
        _CLEARCLIP,
    ),
    "sclip": Variant(
        "SCLIP",
        Attention(terms=("qq", "kk"), residual=1, ffn=1),
        "Query-query plus key-key attention in an otherwise unchanged last block.",
        _SCLIP,
    ),
    "sclip_clear": Variant(
        "SCLIP, without residual and FFN",
        Attention(terms=("qq", "kk")),
        "SCLIP's attention without residual and feed-forward network.",
        _CLEARCLIP,
    ),
    "naclip": Variant(
        "NACLIP",
        Attention(terms=("kk",), bias=5),
        "Keys attend to keys, nearer patches more; no residual, no FFN.",
        _NACLIP,
    ),
    "maskclip": Variant(
        "MaskCLIP",
        Attention(terms=("identity",)),
        "Each patch keeps its own value; no residual, no feed-forward network.",
        _MASKCLIP,
    ),
    "maskclip_official": Variant(
        "MaskCLIP, authors' code",
        Attention(terms=("identity",), residual=1, ffn=1),
        "Each patch keeps its own value, residual and feed-forward network kept, as in the authors' ViT code.",
        _MASKCLIP,
    ),
    "vanilla": Variant(
        "CLIP, unchanged", Attention(terms=("qk",), residual=1, ffn=1), "CLIP's last block as it was trained.", _CLIP
    ),
    "qk": Variant(
        "Query-key only", Attention(terms=("qk",)), "CLIP's own attention without residual and FFN.", _CLEARCLIP
    ),
    "qq": Variant(
        "Query-query only", Attention(terms=("qq",)), "Query-query attention without residual and FFN.", _CLEARCLIP
    ),
    "kk": Variant("Key-key only", Attention(terms=("kk",)), "Key-key attention without residual and FFN.", _CLEARCLIP),
    "vv": Variant(
        "Value-value only", Attention(terms=("vv",)), "Value-value attention without residual and FFN.", _CLEARCLIP
    ),
}


def register_variant(name: str, row: Attention, summary: str = "", paper: str = "", title: str = "") -> None:
    """Add a named row to `VARIANTS`, so that panel and command line offer it.

    Parameters
    ----------
    name : str
        A new identifier.
    row : Attention
        What the last block computes.
    summary, paper, title : str
        One sentence, a citation and a name for people, shown to the user; without a title the name is shown.

    Raises
    ------
    ValueError
        If the name is not an identifier or is taken by another row.

    Examples
    --------
    >>> register_variant("sharp", Attention(terms=("qq",), temperature=0.5))
    >>> variant("sharp").temperature
    0.5
    >>> del VARIANTS["sharp"]
    """
    if not name.isidentifier():
        raise ValueError(f"variant name {name!r} must be letters, digits and underscores, not beginning with a digit")
    if name in VARIANTS and VARIANTS[name].row != row:
        raise ValueError(f"a variant named {name!r} exists with another row; choose another name")
    VARIANTS[name] = Variant(title or name, row, summary, paper)


def variant(name: str) -> Attention:
    """The row with this name.

    Raises
    ------
    ValueError
        If there is none; the message lists the known names.
    """
    if name not in VARIANTS:
        raise ValueError(f"unknown variant {name!r}; known are {', '.join(VARIANTS)}")
    return VARIANTS[name].row


def variant_name(row: Attention) -> str:
    """The first name in `VARIANTS` with this row, or ``custom``."""
    return next((name for name, entry in VARIANTS.items() if entry.row == row), "custom")


def neighbourhood_bias(grid: tuple[int, int], sigma: float) -> torch.Tensor:
    """Gaussian bias that draws each patch's attention to its neighbours.

    Parameters
    ----------
    grid : tuple of 2 int
        Rows and columns of patches.
    sigma : float
        Standard deviation in patches.

    Returns
    -------
    (1 + h * w, 1 + h * w) float32 tensor
        exp(-distance^2 / (2 sigma^2)) between patches, 0 in the row and the column of the class token.

    References
    ----------
    NACLIP, Eq. (4); the amplitude is 1 and the bias is added before the softmax.
    """
    import torch

    rows, cols = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), cols.flatten()], dim=1).float()  # (h*w, 2)
    distance = (places[:, None] - places[None]).square().sum(-1)  # (h*w, h*w)
    bias = torch.zeros(1 + len(places), 1 + len(places))
    bias[1:, 1:] = torch.exp(-distance / (2 * sigma**2))
    return bias


def attend(projections: Mapping[str, torch.Tensor], row: Attention, bias: torch.Tensor | None) -> torch.Tensor:
    """Attention output ``A v`` of every head.

    Parameters
    ----------
    projections : mapping of str to (B, M, L, d) tensor
        ``v`` and whichever of ``q`` and ``k`` the row's terms name, split into M heads.
    row : Attention
        Its terms, gain and temperature are read.
    bias : (L, L) tensor or None
        Added to the logits of each softmax.

    Returns
    -------
    (B, M, L, d) tensor
        gain * sum over terms of softmax(a b^T / (temperature sqrt(d)) + bias) v; the term ``identity`` gives v itself.

    Notes
    -----
    The terms are summed, not averaged: the out-projection's bias weighs half as much beside a sum of two (SCLIP).

    References
    ----------
    ClearCLIP Eq. (6); SCLIP Eq. (5); MaskCLIP Eq. (3); NACLIP Eq. (5).
    """
    from torch.nn.functional import scaled_dot_product_attention

    values = projections["v"]
    scale = values.shape[-1] ** -0.5 / row.temperature
    total = None
    for term in row.terms:
        if term == "identity":
            output = values
        else:
            left, right = projections[term[0]], projections[term[1]]
            output = scaled_dot_product_attention(left, right, values, attn_mask=bias, scale=scale)
        total = output if total is None else total + output
    assert total is not None  # Attention has at least one term
    return total * row.gain
