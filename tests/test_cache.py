"""What is kept and what is dropped, in memory and on disk."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_clearclip.cache import Cache, Folder, key_of
from napari_clearclip.settings import Attention


def test_the_least_recently_used_is_dropped_first() -> None:
    cache = Cache(100)
    for name in "abc":
        cache.put(name, name.upper(), 40)  # the third does not fit beside the other two
    assert "a" not in cache
    assert cache.get("b") == "B"
    cache.put("d", "D", 40)  # b was just used, so c goes
    assert "c" not in cache
    assert (cache.get("b"), cache.get("d")) == ("B", "D")
    assert (cache.used, len(cache)) == (80, 2)


def test_several_threads_leave_the_count_right() -> None:
    cache = Cache(100)

    def work(seed: int) -> None:
        for at in range(2000):
            cache.made((at * seed % 37,), lambda: seed)
            cache.put(key_of(at * seed % 37), at, at % 29)
            cache.get(key_of(at * 7 % 37))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 5, 11)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert cache.used == sum(size for _, size in cache._entries.values())
    assert cache.used <= 100


def test_replacing_counts_once() -> None:
    cache = Cache(100)
    cache.put("a", 1, 60)
    cache.put("a", 2, 70)
    assert (cache.get("a"), cache.used, len(cache)) == (2, 70, 1)


def test_what_is_larger_than_the_budget_is_not_kept_and_drops_nothing() -> None:
    cache = Cache(100)
    cache.put("a", 1, 60)
    cache.put("b", 2, 101)
    assert cache.get("b") is None
    assert cache.get("a") == 1
    cache.put("a", 3, 101)  # the old value is not the value any more
    assert cache.get("a") is None
    assert cache.used == 0


def test_no_budget_keeps_nothing() -> None:
    cache = Cache(0)
    cache.put("a", 1, 1)
    assert len(cache) == 0


def test_clearing() -> None:
    cache = Cache(100)
    cache.put("a", 1, 60)
    cache.clear()
    assert (cache.get("a"), cache.used, len(cache)) == (None, 0, 0)


# ----------------------------------------------------------------------------------------------------------------------
# Keys

DIFFERENT = {
    "value": (np.array([1, 2]), np.array([1, 3])),
    "type": (np.array([1, 2], np.int16), np.array([1, 2], np.uint16)),
    "byte order": (np.array([1, 2], "<i2"), np.array([256, 512], ">i2")),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "order": (np.array([[1, 2], [3, 4]]), np.array([[1, 3], [2, 4]])),
    "a field": (Attention(), Attention(alpha=2)),
    "text and number": ("1", 1),
    "none": (None, "None"),
    "tuple": ((1, 23), (12, 3)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_keys_differ_with_what_they_name(name: str) -> None:
    one, other = DIFFERENT[name]
    assert key_of(one) != key_of(other)
    assert key_of("x", one, "y") != key_of("x", other, "y")
    assert key_of(one) == key_of(one)


def test_neighbouring_parts_do_not_run_together() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of(1, 2) != key_of(12)


def test_an_arrays_layout_does_not_matter() -> None:
    array = np.arange(24).reshape(4, 6)
    assert key_of(array[::2, 1:4]) == key_of(np.ascontiguousarray(array[::2, 1:4]))
    assert key_of(array) == key_of(np.asfortranarray(array))
    assert key_of(np.zeros((0, 3))) != key_of(np.zeros((3, 0)))


# ----------------------------------------------------------------------------------------------------------------------
# On disk


def test_arrays_are_read_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "made" / "when needed")
    assert folder.get("k") is None
    vector = np.random.default_rng(0).normal(size=16).astype(np.float32)
    folder.put("k", vector)
    found = Folder(folder.path).get("k")
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found, vector)
    assert [path.name for path in folder.path.iterdir()] == ["k.npy"]  # nothing temporary is left


@pytest.mark.parametrize("content", [b"", b"junk", None], ids=["empty", "junk", "cut"])
def test_a_damaged_file_is_made_again(content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Folder(tmp_path)
    folder.put("k", np.ones(16, np.float32))
    file = tmp_path / "k.npy"
    file.write_bytes(file.read_bytes()[:150] if content is None else content)
    assert folder.get("k") is None
    assert "k.npy is damaged and will be made again" in caplog.text
    folder.put("k", np.ones(16, np.float32))
    assert folder.get("k") is not None


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert Folder(tmp_path).get("k") is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = Folder(tmp_path / "file" / "folder")
    with caplog.at_level(logging.WARNING):
        folder.put("k", np.ones(3, np.float32))
    assert "cannot be written to, so nothing is kept there" in caplog.text
    assert folder.get("k") is None


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    Folder(tmp_path).put("k", np.ones(3, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    values = [np.full(5000, value, np.float32) for value in (1, 2)]
    failures: list[str] = []

    def write(value: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        for _ in range(30):
            Folder(tmp_path).put("k", value)
            found = Folder(tmp_path).get("k")
            if found is None or found.shape != (5000,) or len(np.unique(found)) != 1:
                failures.append(repr(found))

    threads = [threading.Thread(target=write, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.name for path in tmp_path.iterdir()] == ["k.npy"]
