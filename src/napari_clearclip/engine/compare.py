"""Features and a text vector to cosines on patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from napari_clearclip.engine.encoder import Features


def compare(features: Features, vector: npt.NDArray[np.float32] | torch.Tensor) -> torch.Tensor:
    """Cosines of each patch with one phrase.

    Parameters
    ----------
    features : Features
        Of B windows.
    vector : (D,) float32 array or tensor
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
    import torch

    unit = torch.as_tensor(vector, device=features.vectors.device)
    return features.vectors.float() @ unit  # (B, gh, gw)
