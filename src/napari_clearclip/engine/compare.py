"""Features and a text vector to cosines on patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.encoder import Features


def compare(features: Features, vector: torch.Tensor) -> torch.Tensor:
    """Cosines of each patch with one phrase.

    Parameters
    ----------
    features : Features
        Of B windows.
    vector : (D,) float32 tensor
        The phrase's unit vector.

    Returns
    -------
    (B, gh, gw) float32 tensor
        Cosines in [-1, 1].

    Notes
    -----
    Phrases are compared one by one, so that a phrase's cosines are the same bits whatever else is asked for.

    References
    ----------
    MaskCLIP Eq. (3); ClearCLIP Eq. (7).
    """
    return features.vectors.float() @ vector  # (B, gh, gw)
