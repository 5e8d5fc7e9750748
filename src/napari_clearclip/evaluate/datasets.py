"""Data sets with known classes: where their files are, what their labels mean, and their images as cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_clearclip.batch.inputs import READABLE
from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.classes import NATURAL, OFFICIAL
from napari_clearclip.evaluate.metrics import Labels
from napari_clearclip.evaluate.recipes import Recipe
from napari_clearclip.io.files import read_text
from napari_clearclip.io.images import read_image
from napari_clearclip.io.label_maps import read_label_map
from napari_clearclip.settings import Prompt, Settings


@dataclass(frozen=True)
class Dataset:
    """Classes of a data set and where its files are.

    Attributes
    ----------
    name : str
        What it is called here.
    vocabulary : str
        Under which name `classes` has its classes.
    images, labels : str
        Patterns below its folder; each has one star, which stands for the image's name (folders included).
    listing : str
        A file of such names, one a line, that says which images are evaluated; all if empty.
    background : bool
        Whether class 0 is what none of the names fits.
    reduced : bool
        Whether label 0 is ignored and 1 is the first class.
    ignore : int
        The label of pixels that are not compared.
    """

    name: str
    vocabulary: str
    images: str
    labels: str
    listing: str = ""
    background: bool = False
    reduced: bool = False
    ignore: int = 255

    def pairs(self, root: Path) -> list[tuple[str, Path, Path]]:
        """Name, image and label map of each image, sorted.

        Raises
        ------
        ValueError
            If files are not where they should be.
        """
        if self.listing and (root / self.listing).is_file():
            names = read_text(root / self.listing, "the list of images").split()
        elif self.listing:
            raise ValueError(f"{root / self.listing} is missing: --root is the folder that holds {_head(self.listing)}")
        else:
            names = sorted(_names(root, self.images))
        if not names:
            raise ValueError(f"{root} has no {self.images}: --root is the folder that holds {_head(self.images)}")
        found = []
        for name in names:
            paths = root / self.images.replace("*", name), root / self.labels.replace("*", name)
            for path in paths:
                if not path.is_file():
                    raise ValueError(f"{path} is missing; it belongs to {name} of {self.name}")
            found.append((name, *paths))
        return found

    def phrases(self, names: str, recipe: Recipe) -> tuple[tuple[str, ...], ...]:
        """The phrases of each class, the background's first if there is one."""
        words = (OFFICIAL if names == "official" else NATURAL)[self.vocabulary]
        more = dict(recipe.synonyms)
        known = OFFICIAL[self.vocabulary]
        classes = [(word, *more.get(official, ())) for word, official in zip(words, known, strict=True)]
        seen: set[str] = set()  # a synonym belongs to the first class that has it, and once, whatever its case
        for place, phrases in enumerate(classes):
            kept = {phrase.casefold(): phrase for phrase in reversed(phrases) if phrase.casefold() not in seen}
            classes[place] = tuple(reversed(kept.values()))
            seen |= kept.keys()
        if self.background:
            classes.insert(0, tuple(word for word in recipe.background if word.casefold() not in seen))
        return tuple(classes)

    def truth(self, labels: Labels, classes: int) -> Labels:
        """Classes from 0, or `ignore`, of a label map as it is stored."""
        truth = labels - 1 if self.reduced else labels.copy()
        truth[(truth < 0) | (truth >= classes)] = self.ignore
        truth[labels == self.ignore] = self.ignore
        return truth


def _head(pattern: str) -> str:
    return pattern.split("/")[0]


def _names(root: Path, pattern: str) -> Iterator[str]:
    """What the star of a pattern stands for, in each file that fits; it may stand for folders too."""
    folder, _, rest = pattern.partition("*")
    for path in (root / folder).rglob(f"*{rest}"):
        yield path.relative_to(root / folder).as_posix().removesuffix(rest)


_CONTEXT = Dataset(
    "context60",
    "context",
    "JPEGImages/*.jpg",
    "SegmentationClassContext/*.png",
    "ImageSets/SegmentationContext/val.txt",
    background=True,
)
_VOC = Dataset(
    "voc21",
    "voc",
    "JPEGImages/*.jpg",
    "SegmentationClass/*.png",
    "ImageSets/Segmentation/val.txt",
    background=True,
)
DATASETS: dict[str, Dataset] = {
    data.name: data
    for data in (
        replace(_VOC, name="voc20", background=False, reduced=True),
        _VOC,
        replace(_CONTEXT, name="context59", background=False, reduced=True),
        _CONTEXT,
        Dataset(
            "object",
            "object",
            "images/val2017/*.jpg",
            "annotations/val2017/*_instanceTrainIds.png",
            background=True,
        ),
        Dataset("stuff", "stuff", "images/val2017/*.jpg", "annotations/val2017/*_labelTrainIds.png"),
        Dataset(
            "cityscapes",
            "cityscapes",
            "leftImg8bit/val/*_leftImg8bit.png",
            "gtFine/val/*_gtFine_labelTrainIds.png",
        ),
        Dataset("ade20k", "ade20k", "images/validation/*.jpg", "annotations/validation/*.png", reduced=True),
    )
}
FOLDER = "folder"
_CLASSES = "classes.txt"


def folder_of(root: Path, ignore: int = 255) -> tuple[Dataset, tuple[tuple[str, ...], ...]]:
    """A folder with images/, labels/ and classes.txt as a data set, and the phrases of its classes.

    A line of classes.txt for each label from 0: the class and its synonyms, with commas between them; a line with - for
    labels that are not compared.

    Raises
    ------
    ValueError
        If one of them is missing, or holds something else.
    """
    if not (root / _CLASSES).is_file():
        raise ValueError(f"{root / _CLASSES} is missing; write one class a line, in the order of the labels from 0")
    lines = [line.strip() for line in read_text(root / _CLASSES, "the list of classes").splitlines()]
    phrases = [
        tuple(dict.fromkeys(part for item in line.split(",") if (part := " ".join(item.split()))))
        for line in lines
        if line and not line.startswith("#")
    ]
    kinds = {path.suffix.lower() for path in (root / "images").iterdir()} if (root / "images").is_dir() else set()
    endings = sorted(kinds & set(READABLE))
    if len(endings) != 1:
        told = ", ".join(endings) or "none"
        raise ValueError(f"{root / 'images'} must hold images of one kind ({', '.join(READABLE)}); found are {told}")
    labels = next((end for end in (".png", ".tif", ".tiff") if any((root / "labels").glob(f"*{end}"))), ".png")
    return Dataset(FOLDER, "", f"images/*{endings[0]}", f"labels/*{labels}", ignore=ignore), tuple(phrases)


def case_of(
    dataset: Dataset,
    phrases: tuple[tuple[str, ...], ...],
    image: Path,
    labels: Path,
    settings: Settings,
    threshold: float,
) -> Case:
    """An image of a data set with its truth and what is asked of it.

    Parameters
    ----------
    dataset : Dataset
        Says what labels mean.
    phrases : tuple of tuple of str
        Those of each class; a class whose only phrase is - is not compared.
    image, labels : Path
        The files. A label map of another size than the image is resized to it, each pixel taking the nearest label.
    settings : Settings
        What is the same for all images; prompts are added.
    threshold : float
        Of every prompt.
    """
    from napari_clearclip.engine.view import plane_shape

    picture = read_image(image)
    shape = plane_shape(picture.data, picture.view)
    truth = dataset.truth(_resized(read_label_map(labels), shape), len(phrases))
    unnamed = [index for index, words in enumerate(phrases) if words == ("-",)]
    truth[np.isin(truth, unnamed)] = dataset.ignore
    asked = [index for index in range(len(phrases)) if index not in unnamed]
    prompts = tuple(
        Prompt(
            id=f"class-{index}",
            phrase=phrases[index][0],
            synonyms=phrases[index][1:],
            kind="distractor" if dataset.background and index == 0 else "object",
            threshold=threshold,
        )
        for index in asked
    )
    nothing = 0 if dataset.background else len(phrases)
    named = [index for index in asked if index or not dataset.background]
    return Case(
        picture.data,
        settings.replace(prompts=prompts),
        truth,
        np.array([nothing, *named]),
        len(phrases) + (not dataset.background),
        dataset.ignore,
        picture.view,
    )


def _resized(labels: npt.NDArray[np.int64], shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """A label map of another size: each pixel takes the label under its centre."""
    if labels.shape == shape:
        return labels
    rows, cols = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, cols)]
