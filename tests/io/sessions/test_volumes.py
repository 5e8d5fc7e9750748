"""Journals belong to one living panel each, and to who finds them when it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_clearclip.io.sessions import Layer
from napari_clearclip.io.sessions.journal import read_journal
from napari_clearclip.io.sessions.volumes import Volume, left_behind

from .test_journal import states


def test_an_image_is_written_once(tmp_path: Path) -> None:
    volume, pixels = Volume(tmp_path), np.arange(600, dtype=np.uint8).reshape(20, 30)
    for state in states(3):
        (image,) = state.images
        kept = state.replace(images=(image.replace(pixels=pixels),))
        volume.write("a", kept)
    assert len(list(volume.path.glob("*.npy.zip"))) == 1
    assert read_journal(volume.path / "a.journal") == kept
    volume.close()


def test_arrays_that_were_replaced_go_and_those_of_others_stay(tmp_path: Path) -> None:
    volume, data = Volume(tmp_path), np.eye(30, dtype=np.uint8)
    (state,) = states(1)
    for at in range(4):
        volume.write("a", state.replace(layers=(Layer(name="l", image=0, data=data * at),)))
    volume.write("b", state.replace(layers=(Layer(name="l", image=0, data=data * 9),)))
    assert len(list(volume.path.glob("*.npy.zip"))) == 2
    found = [read_journal(volume.path / f"{name}.journal") for name in "ab"]
    assert [session.layers[0].data.max() for session in found if session] == [3, 9]
    volume.drop("a")
    assert len(list(volume.path.glob("*.npy.zip"))) == 1
    volume.close()


def test_what_a_living_panel_writes_is_not_offered(tmp_path: Path) -> None:
    one, other = Volume(tmp_path), Volume(tmp_path)
    first, second = states(2)
    one.write("a", first)
    other.write("a", second)
    assert one.path != other.path
    assert left_behind(tmp_path) == []
    one._lock.release()  # as the system does when a process dies
    (left,) = left_behind(tmp_path)
    assert [session for _, session in left.sessions] == [first]
    other.close()
    assert not other.path.exists()


def test_what_was_left_is_taken_by_one(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume.write("a", states(1)[0])
    volume._lock.release()
    (left,), (again,) = left_behind(tmp_path), left_behind(tmp_path)
    lock = left.take()
    assert lock is not None
    assert again.take() is None
    assert left_behind(tmp_path) == []
    left.remove()
    lock.release()
    assert again.take() is None


def test_a_folder_without_journals_is_removed(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume._lock.release()
    assert left_behind(tmp_path) == []
    assert not volume.path.exists()
    assert left_behind(tmp_path / "none") == []


def test_what_a_killed_process_wrote_is_left(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_journal import states; from napari_clearclip.io.sessions.volumes import Volume\n"
        "volume = Volume(Path(sys.argv[1]))\n"
        "for state in states(3): volume.write('a', state)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = left_behind(tmp_path)
    assert [session for _, session in left.sessions] == states(3)[-1:]
