"""``learn-projection``: a matrix for SCLIP's attention, learned from a few images of a data set."""

from __future__ import annotations

from pathlib import Path

from napari_clearclip.cli.console import follow, meter, options, show
from napari_clearclip.cli.evaluate import asked_of
from napari_clearclip.cli.segment import pipeline_for
from napari_clearclip.evaluate.projecting import project_steps
from napari_clearclip.evaluate.recipes import recipe_of
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.io.files import replacing, writable_folder

_ENDING = ".safetensors"


def learn_projection(
    dataset: str,
    root: Path | None,
    model: str | None,
    protocol: str,
    ignore: int,
    images: int,
    steps: int,
    seed: int,
    device: str,
    out: Path,
    threads: int | None = None,
) -> int:
    """Learn it and write it; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong or files are not where they should be; nothing is done then.
    """
    from napari_clearclip.engine.projections import pack_projection

    with options():
        if out.suffix != _ENDING:
            raise ValueError(f"--out is {out}; give a file that ends with {_ENDING}")
        settings = asked_of(dataset, model, "official", False, device)
        settings = settings.replace(model=settings.model.replace(precision="float32"))
        source = source_of(dataset, root, settings, recipe_of(protocol, dataset), ignore=ignore, limit=images)
    writable_folder(out.parent)
    with meter() as bar:
        course = follow(bar, dataset, project_steps(pipeline_for(device, threads), source.samples, steps, seed))
    names = tuple(sample.name for sample in source.samples)
    with replacing(out) as part:
        part.write_bytes(pack_projection(course.matrix, str(settings.model), names))
    show(f"Learned from {', '.join(names)}: loss {course.before:.3f} before, {course.after:.3f} after {steps} steps")
    show(f"Written to {out.resolve()}; measure it with evaluate --variant learned:{out}")
    return 0
