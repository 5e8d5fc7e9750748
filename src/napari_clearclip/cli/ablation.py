"""``ablation``: which attention, with what kept beside it, and how much of it, as files with figures and plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clearclip.cli.console import UsageError, follow, meter, options, show, tell
from napari_clearclip.cli.evaluate import asked_of, write_rows, write_text
from napari_clearclip.cli.request import check_scheduler
from napari_clearclip.cli.segment import pipeline_for
from napari_clearclip.evaluate.ablation import PARTS, Ablation, findings_of, rows, text
from napari_clearclip.evaluate.blocks import summary
from napari_clearclip.evaluate.evaluation import RECORD, Measured, Record
from napari_clearclip.evaluate.places import Place, place_of
from napari_clearclip.evaluate.plots import draw_ablation
from napari_clearclip.evaluate.recipes import RECOMMENDED, recipe_of
from napari_clearclip.evaluate.sources import Source, source_of
from napari_clearclip.io.files import writable_folder
from napari_clearclip.scenes import KINDS
from napari_clearclip.settings import Settings
from napari_clearclip.study import read_card

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

SCENES = "scenes"


@dataclass(frozen=True)
class Choice:
    """What `ablation` was told besides data set, device and folder."""

    protocol: str = RECOMMENDED
    names: str = "official"
    exact: bool = False
    seeds: int | None = None
    limit: int | None = None


def run_ablation(
    dataset: str,
    root: Path | None,
    model: str | None,
    choice: Choice,
    device: str,
    out: Path,
    threads: int | None = None,
    scheduler: str | None = None,
) -> int:
    """Measure every way to put the last block together; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong or files are not where they should be; nothing is done then.
    """
    drawn = dataset.startswith(SCENES)
    if choice.seeds and choice.seeds > 1 and not drawn:
        raise UsageError(f"--seeds {choice.seeds} is for drawn scenes; {dataset} has the images that it has")
    draws = choice.seeds or (3 if drawn else 1)
    names = [f"{SCENES}-{kind}" for kind in KINDS] if dataset == SCENES else [dataset]
    where = root if root is None else root.absolute()  # workers may be in other folders
    with options():
        settings = asked_of(dataset, model, choice.names, choice.exact, device)
        if settings.model.pretrained and not settings.model.name and read_card(Path(settings.model.pretrained)):
            raise ValueError(f"{settings.model.pretrained} is a student, which has no last block; take its teacher")
        sources = [[_source(name, where, settings, choice, seed) for seed in range(draws)] for name in names]
    check_scheduler(scheduler)
    pipeline, folder = pipeline_for(device, threads), writable_folder(out)
    images = [sample for seeds in sources for source in seeds for sample in source.samples]
    with meter() as bar, place_of(scheduler, pipeline) as place:
        found = _measured(bar, place, sources, names, folder)
        curves = follow(bar, dataset, place.curves(images))
    study = Ablation(
        datasets=tuple(name.removeprefix(f"{SCENES}-") for name in names),
        seeds=draws,
        images=tuple(len(source[0].samples) for source in sources),
        model=str(settings.model),
        findings=findings_of(
            found, [len(source[0].classes) for source in sources], [source[0].exclude for source in sources]
        ),
        curves=summary(curves),
    )
    write_text(folder / "ablation.json", study.model_dump_json(indent=2) + "\n")
    write_text(folder / "ablation.md", text(study))
    write_rows(folder / "ablation.csv", rows(study))
    show(text(study))
    written = ["ablation.md", "ablation.json", "ablation.csv"]
    try:
        written += draw_ablation(study, folder)
    except ImportError as error:
        tell(f"No plots: {error}")
    show(f"Written to {folder.resolve()}: {', '.join(written)}")
    return 0


def _source(name: str, root: Path | None, settings: Settings, choice: Choice, seed: int) -> Source:
    recipe = recipe_of(choice.protocol, name)
    limit = choice.limit or (10 if name.startswith(SCENES) else None)
    return source_of(name, root, settings, recipe, choice.names, choice.exact, limit=limit, draw=seed)


def _measured(
    bar: Bar, place: Place, sources: list[list[Source]], names: list[str], folder: Path
) -> list[list[list[list[Measured]]]]:
    """What each way made of each image of each seed of each data set."""
    record = Record(folder / RECORD)
    methods = [part.method for part in PARTS]
    return [
        [follow(bar, name, place.measure(source.samples, methods, record, outlines=False)) for source in seeds]
        for name, seeds in zip(names, sources, strict=True)
    ]
