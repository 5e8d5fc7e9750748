"""``evaluate``: a folder and scenes in, figures and a table out, and what is told when it cannot be."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from napari_clearclip.cli.console import UsageError
from napari_clearclip.cli.evaluate import Wishes, run_evaluation
from napari_clearclip.cli.projection import learn_projection


def test_a_folder_is_evaluated(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    wishes = Wishes(variants=("clearclip", "vanilla"), scales=(40, 100), figure=1, confidence="red circle")
    assert run_evaluation("folder", root, "demo", wishes, "cpu", out, 1) == 0
    said = capsys.readouterr()
    assert "| vanilla scale=100 |" in said.out
    assert "Worst images of clearclip scale=40:" in said.err
    results = json.loads((out / "results.json").read_text())
    assert results["images"] == 2
    assert [item["method"] for item in results["methods"]][1:3] == ["clearclip scale=100", "vanilla scale=40"]
    assert set(results["methods"][0]["iou"]) == {"plain background", "red circle", "blue square"}
    with (out / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 4
    assert {row["image"] for row in rows} == {"0", "1"}
    assert len((out / "record.jsonl").read_text().splitlines()) == 8
    assert (out / "table.md").read_text() in said.out + "\n"
    with Image.open(out / "worst.png") as page:
        assert page.size == (
            6 * 96 + 5 * 8,
            22 + 8 + 2 * 96 + 8,
        )  # names, an image, its truth and four methods; how sure
    with Image.open(out / "methods.png") as plot:
        assert len(plot.convert("RGB").getcolors(100000) or ()) > 10
    with Image.open(out / "classes.png") as plot:
        assert len(plot.convert("RGB").getcolors(100000) or ()) > 10
    assert (out / "classes.csv").read_text().startswith("class,clearclip scale=40")


def test_workers_write_what_one_process_does(root: Path, tmp_path: Path) -> None:
    wishes = Wishes(variants=("clearclip", "qk"), outlines=False)
    for name, scheduler in (("one", None), ("many", "local:1")):
        assert run_evaluation("folder", root, "demo", wishes, "cpu", tmp_path / name, 1, scheduler) == 0
    for file in ("table.md", "results.json", "images.csv", "classes.csv"):
        assert (tmp_path / "one" / file).read_text() == (tmp_path / "many" / file).read_text()


def test_a_projection_is_measured_on_images_that_it_did_not_learn_from(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "p.safetensors", tmp_path / "out"

    def learn(images: int) -> int:
        return learn_projection("folder", root, "demo", "recommended", 255, images, 2, 3, "cpu", path, 1)

    assert learn(1) == 0
    assert "Learned from 0: loss" in capsys.readouterr().out
    first = path.read_bytes()
    assert learn(1) == 0
    assert path.read_bytes() == first
    wishes = Wishes(variants=("sclip", f"learned:{path}"), outlines=False)
    assert run_evaluation("folder", root, "demo", wishes, "cpu", out, 1) == 0
    said = capsys.readouterr()
    assert "1 of 2 images are left out, since a method learned from them." in said.err
    results = json.loads((out / "results.json").read_text())
    assert results["images"] == 1
    assert [item["method"] for item in results["methods"]] == ["sclip", "learned:p"]
    assert learn(2) == 0
    with pytest.raises(UsageError, match="a method has learned from all images"):
        run_evaluation("folder", root, "demo", wishes, "cpu", tmp_path / "other", 1)
    with pytest.raises(UsageError, match=r"--out is p.pt; give a file that ends with .safetensors"):
        learn_projection("folder", root, "demo", "recommended", 255, 1, 2, 3, "cpu", Path("p.pt"), 1)


@pytest.mark.parametrize(
    ("dataset", "wishes", "message"),
    [
        ("nothing", Wishes(), "data set 'nothing' is not known"),
        ("voc20", Wishes(protocol="clip"), "protocol 'clip' is not known"),
        ("folder", Wishes(variants=("clip",)), "unknown variant 'clip'"),
        ("folder", Wishes(variants=("learned:none.safetensors",)), "none.safetensors does not exist; learn one"),
        ("folder", Wishes(names="short"), "--names short is not known; there are official and natural"),
        ("voc20", Wishes(), "val.txt is missing"),
        (
            "folder",
            Wishes(confidence="cat"),
            "--confidence cat is no class; there are plain background, red circle, blue",
        ),
        ("folder", Wishes(limit=1), "--scheduler is 'local:0'; give local:N"),
    ],
)
def test_wrong_wishes_are_told(dataset: str, wishes: Wishes, message: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        run_evaluation(dataset, root, "demo", wishes, "cpu", tmp_path / "out", scheduler="local:0")
    assert not (tmp_path / "out").exists()
