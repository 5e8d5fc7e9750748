"""Panels in which somebody works, killed at a random moment, and whether everything older than five seconds is left."""

from __future__ import annotations

import hashlib
import os
import random
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.edits import Edits, Region
from napari_clearclip.io.sessions.journal import SUFFIX, read_journal
from napari_clearclip.io.sessions.volumes import left_behind
from napari_clearclip.scenes import vocabulary
from napari_clearclip.settings import Settings

EDITS = 100
AGE = 5.0  # seconds after which nothing may be lost
PACE = 0.15  # seconds from one edit to the next, at most
SIDE = 512
QUICK = 0.01  # seconds from a change until it is written, so that most of the time something is being written
AT_ONCE = 10


def named(settings: Settings, edits: Edits) -> str:
    """A name of what stands."""
    return hashlib.sha256((settings.model_dump_json() + edits.model_dump_json()).encode()).hexdigest()[:16]


def pixels(seed: int) -> Any:
    """The image that is worked on."""
    return np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)


@dataclass
class Killed:
    """A panel that is worked in, or was.

    Attributes
    ----------
    seed : int
        What is done in it.
    pid, pipe : int
        Its process, and what tells of each edit.
    ready : bool
        Whether work has begun.
    at : float
        When it is to be killed, on the clock that all processes share.
    done : list of (float, str)
        When each edit was done, and what stood then.
    """

    seed: int
    pid: int
    pipe: int
    ready: bool = False
    at: float = float("inf")
    done: list[tuple[float, str]] = field(default_factory=list)
    _rest: bytes = b""

    def listen(self) -> None:
        """Take what was told."""
        try:
            text = os.read(self.pipe, 2**16)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            when, name = line.decode().split()
            if not self.ready:
                self.ready = True
                self.at = float(when) + random.Random(self.seed).uniform(0.2, EDITS * PACE / 2 + AGE)
            self.done.append((float(when), name))


def kill(count: int, parent: Path) -> tuple[int, int, float]:
    """Kill so many panels.

    Parameters
    ----------
    count : int
        How many, one after the other in groups that work at the same time.
    parent : Path
        The folder of their journals.

    Returns
    -------
    survived : int
        Those of which everything older than five seconds is left, and every file can be read.
    edits : int
        Of all that was done, how many edits were old enough to be asked for.
    oldest : float
        Age of the oldest edit that was lost, in seconds.
    """
    survived, edits, oldest = 0, 0, 0.0
    for first in range(0, count, AT_ONCE):
        group = [_start(seed, parent) for seed in range(first, min(first + AT_ONCE, count))]
        while waiting := [one for one in group if one.pid]:
            select.select([one.pipe for one in waiting], [], [], 0.005)
            for one in waiting:
                one.listen()
                if time.monotonic() >= one.at:
                    os.kill(one.pid, signal.SIGKILL)
                    one.at = time.monotonic()
                    os.waitpid(one.pid, 0)
                    one.pid = 0
                    one.listen()
        for one in group:
            os.close(one.pipe)
        found = _found(parent)
        for one in group:
            asked, lost = _judge(one, found.get(one.seed))
            edits += asked
            oldest = max(oldest, lost)
            survived += lost <= AGE
    return survived, edits, oldest


def _found(parent: Path) -> dict[int, str]:
    """By seed, what stands in the journals that were left; they are removed. Empty for one that cannot be read."""
    found = {}
    files = {file: read_journal(file) for file in parent.glob(f"*/*{SUFFIX}")}
    left = left_behind(parent)
    offered = {file for one in left for file, _ in one.sessions}
    for file, session in files.items():
        if session is None or file not in offered:
            raise ValueError(f"{file} cannot be read")
        (image,) = session.images
        seed = int(image.name)
        whole = image.settings is not None and image.pixels is not None and np.array_equal(image.pixels, pixels(seed))
        found[seed] = named(image.settings, image.edits) if whole and image.settings is not None else ""
    for one in left:
        one.remove()
    return found


def _judge(one: Killed, name: str | None) -> tuple[int, float]:
    """How many edits were old enough, and the age of the oldest one that was lost."""
    asked = sum(when <= one.at - AGE for when, _ in one.done)
    kept = max((at for at, (_, known) in enumerate(one.done) if known == name), default=-1)
    if name is not None and kept < 0:  # never stood so: each edit is told before it can be written
        return asked, float("inf")
    lost = one.done[kept + 1 :]
    return asked, one.at - lost[0][0] if lost else 0.0


def _start(seed: int, parent: Path) -> Killed:
    """A panel in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            _work(seed, parent, writing)
        finally:
            os._exit(1)
    os.close(writing)
    os.set_blocking(reading, False)
    return Killed(seed, pid, reading)


def _work(seed: int, parent: Path, pipe: int) -> None:
    """Open a panel and work in it, by the ways its widgets take, until killed."""
    from napari.components import ViewerModel
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_clearclip.gui.panel import Panel
    from napari_clearclip.io.sessions import volumes

    volumes.folder = lambda: parent  # instead of the user's
    application = QApplication([])
    viewer = ViewerModel()
    viewer.add_image(pixels(seed), name=str(seed))
    panel = Panel(viewer)
    if seed % 2:
        panel.autosave.delay = QUICK
    chance, acts = random.Random(seed), _acts(panel, seed)
    timer = QTimer()
    timer.setSingleShot(True)

    def act() -> None:
        if next(acts, None) is not None:
            state = panel.controller.state
            os.write(pipe, f"{time.monotonic()} {named(state.settings, state.edits)}\n".encode())
            timer.start(round(1000 * chance.uniform(0, PACE)))

    timer.timeout.connect(act)
    timer.start(0)
    application.exec()


def _acts(panel: Any, seed: int) -> Iterator[bool]:
    """Do one thing after the other."""
    chance, controller, words = random.Random(seed), panel.controller, vocabulary("shapes")
    panel.prompts.added.emit("red star", "object")
    yield True
    for number in range(EDITS - 1):
        prompt = chance.choice(controller.settings.objects or controller.settings.prompts)
        top, left = chance.randrange(SIDE - 60), chance.randrange(SIDE - 60)
        noise = np.random.default_rng(number).random((chance.randrange(1, 60), chance.randrange(1, 60)))
        stroke, edits = Region.of(noise > chance.random(), (top, left)), controller.state.edits
        kind = chance.choice(("paint", "paint", "erase", "teach", "similar", "threshold", "add", "undo", "redo"))
        if kind in ("paint", "erase"):
            controller.update(edits=edits.paint(prompt.id, (), stroke, kind == "paint"))
        elif kind == "teach":
            controller.update(edits=edits.teach(prompt.id, (), stroke, chance.random() > 0.5))
        elif kind == "similar" and stroke.tiles:
            controller.update(edits=edits.find_similar(prompt.id, (), stroke))
        elif kind == "threshold":
            panel.prompts.edited.emit(prompt.id, {"threshold": round(chance.random(), 3)})
        elif kind == "add":
            panel.prompts.added.emit(chance.choice(words), "object")
        elif kind == "undo" and controller.settings.objects:
            controller.undo()
        else:
            controller.redo()
        yield True
