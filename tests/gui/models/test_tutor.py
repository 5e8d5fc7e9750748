"""Training a student from the panel: what is asked, what is told, and how it is stopped."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.models import tutor as tutor_module
from napari_clearclip.gui.models.choices import entry_of
from napari_clearclip.gui.models.training_dialog import NO_PROMPTS
from napari_clearclip.gui.models.tutor import STOPPED, Tutor
from napari_clearclip.gui.segment.section import ABOUT_STUDENT, SegmentSection
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Model, Prompt, Settings, Tiling
from napari_clearclip.study import Card, Study

from ..conftest import Bench, CountingPipeline, looking, source


def click(button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


class School:
    """A window for training with all that stands behind it; the training itself only counts to three."""

    def __init__(self, qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
        self.bench, self.pipeline, self.parent = bench, CountingPipeline(), QWidget()
        qtbot.addWidget(self.parent)
        self.controller = Controller(bench, lambda _: self.pipeline, State(settings))
        sources = [("one", source("one")), ("two", source("two"))]
        self.tutor = Tutor(self.parent, self.controller, lambda: sources, bench, lambda _: self.pipeline)
        self.trained: list[Model] = []
        self.tutor.trained.connect(self.trained.append)
        self.asked: list[Any] = []
        self.closed = 0
        self.error: Exception | None = None
        monkeypatch.setattr(tutor_module, "train_steps", self._train)
        self.tutor.open()
        assert self.tutor.dialog is not None
        self.dialog = self.tutor.dialog

    def _train(self, *arguments: Any, **options: Any) -> Generator[Progress, None, None]:
        self.asked.append((arguments, options))
        try:
            for done in range(3):
                yield Progress("Training", done, 3)
                if self.error is not None:
                    raise self.error
        except GeneratorExit:
            self.closed += 1
            raise


@pytest.fixture
def school(qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> School:
    return School(qtbot, bench, monkeypatch, looking("road tree"))


def test_the_images_of_the_viewer_make_a_model(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert school.dialog.images.itemText(0) == "Images of the viewer (2)"
    assert school.dialog.phrases.text() == "road, tree"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    click(school.dialog.out_button)
    school.dialog.minutes.setValue(3)
    click(school.dialog.start_button)
    assert school.dialog.cancel_button.isVisible()
    assert not school.dialog.start_button.isEnabled()
    school.bench.step(3)
    assert school.dialog.stage.text() == "Training: 1 of 3"
    school.bench.drain()
    ((_, examples, settings, _, out), options) = school.asked[0]
    assert [example.name for example in examples] == ["one", "two"]
    assert settings == school.controller.settings
    assert (out, options) == (tmp_path / "mine.safetensors", {"resume": True, "minutes": 3})
    assert school.trained == [Model(name="", pretrained=str(out))]
    assert not school.dialog.isVisible()
    assert school.pipeline.released == 1


def test_a_folder_of_images(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.png", "a.png", "a_clearclip_overlay.png"):
        imageio.imwrite(tmp_path / name, np.zeros((9, 9), np.uint8))
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    school.dialog.images.setCurrentIndex(1)
    school.dialog.images.activated.emit(1)
    click(school.dialog.start_button)
    school.bench.drain()
    assert [example.name for example in school.asked[0][0][1]] == ["a.png", "b.png"]


def test_no_folder_leaves_the_viewer(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    school.dialog.images.setCurrentIndex(1)
    school.dialog.images.activated.emit(1)
    assert school.dialog.images.currentIndex() == 0
    assert school.dialog.start_button.isEnabled()


def test_an_empty_folder_is_said(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    school.dialog.images.setCurrentIndex(1)
    school.dialog.images.activated.emit(1)
    click(school.dialog.start_button)
    school.bench.drain()
    assert "there is no image in" in school.dialog.message.label.text()
    assert school.dialog.start_button.isEnabled()


def test_cancel_stops_and_says_what_is_kept(school: School) -> None:
    click(school.dialog.start_button)
    school.bench.step(2)
    click(school.dialog.cancel_button)
    school.bench.drain()
    assert (school.closed, school.trained) == (1, [])
    assert school.dialog.message.label.text() == STOPPED
    click(school.dialog.start_button)
    school.bench.drain()
    assert len(school.trained) == 1


def test_an_error_is_said_in_the_window(school: School) -> None:
    school.error = ValueError("the checkpoint is of another training")
    click(school.dialog.start_button)
    school.bench.drain()
    assert school.dialog.message.label.text() == "the checkpoint is of another training"
    assert school.trained == []


def test_closing_the_panel_stops_the_training(school: School) -> None:
    click(school.dialog.start_button)
    school.bench.step(2)
    school.tutor.close()
    school.bench.drain()
    assert (school.closed, school.trained) == (1, [])


def test_without_a_prompt_there_is_nothing_to_learn(qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    school = School(qtbot, bench, monkeypatch, Settings(prompts=(Prompt(phrase="sky", kind="distractor"),)))
    assert school.dialog.phrases.text() == NO_PROMPTS
    assert not school.dialog.start_button.isEnabled()


def student_card(folder: Path) -> Model:
    card = Card(
        architecture="small",
        width=8,
        teacher=Model(),
        teacher_key="key",
        phrases=tuple("abcdefgh"),
        images=("one.png", "two.png"),
        study=Study(),
        clearclip={"tiling": Tiling(short_side=64, window=64, stride=32).model_dump()},
    )
    (folder / "mine.json").write_text(card.model_dump_json())
    return Model(name="", pretrained=str(folder / "mine.safetensors"))


def test_the_list_says_what_a_student_learned(tmp_path: Path) -> None:
    entry = entry_of(student_card(tmp_path), ())
    assert (entry.title, entry.state) == ("mine.safetensors", "on this machine")
    assert entry.good_for == "images like yours, student of demo"
    assert "learned from 2 images what demo finds for a, b, c, d, e, f, …" in entry.about
    (tmp_path / "mine.json").write_text('{"teacher_key": 1}')
    assert entry_of(Model(name="", pretrained=str(tmp_path / "mine.safetensors")), ()).good_for == "your file"


def test_variants_are_out_of_reach_for_a_student(qtbot: Any, tmp_path: Path) -> None:
    section = SegmentSection()
    qtbot.addWidget(section)
    section.show_settings(Settings(model=student_card(tmp_path)))
    assert not section.variants.isEnabled()
    assert not section.forms["attention"].isEnabled()
    assert section.about_variant.text() == ABOUT_STUDENT
    section.show_settings(Settings())
    assert section.variants.isEnabled()
    assert section.about_variant.text() != ABOUT_STUDENT
