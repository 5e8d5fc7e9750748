"""Features and a text vector to cosines on patches; and MaskCLIP's ways to make less noise of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from napari_clearclip.edits import Mask
    from napari_clearclip.engine.encoder import Features

# CLIP's own factor on cosines, by which MaskCLIP takes probabilities.
_LOGIT_SCALE = 100.0


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


def improbable(
    maps: Sequence[torch.Tensor], owner: Sequence[int], least: float, valid: Mask | None = None
) -> frozenset[int]:
    """Prompts that are likely nowhere (prompt denoising).

    Parameters
    ----------
    maps : sequence of Q (h, w) float32 tensors
        Cosines of each phrase, of the whole image.
    owner : sequence of Q int
        For each phrase its prompt.
    least : float
        A prompt whose probability is below this in all cells is one of them.
    valid : (h, w) bool array, optional
        Cells with data; only they count.

    Returns
    -------
    frozenset of int
        Prompts that should not take part. With p = softmax(100 * cosine) over all phrases, a prompt's probability is
        the sum of its phrases'.

    Notes
    -----
    MaskCLIP sets the logits of these classes to -100, which comes to the same. It has one phrase a class; with several,
    their sum keeps synonyms from pushing each other out.

    References
    ----------
    Zhou, Loy and Dai, Extract Free Dense Labels from CLIP, ECCV 2022: prompt denoising.
    """
    import torch

    probabilities = torch.softmax(_LOGIT_SCALE * torch.stack(list(maps)), dim=0)  # (Q, h, w)
    if valid is not None:
        probabilities = probabilities[:, torch.from_numpy(valid)]  # (Q, cells)
    owners = torch.as_tensor(owner)
    found = set()
    for prompt in sorted(set(owner)):
        own = probabilities[owners == prompt].sum(dim=0)
        if not own.numel() or float(own.max()) < least:
            found.add(prompt)
    return frozenset(found)


def feature_surgery(
    maps: Sequence[torch.Tensor], likeness: Sequence[float], empty: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """Scores of a window without what its patches have in common with all phrases (feature surgery).

    Parameters
    ----------
    maps : sequence of Q (gh, gw) float32 tensors
        The window's cosines with all phrases that compete.
    likeness : sequence of Q float
        Cosines of the window's class token with the same phrases.
    empty : (gh, gw) float32 tensor, optional
        Cosines with an empty phrase, which stand for what is common where there is one phrase only.

    Returns
    -------
    list of Q (gh, gw) float32 tensors
        ``w_c s_c - mean over c of w_c s_c`` with ``w = softmax(2 likeness)``, divided by its mean.

    Raises
    ------
    ValueError
        If there is one phrase and nothing to compare it with.

    Notes
    -----
    The sum over channels of CLIP Surgery's element-wise products, which need not be formed. What is taken off is the
    same for all phrases: only the weights change which one wins.

    References
    ----------
    Li et al., A Closer Look at the Explainability of Contrastive Language-Image Pre-training, 2023: feature surgery.
    """
    import torch

    weights = torch.softmax(2 * torch.as_tensor(likeness, dtype=torch.float32), dim=0)
    weighted = torch.stack(list(maps)) * (weights / weights.mean())[:, None, None].to(maps[0].device)
    if len(maps) == 1:
        if empty is None:
            raise ValueError("feature surgery compares phrases: with one alone it needs the cosines of an empty phrase")
        return [weighted[0] - empty]
    return list(weighted - weighted.mean(dim=0))


def smooth_by_keys(
    maps: Sequence[torch.Tensor], features: Features, least: float, axis: str = "channels"
) -> torch.Tensor:
    """Scores of a window in which unsure patches have taken what patches with similar keys have (key smoothing).

    Parameters
    ----------
    maps : sequence of Q (gh, gw) float32 tensors
        The window's cosines with all phrases that compete.
    features : Features
        Of this one window, with keys.
    least : float
        Patches where no phrase has this probability are smoothed; 1 smooths all but those that are certain.
    axis : {"channels", "tokens"}
        Along which axis keys get unit length.

    Returns
    -------
    (Q, gh, gw) float32 tensor
        With p = softmax(100 * cosine) over the phrases, ``sum_j <k_i, k_j> p_j`` for smoothed patches i and p for the
        others. This is a score: weights do not sum to 1 and negative ones are kept.

    Raises
    ------
    ValueError
        If the features have no keys.

    Notes
    -----
    The published code normalises along the tokens (``axis="tokens"``), which is not the paper's Eq. (5).

    References
    ----------
    Zhou, Loy and Dai, Extract Free Dense Labels from CLIP, ECCV 2022, Eq. (5): key smoothing.
    """
    import torch
    from torch.nn.functional import normalize

    if features.keys is None:
        raise ValueError("keys are missing: this model has none; set key smoothing to 0")
    probabilities = torch.softmax(_LOGIT_SCALE * torch.stack(list(maps)).flatten(1), dim=0)  # (Q, N)
    keys = normalize(features.keys.float().flatten(0, 2), dim=1 if axis == "channels" else 0)  # (N, C)
    unsure = probabilities.amax(dim=0) < least  # (N,)
    scores = torch.where(unsure, (probabilities @ keys) @ keys.T, probabilities)
    return scores.reshape(-1, *maps[0].shape)
