"""From image to image through a folder: each is as it was left, whatever comes in between."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from imageio.v3 import imwrite
from napari.layers import Labels
from napari.layers._source import layer_source

from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.images.sources import is_source
from napari_clearclip.gui.layers.styles import tag_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.queue.image_list import ImageList
from napari_clearclip.gui.queue.walk import ALL_MARKED, FIRST, LAST
from napari_clearclip.io.queue import read_queue
from napari_clearclip.io.sessions import read

from .conftest import Open, settle


def shown(panel: Panel) -> str:
    """The name of the one image that is open."""
    (image,) = (layer for layer in panel.walk._viewer.layers if is_source(layer))
    return str(image.name)


def masks(panel: Panel) -> dict[str, Any]:
    """All labels by name; those of hidden prompts are left out, as they are made when they are shown."""
    return {
        layer.name: np.array(layer.data)
        for layer in panel.walk._viewer.layers
        if isinstance(layer, Labels) and (layer.visible or not tag_of(layer)[0])
    }


def do(panel: Panel, name: str) -> None:
    panel.do(name)
    settle(panel)


def start(panel: Panel, photos: Path) -> None:
    panel.walk.open(photos)
    settle(panel)
    assert not panel.message.label.text()


def work(panel: Panel, at: int) -> tuple[State, dict[str, Any]]:
    """Run, paint for the second prompt, accept the first; what stands then."""
    panel.run()
    settle(panel)
    first, second = panel.controller.settings.objects
    stroke = np.zeros(panel.controller.source.read(()).shape, bool)  # type: ignore[union-attr]
    stroke[2 + at : 9, 2:11] = True
    panel.controller.update(edits=panel.controller.state.edits.paint(second.id, (), stroke, True))
    settle(panel)
    panel.results.accept(first.id)
    settle(panel)
    own = next(layer for layer in panel.walk._viewer.layers if layer.name.endswith("accepted"))
    own.data[0, : at + 3] = 1
    return panel.controller.state, masks(panel)


def add(panel: Panel, *phrases: str) -> None:
    for phrase in phrases:
        panel.prompts.added.emit(phrase, "object")


def assert_as_left(panel: Panel, left: tuple[State, dict[str, Any]]) -> None:
    state, labels = left
    assert panel.controller.state == state
    np.testing.assert_equal(masks(panel), labels)


def test_there_and_back_and_again_in_another_viewer(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    assert (shown(panel), panel.queue.place.text()) == ("a", "1 of 3 · 0 done")
    add(panel, "red star", "water")
    panel.prompts.edited.emit(panel.controller.settings.objects[1].id, {"threshold": 0.61})
    first = work(panel, 0)
    do(panel, "mark_done")
    do(panel, "next_image")
    assert (shown(panel), panel.queue.place.text()) == ("b", "2 of 3 · 1 done")
    carried = panel.controller.settings.objects
    assert [(item.phrase, item.threshold) for item in carried] == [("red star", 0.2), ("water", 0.61)]
    assert not any(item.locked for item in carried)  # what was accepted on the image before is to be found on this one
    assert all(item.visible for item in carried)
    assert masks(panel) == {}
    second = work(panel, 1)
    do(panel, "mark_doubtful")
    do(panel, "previous_image")
    assert shown(panel) == "a"
    assert_as_left(panel, first)
    do(panel, "next_image")
    assert_as_left(panel, second)
    panel.close_down()

    other = opened()
    start(other, photos)
    assert (shown(other), other.queue.place.text()) == ("b", "2 of 3 · 1 done")
    assert other.queue.marks.currentData() == "doubtful"
    assert_as_left(other, second)
    do(other, "previous_image")
    assert_as_left(other, first)
    assert other.controller._runner._pipeline is None  # what was found is not computed again


def test_images_to_which_nothing_was_done_get_no_session(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    for _ in range(2):
        do(panel, "next_image")
    assert shown(panel) == "c"
    do(panel, "mark_skip")
    assert sorted(path.name for path in (photos / "clearclip").iterdir()) == ["queue.json"]
    kept = read_queue(photos / "clearclip")
    assert kept is not None
    assert ([item.mark for item in kept.items], kept.place) == (["open", "open", "skip"], "c.png")


def test_ends_of_the_folder_and_the_next_without_a_mark(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    do(panel, "previous_image")
    assert panel.message.label.text() == FIRST
    do(panel, "mark_done")
    do(panel, "next_open_image")
    assert shown(panel) == "b"
    do(panel, "mark_doubtful")
    do(panel, "next_open_image")
    do(panel, "next_image")
    assert (shown(panel), panel.message.label.text()) == ("c", LAST)
    do(panel, "next_open_image")
    assert (shown(panel), panel.message.label.text()) == ("c", ALL_MARKED)
    do(panel, "mark_done")
    do(panel, "mark_done")  # and away again
    assert panel.queue.marks.currentData() == "open"


def test_list_of_images(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    do(panel, "mark_done")
    do(panel, "list_images")
    (window,) = panel.findChildren(ImageList)

    def listed() -> list[str]:
        rows = [window.list.item(row) for row in range(window.list.count())]
        return [row.text() for row in rows if row is not None and not row.isHidden()]

    assert listed() == ["✓   a.png", "○   b.png", "○   c.png"]
    window.marks.setCurrentIndex(window.marks.findData("open"))
    assert listed() == ["○   b.png", "○   c.png"]
    window.search.setText("C")
    assert listed() == ["○   c.png"]
    window.list.itemClicked.emit(window.list.item(2))
    settle(panel)
    assert shown(panel) == "c"


def test_what_cannot_be_opened_is_said_and_the_next_can(photos: Path, opened: Open) -> None:
    (photos / "b.png").write_bytes(b"no image")
    panel = opened()
    start(panel, photos)
    add(panel, "water")
    panel.run()
    settle(panel)
    do(panel, "next_image")
    assert "b.png was not opened: " in panel.message.label.text()
    assert not masks(panel)
    do(panel, "next_image")
    assert shown(panel) == "c"
    assert [item.phrase for item in panel.controller.settings.objects] == ["water"]


def test_a_damaged_session_is_left_as_it_is(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    (photos / "clearclip" / "b.clearclip").write_bytes(b"half")
    do(panel, "next_image")
    assert "b.png was not opened: the session" in panel.message.label.text()
    do(panel, "next_image")
    assert shown(panel) == "c"
    assert (photos / "clearclip" / "b.clearclip").read_bytes() == b"half"


def test_an_image_stays_open_while_it_cannot_be_written(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    add(panel, "water")
    panel.run()
    settle(panel)
    work_folder = photos / "clearclip"
    work_folder.rename(photos / "away")
    do(panel, "next_image")
    assert shown(panel) == "a"
    assert panel.message.label.text().startswith("Not saved, so the image stays open: ")
    (photos / "away").rename(work_folder)
    do(panel, "next_image")
    assert shown(panel) == "b"
    assert read(work_folder / "a.clearclip").images[0].settings == panel.controller.settings


def test_images_are_segmented_when_they_are_opened_if_that_is_wanted(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    add(panel, "water")
    panel.queue.run_action.setChecked(True)
    settle(panel)
    assert not masks(panel)
    do(panel, "next_image")
    assert list(masks(panel)) == ["b · water"]
    panel.close_down()
    other = opened()
    start(other, photos)
    assert other.queue.run_action.isChecked()


def test_layers_of_ones_own_stay_and_closing_the_folder_takes_the_image_away(photos: Path, opened: Open) -> None:
    panel = opened()
    viewer = panel.walk._viewer
    viewer.add_labels(np.zeros((4, 4), int), name="mine")
    start(panel, photos)
    add(panel, "water")
    panel.run()
    settle(panel)
    do(panel, "next_image")
    panel.walk.leave()
    settle(panel)
    assert [layer.name for layer in viewer.layers] == ["mine"]
    assert not panel.queue.isVisibleTo(panel)
    assert (photos / "clearclip" / "a.clearclip").exists()


def test_a_folder_that_was_copied_opens_its_own_images(photos: Path, opened: Open, tmp_path: Path) -> None:
    panel = opened()
    start(panel, photos)
    add(panel, "water")
    left = work_one(panel)
    panel.walk.leave()
    shutil.copytree(photos, tmp_path / "copy")
    start(panel, tmp_path / "copy")
    assert panel.images.current is not None
    assert panel.images.current.source.path == str(tmp_path / "copy" / "a.png")
    assert_as_left(panel, left)


def work_one(panel: Panel) -> tuple[State, dict[str, Any]]:
    panel.run()
    settle(panel)
    return panel.controller.state, masks(panel)


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
import npe2
npe2.PluginManager.instance().discover()
app = QApplication([])
from napari_clearclip.gui import panel as panels
from napari_clearclip.io.sessions import volumes
sys.path.insert(0, sys.argv[3])
from gui.conftest import CountingPipeline, in_line
volumes.folder = lambda: Path(sys.argv[2])
panel = panels.Panel(ViewerModel(), executor=in_line, open_pipeline=lambda _: CountingPipeline())
panel.walk.open(Path(sys.argv[1]))
panel.prompts.added.emit("water", "object")
panel.run()
while not panel.results.idle: app.processEvents()
panel.do("mark_done")
panel.do("next_image")
panel.run()
(prompt,) = panel.controller.settings.objects
stroke = np.zeros((16, 28), bool)
stroke[2:9, 2:11] = True
panel.controller.update(edits=panel.controller.state.edits.paint(prompt.id, (), stroke, True))
assert panel.autosave.flush()
os._exit(7)
"""


def test_nothing_is_lost_when_the_process_is_killed(photos: Path, opened: Open, journals: Path) -> None:
    root = str(Path(__file__).parents[2])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(photos), str(journals), root], env=os.environ, check=False
    )
    assert killed.returncode == 7
    panel = opened()
    start(panel, photos)
    assert (shown(panel), panel.queue.place.text()) == ("b", "2 of 3 · 1 done")
    panel.notice.restore_button.click()
    settle(panel)
    assert shown(panel) == "b"
    assert masks(panel)["b · water"][2:9, 2:11].all()
    do(panel, "previous_image")
    assert list(masks(panel)) == ["a · water"]
    do(panel, "next_image")
    assert masks(panel)["b · water"][2:9, 2:11].all()


def test_files_come_and_go(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    do(panel, "mark_done")
    do(panel, "next_image")
    panel.walk.leave()
    (photos / "b.png").unlink()
    imwrite(photos / "d.png", np.zeros((8, 8), np.uint8))
    panel.walk.open(photos)
    settle(panel)
    assert panel.message.label.text() == "Since the folder was open last, images have changed: 1 new, 1 gone."
    assert (shown(panel), panel.queue.place.text()) == ("a", "1 of 3 · 1 done")


def test_what_was_done_is_written_though_nobody_goes_on(photos: Path, opened: Open, qtbot: Any) -> None:
    panel = opened()
    start(panel, photos)
    add(panel, "water")
    panel.run()
    settle(panel)
    panel.walk._timer.setInterval(0)
    panel.walk._timer.start()
    qtbot.waitUntil((photos / "clearclip" / "a.clearclip").exists)
    add(panel, "red star")
    panel.walk._timer.setInterval(10_000)
    panel.walk._timer.start()
    panel.show()
    panel.hide()
    (image,) = read(photos / "clearclip" / "a.clearclip").images
    assert image.settings is not None
    assert [prompt.phrase for prompt in image.settings.objects] == ["water", "red star"]


def test_all_that_a_file_brought_goes_with_it(photos: Path, opened: Open) -> None:
    panel = opened()
    start(panel, photos)
    with layer_source(path=str(photos / "a.png")):  # as the picture in colours of a GeoTIFF
        panel.walk._viewer.add_points(np.zeros((1, 2)), name="brought")
    do(panel, "next_image")
    assert [layer.name for layer in panel.walk._viewer.layers] == ["b"]
