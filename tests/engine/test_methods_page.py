"""The page on methods names each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_clearclip.engine.variants import VARIANTS
from napari_clearclip.evaluate.datasets import DATASETS

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text("utf-8")


@pytest.mark.parametrize("name", [*VARIANTS, *DATASETS])
def test_every_method_and_data_set_is_described(name: str) -> None:
    assert f"`{name}`" in PAGE
