"""The record of a batch: a line of JSON for each image that was tried, from which the next run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from napari_clearclip.batch.inputs import output_names
from napari_clearclip.batch.outcome import Outcome
from napari_clearclip.batch.work import Task, Wish
from napari_clearclip.io.files import replacing

RECORD = "clearclip_summary.jsonl"


class Record:
    """The lines of a folder's record; of an image that was tried more than once the last one counts.

    Parameters
    ----------
    folder : Path
        Where a batch writes to.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD

    def outcomes(self) -> dict[str, Outcome]:
        """What became of each image, by its full path; lines that are damaged, as by a lost disk, do not count."""
        found: dict[str, Outcome] = {}
        if self.path.exists():
            with self.path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    try:
                        outcome = Outcome.model_validate_json(line)
                    except ValidationError:
                        continue
                    found[outcome.image] = outcome
        return found

    def rewrite(self) -> dict[str, Outcome]:
        """`outcomes`, once the file has one line for each."""
        found = self.outcomes()
        if self.path.exists():
            with replacing(self.path) as part, part.open("w", encoding="utf-8") as file:
                file.writelines(f"{outcome.model_dump_json()}\n" for outcome in found.values())
        return found

    def add(self, outcome: Outcome) -> None:
        """Write a line; when this returns, it is on its way to the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{outcome.model_dump_json()}\n")


def tasks_of(paths: Sequence[Path], wish: Wish, done: dict[str, Outcome]) -> tuple[list[Task], list[Task]]:
    """The images, and of these the ones that are still to do.

    Parameters
    ----------
    paths : sequence of Path
        Different images.
    wish : Wish
        What is to be made of each.
    done : dict of str to Outcome
        What became of images before.

    Returns
    -------
    list of Task, list of Task
        An image is to do unless it is done from the same file, settings and model, and all its files are there.
    """
    tasks = []
    names = output_names(paths, {image: outcome.name for image, outcome in done.items()})
    for path, name in zip(paths, names, strict=True):
        try:
            key = wish.key(path)
        except OSError:
            key = ""  # it fails when it is read, and says why
        tasks.append(Task(path, name, key))
    return tasks, [task for task in tasks if not _is_done(task, wish.folder, done.get(str(task.path.absolute())))]


def _is_done(task: Task, folder: Path, outcome: Outcome | None) -> bool:
    if outcome is None or outcome.status != "done" or not task.key or outcome.key != task.key:
        return False
    return all((folder / file).exists() for file in outcome.files)
