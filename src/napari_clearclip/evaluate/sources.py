"""Everything that can be evaluated on, by name: public data sets, a folder of one's own, and the bundled scenes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_clearclip.cache import key_of
from napari_clearclip.evaluate.cases import Case, scene_case
from napari_clearclip.evaluate.datasets import DATASETS, FOLDER, Dataset, case_of, folder_of
from napari_clearclip.evaluate.evaluation import Sample
from napari_clearclip.evaluate.recipes import Recipe
from napari_clearclip.scenes import KINDS, make_scene, vocabulary
from napari_clearclip.settings import Settings


@dataclass(frozen=True)
class Source:
    """The images of a data set, its classes, and which of these do not count in means."""

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    exclude: tuple[int, ...]


def source_of(
    name: str,
    root: Path | None,
    settings: Settings,
    recipe: Recipe,
    names: str = "official",
    exact: bool = False,
    ignore: int = 255,
    limit: int | None = None,
    draw: int = 0,
) -> Source:
    """What a name stands for.

    Parameters
    ----------
    name : str
        One of `DATASETS`, ``folder``, or ``scenes-KIND``.
    root : Path or None
        Where the files are; scenes have none.
    settings : Settings
        The model, and all else that is the same for all images.
    recipe : Recipe
        How the data set is read.
    names : {"official", "natural"}
        Which names of the classes.
    exact : bool
        Whether images are read as the published code does, see `Recipe.on`; scenes are not.
    ignore : int
        The label of pixels that are not compared, in a folder.
    limit : int, optional
        Only so many images, spread evenly; of scenes, so many seeds (100 if left out).
    draw : int
        Which scenes: those of the first seeds from 0, or of the next so many, and so on. No two draws share one.

    Raises
    ------
    ValueError
        If there is no such data set, or its files are not there.
    """
    kind = name.removeprefix("scenes-")
    if name != kind and kind in KINDS:
        return _scenes(kind, settings, limit or 100, draw)
    if name not in (*DATASETS, FOLDER):
        scenes = ", ".join(f"scenes-{kind}" for kind in KINDS)
        raise ValueError(f"data set {name!r} is not known; there are {', '.join(DATASETS)}, {FOLDER} and {scenes}")
    if root is None:
        raise ValueError(f"{name} needs --root, the folder that holds its files")
    if name == FOLDER:
        dataset, phrases = folder_of(root, ignore)
    else:
        dataset = DATASETS[name]
        phrases = dataset.phrases(names, recipe)
    return _files(dataset, phrases, root, recipe.on(settings, exact), recipe.threshold, limit)


def _scenes(kind: str, settings: Settings, count: int, draw: int) -> Source:
    """Scenes of a kind; the class without a name does not count."""
    samples = tuple(
        Sample(f"{kind}-{seed}", key_of("scene", kind, seed, settings), partial(_scene, kind, seed, settings))
        for seed in range(draw * count, (draw + 1) * count)
    )
    return Source(samples, ("", *vocabulary(kind)), (0,))


def _scene(kind: str, seed: int, settings: Settings) -> Case:
    return scene_case(make_scene(kind, seed), model=settings.model)


def _files(
    dataset: Dataset,
    phrases: tuple[tuple[str, ...], ...],
    root: Path,
    settings: Settings,
    threshold: float,
    limit: int | None,
) -> Source:
    """The images of a folder."""
    pairs = dataset.pairs(root)
    if limit is not None and limit < len(pairs):
        pairs = [pairs[index * len(pairs) // limit] for index in range(limit)]
    weights = Path(settings.model.pretrained).expanduser()
    model = weights.stat().st_mtime_ns if settings.model.pretrained and weights.is_file() else 0
    samples = []
    for name, image, labels in pairs:
        files = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in (image, labels))
        key = key_of(dataset, phrases, settings, threshold, model, name, files)
        samples.append(Sample(name, key, partial(case_of, dataset, phrases, image, labels, settings, threshold)))
    classes = tuple(words[0] if words else "background" for words in phrases)
    if dataset.background:
        return Source(tuple(samples), ("background", *classes[1:]), ())
    unnamed = tuple(index for index, words in enumerate(phrases) if words == ("-",))
    return Source(tuple(samples), (*classes, ""), (*unnamed, len(classes)))
