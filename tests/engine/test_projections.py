"""A learned projection comes back from its file as it was, and what is none is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_clearclip.engine.projections import (
    Learned,
    pack_projection,
    projection,
    read_projection,
    register_projection,
)


def test_a_file_gives_back_the_matrix_and_what_it_was_learned_from(tmp_path: Path) -> None:
    matrix = torch.randn(4, 4)
    path = tmp_path / "p.safetensors"
    path.write_bytes(pack_projection(matrix, "demo", ("a", "b")))
    learned = read_projection(path)
    assert learned == Learned(register_projection(matrix), "demo", ("a", "b"))
    assert torch.equal(projection(learned.name, 4), matrix)


def test_what_is_no_projection_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.safetensors does not exist; learn one with .* learn-projection"):
        read_projection(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    save_file({"matrix": torch.eye(2)}, tmp_path / "other.safetensors")
    (tmp_path / "wide.safetensors").write_bytes(pack_projection(torch.ones(2, 3), "demo", ()))
    for name in ("text", "other", "wide"):
        with pytest.raises(ValueError, match=f"{name}.safetensors holds no projection"):
            read_projection(tmp_path / f"{name}.safetensors")
