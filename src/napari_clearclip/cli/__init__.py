"""The command line: options and help; what a command does is imported when it runs, so that help is instant."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

P = ParamSpec("P")

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="napari-clearclip",
    help="Words to masks: segment images with phrases, by CLIP models and without training.",
    epilog="Exit codes: 0 done, 1 an input failed (the others are done), 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MODEL_HELP = (
    "demo (bundled; knows a few dozen words of drawn scenes), ARCHITECTURE/TAG as ViT-B-16/openai, "
    "hf-hub:ORGANISATION/NAME, or a weights file with its .json beside it."
)
ModelOption = Annotated[str | None, typer.Option("--model", "-m", metavar="MODEL", help=_MODEL_HELP)]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps; auto takes a GPU if it can.")
]
PromptOption = Annotated[
    list[str] | None,
    typer.Option("--prompt", "-p", metavar="TEXT", help="What to find; synonyms after commas. Repeat for more."),
]
IndexOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=EXPR",
        help='A band expression: "NDVI=(nir - red) / (nir + red)"; needs no model. Repeat.',
    ),
]
OtsuOption = Annotated[
    bool, typer.Option("--otsu", help="Each image sets the thresholds of band expressions (Otsu's method).")
]
BandsOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Names of the channels, in order: red,green,blue,nir. Else b1, b2, ..."),
]
DistractorOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="What only competes and gets no mask. Repeat; replaces the default list."),
]
NoDistractorsOption = Annotated[
    bool, typer.Option("--no-distractors", help="Prompts share the image among themselves alone.")
]
VariantOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="How the last block attends: clearclip (default), sclip, naclip, vanilla, ..."),
]
ThresholdOption = Annotated[
    float | None, typer.Option(metavar="X", help="Score from 0 to 1 from which on a pixel belongs to its prompt.")
]
TemplatesOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="imagenet, single, microscopy, aerial, or a sentence with {} for the phrase."),
]
ShortSideOption = Annotated[
    str | None,
    typer.Option(metavar="PIXELS", help="Size at which the shorter side is read, or native; larger finds smaller."),
]
FormatOption = Annotated[
    list[str] | None,
    typer.Option("--format", metavar="NAME", help="Write this too: coco, yolo, objects, ome-tiff, ... Repeat."),
]
LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option(metavar="WHAT", help="What a format may drop if it cannot hold it: overlap, holes, crs, ..."),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="A settings file of an earlier run; the other options go before it."),
]
SessionOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.clearclip",
        help="A session of the panel: its settings and what was done by hand; the other options go before it.",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Workers that do it: local:N for N on this machine, or the address of a dask scheduler.",
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", help="CPU cores to compute with; all that torch takes if left out.")
]


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    app(prog_name=app.info.name)


def _told(command: Callable[P, int]) -> Callable[P, None]:
    """The command with every expected failure told in one sentence, and its code as the exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from napari_clearclip.cli.console import UsageError, interruptible, quiet_libraries, sentence, tell

        quiet_libraries()
        try:
            with interruptible():
                code = command(*args, **kwargs)
        except KeyboardInterrupt:
            tell("Stopped. Files that were finished are kept.")
            code = INTERRUPTED
        except UsageError as error:
            tell(f"Error: {sentence(error)}")
            code = USAGE
        except (ValueError, TypeError, OSError, MemoryError, RuntimeError, ImportError) as error:
            tell(f"Error: {sentence(error)}")
            code = FAILED
        raise typer.Exit(code)

    return run


def _names(bands: str | None) -> tuple[str, ...]:
    """The names of channels that stand in a text, between commas."""
    return tuple(name.strip() for name in bands.split(",")) if bands else ()


def _show_version(wanted: bool) -> None:
    if wanted:
        from napari_clearclip import __version__

        typer.echo(f"napari-clearclip {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("segment")
@_told
def _segment(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="TIFF (stacks and GeoTIFF too), PNG, JPEG, ... or .npy.")
    ],
    prompt: PromptOption = None,
    index: IndexOption = None,
    otsu: OtsuOption = False,
    bands: BandsOption = None,
    distractor: DistractorOption = None,
    no_distractors: NoDistractorsOption = False,
    variant: VariantOption = None,
    model: ModelOption = None,
    threshold: ThresholdOption = None,
    templates: TemplatesOption = None,
    short_side: ShortSideOption = None,
    format_: FormatOption = None,
    leave_out: LeaveOutOption = None,
    device: DeviceOption = "auto",
    settings: SettingsOption = None,
    session: SessionOption = None,
    threads: ThreadsOption = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder for the results (made if need be); the current one if left out."
        ),
    ] = Path(),
) -> int:
    """Find what the prompts say in each image.

    Written for each image: IMAGE_clearclip_labels.tif (0 nothing, 1 the first prompt, ...), _overlay.png (to look at),
    _settings.json (makes the same again), and per prompt _PROMPT_mask.png and _PROMPT_similarity.tif (its score).

    With --format the masks are written for other programs too; coco and yolo take all images together.

    Every plane of a stack is segmented; its masks are .tif then. Georeferenced images give georeferenced results.
    """
    from napari_clearclip.cli.request import Flags
    from napari_clearclip.cli.segment import segment_files

    flags = Flags(
        prompts=tuple(prompt or ()),
        indices=tuple(index or ()),
        otsu=otsu,
        bands=_names(bands),
        distractors=tuple(distractor or ()),
        no_distractors=no_distractors,
        variant=variant,
        model=model,
        threshold=threshold,
        templates=templates,
        short_side=short_side,
        settings=settings,
        session=session,
        formats=tuple(format_ or ()),
        leave_out=tuple(leave_out or ()),
    )
    return segment_files(images, flags, device, out, threads)


@app.command("batch")
@_told
def _batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help='Images, folders of images, patterns as "tiles/**/*.tif", zarr arrays and groups.'
        ),
    ],
    prompt: PromptOption = None,
    index: IndexOption = None,
    bands: BandsOption = None,
    model: ModelOption = None,
    threshold: ThresholdOption = None,
    short_side: ShortSideOption = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="NAME", help="What is written: tiff (if left out), coco, yolo, objects, ... Repeat."
        ),
    ] = None,
    leave_out: LeaveOutOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Write what `segment` writes too: overlay, masks, similarities, ...")
    ] = False,
    device: DeviceOption = "auto",
    settings: SettingsOption = None,
    threads: ThreadsOption = None,
    keep: Annotated[
        float | None,
        typer.Option(
            metavar="GB", min=0, help="Disk for features of large images, for other phrases later; 2 if left out."
        ),
    ] = None,
    scheduler: SchedulerOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results (made if need be).")
    ] = Path("clearclip_out"),
) -> int:
    """Find what the prompts say in many images, and go on where an earlier run stopped.

    An image whose files are there, made from the same file with the same settings and model, is skipped. One that
    fails is told and tried again by the next run; the others go on. clearclip_summary.jsonl has a line of JSON for
    each image: status, seconds, coverage and highest score of each prompt, files, and the error if there was one.
    """
    from napari_clearclip.cli.batch import Machine, run_batch
    from napari_clearclip.cli.request import Flags

    flags = Flags(
        prompts=tuple(prompt or ()),
        indices=tuple(index or ()),
        bands=_names(bands),
        model=model,
        threshold=threshold,
        short_side=short_side,
        settings=settings,
        formats=tuple(format_ or ()),
        leave_out=tuple(leave_out or ()),
    )
    return run_batch(inputs, flags, everything, out, Machine(device, threads, keep, scheduler))


@app.command("train")
@_told
def _train(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Images to learn from; no labels are needed.")
    ],
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", metavar="TEXT", help="What is in them; synonyms after commas. Repeat for more."),
    ] = None,
    distractor: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="What else is in them. Repeat; replaces the default list."),
    ] = None,
    no_distractors: Annotated[
        bool, typer.Option("--no-distractors", help="There is nothing in the images but the prompts.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of accepted masks, IMAGE_clearclip_labels.tif or IMAGE.tif: 0 nothing, 1 the first prompt, "
            "... They count more than what CLIP says.",
        ),
    ] = None,
    transductive: Annotated[
        bool,
        typer.Option(
            "--transductive",
            help="The labelled prompts are labelled completely: CLIP labels only the others. A DeepLab student "
            "goes on by itself after a tenth of the steps, as in the paper.",
        ),
    ] = False,
    model: ModelOption = None,
    student: Annotated[
        str | None, typer.Option(metavar="KIND", help="small (default, for a CPU), deeplab50 or deeplab101.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(metavar="N", help="Steps of the training.")] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="X", help="Train about so long, instead of a number of steps.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option("--study", metavar="FILE.json", help="All settings of the training; options go before it."),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE.json", help="Settings of the teacher, as `segment` writes them."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of everything random.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")] = False,
    device: DeviceOption = "auto",
    threads: Annotated[int | None, typer.Option(metavar="N", help="CPU cores to compute with.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The student: weights as .safetensors, a card as .json.")
    ] = Path("student.safetensors"),
) -> int:
    """Train a small network on what CLIP says about images (MaskCLIP+).

    The student knows words too: `segment --model student.safetensors --prompt ...` uses it, as the panel does. It
    takes many images and much time to come close to CLIP: compare both before you rely on it.
    """
    from napari_clearclip.cli.request import Flags
    from napari_clearclip.cli.train import Wishes, train_student

    flags = Flags(
        prompts=tuple(prompt or ()),
        distractors=tuple(distractor or ()),
        no_distractors=no_distractors,
        model=model,
        settings=settings,
    )
    wishes = Wishes(student, iterations, seed, transductive, study, labels, minutes, resume)
    return train_student(images, flags, wishes, out, device, threads)


@app.command("evaluate")
@_told
def _evaluate(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="voc20, voc21, context59, context60, stuff, object, cityscapes, ade20k; folder, with images/, labels/ "
            "and classes.txt; scenes-shapes, scenes-aerial or scenes-micrograph, which are bundled.",
        ),
    ],
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data set is.")] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="clearclip, sclip, vanilla, gem, ...; qq_rc, qq_ffn and qq_rc_ffn for the ablation; random-N-SEED for "
            "SCLIP's random projections; clip_diy for whole crops; learned:FILE; NAME+CHAIN as in naclip+naclip for "
            "PAMR. Repeat; the first is compared with.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Sizes, windows, scale and thresholds of clearclip, sclip, naclip or proxyclip; or recommended.",
        ),
    ] = "recommended",
    names: Annotated[
        str,
        typer.Option(metavar="KIND", help="official: names as in the papers' evaluations; natural: as people write."),
    ] = "official",
    scale: Annotated[list[float] | None, typer.Option(metavar="X", help="Factor on cosines. Repeat.")] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(metavar="X", help="Probability below which a pixel is background. Repeat.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Resize and upsample as the published code; float16 on a GPU.")
    ] = False,
    no_outlines: Annotated[bool, typer.Option("--no-outlines", help="Leave out boundary F, which takes time.")] = False,
    ignore: Annotated[int, typer.Option(metavar="N", help="Label in a folder that is not compared.")] = 255,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only so many images, or scenes.")] = None,
    figure: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=50, help="Show the N worst images beside truth and variants: worst.png."),
    ] = 0,
    confidence: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS", help="Below each of these images, how sure variants are of a class, or of the surest."
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    scheduler: SchedulerOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results (made if need be).")
    ] = Path("clearclip_evaluation"),
) -> int:
    """Measure variants on images whose truth is known, and go on where an earlier run stopped.

    All variants share what the model reads of an image. Written are table.md with intervals and published values,
    results.json, classes.csv and images.csv; record.jsonl keeps what is done.
    """
    from napari_clearclip.cli.evaluate import Wishes, run_evaluation

    wishes = Wishes(
        variants=tuple(variant or Wishes.variants),
        protocol=protocol,
        names=names,
        scales=tuple(scale or ()),
        thresholds=tuple(threshold or ()),
        exact=exact,
        outlines=not no_outlines,
        ignore=ignore,
        limit=limit,
        figure=figure,
        confidence=confidence,
    )
    return run_evaluation(dataset, root, model, wishes, device, out, threads, scheduler)


@app.command("ablation")
@_told
def _ablation(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="scenes (all that are bundled), scenes-shapes, ..., or a data set as in `evaluate`."
        ),
    ] = "scenes",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data set is.")] = None,
    protocol: Annotated[str, typer.Option(metavar="NAME", help="As in `evaluate`.")] = "recommended",
    names: Annotated[str, typer.Option(metavar="KIND", help="As in `evaluate`.")] = "official",
    exact: Annotated[bool, typer.Option("--exact", help="As in `evaluate`.")] = False,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="So many draws of scenes, none shared; 3 if left out.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only so many images; of scenes, in each draw (10).")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    scheduler: SchedulerOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results (made if need be).")
    ] = Path("clearclip_ablation"),
) -> int:
    """Measure what ClearCLIP's Table 1 and Figures 2 and 4 to 6 show, on any images whose truth is known.

    Six attentions, each with and without residual connection and feed-forward network; the weight of attention beside
    the residual connection; entropy and maximum of every block. Written are ablation.md with intervals, ablation.json,
    ablation.csv and plots; record.jsonl keeps what is done.
    """
    from napari_clearclip.cli.ablation import Choice, run_ablation

    choice = Choice(protocol=protocol, names=names, exact=exact, seeds=seeds, limit=limit)
    return run_ablation(dataset, root, model, choice, device, out, threads, scheduler)


@app.command("learn-projection")
@_told
def _learn_projection(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="As in `evaluate`.")],
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data set is.")] = None,
    protocol: Annotated[str, typer.Option(metavar="NAME", help="As in `evaluate`.")] = "recommended",
    ignore: Annotated[int, typer.Option(metavar="N", help="Label in a folder that is not learned.")] = 255,
    images: Annotated[int, typer.Option(metavar="N", min=1, help="So many, spread evenly.")] = 8,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Of the training.")] = 200,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the matrix that it starts with.")] = 0,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The matrix, as .safetensors.")] = Path(
        "projection.safetensors"
    ),
) -> int:
    """Learn a projection for SCLIP's attention from a few labelled images (the last row of its Table 2).

    `evaluate --variant learned:FILE` measures it, on images that it did not learn from.
    """
    from napari_clearclip.cli.projection import learn_projection

    return learn_projection(dataset, root, model, protocol, ignore, images, steps, seed, device, out, threads)


@app.command("demo")
@_told
def _demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path(
        "clearclip_demo"
    ),
    device: DeviceOption = "auto",
) -> int:
    """Find words in one drawn scene of each kind with the bundled model, and measure it against the known truth."""
    from napari_clearclip.cli.demo import run_demo

    return run_demo(out, device)


@app.command("info")
@_told
def _info(
    clear: Annotated[bool, typer.Option("--clear", help="Remove the features of large images from the disk.")] = False,
) -> int:
    """Show versions, the device and why, the cache, and the models at hand."""
    from napari_clearclip.cli.info import show_info

    return show_info(clear)


@app.command("selftest")
@_told
def _selftest(model: ModelOption = None, device: DeviceOption = "auto") -> int:
    """Check that a model sees what it should: known photographs, or drawn scenes for the bundled model."""
    from napari_clearclip.cli.selftest import run_selftest

    return run_selftest(model, device)


__all__ = ["app", "main"]
