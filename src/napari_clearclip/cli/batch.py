"""``batch``: many images, of which those that are done stay done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from napari_clearclip.batch.inputs import expand
from napari_clearclip.batch.record import Record, tasks_of
from napari_clearclip.batch.work import Wish, runtime_of, work_through
from napari_clearclip.cli.console import UsageError, follow, meter, show, tell
from napari_clearclip.cli.report import warn_unknown
from napari_clearclip.cli.request import Flags, check_formats, session_of
from napari_clearclip.cli.segment import runtime_for, tell_error
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.session import write_session
from napari_clearclip.pipeline import Pipeline

_SPOOL = ".clearclip_masks"
_SETTINGS = "clearclip_settings.json"


def run_batch(
    inputs: Sequence[str], flags: Flags, everything: bool, device: str, out: Path, threads: int | None = None
) -> int:
    """Segment each image that is not done yet; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong; nothing is done then.
    """
    try:
        paths = expand(inputs)
    except ValueError as error:
        raise UsageError(str(error)) from error
    session = session_of(flags)
    check_formats(flags)
    runtime = runtime_of(runtime_for(device, threads))
    folder = writable_folder(out)
    wish = Wish(
        session, folder, folder / _SPOOL, flags.formats or ("tiff",), flags.leave_out, flags.bands, results=everything
    )
    write_session(folder / _SETTINGS, session)
    record = Record(folder)
    tasks, todo = tasks_of(paths, wish, record.rewrite())
    counts = Counter(skipped=len(tasks) - len(todo))
    if counts["skipped"]:
        tell(f"{counts['skipped']} of {len(tasks)} images are done already.")
    try:
        with meter() as bar:
            for outcome in work_through(Pipeline(runtime), todo, wish, partial(follow, bar)):
                record.add(outcome)
                tell_error(outcome)
                if not counts["done"]:
                    warn_unknown(outcome.unknown)
                counts[outcome.status] += 1
        wish.exports.finish(task.name for task in tasks)
    except KeyboardInterrupt:
        left = len(todo) - counts["done"] - counts["failed"]
        tell(f"{left} of {len(tasks)} images are left; the same command goes on with them.")
        raise
    return _told(record, counts, len(tasks))


def _told(record: Record, counts: Counter[str], total: int) -> int:
    """Say how it went; the exit code is returned."""
    show(f"images: {total}")
    for status in ("done", "skipped", "failed"):
        show(f"{status}: {counts[status]}")
    show(f"Written to {record.path.parent.resolve()}; what became of each image: {record.path.name}")
    if counts["failed"]:
        tell(f"{counts['failed']} of {total} images failed, see above; the same command tries them again.")
    return 1 if counts["failed"] else 0
