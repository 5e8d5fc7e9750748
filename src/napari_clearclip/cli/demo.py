"""``demo``: the bundled model on drawn scenes, files and numbers."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_clearclip import domains
from napari_clearclip.batch.outcome import found_in
from napari_clearclip.batch.planes import picture_steps
from napari_clearclip.batch.results import write_results
from napari_clearclip.cli.console import follow, meter, show, show_table
from napari_clearclip.cli.report import Row, show_rows
from napari_clearclip.cli.request import prompts_of
from napari_clearclip.cli.segment import pipeline_for
from napari_clearclip.edits import View
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.images import Picture
from napari_clearclip.io.raster import write_photograph
from napari_clearclip.io.settings_file import SettingsFile
from napari_clearclip.progress import Progress
from napari_clearclip.scenes import DISTRACTORS, KINDS, Scene, make_scene
from napari_clearclip.settings import Settings

if TYPE_CHECKING:
    from napari_clearclip.pipeline import Pipeline

# The scene that is written, one that shows what the model can, and those that are measured: enough for an impression.
_SHOWN, _MEASURED = 180, range(1000, 1008)
_ROWS = ("clearclip", "qq_rc", "qq_ffn", "qq_rc_ffn", "vanilla", "sclip_clear", "kk")


def run_demo(out: Path, device: str) -> int:
    """Write the results of one scene of each kind, then the table of the ablation; the exit code is returned."""
    pipeline = pipeline_for(device)
    writable_folder(out)
    rows: list[Row] = []
    with meter() as bar:
        for kind in KINDS:
            scene = make_scene(kind, _SHOWN)
            picture = Picture(kind, scene.image, View(channel_axis=2))
            steps = picture_steps(pipeline, picture, SettingsFile(settings=scene_settings(scene)))
            results = follow(bar, kind, steps)
            write_photograph(out / f"{kind}.png", scene.image)
            write_results(out, kind, picture, results)
            rows += [(kind, found) for found in found_in(results)]
        values = follow(bar, "Measuring", _ablate(pipeline))
    show_rows(rows, out)
    _show_ablation(values)
    for row in ("clearclip", "vanilla"):
        show(f"{row}_miou: {np.mean(values[row]):.2f}")
    return 0


def scene_settings(scene: Scene) -> Settings:
    """Settings that look for what a scene holds; its kind's distractors compete."""
    return Settings(prompts=(*prompts_of(scene.names), *domains.as_prompts(DISTRACTORS[scene.kind])))


def _ablate(pipeline: Pipeline) -> Generator[Progress, None, dict[str, list[float]]]:
    """Each variant's mIoU on each kind of scene, counted over all measured scenes of the kind."""
    from napari_clearclip.evaluate.methods import ABLATION
    from napari_clearclip.evaluate.metrics import mean_iou
    from napari_clearclip.evaluate.scenes import scene_confusions

    values: dict[str, list[float]] = {row: [] for row in _ROWS}
    for place, kind in enumerate(KINDS):
        scenes = (make_scene(kind, seed) for seed in _MEASURED)
        totals = [np.zeros((), np.int64) for _ in _ROWS]
        found = scene_confusions(pipeline, scenes, [ABLATION[row] for row in _ROWS])
        for done, confusions in enumerate(found):
            yield Progress(f"{len(_ROWS)} variants", place * len(_MEASURED) + done, len(KINDS) * len(_MEASURED))
            totals = [total + confusion for total, confusion in zip(totals, confusions, strict=True)]
        for row, total in zip(_ROWS, totals, strict=True):
            values[row].append(mean_iou(total, exclude=(0,)))
    return values


def _show_ablation(values: dict[str, list[float]]) -> None:
    """The table of the ablation."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("variant")
    for kind in (*KINDS, "mean"):
        table.add_column(kind, justify="right")
    for name, parts in values.items():
        table.add_row(name, *(f"{value:.2f}" for value in (*parts, float(np.mean(parts)))))
    show_table(table)
    show(f"mIoU on {len(_MEASURED)} scenes a kind that training never saw. rc, ffn: kept in the last block.")
