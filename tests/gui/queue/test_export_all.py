"""All images of a folder in one export: the same masks as exported one by one, and one that fails stops no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_clearclip.gui.queue.export_dialog import ExportDialog
from napari_clearclip.gui.queue.harvest import NOTHING, OTHER, Order, harvest
from napari_clearclip.io import sessions
from napari_clearclip.io.formats import read
from napari_clearclip.settings import Runtime

from ..conftest import CountingPipeline
from .conftest import Open, settle


@pytest.fixture
def worked(photos: Path, opened: Open) -> Any:
    """A panel in which two images of three were worked on, and their masks by name of the file."""
    panel = opened()
    panel.walk.open(photos)
    settle(panel)
    for phrase in ("red star", "water"):
        panel.prompts.added.emit(phrase, "object")
    masks = {}
    for name in ("a.png", "b.png"):
        panel.run()
        settle(panel)
        first = panel.controller.settings.objects[0]
        stroke = np.zeros(panel.controller.source.read(()).shape, bool)  # type: ignore[union-attr]
        stroke[4:9, 5:11] = True
        panel.controller.update(edits=panel.controller.state.edits.paint(first.id, (), stroke, True))
        settle(panel)
        masks[name] = panel.results.masks(str(panel.controller.key))
        panel.do("mark_done")
        panel.do("next_image")
        settle(panel)
    return panel, masks


@pytest.mark.parametrize("found", [True, False], ids=["kept", "found again"])
def test_one_file_that_pycocotools_reads(worked: Any, photos: Path, tmp_path: Path, found: bool) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    panel, masks = worked
    if not found:
        for file in (photos / "clearclip").glob("*.clearclip"):
            session = sessions.read(file)
            bare = tuple(image.replace(results=()) for image in session.images)
            sessions.write(file, session.replace(images=bare))
    panel.exports_all.export(panel.walk.folder.queue.items[:2], tmp_path / "out", "coco")
    assert panel.message.label.text() == f"2 images exported to {tmp_path / 'out'}."
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clearclip_coco.json"]
    index = coco.COCO(str(tmp_path / "out" / "clearclip_coco.json"))
    files = {about["file_name"]: at for at, about in index.imgs.items()}
    assert files.keys() == masks.keys()
    names = {about["id"]: about["name"] for about in index.cats.values()}
    for file, wanted in masks.items():
        for place, name in enumerate(wanted.names):
            theirs = np.zeros(wanted.labels.shape, bool)
            for about in index.loadAnns(index.getAnnIds(imgIds=[files[file]])):
                if names[about["category_id"]] == name:
                    theirs |= index.annToMask(about).astype(bool)
            np.testing.assert_array_equal(theirs, wanted.mask(place), err_msg=f"{name} of {file}")


def test_a_file_for_each_image(worked: Any, tmp_path: Path) -> None:
    panel, masks = worked
    panel.exports_all.export(panel.walk.folder.queue.items[:2], tmp_path, "npz")
    for name in ("a", "b"):
        (one,) = read(tmp_path / f"{name}_clearclip_masks.npz")
        np.testing.assert_array_equal(one.labels, masks[f"{name}.png"].labels)
        assert one.image == f"{name}.png"


def test_what_fails_is_named_and_the_rest_is_exported(worked: Any, photos: Path, tmp_path: Path) -> None:
    panel, _ = worked
    panel.prompts.edited.emit(panel.controller.settings.objects[1].id, {"threshold": 0.9})  # neither run nor painted
    panel.do("mark_done")
    settle(panel)
    (photos / "a.png").write_bytes((photos / "b.png").read_bytes())
    panel.exports_all.export(panel.walk.folder.queue.items, tmp_path / "out", "coco")
    first, count, one, other = panel.message.label.text().split("\n")
    assert (first, count) == (f"1 image exported to {tmp_path / 'out'}.", "Not exported (2):")
    assert one.startswith("a.png: ")
    assert other == f"c.png: {NOTHING}."
    content = json.loads((tmp_path / "out" / "clearclip_coco.json").read_text())
    assert [about["file_name"] for about in content["images"]] == ["b.png"]


def test_an_image_that_was_changed_is_not_exported(worked: Any, photos: Path, tmp_path: Path) -> None:
    from imageio.v3 import imread, imwrite

    panel, _ = worked
    imwrite(photos / "a.png", 255 - imread(photos / "a.png"))
    panel.exports_all.export(panel.walk.folder.queue.items[:1], tmp_path, "coco")
    assert panel.message.label.text().endswith(f"a.png: {OTHER}.")


def test_it_can_be_stopped(worked: Any, tmp_path: Path) -> None:
    panel, _ = worked
    order = Order(panel.walk.folder, panel.walk.folder.queue.items[:2], tmp_path / "out", "coco")
    work = harvest(order, lambda _: CountingPipeline(), Runtime())  # type: ignore[arg-type,return-value]
    assert next(work).total == 2
    order.stop.set()
    with pytest.raises(StopIteration) as end:
        next(work)
    assert end.value.value is None
    assert not list((tmp_path / "out").iterdir())


def test_which_images_are_offered(worked: Any) -> None:
    panel, _ = worked
    panel.do("previous_image")
    settle(panel)
    panel.do("mark_skip")
    settle(panel)
    panel.exports_all.ask()
    (dialog,) = panel.findChildren(ExportDialog)
    offered = [dialog.images.itemText(at) for at in range(dialog.images.count())]
    assert offered == ["marked as done (1)", "all but skipped (1)", "all (2)"]
    dialog.close()
