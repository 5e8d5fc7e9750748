"""How much of what was done is left when a process is killed.

``python -m benchmarks kill [PANELS [EXPORTS]]`` (POSIX) kills 50 panels with SIGKILL, each at a random moment while
100 random edits are made by the ways its widgets take: strokes, thresholds, prompts, undo. Every second one writes its
journal after each edit, so that it writes nearly all the time; the others wait a second, as the panel does. Then it
kills 5 exports to every format, each over an earlier one.

- ``kills_survived: N of 50``: panels of which every edit that was older than five seconds is restored, and of which no
  file is unreadable.
- ``kills_oldest_lost``: age of the oldest edit that was lost in any of them.
- ``exports_survived: N of M``: targets that are the old export or the new one, and not a half; of these,
  ``exports_hit`` were killed while something was being written.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path

from benchmarks.killing import exports, panels

# What the processes would otherwise import one by one; none of them starts a thread by that.
_HEAVY = (
    "napari_clearclip.gui.panel",
    "napari.components",
    "napari.layers",
    "zarr",
    "ome_zarr.writer",
    "rasterio.features",
)


def main(arguments: list[str]) -> int:
    """Print the figures."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    counts = [int(argument) for argument in arguments]
    kills, each = (*counts, *(50, 5)[len(counts) :])
    for name in _HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "journals").mkdir()
        survived, asked, oldest = panels.kill(kills, folder / "journals")
        print(f"kills_survived: {survived} of {kills}")
        print(f"kills_edits_asked_for: {asked} edits")
        print(f"kills_oldest_lost: {oldest:.2f} s", flush=True)
        whole, targets, hit = exports.kill(each, folder)
        print(f"exports_survived: {whole} of {targets}")
        print(f"exports_hit: {hit} of {targets}", flush=True)
    return int(survived < kills or whole < targets)
