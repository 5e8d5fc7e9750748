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
from napari_clearclip.settings import Runtime, Settings

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
                results = segment_picture(pipeline, picture, session, bar, shown, flags.bands)
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
    pipeline: Pipeline, picture: Picture, session: Session, bar: Bar, name: str, bands: tuple[str, ...] = ()
) -> tuple[Segmentation, ...]:
    """The segmentation of every plane, or of the one plane that the session's view names.

    Raises
    ------
    ValueError
        If there are more names of `bands` than channels.
    """
    view, settings = session.view or picture.view, session.settings
    view = view.replace(bands=bands or view.bands or picture.view.bands)
    count = 1 if view.channel_axis is None else picture.data.shape[view.channel_axis % 3 - 3]
    if len(bands) > count:
        raise ValueError(f"--bands has {len(bands)} names, but the image {count} channel{'s' * (count > 1)}")
    planes = [view.plane] if view.plane or not picture.stack else list(picture.planes)
    if len(planes) > 1:
        tall, flat = _tall(picture, view)
        view = _stack_view(tall, flat, view)
        settings = _stack_settings(tall, flat, settings)
    results = []
    for place, plane in enumerate(planes):
        part = f"{name} plane {place + 1}/{len(planes)}" if len(planes) > 1 else name
        steps = pipeline.steps(picture.data, settings, view.replace(plane=plane), georeference=picture.georeference)
        results.append(follow(bar, part, steps))
    return tuple(results)


def _tall(picture: Picture, view: View) -> tuple[NDArray[np.generic], View]:
    """A sample of all planes of a stack, one below the other, and how it is looked at."""
    data: NDArray[np.generic] = picture.data
    axis = view.channel_axis
    if axis is not None:
        data = np.moveaxis(data, axis % 3 - 3, -1)
    rows, cols = (-3, -2) if axis is not None else (-2, -1)
    step = max(int(np.sqrt(data.shape[rows] * data.shape[cols] * np.prod(picture.stack) / _SAMPLE)), 1)
    sample = data[..., ::step, ::step, :] if axis is not None else data[..., ::step, ::step]
    return sample.reshape(-1, *sample.shape[cols:]), view.replace(channel_axis=None if axis is None else 2)


def _stack_view(tall: NDArray[np.generic], flat: View, view: View) -> View:
    """The view with contrast limits of the whole stack, so that an empty plane is not stretched to noise."""
    from napari_clearclip.engine.view import resolve_view

    return resolve_view(tall, flat).replace(channel_axis=view.channel_axis)


def _stack_settings(tall: NDArray[np.generic], flat: View, settings: Settings) -> Settings:
    """Settings with ranges and thresholds of band expressions by the whole stack, for the same reason."""
    from napari_clearclip.engine.bands import fill_in

    prompts = (prompt if prompt.index is None else fill_in(tall, flat, prompt) for prompt in settings.prompts)
    return settings.replace(prompts=tuple(prompts))
