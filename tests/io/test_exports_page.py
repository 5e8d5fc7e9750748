"""The page about exports says what is true, and its snippets run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.io.formats import FORMATS, read, write
from napari_clearclip.io.masks import TRAITS, Masks
from napari_clearclip.result import Georeference

PAGE = (Path(__file__).parents[2] / "docs/exports.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LABELS = np.zeros((40, 60), np.uint8)
LABELS[5:25, 10:40], LABELS[30:36, 44:52] = 1, 2


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_says_what_each_format_holds(name: str) -> None:
    form = FORMATS[name]
    holds = ["yes" if held else "-" for held in (*(trait in form.holds for trait in TRAITS), form.joins)]
    assert f"| `{name}` | `{form.ending}` | {' | '.join(holds)} | {form.about} |" in PAGE


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an export in every format, which is the current one."""
    land = Georeference("EPSG:32631", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
    scores = np.full((2, 4, 6), 0.5, np.float32)
    plain = Masks(("field", "roof"), LABELS, image="field.png", scores=scores)
    numbered = Masks(plain.names, LABELS, instances=LABELS, image="field.png")
    placed = Masks(plain.names, LABELS, image="field.tif", georeference=land)
    for name, form in FORMATS.items():
        stem = "clearclip" if form.joins else "field_clearclip"
        masks = numbered if name == "objects" else placed if name == "tiff" else plain
        write(tmp_path / f"{stem}_{form.ending}", [masks], name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.splitlines()[-1][:40])
def test_snippets_run(snippet: str, exported: Path) -> None:
    found: dict[str, object] = {}
    exec(snippet, found)
    for name in ("labels", "objects"):
        if name in found:
            np.testing.assert_array_equal(found[name], LABELS)
    if "areas" in found:
        assert found["areas"] == {"field": 600, "roof": 48}
    if "prompts" in found:
        assert found["prompts"] == {1: "field", 2: "roof"}
    if "names" in found:
        assert found["names"] == {0: "field", 1: "roof"}
    if "Shaping" in found:
        (shaped,) = read(exported / "roofs.geojson")
        np.testing.assert_array_equal(shaped.labels, LABELS)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 8
