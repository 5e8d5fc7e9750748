"""The table of attention variants, and the one function that computes all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_clearclip.settings import Attention

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    Sides = list[tuple[torch.Tensor, torch.Tensor]]

PAIRS = frozenset({"qk", "qq", "kk", "vv"})


@dataclass(frozen=True)
class Variant:
    """A row of the table with its name for people, what it computes in one sentence, and the paper it comes from.

    Those that are `rare` are for comparison, and stand apart in lists.
    """

    title: str
    row: Attention
    summary: str
    paper: str = ""
    rare: bool = False


_CLIP = "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021"
_MASKCLIP = "Zhou et al., Extract Free Dense Labels from CLIP, ECCV 2022"
_SCLIP = "Wang et al., SCLIP: Rethinking Self-Attention for Dense Vision-Language Inference, ECCV 2024"
_CLEARCLIP = "Lan et al., ClearCLIP: Decomposing CLIP Representations for Dense Vision-Language Inference, ECCV 2024"
_GEM = "Bousselham et al., Grounding Everything: Emerging Localization Properties in Vision-Language Models, CVPR 2024"
_SURGERY = "Li et al., A Closer Look at the Explainability of Contrastive Language-Image Pre-training, 2023"
_SEGEARTH = (
    "Li et al., SegEarth-OV: Towards Training-Free Open-Vocabulary Segmentation for Remote Sensing Images, CVPR 2025"
)
_RESCLIP = "Yang et al., ResCLIP: Residual Attention for Training-free Dense Vision-language Inference, CVPR 2025"
_SCCLIP = "Bai et al., Self-Calibrated CLIP for Training-Free Open-Vocabulary Segmentation, 2024"
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
    "gem": Variant(
        "GEM",
        Attention(terms=("vv", "kk", "qq"), gain=1 / 3, blocks=6, origin="first", residual=1, unit=True, iterations=1),
        "Values, keys and queries attend to their like, as unit vectors, on a side path along the last six blocks.",
        _GEM,
    ),
    "clip_surgery": Variant(
        "CLIP Surgery",
        Attention(terms=("vv",), blocks=6, origin="first", residual=1, own_class=True),
        "Values attend to values on a side path along the last six blocks; its feature surgery is a choice under "
        "Refine.",
        _SURGERY,
    ),
    "segearth": Variant(
        "SegEarth-OV",
        Attention(terms=("qq", "kk", "vv"), debias=0.3),
        "Query-query, key-key and value-value attention, less a share of what the image says as a whole.",
        _SEGEARTH,
    ),
    "vanilla": Variant(
        "CLIP, unchanged", Attention(terms=("qk",), residual=1, ffn=1), "CLIP's last block as it was trained.", _CLIP
    ),
    "maskclip_official": Variant(
        "MaskCLIP, authors' code",
        Attention(terms=("identity",), residual=1, ffn=1),
        "Each patch keeps its own value, residual and feed-forward network kept, as in the authors' ViT code.",
        _MASKCLIP,
        rare=True,
    ),
    "resclip": Variant(
        "ResCLIP, cross-layer attention",
        Attention(terms=("kk",), bias=5, cross=0.4, gain=2),
        "NACLIP's attention with that of middle blocks mixed in; ResCLIP's part that depends on prompts is left out.",
        _RESCLIP,
        rare=True,
    ),
    "sc_clip": Variant(
        "SC-CLIP-style",
        Attention(terms=("kk",), gain=0.5, own_class=True, calibrated=True),
        "Tokens that stand out are mended, and patches that are alike in earlier blocks share; written from SC-CLIP's "
        "description.",
        _SCCLIP,
        rare=True,
    ),
    "qk": Variant(
        "Query-key only",
        Attention(terms=("qk",)),
        "CLIP's own attention without residual and FFN: X_attn of ClearCLIP's Figure 3.",
        _CLEARCLIP,
        rare=True,
    ),
    "qq": Variant(
        "Query-query only",
        Attention(terms=("qq",)),
        "Query-query attention without residual and FFN.",
        _CLEARCLIP,
        rare=True,
    ),
    "kk": Variant(
        "Key-key only", Attention(terms=("kk",)), "Key-key attention without residual and FFN.", _CLEARCLIP, rare=True
    ),
    "vv": Variant(
        "Value-value only",
        Attention(terms=("vv",)),
        "Value-value attention without residual and FFN.",
        _CLEARCLIP,
        rare=True,
    ),
    "x_res": Variant(
        "Residual only",
        Attention(terms=("qk",), residual=1, alpha=0),
        "What enters the last block, without its attention and FFN: X_res of ClearCLIP's Figure 3.",
        _CLEARCLIP,
        rare=True,
    ),
    "x_attn": Variant(
        "Attention only",
        Attention(terms=("qk",)),
        "What CLIP's last attention adds, alone: X_attn of ClearCLIP's Figure 3.",
        _CLEARCLIP,
        rare=True,
    ),
    "x_sum": Variant(
        "Residual and attention",
        Attention(terms=("qk",), residual=1),
        "CLIP's last block without its feed-forward network: X_sum of ClearCLIP's Figure 3.",
        _CLEARCLIP,
        rare=True,
    ),
    "sclip_identity": Variant(
        "SCLIP, no projection",
        Attention(terms=("uu",), residual=1, ffn=1),
        "Patches attend to each other as they are, without a projection, in an otherwise unchanged last block.",
        _SCLIP,
        rare=True,
    ),
    "sclip_q": Variant(
        "SCLIP, queries only",
        Attention(terms=("qq",), residual=1, ffn=1),
        "Query-query attention in an otherwise unchanged last block.",
        _SCLIP,
        rare=True,
    ),
    "sclip_k": Variant(
        "SCLIP, keys only",
        Attention(terms=("kk",), residual=1, ffn=1),
        "Key-key attention in an otherwise unchanged last block.",
        _SCLIP,
        rare=True,
    ),
    "sclip_random": Variant(
        "SCLIP, random projection",
        Attention(terms=("random",), residual=1, ffn=1),
        "Patches attend to each other after a random projection, in an otherwise unchanged last block.",
        _SCLIP,
        rare=True,
    ),
}


def unmet(row: Attention, depth: int, has_class: bool = True, has_residual: bool = True) -> str:
    """Why a tower cannot compute a row, in a sentence; empty if it can.

    Parameters
    ----------
    row : Attention
        The variant.
    depth : int
        Number of the tower's attention blocks that can be taken apart; 0 if there are none.
    has_class : bool
        Whether it has a class token among its tokens.
    has_residual : bool
        Whether its last block has a residual connection and a feed-forward network.
    """
    if not depth:
        return "The model has no attention block that variants could change."
    if row.entry > depth:
        return f"It reads the last {row.entry} blocks, and the model has {depth}."
    if (row.residual or row.ffn) and not has_residual:
        return "It keeps residual connection or feed-forward network, and the model's last block has neither."
    if (row.debias or row.calibrated) and not has_class:
        return "It needs a class token, and the model has none."
    return ""


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


def sides_of(projections: Mapping[str, torch.Tensor], normed: torch.Tensor, row: Attention) -> dict[str, Sides]:
    """What attends to what, term by term.

    Parameters
    ----------
    projections : mapping of str to (B, M, L, d) tensor
        ``v``, whichever of ``q`` and ``k`` the row's terms name, and ``q`` where they hold ``uu`` or ``random``.
    normed : (B, L, C) tensor
        What the block's attention reads: u.
    row : Attention
        Its terms, `unit`, `iterations`, `projections`, `seed` and `projection` are read.

    Returns
    -------
    dict of str to list of pairs of (B, M, L, d) tensor
        For each term the left and right sides of its softmaxes; those of one term are averaged. The key ``v`` has the
        values, twice.

    Notes
    -----
    ``uu`` takes each head's channels of u, ``random`` u times matrices drawn from a normal distribution, or times the
    one that was learned. They are given the queries' root mean square length, image by image, so that their logits
    spread as those of ``qq``; that is the temperature sqrt(d) * mean |Y|^2 / mean |q|^2, and it makes the spread of the
    matrices not matter.

    References
    ----------
    SCLIP, Table 2 (which does not say how the temperature was chosen). GEM, Sec. 3.2: unit vectors, the logits' factor
    the mean length of u over all tokens, and the iteration ``a <- softmax(a a^T) a``.
    """
    parts = dict(projections)
    if row.unit:
        parts = {letter: _clustered(part, _lengths(normed), row) for letter, part in projections.items()}
    found: dict[str, Sides] = {"v": [(projections["v"], projections["v"])]}
    for term in row.terms:
        if term in PAIRS:
            left, right = parts[term[0]], parts[term[1]]
            found[term] = [(left * _lengths(normed) if row.unit else left, right)]
        elif term != "identity":
            shapes = [normed] if term == "uu" else [normed @ matrix for matrix in _matrices(row, normed)]
            found[term] = [(side, side) for flat in shapes for side in [as_long(flat, projections["q"])]]
    return found


def _lengths(normed: torch.Tensor) -> torch.Tensor:
    """The mean length of an image's tokens, (B, 1, 1, 1)."""
    lengths: torch.Tensor = normed.norm(dim=-1)  # (B, L)
    return lengths.mean(dim=1)[:, None, None, None]


def _clustered(part: torch.Tensor, lengths: torch.Tensor, row: Attention) -> torch.Tensor:
    """Unit vectors (B, M, L, d) that have attended to themselves."""
    from torch.nn.functional import normalize, scaled_dot_product_attention

    scale = part.shape[-1] ** -0.5 / row.temperature
    part = normalize(part, dim=-1)
    for _ in range(row.iterations):
        part = normalize(scaled_dot_product_attention(part * lengths, part, part, scale=scale), dim=-1)
    return part


def _matrices(row: Attention, normed: torch.Tensor) -> torch.Tensor:
    """The row's matrices (n, C, C), drawn at random or the one that was learned; each head has columns of its own."""
    import torch

    width = normed.shape[-1]
    if row.projection:
        from napari_clearclip.engine.projections import projection

        return projection(row.projection, width)[None].to(normed)
    generator = torch.Generator().manual_seed(row.seed)
    return torch.randn(row.projections, width, width, generator=generator).to(normed)


def as_long(flat: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """(B, L, C) split into heads as the queries (B, M, L, d), with their root mean square length."""
    split = flat.reshape(*flat.shape[:2], queries.shape[1], -1).transpose(1, 2)  # (B, M, L, d)
    wanted, given = (part.square().mean(dim=(1, 2, 3), keepdim=True) for part in (queries, split))
    return split * (wanted / given).sqrt()


def attend(
    sides: Mapping[str, Sides],
    row: Attention,
    bias: torch.Tensor | None,
    earlier: Sequence[Mapping[str, torch.Tensor]] = (),
    alike: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention output ``A v`` of every head.

    Parameters
    ----------
    sides : mapping of str to list of pairs of (B, M, L, d) tensor
        From `sides_of`.
    row : Attention
        Its terms, gain, temperature and cross are read.
    bias : (L, L) tensor or None
        Added to the logits of each softmax.
    earlier : sequence of mapping of str to (B, M, L, d) tensor
        Queries and keys of the blocks whose attention is mixed in, where the row asks for that.
    alike : (B, L, L) tensor, optional
        An attention that is summed with the terms, the same for all heads; see `calibration`.

    Returns
    -------
    (B, M, L, d) tensor
        gain * sum over terms of softmax(a b^T / (temperature sqrt(d)) + bias) v; the term ``identity`` gives v itself.
        With cross, ``gain * ((1 - cross) * sum + cross * mean over earlier of softmax(q k^T / sqrt(d)) v)``.

    Notes
    -----
    The terms are summed, not averaged: the out-projection's bias weighs half as much beside a sum of two (SCLIP).

    References
    ----------
    ClearCLIP Eq. (6); SCLIP Eq. (5); MaskCLIP Eq. (3); NACLIP Eq. (5); ResCLIP's residual cross-correlation.
    """
    from torch.nn.functional import scaled_dot_product_attention

    values = sides["v"][0][0]
    scale = values.shape[-1] ** -0.5
    total = None
    for term in row.terms:
        if term == "identity":
            output = values
        else:
            outputs = [
                scaled_dot_product_attention(left, right, values, attn_mask=bias, scale=scale / row.temperature)
                for left, right in sides[term]
            ]
            output = sum(outputs[1:], start=outputs[0]) / len(outputs) if len(outputs) > 1 else outputs[0]
        total = output if total is None else total + output
    assert total is not None  # Attention has at least one term
    if alike is not None:
        total = total + alike[:, None] @ values
    if row.cross:
        crossed = [scaled_dot_product_attention(part["q"], part["k"], values, scale=scale) for part in earlier]
        total = (1 - row.cross) * total + row.cross * sum(crossed[1:], start=crossed[0]) / len(crossed)
    return total * row.gain
