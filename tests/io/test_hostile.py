"""Files that are damaged or made to do harm are refused with one sentence, by every reader."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_clearclip.io.coco import write_coco
from napari_clearclip.io.formats import FORMATS, read, write
from napari_clearclip.io.images import UnreadableImageError, read_image
from napari_clearclip.io.masks import Masks
from napari_clearclip.io.raster import read_scores
from napari_clearclip.io.tables import read_objects

LABELS = np.kron(np.array([[1, 0], [2, 1]], np.uint8), np.ones((5, 6), np.uint8))
MASKS = Masks(("road", "tree"), LABELS, instances=3 * LABELS, scores=np.full((2, 2, 2), 0.5, np.float32), image="a.png")
READERS: dict[str, Callable[[Path], Any]] = dict.fromkeys(FORMATS, read)
READERS |= {"scores": read_scores, "table": read_objects}


def written(folder: Path, name: str) -> Path:
    """A good file of a format."""
    path = folder / f"a_clearclip_{FORMATS[name].ending}"
    write(path, [MASKS], name, give_up=["instances", "crs", "holes"])
    return path


def files_in(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def is_a_sentence(error: BaseException) -> bool:
    """Whether a message is one line that a person can read."""
    text = str(error)
    return 10 < len(text) < 800 and "\n" not in text and "Traceback" not in text


@pytest.mark.parametrize("name", FORMATS)
def test_any_damage_is_refused_or_does_no_harm(name: str, tmp_path: Path) -> None:
    """Bytes that are changed, cut off or repeated anywhere: the file is read, or refused with its name."""
    rng = np.random.default_rng(len(name))
    good, refused = written(tmp_path, name), []
    for round_ in range(40):
        bad = tmp_path / f"{round_}" / good.name
        bad.parent.mkdir()
        (shutil.copytree if good.is_dir() else shutil.copy)(good, bad)
        files = files_in(bad)
        file = files[round_ % len(files)]
        content = bytearray(file.read_bytes())
        at = int(rng.integers(len(content)))
        how = round_ % 4
        if how == 0:
            del content[at:]
        elif how == 1:
            content[at] ^= 1 << int(rng.integers(8))
        elif how == 2:
            content[at : at + 4] = rng.bytes(4)
        else:
            content[at:at] = content[at : at + 64]
        file.write_bytes(content)
        try:
            READERS[name](bad)
        except ValueError as error:
            refused.append((error, file.name))
    assert refused
    for error, name_ in refused:
        assert is_a_sentence(error), repr(error)
        assert good.name in str(error) or name_ in str(error), repr(error)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff\xfe" * 50, b"{}", b"[]", b"null", b"PK\5\6" + 18 * b"\0"])
def test_what_is_none_of_ours_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, name)
    for file in files_in(path):
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r".") as caught:
        READERS[name](path)
    assert is_a_sentence(caught.value)


def test_an_array_that_says_it_is_larger_than_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "npz")
    header = b"{'descr': '<u1', 'fortran_order': False, 'shape': (1048576, 1048576), }"
    header += b" " * (118 - 1 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"abc")
    with pytest.raises(ValueError, match=r"labels.npy is said to have shape \(1048576, 1048576\), but has 13\d bytes"):
        read(path)


class Harm:
    """Something that, unpacked, writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "harm")


def test_pickles_are_not_unpacked(tmp_path: Path) -> None:
    path = written(tmp_path, "npz")
    np.savez(path, labels=np.array([Harm(tmp_path / "harm")], object))
    with pytest.raises(ValueError, match="objects that only a program could unpack"):
        read(path)
    folder = tmp_path / "a.zarr"
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    group.create_array("s0", shape=(4, 4), dtype="u1", chunks=(4, 4), fill_value=0)
    about = json.loads((folder / "s0" / ".zarray").read_text())
    (folder / "s0" / ".zarray").write_text(json.dumps(about | {"filters": [{"id": "pickle"}], "compressor": None}))
    (folder / "s0" / "0.0").write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    image = {"multiscales": [{"datasets": [{"path": "s0"}]}], "image-label": {"properties": []}}
    group.attrs["ome"] = image
    with pytest.raises(ValueError, match=r"a\.zarr cannot be read as a label image: "):
        read(folder)
    assert not (tmp_path / "harm").exists()


def test_a_zarr_leads_nowhere_else(tmp_path: Path) -> None:
    other, path = tmp_path / "other.zarr", tmp_path / "a.zarr"
    write(other, [MASKS], "ome-zarr")
    write(path, [MASKS], "ome-zarr")
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = "../other.zarr/s0"
    (path / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"a\.zarr cannot be read as a label image"):
        read(path)


@pytest.mark.parametrize("name", ["tiff", "ome-tiff", "scores"])
def test_a_tiff_that_says_it_is_huge(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for page in tif.pages:
            for code in (256, 257, 278):
                page.tags[code].overwrite(30_000)
    if name == "ome-tiff":
        content = path.read_bytes().replace(b'SizeX="12"', b'SizeX="3e"').replace(b'SizeY="10"', b'SizeY="3e"')
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a_clearclip_.*: .*") as caught:
        READERS[name](path)
    assert is_a_sentence(caught.value)


def test_a_zip_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "imagej")
    block = bytes(2**20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.roi", "w", force_zip64=True) as file,
    ):
        for _ in range(2200):
            file.write(block)
    assert path.stat().st_size < 4_000_000
    with pytest.raises(ValueError, match=r"it would unpack to 2,3\d\d,\d+,\d+ bytes"):
        read(path)


@pytest.mark.parametrize("name", ["npz", "imagej"])
def test_names_in_archives_lead_nowhere(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = written(folder, name)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../out.txt", "x")
        archive.writestr("/tmp/clearclip-out.txt", "x")
    try:
        (found,) = read(path)
        np.testing.assert_array_equal(found.labels, LABELS)
    except ValueError as error:
        assert is_a_sentence(error)  # noqa: PT017
    assert sorted(tmp_path.iterdir()) == [folder]
    assert not Path("/tmp/clearclip-out.txt").exists()


def test_names_of_images_lead_nowhere(tmp_path: Path) -> None:
    away = replace(MASKS, image="../../../etc/passwd", instances=None)
    (tmp_path / "in").mkdir()
    write_coco(tmp_path / "in/a.json", [away])
    write(tmp_path / "in/yolo", [away], "yolo")
    assert [item.image for item in read(tmp_path / "in/a.json")] == [away.image]
    assert [item.image for item in read(tmp_path / "in/yolo")] == [away.image]
    assert [path.name for path in (tmp_path / "in/yolo/labels").iterdir()] == ["passwd.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def coco(segmentation: Any, **image: Any) -> str:
    """A COCO file with one annotation."""
    return json.dumps({
        "images": [{"id": 1, "file_name": "a", "width": 4, "height": 4} | image],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": segmentation}],
        "categories": [{"id": 1, "name": "a"}],
    })  # fmt: skip


FAR = [[0, 0, 1e12, 0, 0, 1e12]]
MANY = json.dumps({
    "images": [{"id": at, "file_name": str(at), "height": 32_000, "width": 32_000} for at in range(9)],
    "annotations": [],
    "categories": [],
})  # fmt: skip
DOT = {"size": [4, 4], "counts": [16]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (coco(FAR), "lies far outside of its image"),
        (coco([[0, 0, float("nan"), 1, 1, 0]]), "lies far outside"),
        (coco([[0, 0, 1, 1]]), "a polygon of 2 points is none"),
        (coco([[0, 0, 1, 1, 2]]), "a.json cannot be used"),
        (coco([["a", "b"]]), "a.json cannot be used"),
        (coco({"size": [4, 4], "counts": [-1, 17]}), "run lengths of a mask cover"),
        (coco({"size": [4, 4], "counts": [1e300]}), "run lengths of a mask cover"),
        (coco(DOT, width=float("inf")), "a.json"),
        (coco(DOT, stack=[2], plane=[2]), r"plane \(2,\) of a does not exist"),
        (coco(DOT, stack=[2], plane=[-1]), r"plane \(-1,\) of a does not exist"),
        (coco(DOT, width=2**15, height=2**15 + 1), "is too large"),
        (MANY, "its images have 9,216,000,000 pixels together, which is too large"),
    ],
)  # fmt: skip
def test_a_coco_file_that_would_do_harm(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / "a.json")
    assert is_a_sentence(caught.value)


BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
ONE = "names: {0: a}\nannotated: [{file_name: a.png, size: [4, 4], objects: false}]"


@pytest.mark.parametrize(
    ("about", "line", "message"),
    [
        (BOMB + "names: *i", "", "has aliases"),
        (ONE, "-1 0 0 1 1 1 0", "class -1 does not exist"),
        (ONE, "0", "has a class and no points"),
        (ONE, "0 nan nan 1 1 1 0", "has points outside the image"),
        (ONE, "0 1e308 1e308 1 1 1 0", "has points outside the image"),
        ("names: [a]\nannotated: [{file_name: a, size: [1e400, 4]}]", "", "data.yaml|yolo"),
        ("names: {0: a, 7: b}\nannotated: []", "", "lacks names"),
        ("names: [a]", "", "lacks names or sizes of images"),
    ],
)
def test_a_yolo_folder_that_would_do_harm(about: str, line: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "yolo"
    (folder / "labels").mkdir(parents=True)
    (folder / "data.yaml").write_text(about)
    (folder / "labels/a.txt").write_text(line)
    with pytest.raises(ValueError, match=message) as caught:
        read(folder)
    assert is_a_sentence(caught.value)


def geojson(path: Path, coordinates: Any = None, **about: Any) -> None:
    """A good GeoJSON file with other coordinates in its first feature, or with other things said of it."""
    write(path, [replace(MASKS, instances=None)], "geojson")
    content = json.loads(path.read_text("utf-8"))
    if coordinates is not None:
        content["features"][0]["geometry"]["coordinates"] = coordinates
    content["napari_clearclip"] |= about
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("coordinates", "about"),
    [
        ([[[0, 0], [float("nan"), 1], [1, 1]]], {}),
        ([[[0, 0], [float("inf"), 1], [1, 1]]], {}),
        ([[[0, 0, 0], [1, 1, 1]]], {}),
        ([], {}),
        (3, {}),
        (None, {"transform": [0, 0, 0, 0, 0, 0]}),
        (None, {"transform": [1, 0]}),
        (None, {"shape": [1e308, 1e308]}),
        (None, {"shape": [-4, -4]}),
        (None, {"names": 3}),
        (None, {"crs": "+proj=pipeline +step +proj=nothing"}),
    ],
)
def test_a_geojson_file_that_would_do_harm(coordinates: Any, about: Any, tmp_path: Path) -> None:
    geojson(tmp_path / "a.geojson", coordinates, **about)
    with pytest.raises(ValueError, match=r"a\.geojson") as caught:
        read(tmp_path / "a.geojson")
    assert is_a_sentence(caught.value)


def test_polygons_far_away_draw_nothing(tmp_path: Path) -> None:
    geojson(tmp_path / "a.geojson", [[[1e9, 1e9], [2e9, 1e9], [2e9, 2e9], [1e9, 1e9]]])
    assert read(tmp_path / "a.geojson")[0].mask(0).sum() < (LABELS == 1).sum()


@pytest.mark.parametrize(
    "table", ["id,area (px²)\n" + "9" * 200 + ",1", 'id,area\n1,"' + "x" * 200_000 + '"', 'id\n"1']
)
def test_a_table_that_would_do_harm(table: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table)
    with pytest.raises(ValueError, match=r"a\.csv") as caught:
        read_objects(tmp_path / "a.csv")
    assert is_a_sentence(caught.value) or len(str(caught.value)) < 300_000


def test_an_image_that_says_it_is_huge(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        for code in (256, 257, 278):
            tif.pages[0].tags[code].overwrite(2_000_000)
    with pytest.raises(UnreadableImageError, match=r"a\.tif") as caught:
        read_image(tmp_path / "a.tif")
    assert is_a_sentence(caught.value)


@pytest.mark.parametrize("name", ["npz", "coco", "tiff", "geojson"])
@pytest.mark.parametrize("colors", [["red", "#GGGGGG"], [3, 4]])
def test_colours_that_are_none_become_ours(name: str, colors: Any, tmp_path: Path) -> None:
    path = tmp_path / f"a_clearclip_{FORMATS[name].ending}"
    masks = Masks(MASKS.names, LABELS, image="a.png")
    object.__setattr__(masks, "colors", tuple(colors))
    write(path, [masks], name)
    assert all(color.startswith("#") and len(color) == 7 for color in read(path)[0].colors)
