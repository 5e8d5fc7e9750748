"""``batch``: many images, of which those that are done stay done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_clearclip.batch.inputs import expand
from napari_clearclip.batch.outcome import Outcome
from napari_clearclip.batch.run import Batch, wish_for
from napari_clearclip.batch.work import Task, Wish, runtime_of, work_through
from napari_clearclip.cli.console import counting, follow, meter, options, show, tell
from napari_clearclip.cli.report import warn_unknown
from napari_clearclip.cli.request import Flags, check_formats, check_scheduler, settings_of
from napari_clearclip.cli.segment import runtime_for, tell_error
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime


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
    with options():
        paths = [path.absolute() for path in expand(inputs)]  # workers may be in other folders
    check_scheduler(machine.scheduler)
    wanted = settings_of(flags)
    check_formats(flags)
    runtime = machine.runtime
    wish = wish_for(wanted, out, flags.formats, flags.leave_out, flags.bands, everything)
    batch = Batch(paths, wish)
    if batch.counts["skipped"]:
        tell(f"{batch.counts['skipped']} of {len(paths)} images are done already.")
    try:
        with _outcomes(batch.todo, wish, runtime, machine.scheduler) as outcomes:
            for outcome in outcomes:
                is_first = not batch.counts["done"]
                batch.add(outcome)
                tell_error(outcome)
                if is_first:
                    warn_unknown(outcome.unknown, outcome.unlearned)
        batch.finish()
    except KeyboardInterrupt:
        tell(f"{batch.left} of {len(paths)} images are left; the same command goes on with them.")
        raise
    return _told(batch)


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


def _told(batch: Batch) -> int:
    """Say how it went; the exit code is returned."""
    total, failed, path = len(batch.tasks), batch.counts["failed"], batch.record.path
    show(f"images: {total}")
    for status in ("done", "skipped", "failed"):
        show(f"{status}: {batch.counts[status]}")
    show(f"Written to {path.parent.resolve()}; what became of each image: {path.name}")
    if failed:
        tell(f"{failed} of {total} images failed, see above; the same command tries them again.")
    return 1 if failed else 0
