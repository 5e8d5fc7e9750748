"""Choosing and downloading models, device, cores and memory: through the widgets, with a hub on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from napari.qt.threading import WorkerBase
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QTreeWidgetItemIterator

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.worker import Machine, in_thread, machine
from napari_clearclip.gui.models import equipment as equipment_module
from napari_clearclip.gui.models.dialog import ModelDialog
from napari_clearclip.gui.models.disk import DiskQuestion
from napari_clearclip.gui.models.equipment import Equipment
from napari_clearclip.gui.models.section import ModelSection
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Model, Settings
from napari_clearclip.storing import Store

from ..conftest import Bench, CountingPipeline, looking, source

B16 = "ViT-B-16/openai"


def click(button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


class Room:
    """A model section with all that stands behind it, and what it told."""

    def __init__(self, qtbot: Any, bench: Bench, offer: bool = True) -> None:
        self.bench, self.pipeline = bench, CountingPipeline()
        self.section = ModelSection()
        qtbot.addWidget(self.section)
        self.controller = Controller(bench, lambda _: self.pipeline, State(Settings(model=Model())))
        self.question = DiskQuestion()
        qtbot.addWidget(self.question)
        self.equipment = Equipment(self.section, self.question, self.controller, bench, offer)
        self.chosen: list[Model] = []
        self.told: list[str] = []
        self.equipment.chosen.connect(self.chosen.append)
        self.equipment.chosen.connect(
            lambda model: self.controller.update(self.controller.settings.replace(model=model))
        )
        self.equipment.failed.connect(lambda error: self.told.append(str(error)))
        self.equipment.said.connect(self.told.append)
        self.section.show()

    def ask(self) -> None:
        self.equipment.ask()
        self.bench.drain()

    @property
    def dialog(self) -> ModelDialog:
        assert self.equipment._dialog is not None
        return self.equipment._dialog

    def open(self) -> ModelDialog:
        click(self.section.choose_button)
        return self.dialog

    def until_bytes(self) -> None:
        """Let the download go on until its first half has come."""
        while " of " not in self.section.bytes.text() or ": 0 bytes" in self.section.bytes.text():
            self.bench.step()


def select(dialog: ModelDialog, title: str) -> None:
    items = QTreeWidgetItemIterator(dialog.tree)
    while (item := items.value()) is not None:
        if item.text(0) == title:
            dialog.tree.setCurrentItem(item)
            return
        items += 1
    raise AssertionError(f"{title} is not in the list")


def shown(dialog: ModelDialog) -> list[str]:
    """The titles that are not hidden."""
    found, items = [], QTreeWidgetItemIterator(dialog.tree, QTreeWidgetItemIterator.IteratorFlag.NotHidden)
    while (item := items.value()) is not None:
        if item.childCount() == 0:
            found.append(item.text(0))
        items += 1
    return found


@pytest.fixture
def room(qtbot: Any, bench: Bench, hub_server: Any) -> Room:
    """With an empty cache, whatever models are on the machine that tests."""
    return Room(qtbot, bench)


@pytest.fixture
def hub(hub_server: Any, published: Model, tiny_weights: Path) -> Any:
    """The hub with the weights of ViT-Tiny/plain."""
    hub_server.offer("somebody/plain", "open_clip_model.safetensors", tiny_weights.read_bytes())
    return hub_server


@pytest.fixture
def downloading(hub: Any, room: Room) -> Room:
    """ViT-Tiny/plain was chosen from the list, and its first half has come."""
    room.ask()
    dialog = room.open()
    select(dialog, "ViT-Tiny/plain")
    click(dialog.use_button)
    room.until_bytes()
    return room


# ----------------------------------------------------------------------------------------------------------------------
# What this machine has


def test_machine_tells_device_cores_and_models(bench: Bench, hub_server: Any, tmp_path: Path) -> None:
    told: list[Any] = []
    bench(machine("cpu"), lambda _: None, told.append)
    bench.drain()
    (found,) = told
    assert isinstance(found, Machine)
    assert (found.device, found.reason) == ("cpu", "The CPU was chosen.")
    assert found.threads >= 1
    assert found.folder == tmp_path / "hub"
    assert any(str(entry.model) == B16 for entry in found.published)


def test_machine_tells_what_is_wrong(bench: Bench) -> None:
    told: list[Any] = []
    bench(machine("tpu"), lambda _: None, told.append)
    bench.drain()
    assert "unknown device 'tpu'" in str(told[0])


def test_a_model_that_needs_a_library_is_shown_with_what_to_install(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    room.ask()
    dialog = room.open()
    for title in ("ViT-B-16-SigLIP2-256/webli", "BiomedCLIP"):
        select(dialog, title)
        assert 'pip install "napari-clearclip[words]", then start napari again' in dialog.about.text()
        assert (dialog.use_button.text(), dialog.use_button.isEnabled()) == ("Use", False)


def test_what_is_chosen_is_shown_before_and_after_the_machine_has_told(room: Room) -> None:
    room.controller.update(Settings(model=Model.parse(B16)))
    room.equipment.show()
    assert (room.section.name.text(), room.section.state.text()) == (B16, "about 598 MB · looking …")
    room.ask()
    assert room.section.state.text() == "about 598 MB · not downloaded, downloaded by the next Run"
    assert room.section.about_device.text().startswith("The CPU is used")
    assert room.section.machine.button.text().endswith("cpu")


def test_a_machine_that_tells_after_the_end_is_not_heard(room: Room) -> None:
    room.equipment.ask()
    room.equipment.close()
    room.bench.drain()
    assert room.section.about_device.text() == "Looking for a GPU …"


# ----------------------------------------------------------------------------------------------------------------------
# First use


def test_a_model_is_offered_while_only_the_demo_is_at_hand(room: Room) -> None:
    room.equipment.show()
    assert room.section.offer.isHidden()  # not known yet
    room.ask()
    assert not room.section.offer.isHidden()
    click(room.section.choose_button)
    assert room.dialog.isVisible()
    assert not room.dialog.isModal()
    room.controller.update(Settings(model=Model.parse(B16)))
    room.equipment.show()
    assert room.section.offer.isHidden()


def test_no_model_is_offered_where_one_is_at_hand(hub: Any, published: Model, room: Room) -> None:
    hub.go.set()
    list(room.equipment._fetcher.steps(published))
    room.ask()
    assert room.section.offer.isHidden()


def test_what_is_dismissed_is_not_offered_again(
    room: Room, qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[bool] = []
    monkeypatch.setattr(equipment_module, "stop_offering_models", lambda: stopped.append(True))
    room.ask()
    click(room.section.offer.close_button)
    room.equipment.show()
    assert room.section.offer.isHidden()
    assert stopped == [True]
    other = Room(qtbot, bench, offer=False)
    other.ask()
    assert other.section.offer.isHidden()


# ----------------------------------------------------------------------------------------------------------------------
# The list


def test_the_list_says_what_a_model_is_and_what_using_it_means(room: Room, tmp_path: Path) -> None:
    dialog = room.open()
    assert dialog.entry is not None
    assert dialog.entry.title == "demo"
    select(dialog, B16)
    assert "Looking what is on this machine" in dialog.about.text()
    assert not dialog.use_button.isEnabled()
    room.ask()
    assert dialog.entry.title == B16  # the selection stays when more is known
    assert f"About 598 MB are downloaded once, to {tmp_path / 'hub'}." in dialog.about.text()
    assert dialog.use_button.text() == "Download 598 MB and use"
    assert dialog.use_button.isEnabled()


def test_finding_a_model_opens_and_closes_the_groups(room: Room) -> None:
    room.ask()
    dialog = room.open()
    published = dialog.tree.topLevelItem(dialog.tree.topLevelItemCount() - 1)
    assert published.text(0).startswith("All published (")
    assert not published.isExpanded()
    select(dialog, B16)
    QTest.keyClicks(dialog.filter, "laion l-14")
    assert set(shown(dialog)) >= {"ViT-L-14/laion400m_e31", "ViT-L-14/laion2b_s32b_b82k"}
    assert all("L-14" in title and "laion" in title for title in shown(dialog))
    assert published.isExpanded()
    assert dialog.entry is None  # what is hidden is not used by chance
    assert not dialog.use_button.isEnabled()
    dialog.filter.clear()
    assert B16 in shown(dialog)
    assert not published.isExpanded()


def test_where_no_model_is_found_it_says_what_to_do(room: Room) -> None:
    room.ask()
    dialog = room.open()
    QTest.keyClicks(dialog.filter, "nucleus")
    assert shown(dialog) == []
    assert dialog.about.text() == "No model matches “nucleus”: try part of a name, or press Local file…"
    dialog.filter.clear()
    assert dialog.about.text() == "Select a model to read about it."


def test_what_is_at_hand_is_used_with_enter(room: Room) -> None:
    room.controller.update(Settings(model=Model.parse(B16)))
    room.ask()
    dialog = room.open()
    select(dialog, "demo")
    dialog.tree.setFocus()
    QTest.keyClick(dialog.tree, Qt.Key.Key_Return)
    assert room.chosen == [Model()]
    assert not dialog.isVisible()


def test_a_double_click_downloads_nothing(room: Room) -> None:
    room.ask()
    dialog = room.open()
    select(dialog, B16)
    dialog.tree.itemActivated.emit(dialog.tree.currentItem(), 0)
    assert dialog.isVisible()
    assert not room.bench.waiting


@pytest.fixture
def pick(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the file dialog give a path at once."""

    def give(path: str) -> None:
        monkeypatch.setattr(QFileDialog, "getOpenFileName", staticmethod(lambda *args: (path, "")))

    return give


def test_a_file_by_hand(room: Room, pick: Callable[[str], None]) -> None:
    room.ask()
    dialog = room.open()
    select(dialog, "RemoteCLIP ViT-B-32")
    assert "huggingface.co/chendelong/RemoteCLIP" in dialog.about.text()
    assert dialog.use_button.text() == "Choose the file…"
    pick("")
    click(dialog.use_button)
    assert dialog.isVisible()
    pick("/data/RemoteCLIP-ViT-B-32.pt")
    click(dialog.use_button)
    assert room.chosen == [Model(name="ViT-B-32-quickgelu", pretrained="/data/RemoteCLIP-ViT-B-32.pt")]


def test_a_local_file_with_its_configuration(room: Room, pick: Callable[[str], None], tiny_weights: Path) -> None:
    pick(str(tiny_weights))
    click(room.open().file_button)
    assert room.chosen == [Model(name="", pretrained=str(tiny_weights))]


def test_a_local_file_without_configuration_asks_for_the_architecture(
    room: Room, pick: Callable[[str], None], tmp_path: Path
) -> None:
    pick(str(tmp_path / "my-vit-l-14.pt"))
    dialog = room.open()
    click(dialog.file_button)
    assert not room.chosen
    assert not dialog.asking.isHidden()
    assert dialog.architecture.currentText() == "ViT-L-14"
    dialog.architecture.setCurrentText("ViT-L-14-quickgelu")
    click(dialog.use_button)
    assert room.chosen == [Model(name="ViT-L-14-quickgelu", pretrained=str(tmp_path / "my-vit-l-14.pt"))]
    room.ask()
    select(room.open(), "demo")
    assert dialog.asking.isHidden()
    click(dialog.use_button)
    assert room.chosen[-1] == Model()


# ----------------------------------------------------------------------------------------------------------------------
# Downloads


def test_a_download_says_its_bytes_and_is_chosen_at_its_end(downloading: Room, hub: Any, published: Model) -> None:
    room = downloading
    assert not room.section.download.isHidden()
    assert room.section.offer.isHidden()
    assert room.section.bytes.text().startswith("ViT-Tiny/plain: ")
    assert "/s, " in room.section.bytes.text()
    assert 0 < room.section.bar.value() < room.section.bar.maximum()
    room.equipment.show()
    assert room.section.offer.isHidden()
    assert not room.chosen
    hub.go.set()
    room.bench.drain()
    assert room.chosen == [published]
    assert room.section.download.isHidden()
    assert room.section.state.text().endswith("on this machine")
    assert not room.told


def test_cancel_answers_while_the_server_hangs_and_keeps_the_model(downloading: Room, hub: Any) -> None:
    room = downloading
    click(room.section.cancel_button)
    assert room.section.download.isHidden()
    room.bench.drain()
    assert not hub.go.is_set()  # nobody waited for the server
    assert room.told == [
        "The download was stopped. The model is still demo; Choose… > Local file… takes one from this machine."
    ]
    assert not room.chosen
    assert not room.section.offer.isHidden()


def test_a_stopped_download_can_be_taken_up_again(downloading: Room, hub: Any, published: Model) -> None:
    room = downloading
    click(room.section.cancel_button)
    room.bench.drain()
    room.equipment.choose(published)
    hub.go.set()
    room.bench.drain()
    assert room.chosen == [published]


def test_bytes_that_come_after_cancel_are_not_shown(downloading: Room) -> None:
    room = downloading
    _, progress, _ = room.bench.waiting[0]
    click(room.section.cancel_button)
    progress(Progress("Downloading the model", 1, 2, "bytes"))
    assert room.section.download.isHidden()


def test_choosing_the_same_again_goes_on_with_its_download(downloading: Room, hub: Any, published: Model) -> None:
    room = downloading
    room.equipment.choose(published)
    assert not room.section.download.isHidden()
    hub.go.set()
    room.bench.drain()
    assert room.chosen == [published]


def test_choosing_something_else_stops_a_download(downloading: Room, hub: Any) -> None:
    room = downloading
    room.equipment.choose(Model())
    assert room.section.download.isHidden()
    hub.go.set()
    room.bench.drain()
    assert room.chosen == [Model()]


def test_a_failed_download_keeps_the_model_and_says_what_to_do(hub: Any, published: Model, room: Room) -> None:
    hub.refuses = 503
    room.ask()
    room.equipment.choose(published)
    room.bench.drain()
    (told,) = room.told
    assert told.startswith("The weights of somebody/plain could not be downloaded: ")
    assert "503" in told
    assert "http" not in told
    assert told.endswith("The model is still demo; Choose… > Local file… takes one from this machine.")
    assert room.section.download.isHidden()
    assert not room.chosen
    hub.refuses = 0
    hub.go.set()
    room.equipment.choose(published)
    room.bench.drain()
    assert room.chosen == [published]


def test_a_worker_leaves_a_server_that_hangs(hub: Any, published: Model, room: Room, qtbot: Any) -> None:
    equipment = Equipment(room.section, room.question, room.controller, in_thread, offer=False)
    hub.hangs = "HEAD"
    equipment.choose(published)
    qtbot.waitUntil(lambda: ("HEAD", "/somebody/plain/resolve/main/open_clip_model.safetensors") in hub.asked)
    assert room.section.bytes.text() == "ViT-Tiny/plain …"
    equipment.cancel()
    qtbot.waitUntil(lambda: not WorkerBase._worker_set)
    assert not hub.go.is_set()


def test_the_end_of_the_panel_leaves_a_download(downloading: Room, hub: Any) -> None:
    room = downloading
    room.equipment.close()
    assert not room.dialog.isVisible()
    room.bench.drain()
    assert not hub.go.is_set()
    assert not room.chosen
    assert not room.told


# ----------------------------------------------------------------------------------------------------------------------
# Device and memory


def test_device_and_cores_are_those_of_the_next_run(room: Room) -> None:
    room.ask()
    room.controller.runtime = room.controller.runtime.replace(cache_bytes=1000)
    room.section.devices.setCurrentText("cpu")
    room.section.devices.textActivated.emit("cpu")
    room.bench.drain()
    assert room.section.about_device.text() == "The CPU was chosen."
    room.section.threads.setValue(2)
    assert room.controller.runtime.model_dump(include={"device", "threads", "cache_bytes"}) == {
        "device": "cpu",
        "threads": 2,
        "cache_bytes": 1000,
    }
    room.section.threads.setValue(0)
    assert room.controller.runtime.threads is None


def test_a_device_that_is_not_there_is_told(room: Room) -> None:
    room.section.devices.textActivated.emit("mps")
    room.bench.drain()
    assert "device 'mps' cannot be used" in room.told[0]


def test_memory_is_told_and_released(room: Room) -> None:
    room.equipment.show_held()
    assert not room.section.release_button.isEnabled()
    room.controller.update(looking())
    room.controller.look_at(source())
    room.controller.run()
    room.bench.drain()
    room.equipment.show_held()
    assert room.section.held.text() == "1.2 GB held."
    room.section.machine.button.click()
    click(room.section.release_button)
    assert room.pipeline.released == 1
    assert room.section.held.text() == "Nothing is held."
    assert not room.section.release_button.isEnabled()


@pytest.fixture
def kept(room: Room, tmp_path: Path) -> Path:
    """Features of a large image, 3 MB."""
    room.controller.runtime = room.controller.runtime.replace(cache_folder=str(tmp_path))
    file = Store.of(room.controller.runtime).folder / "image" / "key.features"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(3 * 10**6))
    return file


def test_disk_is_limited_and_cleared(room: Room, kept: Path) -> None:
    room.section.machine.button.click()
    disk = room.section.disk
    assert disk.most.value() == 2.0
    assert disk.kept.text() == "3.0 MB kept of large images."
    disk.most.setValue(0.5)
    assert room.controller.runtime.store_bytes == 5 * 10**8
    click(disk.clear_button)
    assert not kept.exists()
    assert disk.kept.text() == "Nothing is kept of large images."
    assert not disk.clear_button.isEnabled()


def test_a_long_run_is_asked_about_with_the_disk_it_may_have(room: Room, kept: Path) -> None:
    room.pipeline.long = True
    room.controller.update(looking())
    room.controller.look_at(source())
    room.controller.run()
    room.bench.step(2)
    question = room.question
    assert question.isVisible()
    kept = "take 1.0 GB of at most {} GB on disk, so that other phrases read none of them"
    assert question.label.text() == f"3 windows are to be read; their features {kept.format('2.0')}."
    question.disk.most.setValue(0.5)
    assert "would take 1.0 GB on disk, where 0.5 GB are allowed" in question.label.text()
    assert question.disk.kept.text() == "3.0 MB kept of large images."
    question.disk.most.setValue(1.5)
    assert kept.format("1.5") in question.label.text()
    assert question.isVisible()
    click(question.go_button)
    assert not question.isVisible()
    room.bench.drain()
    assert room.pipeline.disks == [15 * 10**8]


@pytest.mark.parametrize("button", ["leave_button", "close_button"])
def test_a_long_run_is_refused(button: str, room: Room, kept: Path) -> None:
    room.pipeline.long = True
    room.controller.update(looking())
    room.controller.look_at(source())
    room.controller.run()
    room.bench.step(2)
    click(getattr(room.question, button))
    room.bench.drain()
    assert not room.question.isVisible()
    assert not room.pipeline.disks
    room.section.disk.most.setValue(0.5)
    assert not room.question.isVisible()
    room.controller.run()
    room.bench.step(2)
    assert "where 0.5 GB are allowed" in room.question.label.text()
