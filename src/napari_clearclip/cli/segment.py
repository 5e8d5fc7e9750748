"""``segment``: files in, masks and scores out, one image after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_clearclip.cli.console import UsageError, follow, meter, sentence, tell
from napari_clearclip.cli.exports import Exports
from napari_clearclip.cli.report import Row, advise, rows_of, show_rows, warn_unknown
from napari_clearclip.cli.request import Flags, check_formats, session_of
from napari_clearclip.cli.results import write_results
from napari_clearclip.edits import View
from napari_clearclip.io.files import distinct, writable_folder
from napari_clearclip.io.images import Picture, read_image
from napari_clearclip.io.session import Session
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.result import Segmentation
from napari_clearclip.settings import Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.progress import Progress as Bar

_OURS = "_clearclip_"
# Enough pixels of a stack for steady contrast limits.
_SAMPLE = 16_000_000


def segment_files(images: Sequence[Path], flags: Flags, device: str, out: Path, threads: int | None = None) -> int:
    """Segment each image; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong; nothing is done then.
    """
    paths = inputs(images)
    session = session_of(flags)
    check_formats(flags)
    pipeline = pipeline_for(device, threads)
    writable_folder(out)
    rows: list[Row] = []
    failed = 0
    with meter() as bar, tempfile.TemporaryDirectory() as spool:
        exports = Exports(out, Path(spool), flags.formats, flags.leave_out)
        for place, (path, name) in enumerate(zip(paths, output_names(paths), strict=True)):
            shown = f"{path.name} ({place + 1}/{len(paths)})" if len(paths) > 1 else path.name
            try:
                picture = read_image(path)
                results = segment_picture(pipeline, picture, session, bar, shown)
                write_results(out, name, picture, results)
                exports.add(name, picture, path.name, results)
            except (ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
                if _is_about_the_model(error):
                    raise
                failed += 1
                reason = sentence(error)
                tell(f"Error: {reason}" if path.name in reason else f"Error: {path.name}: {reason}")
                continue
            if not rows:
                warn_unknown(results[0])
            rows += rows_of(name, results)
        exports.finish()
    if rows:
        show_rows(rows, out)
        advise(rows, session.settings)
    if failed:
        tell(f"{failed} of {len(paths)} images failed, see above; the others are done.")
    return 1 if failed else 0


def pipeline_for(device: str, threads: int | None = None) -> Pipeline:
    """A pipeline on a device, with so many CPU cores.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    from napari_clearclip.engine.device import resolve_device

    try:
        runtime = Runtime(device=device, threads=threads)
        resolve_device(runtime.device)  # now, so that a wrong device is wrong usage and not a failed image
    except ValueError as error:
        raise UsageError(sentence(error)) from error
    return Pipeline(runtime)


def _is_about_the_model(error: BaseException) -> bool:
    """Whether every other image would fail in the same way."""
    from napari_clearclip.engine.model import ModelError

    return isinstance(error, ModelError)


def inputs(images: Sequence[Path]) -> list[Path]:
    """The images, each once, without what an earlier run wrote."""
    paths = list({path.absolute(): path for path in images}.values())
    ours = [path for path in paths if _OURS in path.name]
    if ours:
        tell(f"Left out {len(ours)} results of an earlier run ({ours[0].name}{', ...' if len(ours) > 1 else ''}).")
    paths = [path for path in paths if _OURS not in path.name]
    if not paths:
        raise UsageError("there is no image to segment; results of an earlier run are left out")
    return paths


def output_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """What each image's files begin with: its name, with its folder's name before it where two have the same."""
    stems = [path.stem.removesuffix(".ome") or path.stem for path in paths]
    folded = [stem.casefold() for stem in stems]
    names = distinct(
        f"{path.absolute().parent.name}_{stem}".lstrip("_") if folded.count(stem.casefold()) > 1 else stem
        for path, stem in zip(paths, stems, strict=True)
    )
    for path, stem, name in zip(paths, stems, names, strict=True):
        if name != stem:
            tell(f"Another image is named {stem} too: the files of {path} begin with {name}.")
    return names


def segment_picture(
    pipeline: Pipeline, picture: Picture, session: Session, bar: Bar, name: str
) -> tuple[Segmentation, ...]:
    """The segmentation of every plane, or of the one plane that the session's view names."""
    view = session.view or picture.view
    planes = [view.plane] if view.plane or not picture.stack else list(picture.planes)
    if len(planes) > 1:
        view = _stack_view(picture, view)
    results = []
    for place, plane in enumerate(planes):
        part = f"{name} plane {place + 1}/{len(planes)}" if len(planes) > 1 else name
        steps = pipeline.steps(
            picture.data, session.settings, view.replace(plane=plane), georeference=picture.georeference
        )
        results.append(follow(bar, part, steps))
    return tuple(results)


def _stack_view(picture: Picture, view: View) -> View:
    """The view with contrast limits of the whole stack, so that an empty plane is not stretched to noise."""
    from napari_clearclip.engine.view import resolve_view

    data: NDArray[np.generic] = picture.data
    axis = view.channel_axis
    if axis is not None:
        data = np.moveaxis(data, axis % 3 - 3, -1)
    rows, cols = (-3, -2) if axis is not None else (-2, -1)
    step = max(int(np.sqrt(data.shape[rows] * data.shape[cols] * np.prod(picture.stack) / _SAMPLE)), 1)
    sample = data[..., ::step, ::step, :] if axis is not None else data[..., ::step, ::step]
    tall = sample.reshape(-1, *sample.shape[(cols):])
    resolved = resolve_view(tall, view.replace(channel_axis=None if axis is None else 2))
    return resolved.replace(channel_axis=axis)
