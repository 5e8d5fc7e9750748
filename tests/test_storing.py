"""Features on disk: rows are as they were written, and what makes room for what."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from napari_clearclip.storing import Store, Volume, blank

SHAPE = (6, 4, 3)  # 72 numbers, 288 bytes as float32
DATA = np.arange(72, dtype=np.float32).reshape(SHAPE)


def fill(store: Store, image: str, key: str = "key", at: int = 0) -> None:
    """Write a whole volume, as if it was used at second `at`."""
    volume = store.volume(image, key, SHAPE, "float32")
    assert volume is not None
    for rows in volume.missing(range(6)):
        write(volume, rows)
    os.utime(store.folder / image, (at, at))


def write(volume: Volume, rows: range) -> None:
    """Write rows one by one."""
    with volume.writer(rows.start) as writer:
        assert writer is not None
        for row in rows:
            writer.write(row, DATA[row : row + 1])


def kept(store: Store) -> set[str]:
    return {f"{path.parent.name}/{path.name.split('.')[0]}" for path in store.folder.glob("*/*.features")}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_are_added_and_read(tmp_path: Path, dtype: str) -> None:
    volume = Volume(tmp_path, "a", SHAPE, dtype)
    assert volume.missing(range(6)) == [range(6)]
    write(volume, range(3))
    assert volume.missing(range(6)) == [range(3, 6)]
    assert volume.read(1, 3).dtype == dtype
    np.testing.assert_array_equal(volume.read(1, 3), DATA[1:3])


def test_rows_of_several_files(tmp_path: Path) -> None:
    volume = Volume(tmp_path, "a", SHAPE, "float32")
    write(volume, range(4, 5))
    write(volume, range(1, 3))
    assert volume.missing(range(6)) == [range(1), range(3, 4), range(5, 6)]
    assert volume.missing(range(2, 5)) == [range(3, 4)]
    assert volume.missing(range(1, 3)) == []
    write(volume, range(2, 4))  # by a process that did not know
    assert volume.missing(range(6)) == [range(1), range(5, 6)]
    np.testing.assert_array_equal(volume.read(1, 5), DATA[1:5])
    np.testing.assert_array_equal(volume.read(2, 3), DATA[2:3])


def test_half_a_row_is_written_over(tmp_path: Path) -> None:
    volume = Volume(tmp_path, "a", SHAPE, "float32")
    (tmp_path / "a.2.features").write_bytes(b"torn")
    assert volume.missing(range(6)) == [range(6)]
    write(volume, range(2, 6))
    np.testing.assert_array_equal(volume.read(2, 6), DATA[2:])


def test_rows_that_are_not_there(tmp_path: Path) -> None:
    volume = Volume(tmp_path, "a", SHAPE, "float32")
    write(volume, range(2))
    with pytest.raises(OSError, match="has lost rows"):
        volume.read(1, 3)


def test_the_least_recently_used_image_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "features", 3 * 288)
    for at, image in enumerate(("old", "older", "new")):
        fill(store, image, at=at)
    fill(store, "old", at=9)  # used again
    fill(store, "fourth", at=10)
    assert kept(store) == {"old/key", "new/key", "fourth/key"}
    assert store.used == 3 * 288


def test_an_image_that_is_worked_on_goes_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "features", 2 * 288)
    fill(store, "mine", "one", at=1)
    fill(store, "other", at=2)
    fill(store, "mine", "two", at=1)
    assert kept(store) == {"mine/one", "mine/two"}
    fill(store, "mine", "three", at=1)
    assert "mine/three" in kept(store)
    assert len(kept(store)) == 2


def test_what_is_there_needs_no_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "features", 2 * 288)
    fill(store, "one")
    fill(store, "two")
    fill(store, "one")
    assert kept(store) == {"one/key", "two/key"}


def test_what_does_not_fit_drops_nothing(tmp_path: Path) -> None:
    fill(Store(tmp_path / "features", 288), "one")
    store = Store(tmp_path / "features", 287)
    assert store.volume("two", "key", SHAPE, "float32") is None
    assert kept(store) == {"one/key"}


def test_what_another_process_writes_is_not_touched(tmp_path: Path) -> None:
    store = Store(tmp_path / "features", 288)
    (store.folder / "one").mkdir(parents=True)
    volume = store.volume("one", "key", SHAPE, "float32")
    assert volume is not None
    with FileLock(store.folder / "one/key.2.lock"), volume.writer(2) as writer:
        assert writer is None
    with FileLock(store.folder / "one/key.2.lock"):
        write(volume, range(2))  # another block
    fill(store, "one")


def test_a_disk_that_refuses_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "features").touch()
    assert Store(tmp_path / "features", 288).volume("one", "key", SHAPE, "float32") is None


def test_clearing(tmp_path: Path) -> None:
    store = Store(tmp_path / "features", 288)
    fill(store, "one")
    store.clear()
    assert store.used == 0
    fill(store, "one")


def test_labels_that_are_large_lie_in_a_file_that_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    small, large = blank((3, 4), 12, folder), blank((3, 5), 12, folder)
    assert small.base is None
    assert isinstance(large.base, np.memmap)
    for labels in (small, large):
        assert not labels.any()
        labels[1] = 7
        assert labels.sum() == 7 * labels.shape[1]
    assert list(folder.iterdir()) == []


def test_labels_are_held_in_memory_where_the_disk_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    labels = blank((3, 5), 12, tmp_path / "file")
    assert labels.base is None
    assert labels.shape == (3, 5)
