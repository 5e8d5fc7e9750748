"""Public data sets in their own folders, made small by hand, and what their labels become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_clearclip.evaluate.classes import NATURAL, OFFICIAL
from napari_clearclip.evaluate.datasets import DATASETS, case_of, folder_of
from napari_clearclip.evaluate.recipes import PROTOCOLS, Recipe, recipe_of
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.io.images import UnreadableImageError
from napari_clearclip.io.label_maps import read_label_map
from napari_clearclip.settings import Settings

LABELS = np.array([[0, 1, 2], [255, 19, 20]], np.uint8)
VOC_TREE = ("JPEGImages/{}.jpg", "SegmentationClass/{}.png", "ImageSets/Segmentation/val.txt")
CONTEXT_TREE = ("JPEGImages/{}.jpg", "SegmentationClassContext/{}.png", "ImageSets/SegmentationContext/val.txt")
COCO_TREE = ("images/val2017/{}.jpg", "annotations/val2017/{}_labelTrainIds.png", "")

# Names of two images, where they lie, and what LABELS are: classes from 0, 255 where nothing is compared.
LAYOUTS: dict[str, tuple[tuple[str, str], tuple[str, str, str], list[list[int]]]] = {
    "voc20": (("2007_000033", "2007_000042"), VOC_TREE, [[255, 0, 1], [255, 18, 19]]),
    "voc21": (("2007_000033", "2007_000042"), VOC_TREE, [[0, 1, 2], [255, 19, 20]]),
    "context59": (("2008_000002", "2008_000003"), CONTEXT_TREE, [[255, 0, 1], [255, 18, 19]]),
    "context60": (("2008_000002", "2008_000003"), CONTEXT_TREE, [[0, 1, 2], [255, 19, 20]]),
    "stuff": (("000000000139", "000000000285"), COCO_TREE, [[0, 1, 2], [255, 19, 20]]),
    "object": (
        ("000000000139", "000000000285"),
        ("images/val2017/{}.jpg", "annotations/val2017/{}_instanceTrainIds.png", ""),
        [[0, 1, 2], [255, 19, 20]],
    ),
    "cityscapes": (
        ("frankfurt/frankfurt_000000_000294", "munster/munster_000000_000019"),
        ("leftImg8bit/val/{}_leftImg8bit.png", "gtFine/val/{}_gtFine_labelTrainIds.png", ""),
        [[0, 1, 2], [255, 255, 255]],
    ),
    "ade20k": (
        ("ADE_val_00000001", "ADE_val_00000002"),
        ("images/validation/{}.jpg", "annotations/validation/{}.png", ""),
        [[255, 0, 1], [255, 18, 19]],
    ),
}
COUNTS = {
    "voc20": 20,
    "voc21": 21,
    "context59": 59,
    "context60": 60,
    "stuff": 171,
    "object": 81,
    "cityscapes": 19,
    "ade20k": 150,
}


def save(path: Path, pixels: np.ndarray[Any, Any], palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    image.save(path)


def make(root: Path, dataset: str) -> tuple[str, str]:
    """A data set of two images of 2 x 3 pixels; a third one is there and not listed where there is a list."""
    names, (image, labels, listing), _ = LAYOUTS[dataset]
    for name in names + (("not_listed",) if listing else ()):
        save(root / image.format(name), np.full((2, 3, 3), 90, np.uint8))
        save(root / labels.format(name), LABELS, palette=dataset.startswith("voc"))
    if listing:
        (root / listing).parent.mkdir(parents=True)
        (root / listing).write_text("\n".join(names) + "\n")
    return names


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_files_are_found_and_labels_understood(dataset: str, tmp_path: Path) -> None:
    names = make(tmp_path, dataset)
    source = source_of(dataset, tmp_path, Settings(), Recipe())
    assert tuple(sample.name for sample in source.samples) == names
    case = source.samples[0].load()
    np.testing.assert_array_equal(case.truth, LAYOUTS[dataset][2])
    assert case.image.shape == (2, 3, 3)
    assert len(case.settings.prompts) == COUNTS[dataset] == len(source.classes) - (not DATASETS[dataset].background)
    assert len(case.settings.distractors) == DATASETS[dataset].background
    assert case.found[1:].tolist() == list(range(DATASETS[dataset].background, COUNTS[dataset]))
    nothing = case.found[0]
    assert nothing == 0 if DATASETS[dataset].background else nothing in source.exclude


def test_all_data_sets_are_tried() -> None:
    assert set(LAYOUTS) == set(DATASETS)
    assert all(set(recipes) == set(DATASETS) for recipes in PROTOCOLS.values())


def test_names_are_the_published_ones() -> None:
    assert OFFICIAL["voc"][3] == "ship"
    assert OFFICIAL["voc"][10] == "table"
    assert OFFICIAL["cityscapes"][6] == "trafficlight"
    assert OFFICIAL["ade20k"][44] == "chestofdrawers"
    assert OFFICIAL["object"][9] == "traffic light"
    assert OFFICIAL["stuff"][84] == "building-other"
    assert NATURAL["stuff"][84] == "building"
    assert NATURAL["voc"][19] == "TV monitor"
    assert {name: len(words) for name, words in OFFICIAL.items()} == {
        "voc": 20,
        "context": 59,
        "object": 80,
        "stuff": 171,
        "cityscapes": 19,
        "ade20k": 150,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("names", ["official", "natural"])
def test_every_recipe_makes_settings(protocol: str, names: str, tmp_path: Path) -> None:
    """No phrase stands for two classes, which settings would refuse."""
    for dataset in DATASETS:
        root = tmp_path / dataset
        make(root, dataset)
        recipe = recipe_of(protocol, dataset)
        case = source_of(dataset, root, Settings(), recipe, names, exact=True).samples[0].load()
        assert len(case.settings.prompts) == COUNTS[dataset]
        assert case.settings.deciding.scale == recipe.scale
        assert {prompt.threshold for prompt in case.settings.objects} == {recipe.threshold}


def test_background_words_and_synonyms_belong_to_one_class() -> None:
    phrases = DATASETS["voc21"].phrases("official", recipe_of("sclip", "voc21"))
    assert phrases[0][:3] == ("sky", "wall", "tree")
    assert len(phrases[0]) == 26
    assert phrases[15][:2] == ("person", "person in shirt")
    assert phrases[20][:2] == ("tvmonitor", "television monitor")
    objects = DATASETS["object"].phrases("official", recipe_of("sclip", "object"))
    assert "bed" not in objects[0]  # which is a class


def test_a_missing_list_or_label_map_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"val.txt is missing: --root is the folder that holds ImageSets"):
        DATASETS["voc20"].pairs(tmp_path)
    with pytest.raises(ValueError, match=r"has no images/val2017/\*.jpg: --root is the folder that holds images"):
        DATASETS["stuff"].pairs(tmp_path)
    save(tmp_path / "images/val2017/1.jpg", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(ValueError, match="1_labelTrainIds.png is missing; it belongs to 1 of stuff"):
        DATASETS["stuff"].pairs(tmp_path)


def test_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data set 'voc' is not known; there are voc20, voc21"):
        source_of("voc", tmp_path, Settings(), Recipe())
    with pytest.raises(ValueError, match="voc20 needs --root"):
        source_of("voc20", None, Settings(), Recipe())
    with pytest.raises(ValueError, match="protocol 'tcl' is not known; there are clearclip"):
        recipe_of("tcl", "voc20")
    with pytest.raises(ValueError, match="protocol sclip says nothing of folder"):
        recipe_of("sclip", "folder")


# ----------------------------------------------------------------------------------------------------------------------
# A folder of one's own


def test_a_folder_with_a_class_list(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png", np.full((4, 6, 3), 90, np.uint8))
    save(tmp_path / "labels/a.png", np.array([[0, 1, 2], [9, 2, 7]], np.uint8))  # half the size of the image
    (tmp_path / "classes.txt").write_text("sky\nroad, street\n-\n")
    source = source_of("folder", tmp_path, Settings(), Recipe(), ignore=9)
    case = source.samples[0].load()
    np.testing.assert_array_equal(case.truth, np.kron([[0, 1, 9], [9, 9, 9]], np.ones((2, 2), int)))
    assert [prompt.words for prompt in case.settings.objects] == [("sky",), ("road", "street")]
    assert source.classes == ("sky", "road", "-", "")
    assert source.exclude == (2, 3)


def test_a_folder_without_its_parts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"classes.txt is missing; write one class a line"):
        folder_of(tmp_path)
    (tmp_path / "classes.txt").write_text("sky\n")
    with pytest.raises(ValueError, match=r"must hold images of one kind .*; found are none"):
        folder_of(tmp_path)


def test_as_many_images_as_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\n")
    for index in range(10):
        save(tmp_path / f"images/{index}.png", np.zeros((2, 2, 3), np.uint8))
        save(tmp_path / f"labels/{index}.png", np.zeros((2, 2), np.uint8))
    source = source_of("folder", tmp_path, Settings(), Recipe(), limit=3)
    assert [sample.name for sample in source.samples] == ["0", "3", "6"]


def test_label_maps_are_numbers(tmp_path: Path) -> None:
    save(tmp_path / "colours.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UnreadableImageError, match="holds colours"):
        read_label_map(tmp_path / "colours.png")
    with pytest.raises(UnreadableImageError, match="does not exist"):
        read_label_map(tmp_path / "none.png")
    np.save(tmp_path / "fractions.npy", np.zeros((2, 2)))
    with pytest.raises(UnreadableImageError, match="holds float64 values"):
        read_label_map(tmp_path / "fractions.npy")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UnreadableImageError, match="cannot be read as a label map"):
        read_label_map(tmp_path / "damaged.png")
    Image.fromarray(np.array([[0, 40000]], np.uint16)).save(tmp_path / "deep.png")
    assert read_label_map(tmp_path / "deep.png").tolist() == [[0, 40000]]


def test_a_case_is_what_was_asked(tmp_path: Path) -> None:
    names = make(tmp_path, "voc21")
    (_, image, labels), _ = DATASETS["voc21"].pairs(tmp_path)
    phrases = DATASETS["voc21"].phrases("natural", Recipe())
    case = case_of(DATASETS["voc21"], phrases, image, labels, Settings(), 0.3)
    assert image.stem == names[0]
    assert case.settings.distractors[0].phrase == "background"
    assert case.settings.objects[0].threshold == 0.3
    assert case.classes == 21
