"""A folder is segmented from the panel as the command line does it, and can be stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_clearclip.edits import View
from napari_clearclip.gui.exporting.batch_dialog import NO_PROMPTS, BatchDialog
from napari_clearclip.gui.exporting.batches import Batches
from napari_clearclip.gui.panel import Panel
from napari_clearclip.io.raster import read_labels
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Model, Prompt, Settings

from ..conftest import Bench

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of different sizes, the second damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for at, name in enumerate(NAMES):
        imageio.imwrite(folder / name, np.random.default_rng(at).integers(0, 255, (40, 50 + 8 * at, 3), np.uint8))
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\ndamaged")
    return folder


@pytest.fixture
def wanted(tiny_weights: Path) -> Settings:
    prompts = tuple(Prompt(id=word, phrase=word, threshold=0.3) for word in ("cat", "dog"))
    model = Model(name="", pretrained=str(tiny_weights))
    return Settings(model=model, prompts=prompts, comparing=Comparing(templates="single"))


@pytest.fixture
def panel(qtbot: Any, bench: Bench, wanted: Settings) -> Any:
    panel = Panel(ViewerModel(), bench)
    qtbot.addWidget(panel)
    panel.controller.update(wanted)
    bench.drain()
    yield panel
    panel.close_down()


def asked(panel: Panel, folder: Path) -> tuple[Batches, BatchDialog]:
    """The window, with a folder that was chosen."""
    panel.exports.folder_button.click()
    dialog = panel.batches.dialog
    assert dialog is not None
    dialog.choose(folder)
    return panel.batches, dialog


def states(folder: Path) -> dict[str, str]:
    lines = (folder / "clearclip_masks" / "clearclip_summary.jsonl").read_text().splitlines()
    return {line["name"]: line["status"] for line in map(json.loads, lines)}


def test_each_image_gets_the_masks_of_a_run(panel: Panel, photos: Path, wanted: Settings, bench: Bench) -> None:
    _, dialog = asked(panel, photos)
    assert dialog.phrases.text() == "cat, dog"
    dialog.start_button.click()
    bench.drain()
    out = photos / "clearclip_masks"
    for name in ("a", "c"):
        plain = Pipeline().run(imageio.imread(photos / f"{name}.png"), wanted, View(channel_axis=2))
        labels, names = read_labels(out / f"{name}_clearclip_labels.tif")
        assert names == ("cat", "dog")
        np.testing.assert_array_equal(labels, plain.labels)
    assert states(photos) == {"a": "done", "b": "failed", "c": "done"}
    first, failed, named = dialog.message.label.text().split("\n")
    assert first == f"2 of 3 images segmented; their masks are in {out}."
    assert failed.startswith("Failed (1)")
    assert named.startswith("b.png: ")
    assert dialog.start_button.isEnabled()


def test_the_command_line_finds_that_all_is_done(panel: Panel, photos: Path, bench: Bench) -> None:
    from typer.testing import CliRunner

    from napari_clearclip.cli import app

    (photos / "b.png").unlink()
    _, dialog = asked(panel, photos)
    dialog.start_button.click()
    bench.drain()
    out = photos / "clearclip_masks"
    flags = ["batch", str(photos), "--settings", str(out / "clearclip_settings.json"), "--out", str(out)]
    assert "skipped: 2" in CliRunner().invoke(app, flags).output


def test_it_is_stopped_and_goes_on(panel: Panel, photos: Path, bench: Bench) -> None:
    (photos / "b.png").unlink()
    _, dialog = asked(panel, photos)
    dialog.formats.setCurrentIndex(dialog.formats.findData("coco"))
    dialog.start_button.click()
    while not dialog.stage.text().startswith("c.png (2 of 2)"):
        bench.step()
    assert 1 / 2 <= dialog.bar.value() / dialog.bar.maximum() < 1
    dialog.cancel_button.click()
    bench.drain()
    assert "Stopped: 1 is left; Segment goes on." in dialog.message.label.text()
    assert states(photos) == {"a": "done"}
    file = photos / "clearclip_masks" / "clearclip_coco.json"
    assert not file.exists()
    dialog.start_button.click()
    bench.drain()
    assert "1 of 2 images segmented" in dialog.message.label.text()
    assert "1 were done already." in dialog.message.label.text()
    assert [image["file_name"] for image in json.loads(file.read_text())["images"]] == ["a.png", "c.png"]


def test_what_fails_as_a_whole_is_told(panel: Panel, tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "empty").mkdir()
    batches, dialog = asked(panel, tmp_path / "empty")
    dialog.start_button.click()
    dialog.close()
    bench.drain()
    assert "empty has no image in it" in dialog.message.label.text()
    assert panel.message.label.text() == dialog.message.label.text()  # nobody would see it in a window that is closed
    batches.close()


def test_without_prompts_nothing_begins(qtbot: Any, bench: Bench, photos: Path) -> None:
    panel = Panel(ViewerModel(), bench)
    qtbot.addWidget(panel)
    _, dialog = asked(panel, photos)
    assert dialog.phrases.text() == NO_PROMPTS
    assert not dialog.start_button.isEnabled()


def test_the_folder_that_is_open_is_offered(panel: Panel, photos: Path, bench: Bench) -> None:
    panel.batches.open()
    dialog = panel.batches.dialog
    assert dialog is not None
    assert dialog.folder is None
    assert not dialog.start_button.isEnabled()
    panel.walk.open(photos)
    bench.drain()
    panel.queue.batch_wanted.emit()
    assert dialog.folder == photos
    assert dialog.out == photos / "clearclip_masks"
