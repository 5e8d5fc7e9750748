"""A journal gives back what stood last, wherever it was cut off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_clearclip.edits import Edits
from napari_clearclip.io.sessions import Image, Layer, Session
from napari_clearclip.io.sessions.journal import Journal, read_journal
from napari_clearclip.settings import Prompt, Settings

NOISE = np.random.default_rng(0).random((600, 600)) > 0.5


def states(count: int, edits: Edits | None = None) -> list[Session]:
    """What stands after each of some strokes."""
    found, edits = [], edits or Edits()
    for at in range(count):
        stroke = np.zeros((600, 600), bool)
        stroke[at * 37 % 500 :, at * 91 % 550 :][:40, :40] = True
        edits = edits.paint("a", (at % 2,), stroke & NOISE, on=at % 5 > 0)
        prompt = Prompt(id="a", phrase="é", threshold=at / count)
        found.append(Session(images=(Image(name="photo", settings=Settings(prompts=(prompt,)), edits=edits),)))
    return found


def test_the_last_state_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    for state in states(9):
        journal.write(state)
        assert read_journal(journal.path) == state


def test_cut_off_anywhere_it_gives_a_state_that_stood(tmp_path: Path) -> None:
    journal, path = Journal(tmp_path / "a.journal"), tmp_path / "cut.journal"
    written, ends = states(6), []
    for state in written:
        journal.write(state)
        ends.append(journal.path.stat().st_size)
    whole = journal.path.read_bytes()
    for length in range(0, len(whole), 101):
        path.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends)
        assert read_journal(path) == (written[complete - 1] if complete else None)


def test_lines_after_one_that_is_damaged_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    first, second = states(2)
    journal.write(first)
    with journal.path.open("ab") as file:
        file.write(b"00000000 {\xff\n")
    journal.write(second)
    assert read_journal(journal.path) == second


def test_a_stroke_costs_what_it_touched(tmp_path: Path) -> None:
    painted = Edits()
    for plane in range(8):
        painted = painted.paint("b", (plane,), np.roll(NOISE, 7 * plane), True)
    sizes, journal = [], Journal(tmp_path / "a.journal")
    for state in states(4, painted):
        journal.write(state)
        sizes.append(journal.path.stat().st_size)
    assert sizes[0] > 8 * 600 * 600 / 8
    assert max(np.diff(sizes)) < 0.1 * sizes[0]


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    journal, (first, *_) = Journal(tmp_path / "a.journal"), states(1)
    phrases = tuple(Prompt(phrase=f"{at} {'long ' * 90}", kind="distractor") for at in range(100))
    (image,) = first.images
    largest = 0
    for at in range(150):
        prompts = (*phrases, Prompt(id="a", phrase="a", threshold=at / 150))
        state = Session(images=(image.replace(settings=Settings(prompts=prompts)),))
        journal.write(state)
        largest = max(largest, journal.path.stat().st_size)
    assert read_journal(journal.path) == state
    assert largest < 6_000_000 < 150 * 60_000


def test_a_damaged_array_gives_the_state_before_it(tmp_path: Path) -> None:
    journal, (first, second) = Journal(tmp_path / "a.journal"), states(2)
    journal.write(first)
    journal.write(second.replace(layers=(Layer(name="l", data=np.eye(30)),)))
    (file,) = tmp_path.glob("*.npy.zip")
    file.write_bytes(file.read_bytes()[:-30])
    assert read_journal(journal.path) == first


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import read_journal, states, Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal, (first, second, *rest) = Journal(Path(sys.argv[1]) / "a.journal"), states(40)
journal.write(first)
size = journal.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 700, resource.RLIM_INFINITY))
try:
    journal.write(rest[-1])
except OSError as error:
    print("refused:", error.strerror)
assert read_journal(journal.path) == first
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.write(rest[-1])
assert read_journal(journal.path) == rest[-1]
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of files are those of Unix")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    call: list[Any] = [sys.executable, "-c", FULL, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "refused: File too large\n"
