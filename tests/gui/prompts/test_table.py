"""The prompt table: what it shows, what it tells, and how it is worked by mouse and keyboard."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter
from qtpy.QtTest import QAbstractItemModelTester, QTest
from qtpy.QtWidgets import QApplication, QColorDialog, QLineEdit

from napari_clearclip.gui.prompts.cells import slider_area
from napari_clearclip.gui.prompts.phrase_line import PhraseEntry, PhraseLine
from napari_clearclip.gui.prompts.table import Column, PromptModel, percent
from napari_clearclip.gui.prompts.view import PromptView
from napari_clearclip.settings import COLORS, Prompt

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
        self.told: list[tuple[Any, ...]] = []
        self.removed: list[list[str]] = []
        self.model.edited.connect(lambda prompt, fields: self.edits.append((prompt, fields)))
        self.view.removed.connect(self.removed.append)
        for signal in ("moved", "lock_toggled", "kind_changed", "automatic", "clear_edits", "accept"):
            getattr(self.view, signal).connect(lambda *values, signal=signal: self.told.append((signal, *values)))
        self.model.duplicated.connect(lambda *values: self.told.append(("duplicated", *values)))
        self.refusals: list[str] = []
        self.model.refused.connect(self.refusals.append)

    def text(self, row: int, column: Column) -> Any:
        return self.model.index(row, column).data()

    def middle(self, row: int, column: Column) -> QPoint:
        return self.view.visualRect(self.model.index(row, column)).center()

    def phrases(self) -> list[str]:
        return [self.text(row, Column.PHRASE) for row in range(self.model.rowCount())]

    def editor(self) -> PhraseLine:
        """The editor that is open."""
        (line,) = [line for line in self.view.findChildren(PhraseLine) if line.isVisible()]
        return line

    def editing(self) -> bool:
        return self.view.state() == PromptView.State.EditingState

    def choose(self, text: str) -> None:
        """Choose from the menu of the current row."""
        menu = self.view.menu()
        assert menu is not None
        (action,) = [action for action in menu.actions() if action.text().split("\t")[0] == text]
        action.trigger()
        menu.deleteLater()

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


def test_a_prompt_may_go_while_its_slider_is_held(objects: Table) -> None:
    view = objects.view
    start = slider_area(view.visualRect(objects.model.index(1, Column.THRESHOLD))).center()
    QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    objects.model.set_prompts(PROMPTS[:1])
    objects.edits.clear()
    QTest.mouseMove(view.viewport(), start + QPoint(9, 0))
    QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    assert not objects.edits


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


# Drafts: what is refused is marked in place


def taken(prompt: Prompt, text: str) -> str:
    return "It is taken." if text in ("road", "") else ""


@pytest.fixture
def strict(objects: Table) -> Table:
    """A table that refuses "road" and nothing, with the second row open."""
    objects.model.check = taken
    objects.view.select_prompt("b")
    objects.press(Qt.Key.Key_F2)
    return objects


def test_enter_leaves_the_editor_open_while_the_text_is_refused(strict: Table, qtbot: Any) -> None:
    line = strict.editor()
    line.setText("road")
    QTest.keyClick(line, Qt.Key.Key_Return)
    QApplication.processEvents()
    assert strict.editing()
    assert line.accessibleDescription() == "It is taken."
    assert "It is taken." in line.toolTip()
    assert line.styleSheet() != ""
    assert not strict.edits
    QTest.keyClicks(line, "s")
    assert line.styleSheet() == ""
    QTest.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: strict.edits == [("b", {"text": "roads"})])


@pytest.mark.parametrize("text", ["road", ""])
def test_refused_text_stays_in_its_row(strict: Table, qtbot: Any, text: str) -> None:
    before = pixels(strict.view)
    strict.editor().setText(text)
    strict.view.commitData(strict.editor())  # as when the focus goes elsewhere
    strict.view.closeEditor(strict.editor(), strict.view.itemDelegate().EndEditHint.NoHint)
    cell = strict.model.index(1, Column.PHRASE)
    assert not strict.edits
    assert cell.data() == text
    assert "It is taken." in cell.data(Qt.ItemDataRole.ToolTipRole)
    assert "still looking for “tree, bush”" in cell.data(Qt.ItemDataRole.AccessibleTextRole)
    assert strict.refusals == ["It is taken."]
    assert pixels(strict.view) != before
    strict.press(Qt.Key.Key_F2)
    assert strict.editor().text() == text
    assert strict.editor().accessibleDescription() == "It is taken."
    QTest.keyClick(strict.editor(), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: cell.data() == "tree, bush")
    assert strict.refusals[-1] == ""


def test_a_draft_goes_when_its_prompt_gets_other_words(strict: Table) -> None:
    cell = strict.model.index(1, Column.PHRASE)
    strict.model.setData(cell, "road")
    strict.model.set_prompts((PROMPTS[0], PROMPTS[1].replace(threshold=0.1)))
    assert cell.data() == "road"
    strict.model.set_prompts((PROMPTS[0], PROMPTS[1].replace(phrase="hedge")))
    assert cell.data() == "hedge, bush"


def test_what_stays_as_it_is_is_never_refused(strict: Table) -> None:
    strict.model.check = lambda prompt, text: "Never."
    strict.model.setData(strict.model.index(1, Column.PHRASE), "tree, bush")
    assert strict.phrases() == ["road", "tree, bush"]
    assert not strict.refusals
    assert not strict.edits


def test_refusals_are_shown_as_text(strict: Table) -> None:
    strict.model.check = lambda prompt, text: "<b>x</b>"
    strict.model.setData(strict.model.index(1, Column.PHRASE), "a")
    assert "&lt;b&gt;" in strict.model.index(1, Column.PHRASE).data(Qt.ItemDataRole.ToolTipRole)


# Copies


@pytest.fixture
def copying(objects: Table) -> Table:
    """A table in which a copy of the first row waits for words of its own."""
    objects.model.check = taken
    objects.view.select_prompt("a")
    objects.press(Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    return objects


def test_a_copy_opens_below_for_other_words(copying: Table, qtbot: Any) -> None:
    assert copying.phrases() == ["road", "road", "tree, bush"]
    assert copying.view.currentIndex().row() == 1
    assert copying.view.current_id() == "a"
    assert copying.view.selected_ids() == ["copy of a"]
    line = copying.editor()
    assert line.selectedText() == "road"
    QTest.keyClick(line, Qt.Key.Key_Return)
    QApplication.processEvents()
    assert copying.editing()
    assert line.accessibleDescription() == "It is taken."
    QTest.keyClicks(line, "dirt road")
    QTest.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: copying.told == [("duplicated", "a", "dirt road")])
    copying.model.set_prompts(PROMPTS)
    assert copying.phrases() == ["road", "tree, bush"]
    assert not copying.edits


def test_escape_takes_the_copy_back(copying: Table, qtbot: Any) -> None:
    QTest.keyClick(copying.editor(), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: copying.phrases() == ["road", "tree, bush"])
    assert not copying.told


def test_a_copy_that_nobody_changed_goes_by_itself(copying: Table, qtbot: Any) -> None:
    copying.view.commitData(copying.editor())
    qtbot.waitUntil(lambda: copying.phrases() == ["road", "tree, bush"])


def test_a_copy_is_no_prompt_yet(copying: Table, qtbot: Any) -> None:
    copying.editor().setText("")
    copying.view.commitData(copying.editor())
    copying.view.closeEditor(copying.editor(), copying.view.itemDelegate().EndEditHint.NoHint)
    copying.model.set_prompts(PROMPTS[1::-1])
    assert copying.phrases() == ["tree, bush", "road", ""]
    assert "no prompt yet" in copying.model.index(2, Column.PHRASE).data(Qt.ItemDataRole.ToolTipRole)
    copying.view.select_prompt("copy of a")
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Right):
        copying.press(key)
    for key in (Qt.Key.Key_L, Qt.Key.Key_D):
        copying.press(key, Qt.KeyboardModifier.ControlModifier)
    assert copying.view.menu() is None
    copying.press(Qt.Key.Key_Delete)
    assert copying.phrases() == ["tree, bush", "road"]
    assert (copying.edits, copying.told, copying.removed) == ([], [], [])


# Order, locks and the menu

MORE = (*PROMPTS[:2], Prompt(id="c", phrase="car"), Prompt(id="d", phrase="boat"))


@pytest.fixture
def four(objects: Table) -> Table:
    objects.model.set_prompts(MORE)
    return objects


@pytest.mark.parametrize(
    ("row", "to", "expected"),
    [
        (0, (2, 0.9), [("moved", ["a"], "d")]),
        (3, (1, 0.1), [("moved", ["d"], "b")]),
        (1, (3, 0.9), [("moved", ["b"], None)]),
        (2, (9, 0.5), [("moved", ["c"], None)]),
        (2, (-4, 0.5), [("moved", ["c"], "a")]),
        (1, (1, 0.9), []),
        (1, (0, 0.9), []),
    ],
    ids=["down", "up", "last", "below the table", "above the table", "nowhere", "to its own place"],
)
def test_rows_are_dragged(four: Table, row: int, to: tuple[int, float], expected: list[Any]) -> None:
    viewport, height = four.view.viewport(), four.view.rowHeight(0)
    start = four.middle(row, Column.PHRASE)
    end = QPoint(start.x(), round((to[0] + to[1]) * height))
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    move(viewport, start + QPoint(1, 1))
    quiet = pixels(four.view)
    move(viewport, end)
    if expected:
        assert pixels(four.view) != quiet
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=end)
    assert four.told == expected
    assert four.view.current_id() == MORE[row].id
    assert len(four.view.selected_ids()) == 1


def test_escape_ends_a_drag(four: Table) -> None:
    viewport, start = four.view.viewport(), four.middle(0, Column.PHRASE)
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    move(viewport, four.middle(3, Column.PHRASE))
    four.press(Qt.Key.Key_Escape)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=four.middle(3, Column.PHRASE))
    assert not four.told


def test_dragging_beyond_the_edge_scrolls(objects: Table) -> None:
    objects.model.set_prompts(tuple(Prompt(id=str(n), phrase=f"p{n}") for n in range(30)))
    viewport, bar = objects.view.viewport(), objects.view.verticalScrollBar()
    start = objects.middle(0, Column.PHRASE)
    below = QPoint(start.x(), viewport.height() + 20)
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for _ in range(200):
        move(viewport, below)
    assert bar.value() == bar.maximum()
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=below)
    assert objects.told == [("moved", ["0"], None)]


def move(viewport: Any, to: QPoint) -> None:
    """Move the mouse with the left button held, which QTest.mouseMove leaves out."""
    kind, button = QEvent.Type.MouseMove, Qt.MouseButton.LeftButton
    where = QPointF(to), QPointF(viewport.mapToGlobal(to))
    QApplication.sendEvent(viewport, QMouseEvent(kind, *where, button, button, Qt.KeyboardModifier.NoModifier))


@pytest.mark.parametrize(
    ("rows", "key", "expected"),
    [
        ([1], Qt.Key.Key_Up, [("moved", ["b"], "a")]),
        ([1], Qt.Key.Key_Down, [("moved", ["b"], "d")]),
        ([2], Qt.Key.Key_Down, [("moved", ["c"], None)]),
        ([0], Qt.Key.Key_Up, []),
        ([3], Qt.Key.Key_Down, []),
        ([1, 2], Qt.Key.Key_Up, [("moved", ["b", "c"], "a")]),
        ([1, 2], Qt.Key.Key_Down, [("moved", ["b", "c"], None)]),
    ],
)
def test_alt_and_arrows_move_the_selected_rows(four: Table, rows: list[int], key: Qt.Key, expected: list[Any]) -> None:
    four.view.selectRow(rows[0])
    for _ in rows[1:]:
        four.press(Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    four.press(key, Qt.KeyboardModifier.AltModifier)
    assert four.told == expected


def test_selection_follows_a_moved_row(four: Table) -> None:
    resets: list[int] = []
    four.model.modelReset.connect(lambda: resets.append(1))
    four.view.select_prompt("a")
    four.model.set_prompts((MORE[2], MORE[0], MORE[3], MORE[1]))
    assert four.phrases() == ["car", "road", "boat", "tree, bush"]
    assert four.view.current_id() == "a"
    assert four.view.selected_ids() == ["a"]
    assert not resets


def test_the_lock_is_clicked(four: Table) -> None:
    QTest.mouseClick(four.view.viewport(), Qt.MouseButton.LeftButton, pos=four.middle(1, Column.LOCK))
    assert four.told == [("lock_toggled", "b", True)]
    cell = four.view.visualRect(four.model.index(1, Column.LOCK))
    before = four.view.viewport().grab(cell).toImage()
    four.model.set_prompts((MORE[0], MORE[1].replace(locked=True), *MORE[2:]))
    assert four.view.viewport().grab(cell).toImage() != before
    assert four.model.index(1, Column.LOCK).data(Qt.ItemDataRole.AccessibleTextRole) == "Locked"
    four.press(Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    assert four.told[-1] == ("lock_toggled", "b", False)


def test_the_threshold_of_a_locked_prompt_stays(four: Table) -> None:
    four.model.set_prompts((MORE[0], MORE[1].replace(locked=True), *MORE[2:]))
    four.view.select_prompt("b")
    four.press(Qt.Key.Key_Right)
    QTest.mouseClick(four.view.viewport(), Qt.MouseButton.LeftButton, pos=four.middle(1, Column.THRESHOLD))
    assert not four.edits


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("Make a distractor", ("kind_changed", "b", "distractor")),
        ("Lock", ("lock_toggled", "b", True)),
        ("Automatic threshold", ("automatic", ["b"])),
        ("Clear my edits", ("clear_edits", "b")),
        ("Accept as layer", ("accept", "b")),
    ],
)
def test_menu_of_a_prompt(objects: Table, entry: str, told: tuple[Any, ...]) -> None:
    objects.view.select_prompt("b")
    objects.choose(entry)
    assert objects.told == [told]


def test_menu_edits_copies_and_deletes(objects: Table, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#123456"))
    objects.view.select_prompt("b")
    objects.choose("Change colour…")
    assert objects.edits == [("b", {"color": "#123456"})]
    objects.choose("Rename")
    assert objects.editor().text() == "tree, bush"
    QTest.keyClick(objects.editor(), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not objects.editing())
    objects.choose("Delete")
    objects.view.selectAll()
    objects.choose("Delete 2")
    assert objects.removed == [["b"], ["a", "b"]]
    objects.view.select_prompt("a")
    objects.choose("Duplicate")
    assert objects.phrases() == ["road", "road", "tree, bush"]


def test_menu_of_a_distractor_has_nothing_of_masks(distractors: Table) -> None:
    distractors.view.selectRow(0)
    menu = distractors.view.menu()
    assert menu is not None
    texts = [action.text().split("\t")[0] for action in menu.actions() if not action.isSeparator()]
    assert texts == ["Rename", "Duplicate", "Make a prompt", "Delete"]
    distractors.choose("Make a prompt")
    assert distractors.told == [("kind_changed", "x", "object")]


def test_a_menu_of_a_locked_prompt_unlocks_it(four: Table) -> None:
    four.model.set_prompts((MORE[0].replace(locked=True), *MORE[1:]))
    four.view.select_prompt("a")
    four.choose("Unlock")
    assert four.told == [("lock_toggled", "a", False)]


@pytest.mark.parametrize("width", [284, 300, 360, 500])
def test_phrases_are_readable_at_every_width(objects: Table, width: int) -> None:
    objects.view.resize(QSize(width, 200))
    shown = objects.view.visualRect(objects.model.index(0, Column.PHRASE)).width()
    assert shown >= objects.view.fontMetrics().horizontalAdvance("building") + 8
    widths = sum(objects.view.columnWidth(column) for column in Column)
    assert widths <= objects.view.viewport().width()


def test_without_room_for_a_slider_the_number_stays(objects: Table) -> None:
    objects.view.resize(QSize(230, 200))
    cell = objects.view.visualRect(objects.model.index(0, Column.THRESHOLD))
    assert slider_area(cell).isEmpty()
    assert cell.width() > objects.view.fontMetrics().horizontalAdvance("0.20")
    QTest.mouseClick(objects.view.viewport(), Qt.MouseButton.LeftButton, pos=objects.middle(0, Column.THRESHOLD))
    assert not objects.edits
    objects.press(Qt.Key.Key_Right)
    assert objects.edits == [("a", {"threshold": 0.21})]


def test_everything_says_what_it_is(objects: Table, distractors: Table) -> None:
    for table in (objects, distractors):
        assert table.view.accessibleName()
        for column in Column:
            index = table.model.index(0, column)
            assert index.data(Qt.ItemDataRole.ToolTipRole)
            assert index.data(Qt.ItemDataRole.AccessibleTextRole)


def test_keys_of_the_table_go_before_those_of_the_window(four: Table) -> None:
    four.view.select_prompt("b")
    for key, held, wanted in (
        (Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier, True),
        (Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier, True),
        (Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier, False),
    ):
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, held)
        event.ignore()
        QApplication.sendEvent(four.view, event)
        assert event.isAccepted() == wanted


# The entry


@pytest.fixture
def entry(qtbot: Any) -> PhraseEntry:
    made = PhraseEntry("Type here", "What it is for")
    made.told = []
    made.entered.connect(lambda text: made.told.append(("entered", text)))
    made.pasted.connect(lambda text: made.told.append(("pasted", text)))
    qtbot.addWidget(made)
    return made


def test_enter_and_the_button_enter_what_is_typed(entry: PhraseEntry) -> None:
    QTest.keyClicks(entry.line, "road")
    QTest.keyClick(entry.line, Qt.Key.Key_Return)
    QTest.mouseClick(entry.button, Qt.MouseButton.LeftButton)
    assert entry.told == [("entered", "road"), ("entered", "road")]
    QTest.keyClick(entry.line, Qt.Key.Key_Escape)
    assert entry.line.text() == ""


@pytest.mark.parametrize(
    ("clipboard", "told", "left"),
    [
        ("road\ntree, bush\r\n\ncar\n", [("pasted", "road\ntree, bush\r\n\ncar\n")], ""),
        ("road\n", [], "road"),
        ("\n\n road \n\n", [], "road"),
        ("road", [], "road"),
    ],
    ids=["lines", "one line with its end", "one line among blank ones", "a phrase"],
)
def test_several_lines_are_pasted_at_once(entry: PhraseEntry, clipboard: str, told: list[Any], left: str) -> None:
    QApplication.clipboard().setText(clipboard)
    entry.line.paste()
    assert entry.told == told
    assert entry.line.text() == left


def test_a_refused_line_is_marked_until_it_is_changed(entry: PhraseEntry) -> None:
    QTest.keyClicks(entry.line, "road")
    entry.line.refuse("It is taken.")
    assert "It is taken." in entry.line.toolTip()
    assert entry.line.styleSheet() != ""
    assert entry.line.text() == "road"
    QTest.keyClicks(entry.line, "s")
    assert entry.line.styleSheet() == ""
    assert entry.line.toolTip() == "What it is for"
