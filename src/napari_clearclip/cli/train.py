"""``train``: images and phrases in, a student out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from napari_clearclip.cli.console import UsageError, follow, meter, sentence, show, tell
from napari_clearclip.cli.request import Flags, settings_of
from napari_clearclip.cli.segment import inputs, pipeline_for
from napari_clearclip.io.files import writable_folder
from napari_clearclip.io.images import read_image
from napari_clearclip.material import Example
from napari_clearclip.schooling import train_steps
from napari_clearclip.study import Architecture, Card, Study

if TYPE_CHECKING:
    from napari_clearclip.edits import View


@dataclass(frozen=True)
class Wishes:
    """What `train` was told besides images, phrases and teacher; None is left to the study."""

    student: str | None = None
    iterations: int | None = None
    seed: int | None = None
    transductive: bool = False
    study: Path | None = None
    labels: Path | None = None
    minutes: float | None = None
    resume: bool = False


def train_student(
    images: Sequence[Path], flags: Flags, wishes: Wishes, out: Path, device: str, threads: int | None
) -> int:
    """Train a student and write it; the exit code is returned.

    Raises
    ------
    UsageError
        If the options are wrong; nothing is done then.
    """
    wanted, study = settings_of(flags), study_of(wishes)
    pipeline = pipeline_for(device, threads)
    paths = inputs(images)
    writable_folder(out.absolute().parent)
    examples = [example for path in paths for example in _examples(path, wanted.view, wishes.labels)]
    if wishes.labels is not None and all(example.labels is None for example in examples):
        raise UsageError(
            f"no image has labels in {wishes.labels}; they are called IMAGE_clearclip_labels.tif, IMAGE_labels.tif, "
            "IMAGE.tif or IMAGE.png"
        )
    with meter() as bar:
        steps = train_steps(pipeline, examples, wanted.settings, study, out, wishes.resume, wishes.minutes)
        try:
            card = follow(bar, out.stem, steps)
        except KeyboardInterrupt:
            steps.close()
            tell("The same command with --resume goes on; at most a minute of training is lost.")
            raise
    _show_card(card, out.with_suffix(".safetensors"))
    return 0


def study_of(wishes: Wishes) -> Study:
    """The study of the options, put over a file.

    Raises
    ------
    UsageError
        If the file cannot be read or a value is not allowed.
    """
    given: dict[str, object] = {"architecture": wishes.student, "iterations": wishes.iterations, "seed": wishes.seed}
    given |= {"transductive": True} if wishes.transductive else {}
    if wishes.transductive and wishes.labels is None:
        raise UsageError("--transductive needs --labels: a folder of labels of some of the prompts")
    if wishes.minutes is not None and wishes.minutes <= 0:
        raise UsageError(f"--minutes is {wishes.minutes:g}; give a positive number")
    try:
        content = json.loads(wishes.study.read_text("utf-8")) if wishes.study else {}
        fields = {**content, **{key: value for key, value in given.items() if value is not None}}
        architecture = fields.pop("architecture", "small")
        if architecture not in get_args(Architecture):
            known = ", ".join(get_args(Architecture))
            raise UsageError(f"there is no student {architecture!r}; known are {known}")
        return Study.of(architecture, **fields)
    except UsageError:
        raise
    except ValidationError as error:
        raise UsageError(sentence(error)) from error
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"the study {wishes.study} cannot be read: {sentence(error)}") from error


def _examples(path: Path, view: View | None, folder: Path | None) -> Iterator[Example]:
    """Every plane of an image file, with its labels if there are any."""
    picture = read_image(path)
    seen = view or picture.view
    labels = _labels_of(path, folder)
    planes = [seen.plane] if seen.plane or not picture.stack else list(picture.planes)
    for plane in planes:
        part = " ".join(str(index) for index in plane)
        yield Example(
            f"{path.name} {part}".strip(),
            picture.data,
            seen.replace(plane=plane),
            None if labels is None else labels[plane] if labels.ndim > 2 else labels,
        )


def _labels_of(path: Path, folder: Path | None) -> npt.NDArray[np.integer] | None:
    """The labels of an image: what `segment` wrote or the user painted, under the image's name in the folder."""
    if folder is None:
        return None
    stem = path.stem.removesuffix(".ome") or path.stem
    names = (f"{stem}_clearclip_labels.tif", f"{stem}_labels.tif", f"{stem}.tif", f"{stem}.png")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        return None
    data = read_image(found).data
    if data.dtype.kind not in "biu":
        raise UsageError(f"{found} holds {data.dtype} values; labels are whole numbers")
    return np.asarray(data, np.int64)


def _show_card(card: Card, path: Path) -> None:
    """What was made, and how to use it."""
    for name, value in card.figures.items():
        show(f"student_{name}: {value:g}")
    show(f"student_scale: {card.clearclip['scale']:g}")
    show(f"student_started_from: {card.start}")
    show(f"Written to {path.resolve()}")
    tell(f"Use it with: napari-clearclip segment IMAGE... --model {path} --prompt ...")
