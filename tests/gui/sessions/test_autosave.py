"""What is done is on the disk a moment later; what a killed process left is offered, restored or discarded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clearclip.edits import Edits
from napari_clearclip.gui.images.sources import is_source
from napari_clearclip.gui.panel import Panel
from napari_clearclip.io.sessions.journal import read_journal
from napari_clearclip.io.sessions.volumes import left_behind

from ..conftest import CountingPipeline, in_line

PIXELS = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24)
STROKE = PIXELS > 200
Open = Callable[..., Panel]


@pytest.fixture
def opened(qtbot: Any) -> Generator[Open]:
    """Panels on viewers of their own, whose engine only counts."""
    panels = []

    def open_panel(viewer: ViewerModel | None = None) -> Panel:
        panel = Panel(viewer or ViewerModel(), executor=in_line, open_pipeline=lambda _: CountingPipeline())  # type: ignore[arg-type]
        qtbot.addWidget(panel)
        panels.append(panel)
        return panel

    yield open_panel
    for panel in panels:
        panel.close_down()


def viewer_of(panel: Panel) -> ViewerModel:
    return panel.sessions._viewer


def paint(panel: Panel, name: str = "photo") -> Edits:
    """Open an image, look for something and paint."""
    viewer_of(panel).add_image(PIXELS + len(name), name=name, scale=(2, 3))
    panel.prompts.added.emit("red star", "object")
    (prompt,) = panel.controller.settings.objects
    edits = panel.controller.state.edits.paint(prompt.id, (), STROKE, True)
    panel.controller.update(edits=edits)
    return edits


def crash(panel: Panel) -> None:
    """What the system does to a panel's journals when its process is killed."""
    panel.autosave._thread.shutdown(wait=True)
    panel.autosave._timer.stop()
    volume = panel.autosave._writer._volume
    if volume is not None:
        volume._lock.release()
    panel.autosave._writer._volume = None


def test_a_change_is_written_by_itself(opened: Open, journals: Path, qtbot: Any) -> None:
    panel = opened()
    edits = paint(panel)
    qtbot.waitUntil(lambda: any(journals.glob("*/*.journal")))
    assert panel.autosave.flush()
    (file,) = journals.glob("*/*.journal")
    session = read_journal(file)
    assert session is not None
    assert session.images[0].edits == edits
    assert session.images[0].settings == panel.controller.settings
    panel.close_down()
    assert list(journals.iterdir()) == []


def test_nothing_is_written_while_nothing_is_done(opened: Open, journals: Path) -> None:
    panel = opened()
    viewer_of(panel).add_image(PIXELS)
    assert panel.autosave.flush()
    assert not journals.exists()


def test_what_was_done_to_an_image_goes_with_it(opened: Open, journals: Path) -> None:
    panel = opened()
    paint(panel)
    assert panel.autosave.flush()
    viewer_of(panel).layers.clear()
    assert panel.autosave.flush()
    assert list(journals.glob("*/*.journal")) == []


def test_after_a_crash_it_is_offered_and_restored(opened: Open, journals: Path) -> None:
    panel = opened()
    edits = paint(panel)
    state = panel.controller.state
    assert panel.autosave.flush()
    crash(panel)
    other = opened()
    assert not other.notice.isHidden()
    assert "What was done to “photo” until " in other.notice.label.text()
    QTest.mouseClick(other.notice.restore_button, Qt.MouseButton.LeftButton)
    assert other.notice.isHidden()
    assert other.message.label.text() == "What was done was restored."
    (layer,) = (layer for layer in viewer_of(other).layers if is_source(layer))
    assert layer.name == "photo"
    assert tuple(layer.scale) == (2, 3)
    np.testing.assert_array_equal(layer.data, PIXELS + 5)
    assert other.controller.state.edits == edits
    assert other.controller.state == state
    assert left_behind(journals) == []
    crash(other)  # it is safe again
    (left,) = left_behind(journals)
    assert left.sessions[0][1].images[0].edits == edits


def test_what_was_accepted_and_corrected_is_restored(opened: Open, journals: Path) -> None:
    panel = opened()
    paint(panel)
    panel.run()
    panel.results.accept()
    own = next(layer for layer in viewer_of(panel).layers if layer.name.endswith("accepted"))
    assert panel.autosave.flush()
    own.data_setitem((np.array([3, 3]), np.array([4, 5])), 1)
    own.name = "mine"
    assert panel.autosave.flush()
    crash(panel)
    other = opened()
    other.notice.restore_button.click()
    (found,) = (layer for layer in viewer_of(other).layers if layer.name == "mine")
    np.testing.assert_array_equal(found.data, own.data)
    assert found.metadata["classes"] == own.metadata["classes"]
    assert tuple(found.scale) == (2, 3)
    viewer_of(other).layers.remove(found)
    assert other.autosave.flush()
    crash(other)
    assert left_behind(journals)[0].sessions[0][1].layers == ()


def test_two_crashed_panels_are_offered_one_after_the_other(opened: Open, journals: Path) -> None:
    for name in ("photo", "photograph"):
        panel = opened()
        paint(panel, name)
        assert panel.autosave.flush()
        crash(panel)
    other = opened()
    assert "“photograph” until" in other.notice.label.text()
    assert "There is older work too (1)." in other.notice.label.text()
    other.notice.discard_button.click()
    assert "“photo” until" in other.notice.label.text()
    other.notice.restore_button.click()
    assert [layer.name for layer in viewer_of(other).layers if is_source(layer)] == ["photo"]
    assert other.notice.isHidden()


def test_what_was_put_aside_is_offered_again(opened: Open) -> None:
    panel = opened()
    paint(panel)
    assert panel.autosave.flush()
    crash(panel)
    other = opened()
    other.notice.close_button.click()
    assert other.notice.isHidden()
    assert not opened().notice.isHidden()


def test_what_another_panel_took_is_not_restored_twice(opened: Open) -> None:
    panel = opened()
    paint(panel)
    assert panel.autosave.flush()
    crash(panel)
    one, other = opened(), opened()
    one.notice.restore_button.click()
    other.notice.restore_button.click()
    assert other.message.label.text() == "Another panel has taken that already."
    assert not viewer_of(other).layers


def test_an_image_that_is_not_found_keeps_what_was_left(opened: Open, journals: Path) -> None:
    panel = opened()
    paint(panel)
    (image,) = (layer for layer in viewer_of(panel).layers if is_source(layer))
    image._set_source(image.source.model_copy(update={"path": "/nowhere/photo.tif"}))
    panel.controller.update(edits=Edits())
    assert panel.autosave.flush()
    crash(panel)
    other = opened()
    other.sessions._find = lambda image: None  # type: ignore[method-assign]
    other.notice.restore_button.click()
    assert other.message.label.text().startswith("“photo” was not found, so it was left out. It is kept")
    assert len(left_behind(journals)) == 1


def test_where_nothing_can_be_written_it_is_said_once_and_work_goes_on(opened: Open, journals: Path) -> None:
    journals.write_text("no folder")
    panel = opened()
    said: list[str] = []
    panel.autosave.said.connect(said.append)
    paint(panel)
    assert not panel.autosave.flush()
    assert not panel.autosave.flush()
    (text,) = said
    assert text.startswith("What you do is not saved by itself any more, so save the session: ")
    assert panel.message.label.text() == text
    panel.run()
    assert panel.controller.has_run


def test_what_is_known_of_a_panel_that_was_closed_is_written_again(opened: Open, journals: Path) -> None:
    viewer = ViewerModel()
    panel = opened(viewer)
    edits = paint(panel)
    assert panel.autosave.flush()
    panel.close_down()
    assert list(journals.iterdir()) == []
    again = opened(viewer)
    assert again.autosave.flush()
    (file,) = journals.glob("*/*.journal")
    session = read_journal(file)
    assert session is not None
    assert session.images[0].edits == edits
