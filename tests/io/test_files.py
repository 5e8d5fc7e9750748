"""Files appear whole or not at all; names are safe and distinct."""

from __future__ import annotations

import platform

import pytest

from napari_clearclip.io.exchange import exchanged
from napari_clearclip.io.files import distinct, remove_unfinished, replacing, replacing_folder, slug, writable_folder


def test_a_file_takes_the_place_of_an_earlier_one(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as file:
        file.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_the_earlier_file_is_whole(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with replacing(target) as file:
            file.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    target = tmp_path / "missing" / "a.txt"
    with pytest.raises(OSError, match=r"missing/a\.txt cannot be written: No such file"), replacing(target) as file:
        file.write_text("new")


def test_what_a_killed_process_had_begun_is_removed_and_nothing_else(tmp_path):
    with replacing(tmp_path / "a.txt") as file, replacing_folder(tmp_path / "b") as folder:
        file.write_text("half")
        (folder / "deep").write_text("half")
        filled(tmp_path, **{".mine.part": "mine", "0123456789ab.part": "mine", "c.txt": "whole"})
        remove_unfinished(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.part", "0123456789ab.part", "c.txt"]
        file.write_text("a")
        folder.mkdir()
    remove_unfinished(tmp_path / "missing")


def filled(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("keep", [False, True])
def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path, keep):
    target = filled(tmp_path / "a", old="old", both="old")
    filled(target / "deep", file="deep")
    before = contents(target)
    with replacing_folder(target, keep=keep) as folder:
        with replacing(folder / "both") as file:
            file.write_text("new")
        assert contents(target) == before
    assert contents(target) == {**(before if keep else {}), "both": "new"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_was_not_there_is_made(tmp_path):
    with replacing_folder(tmp_path / "a", keep=True) as folder:
        filled(folder, new="new")
    assert contents(tmp_path / "a") == {"new": "new"}


@pytest.mark.parametrize("keep", [False, True])
def test_after_a_failure_the_earlier_folder_is_whole(tmp_path, keep):
    target = filled(tmp_path / "a", old="old")

    def fail():
        with replacing_folder(target, keep=keep) as folder, replacing(folder / "old") as file:
            file.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert contents(tmp_path) == {"a/old": "old"}
    assert list(tmp_path.iterdir()) == [target]


def test_two_folders_are_exchanged_in_one_step(tmp_path):
    one, other = filled(tmp_path / "one", a="1"), filled(tmp_path / "other", b="2")
    if exchanged(one, other):
        assert (contents(one), contents(other)) == ({"b": "2"}, {"a": "1"})
    else:
        assert platform.system() == "Windows"


def test_what_is_not_there_is_not_exchanged(tmp_path):
    one = filled(tmp_path / "one", a="1")
    assert not exchanged(one, tmp_path / "other")
    assert contents(one) == {"a": "1"}


def test_a_folder_is_made(tmp_path):
    assert writable_folder(tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match=r"cannot write to the folder .*a \(File exists\); choose another with --out"):
        writable_folder(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("road", "road"),
        ("Solar Panel", "solar-panel"),
        ("a/b\\c:d*e", "a-b-c-d-e"),
        ("../../etc/passwd", "etc-passwd"),
        ("дерево", "дерево"),
        ("木 (ki)", "木-ki"),
        ("e\u0301", "\u00e9"),
        ("ﬁeld", "field"),
        ("🌲", "prompt"),
        ("\0\n", "prompt"),
        ("木" * 100, "木" * 26),
    ],
)
def test_slug(text, name):
    assert slug(text) == name


def test_slugs_fit_into_a_file_name():
    assert len(slug("ä" * 500).encode()) <= 80


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a-2", "a-3"]),
        (["a-2", "a", "a"], ["a-2", "a", "a-3"]),
        (["car", "CAR"], ["car", "CAR-2"]),
    ],
)
def test_distinct(names, expected):
    assert list(distinct(names)) == expected
