"""Exports that are killed at a random moment, and whether the target is the old one or the new one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_clearclip.io.formats import FORMATS, read, write
from napari_clearclip.io.masks import Masks

SIDE = 256
NAMES = ("tree", "Straße 木")
LONGEST = 0.3  # seconds after the first export, in which several more are written


def masks_of(name: str, number: int) -> Masks:
    """What is exported: some squares, as a format can hold them."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    chance = np.random.default_rng(number)
    for at in range(16):
        row, col = divmod(at, 4)
        size = int(chance.integers(20, 50))
        labels[row * 64 :, col * 64 :][:size, :size] = at % 2 + 1
    scores = chance.random((2, SIDE // 8, SIDE // 8), np.float32)
    masks = Masks(NAMES, labels, scores=scores, image="photo.png")
    if name in ("objects", "table"):
        ids = np.where(labels > 0, np.arange(SIDE)[:, None] // 64 * 4 + np.arange(SIDE) // 64 + 1, 0)
        masks = replace(masks, instances=ids.astype(np.int32))
    return masks


def kill(each: int, folder: Path) -> tuple[int, int, int]:
    """Kill so many exports to each format.

    Returns
    -------
    survived, targets, hit : int
        How many targets are the old or the new one, how many there are, and beside how many there is what was begun.
    """
    targets = []
    for name in FORMATS:
        for number in range(each):
            target = folder / f"{name}-{number}" / f"photo_clearclip_{FORMATS[name].ending}"
            target.parent.mkdir()
            _kill_one(name, target, random.Random(f"{name} {number}").uniform(0, LONGEST))
            targets.append((name, target))
    wanted = {name: [_content(name, _written(name, number, folder)) for number in (0, 1)] for name in FORMATS}
    survived = sum(_is_whole(name, target, wanted[name]) for name, target in targets)
    return survived, len(targets), sum(len(list(target.parent.iterdir())) > 1 for _, target in targets)


def _kill_one(name: str, target: Path, after: float) -> None:
    """Export over and over in a process of its own, and kill it so many seconds after the first one."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            both = [masks_of(name, number) for number in (0, 1)]
            write(target, [both[0]], name)
            os.write(writing, b".")
            while True:
                for masks in reversed(both):
                    write(target, [masks], name)
        finally:
            os._exit(1)
    os.close(writing)
    started = os.read(reading, 1)
    os.close(reading)
    if started:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if not started:
        raise ValueError(f"nothing could be exported as {name}")


def _written(name: str, number: int, folder: Path) -> Path:
    """An export that nobody disturbed."""
    target = folder / f"{name}-whole-{number}" / f"photo_clearclip_{FORMATS[name].ending}"
    target.parent.mkdir()
    write(target, [masks_of(name, number)], name)
    return target


def _is_whole(name: str, target: Path, wanted: Sequence[Any]) -> bool:
    try:
        return _content(name, target) in wanted
    except (OSError, ValueError) as error:
        print(f"{target}: {error}", flush=True)
        return False


def _content(name: str, target: Path) -> Any:
    """What an export holds: masks and names, or all bytes of what is not read back."""
    if FORMATS[name].content != "masks":
        return target.read_bytes()
    (masks,) = read(target)
    return masks.names, [mask.tobytes() for mask in masks]
