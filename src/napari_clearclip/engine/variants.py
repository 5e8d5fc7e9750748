"""The table of variants: what the last block computes, under which name, and from which paper."""

from __future__ import annotations

from dataclasses import dataclass

from napari_clearclip.settings import Attention


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
