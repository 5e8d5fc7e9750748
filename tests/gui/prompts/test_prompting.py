"""What is done in the prompt section becomes settings, and what cannot be done is said where it was done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_clearclip.engine.automatic import BINS
from napari_clearclip.gui.prompts.listing import sentence
from napari_clearclip.gui.prompts.phrase_line import PhraseLine
from napari_clearclip.gui.prompts.prompting import Prompting
from napari_clearclip.gui.prompts.section import PromptSection
from napari_clearclip.gui.prompts.table import Column
from napari_clearclip.gui.sections import Message
from napari_clearclip.settings import Learned, Model, Settings


class Desk:
    """A prompt section, and the settings that it changes."""

    def __init__(self, qtbot: Any) -> None:
        self.settings = Settings(model=Model.parse("ViT-B-16/openai"))  # of a full vocabulary
        self.tags: list[str] = []
        self.message = Message()
        self.section = PromptSection()
        self.prompting = Prompting(self.section, lambda: self.settings, self.change, self.message)
        for widget in (self.section, self.message):
            qtbot.addWidget(widget)
        self.section.resize(320, 600)
        self.section.show()
        self.section.show_settings(self.settings)

    def change(self, make: Callable[[Settings], Settings], tag: str = "") -> bool:
        try:
            self.settings = make(self.settings)
        except ValueError as error:
            self.message.say(sentence(error))
            return False
        self.message.clear()
        self.tags.append(tag)
        self.section.show_settings(self.settings)
        return True

    def type(self, text: str) -> None:
        self.section.entry.line.clear()
        QTest.keyClicks(self.section.entry.line, text)
        QTest.keyClick(self.section.entry.line, Qt.Key.Key_Return)

    def select(self, phrase: str) -> str:
        id_ = next(prompt.id for prompt in self.settings.prompts if prompt.phrase == phrase)
        self.section.table.select_prompt(id_)
        return id_

    @property
    def phrases(self) -> list[str]:
        return [prompt.phrase for prompt in self.settings.objects]

    @property
    def distractors(self) -> list[str]:
        return [prompt.phrase for prompt in self.settings.prompts if prompt.kind == "distractor"]

    @property
    def said(self) -> str:
        return self.message.label.text()


@pytest.fixture
def desk(qtbot: Any) -> Desk:
    made = Desk(qtbot)
    for phrase in ("road", "tree", "car"):
        made.type(phrase)
    return made


def test_what_is_refused_is_marked_where_it_was_typed(desk: Desk) -> None:
    line = desk.section.entry.line
    desk.type("Road")
    assert line.text() == "Road"
    assert "in the list already" in line.toolTip()
    assert "in the list already" in desk.said
    desk.type("roads")
    assert line.text() == ""
    assert line.styleSheet() == ""
    assert desk.said == ""
    assert desk.section.table.current_id() == desk.settings.objects[-1].id


def test_pasted_lines_are_one_change(desk: Desk) -> None:
    before = len(desk.tags)
    QApplication.clipboard().setText("boat\nroad\n\n# ships\n- sky\nship, vessel\n")
    desk.section.entry.line.paste()
    assert desk.phrases == ["road", "tree", "car", "boat", "ship"]
    assert desk.distractors == ["sky"]
    assert len(desk.tags) == before + 1
    assert desk.said == "Added 3 of 4; left out “road” (in the list already)."
    assert desk.section.table.current_id() == desk.settings.objects[-1].id


def test_lines_pasted_below_the_distractors_are_distractors(desk: Desk) -> None:
    QApplication.clipboard().setText("sky\n- wall\n")
    desk.section.other_entry.line.paste()
    assert desk.distractors == ["sky", "wall"]
    assert desk.phrases == ["road", "tree", "car"]


def test_an_edit_that_is_refused_stays_in_the_table(desk: Desk) -> None:
    cell = desk.section.objects.index(1, Column.PHRASE)
    desk.section.objects.setData(cell, "ROAD")
    assert desk.phrases == ["road", "tree", "car"]
    assert cell.data() == "ROAD"
    assert "in the list already" in desk.said
    desk.section.objects.setData(cell, "oak")
    assert desk.phrases == ["road", "oak", "car"]
    assert desk.said == ""


def test_a_copy_with_other_words_is_the_current_prompt(desk: Desk, qtbot: Any) -> None:
    desk.select("tree")
    desk.section.table.copy_current()
    (line,) = desk.section.table.findChildren(PhraseLine)
    QTest.keyClicks(line, "tall tree, pine")
    QTest.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: desk.phrases == ["road", "tree", "tall tree", "car"])
    assert desk.section.objects.rowCount() == 4
    assert desk.section.table.current_id() == desk.settings.objects[2].id
    assert desk.settings.objects[2].synonyms == ("pine",)


def test_order_kind_and_removal(desk: Desk) -> None:
    desk.select("car")
    desk.section.table.step(-1)
    assert desk.phrases == ["road", "car", "tree"]
    desk.section.kind_changed.emit(desk.select("car"), "distractor")
    assert (desk.phrases, desk.distractors) == (["road", "tree"], ["car"])
    desk.section.removed.emit([desk.select("road")])
    assert desk.phrases == ["tree"]
    desk.section.empty_action.trigger()
    assert (desk.phrases, desk.distractors) == ([], ["car"])
    assert not desk.section.empty_action.isEnabled()


def test_each_move_of_a_slider_has_its_own_tag(desk: Desk) -> None:
    desk.select("tree")
    plot = desk.section.thresholds.plot
    before = len(desk.tags)
    for value in (0.5, 0.6):
        plot.moved.emit(value)
        plot.released.emit()
    assert desk.settings.objects[1].threshold == 0.6
    first, second = desk.tags[before:]
    assert first != second
    assert first.startswith("threshold of ")


# Scores


def two_groups(high: int) -> np.ndarray:
    made = np.zeros(BINS, np.int64)
    made[[5, high]] = 100, 10
    return made


def test_the_histogram_is_that_of_the_current_prompt(desk: Desk) -> None:
    ids = [prompt.id for prompt in desk.settings.objects]
    plot = desk.section.thresholds.plot
    assert plot.missing == "Run once to see the scores"
    desk.prompting.set_scores({ids[0]: two_groups(70)}, {})
    desk.select("road")
    assert plot.missing == ""
    desk.select("tree")
    assert plot.missing == "Run once to see the scores"
    desk.section.table.select_prompt(ids[0])
    desk.section.table.copy_current()
    assert plot.missing == ""


def test_automatic_thresholds_of_one_and_all(desk: Desk) -> None:
    road, tree, car = (prompt.id for prompt in desk.settings.objects)
    desk.prompting.set_scores({road: two_groups(70), tree: two_groups(40), car: np.eye(BINS, dtype=np.int64)[3]}, {})
    desk.select("tree")
    desk.section.thresholds.auto.click()
    first, second, third = (prompt.threshold for prompt in desk.settings.objects)
    assert (first, third) == (0.2, 0.2)
    assert 0.05 < second <= 0.4
    desk.change(lambda settings: settings)
    desk.section.edited.emit(tree, {"locked": True, "threshold": 0.9})
    before = len(desk.tags)
    desk.section.thresholds.auto_all.click()
    first, second, third = (prompt.threshold for prompt in desk.settings.objects)
    assert 0.05 < first <= 0.7
    assert (second, third) == (0.9, 0.2)
    assert desk.said == "No automatic threshold for “car”: all scores are about the same."
    assert len(desk.tags) == before + 1


def test_automatic_without_scores_says_what_to_do(desk: Desk) -> None:
    desk.section.table.automatic.emit([desk.select("road")])
    assert desk.said == "There are no scores yet; press Run first."


# Lists


@pytest.mark.parametrize(
    ("typed", "chosen", "made"),
    [
        ("mine", "Prompts with colours and thresholds (*.json)", "mine.json"),
        ("mine", "Phrases only (*.txt)", "mine.txt"),
        ("mine.TXT", "Prompts with colours and thresholds (*.json)", "mine.TXT"),
    ],
)
def test_a_list_is_saved_and_opened(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, chosen: str, made: str
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / typed), chosen))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / made), ""))
    before = desk.settings
    desk.section.save_action.trigger()
    assert made in desk.said
    desk.section.removed.emit([desk.select("tree")])
    (open_action,) = [action for action in desk.section.list_button.menu().actions() if "Open" in action.text()]
    open_action.trigger()
    assert desk.phrases == ["road", "tree", "car"]
    assert made in desk.said
    if made.endswith(".json"):
        assert desk.settings == before


def test_a_dialog_that_is_given_up_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: ("", ""))
    before = list(desk.tags)
    for action in desk.section.list_button.menu().actions()[:2]:
        action.trigger()
    assert desk.tags == before
    assert desk.said == ""


def test_a_list_has_what_was_learned_on_this_image(desk: Desk, tmp_path: Path) -> None:
    learned = Learned.of("abc", "demo", {"road": np.ones(4, np.float32)})
    desk.prompting.set_learned({desk.settings.objects[0].id: learned})
    desk.prompting.save(tmp_path / "a.json")
    assert desk.message.label.text() == f"Saved the prompts to {tmp_path / 'a.json'}, with what “road” learned."
    assert desk.settings.objects[0].learned is None
    desk.prompting.open(tmp_path / "a.json")
    assert [prompt.learned for prompt in desk.settings.objects] == [learned, None, None]
    assert "What “road” learned elsewhere counts here too; Forget takes it away." in desk.message.label.text()
    desk.prompting.save(tmp_path / "a.txt")
    assert desk.message.label.text() == f"Saved the prompts to {tmp_path / 'a.txt'}."


def test_what_is_wrong_with_a_list_is_said(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("boat\nboat\n")
    desk.section.opened.emit(str(tmp_path / "a.txt"))
    assert "line 2: “boat” stands in line 1 already; remove one." in desk.said
    assert desk.phrases == ["road", "tree", "car"]
    desk.section.saved.emit(str(tmp_path / "none" / "a.txt"))
    assert "cannot be written" in desk.said
