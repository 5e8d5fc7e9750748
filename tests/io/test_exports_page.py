"""The page about exports says what is true, and its snippets run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    write(tmp_path / "lake_clearclip_masks.npz", [Masks(("lake",), 0 * LABELS, image="lake.png")], "npz")
    for name, form in FORMATS.items():
        stem = "clearclip" if form.joins else "field_clearclip"
        masks = numbered if name == "objects" else placed if name in ("tiff", "geojson") else plain
        write(tmp_path / f"{stem}_{form.ending}", [masks], name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _same(found: object, wanted: object) -> None:
    np.testing.assert_array_equal(found, wanted)


def _each(found: dict[str, object]) -> None:
    assert list(found) == ["field", "roof"]
    for at, mask in enumerate(found.values(), 1):
        _same(mask, at == LABELS)


# By the name of a variable, what a snippet leaves in it.
LEFT: dict[str, Callable[[Any], None]] = {
    "labels": lambda found: _same(found, LABELS),
    "objects": lambda found: _same(found, LABELS),
    "drawn": lambda found: _same(found, LABELS),
    "masks": lambda found: _each(
        dict(found) if isinstance(found, dict) else dict(zip(found.names, found, strict=True))
    ),
    "scores": lambda found: [_same(part, 0.5) for part in found.values()] and None,
    "areas": lambda found: _same(found, {"field": 600, "roof": 48}),
    "prompts": lambda found: _same(found, {1: "field", 2: "roof"}),
    "names": lambda found: _same(found, {0: "field", 1: "roof"}),
    "polygons": lambda found: _same([name for name, _ in found], ["field", "roof"]),
    "outlines": lambda found: _same([np.ptp(found[name][0], axis=0).tolist() for name in found], [[30, 20], [8, 6]]),
}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.splitlines()[-1][:40])
def test_snippets_run(snippet: str, exported: Path) -> None:
    found: dict[str, Any] = {}
    exec(snippet, found)
    left = set(found) & set(LEFT) - ({"masks", "name"} if "COCO" in found or "images" in found else set())
    for name in left:
        LEFT[name](found[name])
    if "Shaping" in found:
        (shaped,) = read(exported / "roofs.geojson")
        _same(shaped.labels, LABELS)
    if "COCO" in found:
        assert name_of(found) == "roof"
        _same(found["mask"], LABELS == 2)
    if "images" in found:
        assert [masks.image for masks in read(exported / "both_coco.json")] == ["field.png", "lake.png"]
    assert left or {"Shaping", "COCO", "images"} & set(found)


def name_of(found: dict[str, Any]) -> str:
    return str(found["name"])


def test_every_format_has_a_snippet() -> None:
    text = "".join(SNIPPETS)
    missing = [name for name, form in FORMATS.items() if f"clearclip_{form.ending}" not in text]
    assert missing == []
