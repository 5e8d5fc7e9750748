"""Maps refined by the image: pixels of like colour get like values (PAMR)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import torch
from torch.nn.functional import pad

# How much smaller a difference of colour than its spread counts as an edge, and what keeps flat regions from dividing
# by zero; both as in the authors' code.
_SHARPNESS = 0.1
_EPSILON = 1e-8

_CACHED = 2**17  # pixels that are updated together: their sums stay in a processor's cache


def reach(steps: int, dilations: Sequence[int]) -> int:
    """How far, in pixels, what lies around a pixel has a say in its value."""
    return steps * max(dilations)


def bytes_per_pixel(dilations: Sequence[int]) -> int:
    """Memory that a pixel's weights take."""
    return 4 * (8 * len(dilations) + 1)


class Affinities:
    """How much each pixel of an image takes from its neighbours.

    Parameters
    ----------
    guide : (K, H, W) float32 tensor
        The image.
    dilations : sequence of int
        Distances r; each gives the 8 neighbours at offsets (-r, 0, r). Beyond the border the outermost pixel is seen.
    valid : (H, W) bool tensor, optional
        Pixels with data; the others are nobody's neighbours.
    most_bytes : int
        Weights are kept as long as all of them take at most this; else they are made whenever they are asked for.

    Notes
    -----
    With sigma_k(x) the unbiased standard deviation of channel k over the 3 x 3 pixels of every dilation (the centre
    counts once for each), ``a_n(x) = mean_k(-|g_k(x) - g_k(x + n)| / (1e-8 + 0.1 sigma_k(x)))``, and the weights are
    their softmax over the neighbours n. A pixel all of whose neighbours are without data keeps its value.

    References
    ----------
    Araslanov and Roth, Single-Stage Semantic Segmentation from Image Labels, CVPR 2020: pixel-adaptive mask refinement.
    """

    def __init__(
        self,
        guide: torch.Tensor,
        dilations: Sequence[int],
        valid: torch.Tensor | None = None,
        most_bytes: int = 2**30,
    ) -> None:
        self.shape = (guide.shape[1], guide.shape[2])
        self.offsets = [
            (row * distance, col * distance)
            for distance in dilations
            for row in (-1, 0, 1)
            for col in (-1, 0, 1)
            if row or col
        ]
        self.margin = max(dilations)
        self._centres = len(dilations)
        self._guide = self.padded(guide)
        self._valid = None if valid is None else self.padded(valid[None].float())[0]
        if valid is not None:
            self.offsets.append((0, 0))  # last, so that weights and offsets go together
        pixels = self.shape[0] * self.shape[1]
        self._kept: dict[int, torch.Tensor] | None = {} if pixels * bytes_per_pixel(dilations) <= most_bytes else None

    @property
    def strips(self) -> Iterator[slice]:
        """The rows of the image, some at a time."""
        step = max(_CACHED // self.shape[1], 1)
        for start in range(0, self.shape[0], step):
            yield slice(start, min(start + step, self.shape[0]))

    def padded(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (C, H, W) with a border that repeats the outermost pixels, as wide as the neighbours are far."""
        return pad(maps, (self.margin,) * 4, mode="replicate")

    def shifted(self, padded: torch.Tensor, rows: slice, offset: tuple[int, int]) -> torch.Tensor:
        """What the pixels of some rows see at an offset: a view (..., n, W) of a padded map."""
        top, left = self.margin + offset[0], self.margin + offset[1]
        return padded[..., rows.start + top : rows.stop + top, left : left + self.shape[1]]

    def of(self, rows: slice) -> torch.Tensor:
        """The weights (N, n, W) of some of the `strips`, in the order of the `offsets`; they sum to 1."""
        if self._kept is None:
            return self._weights(rows)
        if rows.start not in self._kept:
            self._kept[rows.start] = self._weights(rows)
        return self._kept[rows.start]

    def _weights(self, rows: slice) -> torch.Tensor:
        centre = self.shifted(self._guide, rows, (0, 0))  # (K, n, W)
        around = self.offsets if self._valid is None else self.offsets[:-1]
        scale = 1 / (_EPSILON + _SHARPNESS * self._spread(rows, centre, around))
        weights = centre.new_empty(len(self.offsets), *centre.shape[1:])
        for index, offset in enumerate(around):
            difference = (self.shifted(self._guide, rows, offset) - centre).abs_().mul_(scale)
            torch.mean(difference, dim=0, out=weights[index]).neg_()
        if self._valid is not None:
            weights[-1] = -torch.inf
            for index, offset in enumerate(around):
                weights[index].masked_fill_(self.shifted(self._valid, rows, offset) == 0, -torch.inf)
            weights[-1].masked_fill_(weights[:-1].isneginf().all(dim=0), 0)
        highest = weights.amax(dim=0)
        weights.sub_(highest).exp_()
        return weights.div_(weights.sum(dim=0))

    def _spread(self, rows: slice, centre: torch.Tensor, around: Sequence[tuple[int, int]]) -> torch.Tensor:
        """The unbiased standard deviation (K, n, W) of what the pixels of some rows see, without what has no data."""
        count: torch.Tensor | float = float(self._centres + len(around))
        if self._valid is not None:
            count = self._centres + torch.stack([self.shifted(self._valid, rows, at) for at in around]).sum(dim=0)
        mean = self._centres * centre
        for offset in around:
            mean = mean.addcmul_(self.shifted(self._guide, rows, offset), self._seen(rows, offset, centre))
        mean = mean.div_(count)
        variance = (centre - mean).square_().mul_(self._centres)
        for offset in around:
            difference = self.shifted(self._guide, rows, offset) - mean
            variance.addcmul_(difference.square_(), self._seen(rows, offset, centre))
        return variance.div_(count - 1 if isinstance(count, float) else (count - 1).clamp_min(1)).sqrt_()

    def _seen(self, rows: slice, offset: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
        """1 where the neighbour has data, 0 elsewhere: (n, W), or one number for all."""
        return like.new_ones(()) if self._valid is None else self.shifted(self._valid, rows, offset)


def pamr_steps(maps: torch.Tensor, affinities: Affinities, steps: int) -> Generator[None, None, torch.Tensor]:
    """As `pamr`, with the weights made before; yields after each part of a step, so that the caller can stop."""
    for _ in range(steps):
        padded, updated = affinities.padded(maps), torch.empty_like(maps)
        for rows in affinities.strips:
            weights, sums = affinities.of(rows), updated[:, rows]
            for index, offset in enumerate(affinities.offsets):
                seen = affinities.shifted(padded, rows, offset)  # (C, n, W)
                if index == 0:
                    torch.mul(seen, weights[index], out=sums)
                else:
                    sums.addcmul_(seen, weights[index])
            yield
        maps = updated
    return maps


def pamr(
    maps: torch.Tensor,
    guide: torch.Tensor,
    steps: int,
    dilations: Sequence[int],
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Maps in which each pixel has taken, step by step, the weighted mean of its neighbours.

    Parameters
    ----------
    maps : (C, H, W) float32 tensor
        One map a phrase, of any unit; each is refined as if it were alone.
    guide : (K, H, W) float32 tensor
        The image, whose edges the maps take on.
    steps : int
        How often ``m(x) <- sum_n w_n(x) m(x + n)`` is done; 0 gives the maps back.
    dilations : sequence of int
        Distances of the neighbours in pixels.
    valid : (H, W) bool tensor, optional
        Pixels with data; the others have no say in the values of these.

    Returns
    -------
    (C, H, W) float32 tensor
        See `Affinities` for the weights.

    References
    ----------
    Araslanov and Roth, Single-Stage Semantic Segmentation from Image Labels, CVPR 2020: pixel-adaptive mask refinement.
    """
    from napari_clearclip.steps import drain

    return drain(pamr_steps(maps, Affinities(guide, dilations, valid), steps))
