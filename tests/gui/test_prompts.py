"""The prompt table: what it shows, what it tells, and how it is worked by mouse and keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, QSize, Qt
from qtpy.QtGui import QImage, QPainter
from qtpy.QtTest import QAbstractItemModelTester, QTest
from qtpy.QtWidgets import QLineEdit

from napari_clearclip.gui import prompt_list
from napari_clearclip.gui.prompt_view import PromptView, slider_area
from napari_clearclip.gui.prompts import Column, PromptModel, percent
from napari_clearclip.settings import COLORS, Model, Prompt, Settings

PROMPTS = (
    Prompt(id="a", phrase="road"),
    Prompt(id="b", phrase="tree", synonyms=("bush",), threshold=0.5, color=COLORS[1]),
    Prompt(id="x", phrase="sky", kind="distractor"),
    Prompt(id="y", phrase="wall", kind="distractor", muted=True),
)


class Table:
    """A model with its view, shown, and what it has told."""

    def __init__(self, qtbot: Any, kind: str) -> None:
        self.model = PromptModel(kind)
        self.tester = QAbstractItemModelTester(self.model, QAbstractItemModelTester.FailureReportingMode.Fatal)
        self.view = PromptView(self.model)
        self.model.setParent(self.view)
        qtbot.addWidget(self.view)
        self.view.resize(QSize(350, 200))
        self.view.show()
        self.model.set_prompts(PROMPTS)
        self.edits: list[tuple[str, dict[str, Any]]] = []
        self.removed: list[list[str]] = []
        self.model.edited.connect(lambda prompt, fields: self.edits.append((prompt, fields)))
        self.view.removed.connect(self.removed.append)

    def text(self, row: int, column: Column) -> Any:
        return self.model.index(row, column).data()

    def middle(self, row: int, column: Column) -> QPoint:
        return self.view.visualRect(self.model.index(row, column)).center()

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.view, key, modifier)


@pytest.fixture
def objects(qtbot: Any) -> Table:
    return Table(qtbot, "object")


@pytest.fixture
def distractors(qtbot: Any) -> Table:
    return Table(qtbot, "distractor")


def test_rows_are_the_prompts_of_a_kind(objects: Table, distractors: Table) -> None:
    assert [objects.text(row, Column.PHRASE) for row in range(objects.model.rowCount())] == ["road", "tree, bush"]
    assert [distractors.text(row, Column.PHRASE) for row in range(2)] == ["sky", "wall"]
    assert objects.text(1, Column.THRESHOLD) == "0.50"
    assert objects.text(0, Column.COVERAGE) == "–"


def test_rows_follow_the_prompts(objects: Table) -> None:
    resets: list[int] = []
    objects.model.modelReset.connect(lambda: resets.append(1))
    objects.view.select_prompt("b")
    objects.model.set_prompts((*PROMPTS[:2], Prompt(id="c", phrase="car")))
    objects.model.set_prompts((PROMPTS[0].replace(threshold=0.9), PROMPTS[1], Prompt(id="c", phrase="car")))
    assert not resets
    assert objects.view.current_id() == "b"
    assert objects.text(0, Column.THRESHOLD) == "0.90"
    objects.model.set_prompts(PROMPTS[1:])
    assert objects.model.rowCount() == 1
    objects.model.set_prompts(PROMPTS)  # undone
    assert objects.view.current_id() == "b"
    assert not resets
    objects.model.set_prompts(PROMPTS[1::-1])
    assert [objects.text(row, Column.PHRASE) for row in (0, 1)] == ["tree, bush", "road"]


def test_coverage_is_a_share(objects: Table) -> None:
    objects.model.set_coverage({"a": 0.123})
    assert [objects.text(row, Column.COVERAGE) for row in (0, 1)] == ["12 %", "–"]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.0001, "<0.1 %"), (0.0049, "0.5 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (1, "100 %")],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_check_box_shows_and_mutes(objects: Table, distractors: Table) -> None:
    for table, row, expected in (
        (objects, 0, ("a", {"visible": False})),
        (distractors, 0, ("x", {"muted": True})),
        (distractors, 1, ("y", {"muted": False})),
    ):
        table.view.selectRow(row)
        table.press(Qt.Key.Key_Space)
        assert table.edits[-1] == expected


def test_click_on_the_check_box(objects: Table) -> None:
    QTest.mouseClick(objects.view.viewport(), Qt.MouseButton.LeftButton, pos=objects.middle(1, Column.SHOWN))
    assert objects.edits == [("b", {"visible": False})]


def test_delete_removes_the_selected_rows(objects: Table) -> None:
    objects.view.selectAll()
    objects.press(Qt.Key.Key_Delete)
    assert objects.removed == [["a", "b"]]


def test_edit_in_place(objects: Table, qtbot: Any) -> None:
    objects.view.select_prompt("b")
    objects.press(Qt.Key.Key_F2)
    line = objects.view.findChild(QLineEdit)
    assert line.text() == "tree, bush"
    line.setText("hedge")
    QTest.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(objects.edits))
    assert objects.edits == [("b", {"text": "hedge"})]


@pytest.mark.parametrize(
    ("key", "modifier", "threshold"),
    [
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 0.51),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, 0.49),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier, 0.6),
    ],
)
def test_arrows_move_the_threshold(
    objects: Table, key: Qt.Key, modifier: Qt.KeyboardModifier, threshold: float
) -> None:
    objects.view.select_prompt("b")
    objects.press(key, modifier)
    assert objects.edits == [("b", {"threshold": threshold})]


def test_dragging_the_slider(objects: Table) -> None:
    view = objects.view
    groove = slider_area(view.visualRect(objects.model.index(1, Column.THRESHOLD)))
    start, end = groove.center(), QPoint(groove.right() + 200, groove.center().y())
    QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(view.viewport(), end)
    QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=end)
    QTest.mouseMove(view.viewport(), start)
    assert [prompt for prompt, _ in objects.edits] == ["b", "b"]
    assert objects.edits[0][1]["threshold"] == pytest.approx(0.5, abs=0.03)
    assert objects.edits[-1][1]["threshold"] == 1.0


def test_unknown_words_are_flagged_in_place(objects: Table) -> None:
    before = pixels(objects.view)
    objects.model.set_unknown({"b": ("bush",)})
    assert "never seen: bush" in objects.model.index(1, Column.PHRASE).data(Qt.ItemDataRole.ToolTipRole)
    assert pixels(objects.view) != before


def test_a_distractor_that_steps_aside_says_so(distractors: Table) -> None:
    distractors.model.set_aside({"x"})
    assert "Steps aside" in distractors.model.index(0, Column.PHRASE).data(Qt.ItemDataRole.ToolTipRole)
    assert not distractors.model.works(PROMPTS[2])


def pixels(view: PromptView) -> bytes:
    image = QImage(view.size(), QImage.Format.Format_RGB32)
    painter = QPainter(image)
    view.render(painter)
    painter.end()
    bits = image.constBits()
    return bytes(bits.asarray(image.sizeInBytes()))


# Lists of prompts


def settings(*phrases: str) -> Settings:
    made = Settings(model=Model.parse("ViT-B-16/openai"))  # of a full vocabulary
    for phrase in phrases:
        made = prompt_list.added(made, phrase)
    return made


def test_added_prompts_come_before_the_distractors_and_have_colours_of_their_own() -> None:
    made = prompt_list.added(settings("road"), "sky", "distractor")
    made = prompt_list.added(made, "tree, bush")
    assert [prompt.phrase for prompt in made.prompts] == ["road", "tree", "sky"]
    assert [prompt.color for prompt in made.objects] == list(COLORS[:2])


def test_colours_are_used_again_when_all_are_taken() -> None:
    made = settings(*(f"thing {number}" for number in range(len(COLORS) + 1)))
    assert made.objects[-1].color == COLORS[0]
    assert prompt_list.next_color(prompt_list.removed(made, {made.objects[3].id})) in COLORS[1:]


def test_a_new_prompt_takes_the_threshold_that_all_have() -> None:
    made = settings("road", "tree")
    made = prompt_list.changed(made, {prompt.id for prompt in made.objects}, threshold=0.4)
    assert prompt_list.added(made, "car").objects[-1].threshold == 0.4
    made = prompt_list.changed(made, {made.objects[0].id}, threshold=0.9)
    assert prompt_list.added(made, "car").objects[-1].threshold == Prompt(phrase="x").threshold


@pytest.mark.parametrize(
    ("text", "words"),
    [("  ", "A phrase is empty"), ("ROAD", "in the list already"), ("car, road", "in the list already")],
    ids=["empty", "duplicate", "duplicate synonym"],
)
def test_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the sentence is what is tested
        prompt_list.added(settings("road"), text)
    said = prompt_list.sentence(error.value)
    assert words in said
    assert said[-1] == "."
    assert "\n" not in said


def test_a_phrase_of_unknown_words_only_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    weights.with_suffix(".json").write_text(json.dumps({"clearclip": {"vocabulary": ["road", "red"]}}))
    small = Settings(model=Model(name="", pretrained=str(weights)))
    made = prompt_list.added(small, "red zebra")
    with pytest.raises(ValueError, match="knows no word of 'zebra'"):
        prompt_list.added(made, "zebra")
    with pytest.raises(ValueError, match="knows no word of 'zebra'"):
        prompt_list.changed(made, {made.objects[0].id}, text="zebra")
    assert prompt_list.added(made, "zebra", "distractor").distractors


def test_editing_to_a_duplicate_is_refused() -> None:
    made = settings("road", "tree")
    with pytest.raises(ValueError, match="in the list already"):
        prompt_list.changed(made, {made.objects[1].id}, text="Road")
    assert prompt_list.changed(made, {made.objects[1].id}, text="TREE").objects[1].phrase == "TREE"


def test_another_model_brings_its_distractors_unless_they_were_changed() -> None:
    aerial = Model(name="RemoteCLIP-ViT-B-32", pretrained="remoteclip.pt")
    general = Model(name="ViT-B-16", pretrained="openai")
    first = prompt_list.with_model(settings("road"), general)
    second = prompt_list.with_model(first, aerial)
    assert second.distractors != first.distractors
    mine = prompt_list.added(first, "my own", "distractor")
    assert prompt_list.with_model(mine, aerial).distractors == mine.distractors


def test_range_errors_name_the_field() -> None:
    made = settings("road")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        prompt_list.changed(made, {made.objects[0].id}, threshold=3)
    assert prompt_list.sentence(error.value).startswith("Threshold: ")
