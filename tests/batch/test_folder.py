"""A folder of images as it is now, with what is known of it from earlier, wherever it or its sessions lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from imageio.v3 import imwrite

from napari_clearclip.batch.folder import Folder, open_folder
from napari_clearclip.io.queue import write_queue


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.png", "a.png", "far/a.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        imwrite(path, np.zeros((4, 4), np.uint8))
    return tmp_path / "photos"


def files(folder: Folder) -> list[str]:
    return [item.file for item in folder.queue.items]


def marked(folder: Folder, at: int) -> None:
    write_queue(folder.work, folder.queue.marked(at, "done").moved(at))


def test_images_in_order_each_with_a_session_of_its_own(photos: Path) -> None:
    folder = open_folder(photos)
    assert files(folder) == ["a.png", "b.png", "far/a.png"]
    paths = [folder.session(item) for item in folder.queue.items]
    assert paths == [photos / "clearclip" / f"{name}.clearclip" for name in ("photos_a", "b", "far_a")]
    assert (folder.added, folder.gone) == (0, 0)


def test_what_came_and_went_is_told_and_marks_stay(photos: Path) -> None:
    first = open_folder(photos)
    marked(first, 1)
    (photos / "far/a.png").unlink()
    imwrite(photos / "aa.png", np.zeros((4, 4), np.uint8))
    (photos / "clearclip" / "export.png").write_bytes((photos / "a.png").read_bytes())  # no image of the folder
    again = open_folder(photos)
    assert files(again) == ["a.png", "aa.png", "b.png"]
    assert (again.added, again.gone) == (1, 1)
    assert [item.mark for item in again.queue.items] == ["open", "open", "done"]
    assert again.queue.at == 2
    assert again.queue.items[0].session == "photos_a"  # though no other is called so any more


def test_a_folder_that_was_moved(photos: Path, tmp_path: Path) -> None:
    marked(open_folder(photos), 1)
    shutil.move(photos, tmp_path / "moved")
    again = open_folder(tmp_path / "moved")
    assert [item.mark for item in again.queue.items] == ["open", "done", "open"]
    assert again.queue.folder == str(tmp_path / "moved")
    assert open_folder(tmp_path / "moved" / "clearclip") == again


def test_work_elsewhere(photos: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    marked(open_folder(photos, work), 1)
    assert not (photos / "clearclip").exists()
    for again in (open_folder(photos, work), open_folder(work)):
        assert again.work == work
        assert files(again) == ["a.png", "b.png", "far/a.png"]
        assert again.queue.items[1].mark == "done"
    with pytest.raises(ValueError, match="holds the work on .*photos; choose another folder"):
        open_folder(photos / "far", work)


def test_without_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no image in it"):
        open_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written(photos: Path) -> None:
    (photos / "clearclip").write_text("a file")
    with pytest.raises(OSError, match="cannot write to the folder"):
        open_folder(photos)
