"""A folder of results that is filled: which images are still to do, and the record of what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_clearclip.batch.outcome import Outcome
from napari_clearclip.batch.record import Record, tasks_of
from napari_clearclip.batch.work import Wish
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.settings_file import SettingsFile, write_settings

_SPOOL = ".clearclip_masks"
_SETTINGS = "clearclip_settings.json"


def wish_for(
    wanted: SettingsFile,
    out: Path,
    formats: tuple[str, ...],
    leave_out: tuple[str, ...] = (),
    bands: tuple[str, ...] = (),
    results: bool = False,
) -> Wish:
    """What is to be made of each image, in a folder that is made if it is not there.

    Parameters are those of `Wish`; tiff is written where no format is named.

    Raises
    ------
    OSError
        If nothing can be written to the folder.
    """
    folder = writable_folder(out.absolute())
    return Wish(wanted, folder, folder / _SPOOL, formats or ("tiff",), leave_out, bands, results=results)


class Batch:
    """Images and what is wanted of them; one batch at a time writes to a folder.

    Parameters
    ----------
    paths : sequence of Path
        Different images.
    wish : Wish
        What is to be made of each.

    Attributes
    ----------
    tasks, todo : list of Task
        All images, and those that are not done yet.
    counts : Counter
        How many were skipped since they were done before, and how many are done and failed by now.
    record : Record
        Where that is written down.

    Raises
    ------
    OSError
        If the record or the settings cannot be written, or what a killed batch has left cannot be removed.
    """

    def __init__(self, paths: Sequence[Path], wish: Wish) -> None:
        self._wish = wish
        wish.exports.remove_unfinished()
        write_settings(wish.folder / _SETTINGS, wish.wanted)
        self.record = Record(wish.folder)
        self.tasks, self.todo = tasks_of([path.absolute() for path in paths], wish, self.record.rewrite())
        self.counts = Counter(skipped=len(self.tasks) - len(self.todo))

    @property
    def left(self) -> int:
        """How many images are still to do."""
        return len(self.todo) - self.counts["done"] - self.counts["failed"]

    def add(self, outcome: Outcome) -> None:
        """Write down what became of an image."""
        self.record.add(outcome)
        self.counts[outcome.status] += 1

    def finish(self) -> None:
        """Write what holds the masks of all images, and remove what lost workers have left unfinished.

        Raises
        ------
        OSError, ValueError
            If a file cannot be written.
        """
        self._wish.exports.finish(task.name for task in self.tasks)
        self._wish.exports.remove_unfinished()
