"""What a folder's list says is what was written; marks follow files that go and come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_clearclip.io.queue import MARKS, Item, Queue, read_queue, write_queue


def queue(*marks: str, **fields: object) -> Queue:
    items = tuple(Item(file=f"{at}.png", session=str(at), mark=mark) for at, mark in enumerate(marks))  # type: ignore[arg-type]
    return Queue(folder="/photos", items=items, **fields)  # type: ignore[arg-type]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    wanted = queue(*MARKS, place="2.png", run=True).replace(gone=(Item(file="Ä/ü.tif", session="ü", mark="done"),))
    write_queue(tmp_path, wanted)
    assert read_queue(tmp_path) == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["queue.json"]


def test_a_folder_without_a_list(tmp_path: Path) -> None:
    assert read_queue(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ('{"version": 2, "folder": "a"}', "version 2, but 1 is the newest known"),
        ("[1]", "is not valid"),
        ('{"folder": "a", "items": [{"file": "a.png", "session": "a", "mark": "lost"}]}', "items.0.mark is 'lost'"),
        ('{"folder": "a", "items": [{"file": "a.png", "session": "../a"}]}', "items.0.session is '../a'"),
    ],
    ids=["no JSON", "newer", "no object", "no such mark", "a session elsewhere"],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "queue.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_queue(tmp_path)


def test_place_and_marks() -> None:
    start = queue("open", "open", "open")
    assert start.at == 0
    there = start.moved(2).marked(1, "doubtful")
    assert there.at == 2
    assert [item.mark for item in there.items] == ["open", "doubtful", "open"]
    assert there.counts == {"open": 2, "doubtful": 1}
    assert start.items[1].mark == "open"


@pytest.mark.parametrize(
    ("marks", "at", "expected"),
    [
        (("open", "done", "open"), 0, 2),
        (("open", "done", "done", "skip"), 2, 0),
        (("done", "open", "done"), 1, None),
        (("open",), 0, None),
    ],
    ids=["the next", "round the end", "only this one", "alone"],
)
def test_next_without_a_mark(marks: tuple[str, ...], at: int, expected: int | None) -> None:
    assert queue(*marks).next_open(at) == expected


def test_files_that_go_and_come_keep_what_is_known_of_them() -> None:
    before = queue("done", "skip", place="1.png")
    sessions = {"0.png": "other", "2.png": "2"}
    after = before.listing(["0.png", "2.png"], sessions)
    assert after.items == (before.items[0], Item(file="2.png", session="2"))
    assert after.gone == (before.items[1],)
    assert after.at == 0
    back = after.listing(["0.png", "1.png", "2.png"], sessions)
    assert back.items[1] == before.items[1]
    assert (back.gone, back.at) == ((), 1)
