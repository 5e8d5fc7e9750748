"""Matrices that patches are compared after, learned instead of drawn at random, by name and as files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

_CARD = "clearclip_projection"
_KNOWN: dict[str, torch.Tensor] = {}


@dataclass(frozen=True)
class Learned:
    """A matrix that was learned, and from what.

    Attributes
    ----------
    name : str
        What `Attention.projection` says: a hash of its content.
    model : str
        The model that it was learned for, as `Model` writes itself.
    images : tuple of str
        What it was learned from, on which it must not be measured.
    """

    name: str
    model: str
    images: tuple[str, ...]


def register_projection(matrix: torch.Tensor) -> str:
    """Make a matrix (C, C) known, and give back its name."""
    matrix = matrix.detach().float().cpu().contiguous()
    name = hashlib.blake2b(matrix.numpy().tobytes(), digest_size=16).hexdigest()
    _KNOWN[name] = matrix
    return name


def register_matrix(matrix: npt.NDArray[np.float32]) -> str:
    """As `register_projection`, of an array; see `matrix_of`."""
    return register_projection(torch.from_numpy(matrix))


def matrix_of(name: str) -> npt.NDArray[np.float32]:
    """A known matrix (C, C) as an array, to be sent to where it is not known."""
    return _KNOWN[name].numpy()


def projection(name: str, width: int) -> torch.Tensor:
    """The matrix (C, C) of a name.

    Raises
    ------
    ValueError
        If it is not known, or is for tokens of another size.
    """
    if name not in _KNOWN:
        raise ValueError(f"projection {name!r} is not known; read its file with read_projection first")
    if len(_KNOWN[name]) != width:
        raise ValueError(f"the projection is for tokens of {len(_KNOWN[name])} channels, but the model's have {width}")
    return _KNOWN[name]


def pack_projection(matrix: torch.Tensor, model: str, images: tuple[str, ...]) -> bytes:
    """A projection as the content of a safetensors file."""
    from safetensors.torch import save

    card = json.dumps({"model": model, "images": images})
    return save({"matrix": matrix.detach().float().cpu().contiguous()}, metadata={_CARD: card})


def read_projection(path: Path) -> Learned:
    """A projection from its file, registered.

    Raises
    ------
    ValueError
        If there is no such file, or it holds something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ValueError(f"the projection {path} does not exist; learn one with napari-clearclip learn-projection")
    try:
        with safe_open(path, framework="pt") as file:
            card, matrix = json.loads((file.metadata() or {})[_CARD]), file.get_tensor("matrix")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise KeyError("a square matrix")
        return Learned(register_projection(matrix), str(card["model"]), tuple(map(str, card["images"])))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no projection ({error}); learn one with learn-projection") from error
