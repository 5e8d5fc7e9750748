"""``batch``: many images, of which those that are done stay done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_clearclip.batch.inputs import expand
from napari_clearclip.batch.outcome import Outcome
from napari_clearclip.batch.record import Record, tasks_of
from napari_clearclip.batch.work import Task, Wish, runtime_of, work_through
from napari_clearclip.cli.console import UsageError, counting, follow, meter, show, tell
from napari_clearclip.cli.report import warn_unknown
from napari_clearclip.cli.request import Flags, check_formats, settings_of
from napari_clearclip.cli.segment import runtime_for, tell_error
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.settings_file import write_settings
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime

_SPOOL = ".clearclip_masks"
_SETTINGS = "clearclip_settings.json"


@dataclass(frozen=True)
class Machine:
    """What it is done with; None leaves it to the defaults.

    Attributes
    ----------
    device : str
        As `Runtime.device`.
    threads : int or None
        CPU cores.
    keep : float or None
        Disk for features of large images in GB.
    scheduler : str or None
        Workers: local:N or an address.
    """

    device: str = "auto"
    threads: int | None = None
    keep: float | None = None
    scheduler: str | None = None

    @property
    def runtime(self) -> Runtime:
        """The same as values of the pipeline."""
        runtime = runtime_of(runtime_for(self.device, self.threads))
        return runtime if self.keep is None else runtime.replace(store_bytes=int(self.keep * 1e9))


def run_batch(
    inputs: Sequence[str],
    flags: Flags,
    everything: bool,
    out: Path,
    machine: Machine,
) -> int:
    """Segment each image that is not done yet; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong; nothing is done then.
    """
    try:
        paths = [path.absolute() for path in expand(inputs)]  # workers may be in other folders
        if machine.scheduler is not None:
            from napari_clearclip.batch.cluster import check_scheduler

            check_scheduler(machine.scheduler)
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    wanted = settings_of(flags)
    check_formats(flags)
    runtime = machine.runtime
    folder = writable_folder(out.absolute())
    wish = Wish(
        wanted, folder, folder / _SPOOL, flags.formats or ("tiff",), flags.leave_out, flags.bands, results=everything
    )
    write_settings(folder / _SETTINGS, wanted)
    record = Record(folder)
    tasks, todo = tasks_of(paths, wish, record.rewrite())
    counts = Counter(skipped=len(tasks) - len(todo))
    if counts["skipped"]:
        tell(f"{counts['skipped']} of {len(tasks)} images are done already.")
    try:
        with _outcomes(todo, wish, runtime, machine.scheduler) as outcomes:
            for outcome in outcomes:
                record.add(outcome)
                tell_error(outcome)
                if not counts["done"]:
                    warn_unknown(outcome.unknown, outcome.unlearned)
                counts[outcome.status] += 1
        wish.exports.finish(task.name for task in tasks)
    except KeyboardInterrupt:
        left = len(todo) - counts["done"] - counts["failed"]
        tell(f"{left} of {len(tasks)} images are left; the same command goes on with them.")
        raise
    return _told(record, counts, len(tasks))


@contextmanager
def _outcomes(todo: list[Task], wish: Wish, runtime: Runtime, scheduler: str | None) -> Iterator[Iterator[Outcome]]:
    """What becomes of each image: here, one after the other, or on the workers of a cluster."""
    with meter() as bar:
        if scheduler is None:
            yield work_through(Pipeline(runtime), todo, wish, partial(follow, bar))
            return
        from napari_clearclip.batch.cluster import client_of, work_on

        with client_of(scheduler) as client:
            yield work_on(client, todo, wish, runtime, counting(bar, "images", len(todo)))


def _told(record: Record, counts: Counter[str], total: int) -> int:
    """Say how it went; the exit code is returned."""
    show(f"images: {total}")
    for status in ("done", "skipped", "failed"):
        show(f"{status}: {counts[status]}")
    show(f"Written to {record.path.parent.resolve()}; what became of each image: {record.path.name}")
    if counts["failed"]:
        tell(f"{counts['failed']} of {total} images failed, see above; the same command tries them again.")
    return 1 if counts["failed"] else 0
