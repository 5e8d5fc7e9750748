"""``segment``: files in, masks and scores out, one image after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from napari_clearclip.batch.inputs import OURS, output_names, stem_of
from napari_clearclip.batch.outcome import Outcome
from napari_clearclip.batch.work import Task, Wish, runtime_of, work_through
from napari_clearclip.cli.console import UsageError, follow, meter, options, tell
from napari_clearclip.cli.report import Row, advise, show_rows, warn_unknown
from napari_clearclip.cli.request import Flags, check_formats, wanted_of
from napari_clearclip.io.files import writable_folder
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Runtime


def segment_files(images: Sequence[Path], flags: Flags, device: str, out: Path, threads: int | None = None) -> int:
    """Segment each image; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong; nothing is done then.
    """
    paths = inputs(images)
    wanted, edits = wanted_of(flags, paths)
    check_formats(flags)
    pipeline = Pipeline(runtime_of(runtime_for(device, threads)))
    writable_folder(out)
    tasks = [Task(path, name) for path, name in zip(paths, _named(paths), strict=True)]
    rows: list[Row] = []
    failed = 0
    with meter() as bar, tempfile.TemporaryDirectory() as spool:
        wish = Wish(wanted, out, Path(spool), flags.formats, flags.leave_out, flags.bands, edits=edits)
        for outcome in work_through(pipeline, tasks, wish, partial(follow, bar)):
            failed += outcome.status == "failed"
            tell_error(outcome)
            if not rows:
                warn_unknown(outcome.unknown, outcome.unlearned)
            rows += [(outcome.name, found) for found in outcome.prompts]
        wish.exports.finish(task.name for task in tasks)
    if rows:
        show_rows(rows, out)
        advise(rows, wanted.settings)
    if failed:
        tell(f"{failed} of {len(paths)} images failed, see above; the others are done.")
    return 1 if failed else 0


def tell_error(outcome: Outcome) -> None:
    """Say what went wrong with an image, if anything did."""
    name = Path(outcome.image).name
    if outcome.error:
        tell(f"Error: {outcome.error}" if name in outcome.error else f"Error: {name}: {outcome.error}")


def runtime_for(device: str, threads: int | None = None) -> Runtime:
    """What to compute with: a device, and so many CPU cores.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    from napari_clearclip.engine.device import resolve_device

    with options():
        runtime = Runtime(device=device, threads=threads)
        resolve_device(runtime.device)  # now, so that a wrong device is wrong usage and not a failed image
    return runtime


def pipeline_for(device: str, threads: int | None = None) -> Pipeline:
    """A pipeline on a device, with so many CPU cores; see `runtime_for`."""
    return Pipeline(runtime_for(device, threads))


def inputs(images: Sequence[Path]) -> list[Path]:
    """The images, each once, without what an earlier run wrote."""
    paths = list({path.absolute(): path for path in images}.values())
    ours = [path for path in paths if OURS in path.name]
    if ours:
        tell(f"Left out {len(ours)} results of an earlier run ({ours[0].name}{', ...' if len(ours) > 1 else ''}).")
    paths = [path for path in paths if OURS not in path.name]
    if not paths:
        raise UsageError("there is no image to segment; results of an earlier run are left out")
    return paths


def _named(paths: Sequence[Path]) -> tuple[str, ...]:
    """What each image's files begin with; told where that is not its name."""
    names = output_names(paths)
    for path, name in zip(paths, names, strict=True):
        if name != stem_of(path):
            tell(f"Another image is named {stem_of(path)} too: the files of {path} begin with {name}.")
    return names
