"""Attention as a row of the table says: what attends to what, and what comes out; one function computes all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from napari_clearclip.settings import Attention

    Sides = list[tuple[torch.Tensor, torch.Tensor]]

PAIRS = frozenset({"qk", "qq", "kk", "vv"})


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


def attend_each(sides: Mapping[str, Sides], row: Attention, bias: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Attention output of every head, term by term.

    Parameters
    ----------
    sides : mapping of str to list of pairs of (B, M, L, d) tensor
        From `sides_of`.
    row : Attention
        Its terms and temperature are read.
    bias : (L, L) tensor or None
        Added to the logits of each softmax.

    Returns
    -------
    dict of str to (B, M, L, d) tensor
        ``softmax(a b^T / (temperature sqrt(d)) + bias) v``; the term ``identity`` gives v itself.
    """
    from torch.nn.functional import scaled_dot_product_attention

    values = sides["v"][0][0]
    scale = values.shape[-1] ** -0.5 / row.temperature
    found = {"identity": values} if "identity" in row.terms else {}
    for term in row.terms:
        if term != "identity":
            outputs = [
                scaled_dot_product_attention(left, right, values, attn_mask=bias, scale=scale)
                for left, right in sides[term]
            ]
            found[term] = sum(outputs[1:], start=outputs[0]) / len(outputs) if len(outputs) > 1 else outputs[0]
    return found


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

    References
    ----------
    ClearCLIP Eq. (6); SCLIP Eq. (5); MaskCLIP Eq. (3); NACLIP Eq. (5); ResCLIP's residual cross-correlation.
    """
    from torch.nn.functional import scaled_dot_product_attention

    values, total = sides["v"][0][0], summed(attend_each(sides, row, bias), row)
    if alike is not None:
        total = total + alike[:, None] @ values
    if row.cross:
        scale = values.shape[-1] ** -0.5
        crossed = [scaled_dot_product_attention(part["q"], part["k"], values, scale=scale) for part in earlier]
        total = (1 - row.cross) * total + row.cross * sum(crossed[1:], start=crossed[0]) / len(crossed)
    return total * row.gain


def summed(outputs: Mapping[str, torch.Tensor], row: Attention) -> torch.Tensor:
    """The sum over a row's terms of what `attend_each` gives for them, in the row's order: (B, M, L, d).

    Notes
    -----
    They are summed, not averaged: the out-projection's bias weighs half as much beside a sum of two (SCLIP).
    """
    first, *others = (outputs[term] for term in row.terms)
    return sum(others, start=first)
