"""Maps that follow the image's colours: in every window a linear function of them (guided filter)."""

from __future__ import annotations

import numpy as np
import torch

# Bytes a pixel that the windows' statistics take, of the image and of each map.
BYTES, BYTES_PER_MAP = 260, 144


def reach(radius: int) -> int:
    """How far, in pixels, what lies around a pixel has a say in its value.

    Two windows, and what fills a gap in them lies at most as far from there.
    """
    return 4 * radius


def guided(
    maps: torch.Tensor, guide: torch.Tensor, radius: int, eps: float, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Maps in which every pixel is the mean of what the windows around it make of its colour.

    Parameters
    ----------
    maps : (C, H, W) float32 tensor
        One map a phrase, of any unit; each is filtered as if it were alone.
    guide : (K, H, W) float32 tensor
        The image in [0, 1], whose edges the maps take on.
    radius : int
        Of the windows, which have ``2 * radius + 1`` pixels a side. Beyond the border the outermost pixel is seen.
    eps : float
        Variance of the image below which a window counts as flat.
    valid : (H, W) bool tensor, optional
        Pixels with data. The others keep their value, and windows see the nearest pixel with data (by the larger of
        the distances in rows and columns) in their place.

    Returns
    -------
    (C, H, W) float32 tensor
        ``mean(a) . guide + mean(b)`` with means over windows w, ``a_w = (cov_w(guide) + eps I)^-1 cov_w(guide, map)``
        and ``b_w = mean_w(map) - a_w . mean_w(guide)``.

    Raises
    ------
    ImportError
        If kornia is not installed.

    References
    ----------
    He, Sun and Tang, Guided Image Filtering, ECCV 2010, equations 5 to 8, for colour images section 3.5.
    """
    try:
        from kornia.filters import guided_blur
    except ImportError as error:
        raise ImportError('the guided filter needs kornia: pip install "napari-clearclip[guided]"') from error
    if valid is not None and valid.any():
        rows, cols = _nearest(valid)
        seen, guide = maps[:, rows, cols], guide[:, rows, cols]
    else:
        seen = maps
    found: torch.Tensor = guided_blur(guide[None], seen[None], 2 * radius + 1, eps, "replicate", separable=True)[0]
    return found if valid is None else torch.where(valid, found, maps)


def _nearest(valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns (H, W) of the nearest True; of itself where it is."""
    from scipy.ndimage import distance_transform_cdt

    empty = np.logical_not(valid.cpu().numpy())
    places = distance_transform_cdt(empty, "chessboard", return_distances=False, return_indices=True)
    rows, cols = torch.from_numpy(places.astype(np.int64)).to(valid.device)
    return rows, cols
