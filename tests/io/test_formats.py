"""Every format gives back what was written, refuses what it cannot hold, and is read by others."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import ome_types
import pytest
import rasterio
import roifile
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools.coco import COCO
from skimage.draw import polygon2mask

from napari_clearclip.io.formats import FORMATS, read, write
from napari_clearclip.io.masks import Masks, traits_of, without
from napari_clearclip.result import Georeference

UTM = Georeference("EPSG:32618", (300.0, 0.0, 101985.0, 0.0, -300.0, 2826915.0))
NAMES = ("road", "дерево 木", 'quote " <&>')


def masks_of(labels: Any, names: tuple[str, ...] = NAMES, **fields: Any) -> Masks:
    return Masks(names, np.asarray(labels, np.uint8), image="field 1.png", **fields)


def overlapping(**fields: Any) -> Masks:
    one, two = np.zeros((2, 9, 13), bool)
    one[1:6, 2:9], two[3:8, 5:12] = True, True
    return Masks.from_each(("a", "b"), [one, two], image="x.png", **fields)


DISK = np.hypot(*np.mgrid[-8:9, -8:9]) < 7
RING = DISK & (np.hypot(*np.mgrid[-8:9, -8:9]) > 3)
STACK = np.random.default_rng(0).integers(0, 4, (3, 6, 5))
TOUCHING = np.repeat([[0, 1, 2, 3]], 5, axis=0)
LARGE = np.kron(np.random.default_rng(1).integers(0, 4, (16, 16), np.uint8), np.ones((256, 256), np.uint8))

CASES = {
    "empty": masks_of(np.zeros((4, 5))),
    "a pixel": masks_of(np.arange(12).reshape(3, 4) == 5),
    "one by one": masks_of([[2]]),
    "touching": masks_of(TOUCHING),
    "disk": masks_of(DISK),
    "hole": masks_of(2 * RING),
    "overlap": overlapping(),
    "stack": masks_of(STACK),
    "two axes": masks_of(np.stack([STACK, STACK[::-1]])),
    "objects": masks_of(np.kron([[1, 0], [2, 3]], DISK), instances=np.kron([[7, 0], [3, 90]], DISK)),
    "touching objects": masks_of(np.ones((4, 6)), instances=np.repeat([[1, 1, 2, 2, 5, 5]], 4, axis=0)),
    "hundred": masks_of(np.arange(121).reshape(11, 11) % 101, tuple(f"name {at}" for at in range(100))),
    "many": Masks(tuple(map(str, range(300))), np.arange(330, dtype=np.uint16).reshape(11, 30) % 301),
    "large": masks_of(LARGE),
    "crs": masks_of(TOUCHING, georeference=UTM),
    "rotated": masks_of(TOUCHING, georeference=replace(UTM, transform=(0.5, 0.1, 20.0, 0.2, -0.5, 40.0))),
    "degrees": masks_of(TOUCHING, georeference=Georeference("EPSG:4326", (0.1, 0.0, 10.0, 0.0, -0.1, 50.0))),
}
MASKS = [name for name, form in FORMATS.items() if form.content == "masks"]
TARGETS = {name: f"a_clearclip_{form.ending}" for name, form in FORMATS.items()}


def check(found: Masks, wanted: Masks, exact_numbers: bool = True) -> None:
    """Names, masks, objects and place are the same."""
    assert found.names == wanted.names
    for name, one, two in zip(wanted.names, found, wanted, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=name)
    assert found.colors == wanted.colors
    assert found.georeference == wanted.georeference
    if wanted.instances is not None:
        assert found.instances is not None
        if exact_numbers:
            np.testing.assert_array_equal(found.instances, wanted.instances)
        else:  # the same parting under other numbers
            pairs = np.unique(np.stack([found.instances.ravel(), wanted.instances.ravel()]), axis=1)
            assert len(pairs.T) == len(np.unique(wanted.instances)) == len(np.unique(found.instances))


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_or_refused(name: str, case: str, tmp_path: Path) -> None:
    masks, path = CASES[case], tmp_path / TARGETS[name]
    lost = traits_of(masks) - FORMATS[name].holds
    if name == "objects" and masks.instances is None and not lost:
        with pytest.raises(ValueError, match="there are no objects; split the masks first"):
            write(path, [masks], name)
        assert not list(tmp_path.iterdir())
    elif lost:
        with pytest.raises(ValueError, match=rf"cannot hold .*allow it to be left out \(.*{sorted(lost)[0]}"):
            write(path, [masks], name)
        assert not list(tmp_path.iterdir())
    else:
        write(path, [masks], name)
        (found,) = read(path)
        check(found, masks, exact_numbers=name != "yolo")


@pytest.mark.parametrize("name", [name for name in MASKS if name not in ("objects", "yolo")])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_masks_and_names(name: str, data: st.DataObject, tmp_path: Path) -> None:
    text = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=20)
    names = data.draw(st.lists(text, min_size=1, max_size=4, unique=True))
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 20)))
    labels = data.draw(arrays(np.uint8, shape, elements=st.integers(0, len(names))))
    masks = Masks(tuple(names), labels, image="a.png")
    masks = without(masks, traits_of(masks) - FORMATS[name].holds)
    path = tmp_path / TARGETS[name]
    write(path, [masks], name)
    check(read(path)[0], masks)
    if path.is_dir():
        shutil.rmtree(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 2)))
def test_yolo_gives_back_every_pixel_of_any_mask_without_holes(labels: Any, tmp_path: Path) -> None:
    masks = without(masks_of(labels, ("a", "b")), {"holes"})
    write(tmp_path / "yolo", [masks], "yolo")
    check(read(tmp_path / "yolo")[0], masks)


@pytest.mark.parametrize(
    ("trait", "case"), [("overlap", "overlap"), ("holes", "hole"), ("instances", "objects"), ("crs", "crs")]
)
def test_what_cannot_be_held_can_be_given_up(trait: Any, case: str, tmp_path: Path) -> None:
    name = "yolo" if trait in ("holes", "crs") else "png"
    write(tmp_path / TARGETS[name], [CASES[case]], name, give_up=[trait])
    (found,) = read(tmp_path / TARGETS[name])
    assert trait not in traits_of(found)
    for mask, before in zip(found, CASES[case], strict=True):
        if trait == "holes":
            np.testing.assert_array_equal(mask, DISK & before.any())
        elif trait != "overlap":
            np.testing.assert_array_equal(mask, before)
    if trait == "overlap":  # the first name keeps what both have
        one, two = CASES[case]
        np.testing.assert_array_equal(found.labels, np.where(one, 1, 2 * two))


@pytest.mark.parametrize("trait", ["stack", "many"])
def test_what_can_never_be_given_up(trait: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{trait} cannot be given up"):
        write(tmp_path / "a.png", [CASES[trait]], "png", give_up=[trait])


# ----------------------------------------------------------------------------------------------------------------------
# Other programs' eyes


def test_pillow_sees_the_colours_of_an_indexed_png(tmp_path: Path) -> None:
    masks = masks_of(TOUCHING, colors=("#FF0000", "#00FF00", "#0000FF"))
    write(tmp_path / "a.png", [masks], "png")
    seen = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    np.testing.assert_array_equal(seen, table[TOUCHING])


def test_an_indexed_png_of_another_program_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.asarray(TOUCHING, np.uint8)).save(tmp_path / "a.png")
    (found,) = read(tmp_path / "a.png")
    assert found.names == ("1", "2", "3")
    np.testing.assert_array_equal(found.labels, TOUCHING)


@pytest.mark.parametrize("case", ["touching", "disk", "hole", "overlap", "objects", "touching objects", "hundred"])
def test_pycocotools_reads_the_same_masks(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = CASES[case]
    write(tmp_path / "a.json", [masks], "coco")
    coco = COCO(str(tmp_path / "a.json"))
    for at, name in enumerate(masks.names):
        (category,) = coco.getCatIds(catNms=[name]) if name in {c["name"] for c in coco.cats.values()} else (None,)
        found = coco.loadAnns(coco.getAnnIds(catIds=[category]))
        joined = np.zeros(masks.labels.shape, bool)
        for annotation in found:
            mask = coco.annToMask(annotation).astype(bool)
            rows, cols = np.nonzero(mask)
            assert annotation["area"] == mask.sum()
            box = [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
            assert annotation["bbox"] == box
            joined |= mask
        np.testing.assert_array_equal(joined, masks.mask(at))
        if masks.instances is not None:
            assert len(found) == len(np.unique(masks.instances[masks.mask(at)]))


def test_pycocotools_finds_the_iou_that_numpy_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools import mask as rle

    one, two = overlapping()
    write(tmp_path / "a.json", [overlapping()], "coco")
    coco = COCO(str(tmp_path / "a.json"))
    first, second = (coco.annToRLE(annotation) for annotation in coco.loadAnns(coco.getAnnIds()))
    iou = rle.iou([first], [second], [0])
    assert iou[0, 0] == pytest.approx((one & two).sum() / (one | two).sum())


def test_several_images_share_a_coco_file(tmp_path: Path) -> None:
    one = masks_of(TOUCHING, ("a", "b", "c"))
    two = replace(masks_of(DISK + 0, ("c", "d")), image="other.png")
    write(tmp_path / "a.json", [one, two], "coco")
    found = read(tmp_path / "a.json")
    assert [item.image for item in found] == ["field 1.png", "other.png"]
    assert found[1].names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(found[0].mask(2), TOUCHING == 3)
    np.testing.assert_array_equal(found[1].mask(2), DISK)


def test_coco_polygons_hold_holes(tmp_path: Path) -> None:
    from napari_clearclip.io.coco import write_coco

    write_coco(tmp_path / "a.json", [CASES["hole"]], polygons=True)
    (annotation,) = json.loads((tmp_path / "a.json").read_text("utf-8"))["annotations"]
    (polygon,) = annotation["polygons"]
    drawn = np.zeros(DISK.shape, bool)
    for sign, ring in [(True, polygon["exterior"]), *((False, hole) for hole in polygon["holes"])]:
        corners = np.array(ring).reshape(-1, 2)[:, ::-1] - 0.5  # pixel centres are whole numbers there
        drawn[polygon2mask(DISK.shape, corners)] = sign
    np.testing.assert_array_equal(drawn, RING)
    assert len(polygon["holes"]) == 1


def test_scores_are_the_mean_over_each_annotation(tmp_path: Path) -> None:
    scores = np.array([[[0.25, 0.75]]], np.float32)  # left and right half
    masks = masks_of([[1, 1, 1, 0]], ("a",), scores=scores)
    write(tmp_path / "a.json", [masks], "coco")
    (annotation,) = json.loads((tmp_path / "a.json").read_text("utf-8"))["annotations"]
    assert annotation["score"] == pytest.approx((0.25 + 0.25 + 0.75) / 3, abs=1e-6)


def test_ultralytics_draws_the_same_pixels(tmp_path: Path) -> None:
    write(tmp_path / "yolo", [CASES["disk"]], "yolo")
    (line,) = (tmp_path / "yolo/labels/field 1.txt").read_text().splitlines()
    number, *shares = line.split()
    height, width = DISK.shape
    points = (np.array(shares, float).reshape(-1, 2) * (width, height)).astype(np.int32)
    drawn = np.zeros(DISK.shape, np.uint8)
    cv2.fillPoly(drawn, [points], 1)
    assert number == "0"
    np.testing.assert_array_equal(drawn, DISK)


@pytest.mark.parametrize("case", ["disk", "hole", "objects", "overlap"])
def test_roifile_reads_the_outlines(case: str, tmp_path: Path) -> None:
    masks = CASES[case]
    write(tmp_path / "a.zip", [masks], "imagej")
    drawn: dict[str, Any] = {}
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for file in archive.namelist():
            if file.endswith(".roi"):
                roi = roifile.ImagejRoi.frombytes(archive.read(file))
                name = roi.name if masks.instances is None else roi.name.rpartition("-")[0]
                mask = drawn.setdefault(name, np.zeros(masks.labels.shape, bool))
                for ring in roi.coordinates(multi=True):
                    mask ^= polygon2mask(mask.shape, np.asarray(ring)[:, ::-1] - 0.5)
    for at, name in enumerate(masks.names):
        np.testing.assert_array_equal(drawn.get(name, np.zeros(masks.labels.shape, bool)), masks.mask(at))


@pytest.mark.parametrize("case", ["touching", "stack", "objects", "large"])
def test_zarr_finds_values_names_and_colours(case: str, tmp_path: Path) -> None:
    masks = replace(CASES[case], spacing=(2.0, 0.5, 0.25)[-CASES[case].labels.ndim :], unit="um")
    write(tmp_path / "a.zarr", [masks], "ome-zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    (scales,) = group.attrs["ome"]["multiscales"]
    assert [axis.get("unit") for axis in scales["axes"]] == ["micrometer"] * masks.labels.ndim
    levels = [group[item["path"]] for item in scales["datasets"]]
    assert [level.shape[-1] for level in levels] == (
        [4096, 2048, 1024] if case == "large" else [masks.labels.shape[-1]]
    )
    assert scales["datasets"][-1]["coordinateTransformations"][0]["scale"][-1] == 0.25 * 2 ** (len(levels) - 1)
    data = levels[0][:]
    label = group.attrs["ome"]["image-label"]
    colors = {item["label-value"]: bytes(item["rgba"][:3]).hex() for item in label["colors"]}
    for item in label["properties"]:
        mask = masks.mask(masks.names.index(item["prompt"]))
        assert mask[data == item["label-value"]].all()
        assert f"#{colors[item['label-value']]}" == masks.colors[masks.names.index(item["prompt"])].lower()
    np.testing.assert_array_equal(data > 0, masks.labels > 0)


def test_an_earlier_folder_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.zarr", [CASES["touching"]], "ome-zarr")
    monkeypatch.setattr("napari_clearclip.io.omezarr._pyramid", lambda data: [data, None])
    with pytest.raises(AttributeError):
        write(tmp_path / "a.zarr", [CASES["disk"]], "ome-zarr")
    check(read(tmp_path / "a.zarr")[0], CASES["touching"])
    monkeypatch.undo()
    write(tmp_path / "a.zarr", [CASES["disk"]], "ome-zarr")
    check(read(tmp_path / "a.zarr")[0], CASES["disk"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_an_object_in_two_parts_is_no_line(tmp_path: Path) -> None:
    masks = masks_of([[1, 0, 1]], ("a",), instances=np.array([[4, 0, 4]]))
    with pytest.raises(ValueError, match="object 4 of 'a' has 2 parts; YOLO holds one polygon a line: split it first"):
        write(tmp_path / "yolo", [masks], "yolo")
    assert not list(tmp_path.iterdir())


def test_ome_types_reads_names_sizes_and_units(tmp_path: Path) -> None:
    masks = masks_of(STACK, spacing=(2.0, 0.5, 0.25), unit="um", colors=("#FF0000", "#00FF00", "#0000FF"))
    write(tmp_path / "a.ome.tif", [masks], "ome-tiff")
    pixels = ome_types.from_tiff(tmp_path / "a.ome.tif").images[0].pixels
    assert [channel.name for channel in pixels.channels] == list(NAMES)
    assert (pixels.physical_size_z, pixels.physical_size_y, pixels.physical_size_x) == (2.0, 0.5, 0.25)
    assert pixels.physical_size_x_unit.value == "µm"
    assert [channel.color.as_hex(format="long")[:7].upper() for channel in pixels.channels] == list(masks.colors)
    (found,) = read(tmp_path / "a.ome.tif")
    assert (found.spacing, found.unit, found.colors) == ((2.0, 0.5, 0.25), "µm", masks.colors)


@pytest.mark.parametrize("case", ["crs", "rotated", "degrees"])
def test_rasterio_finds_the_labels_where_the_image_lies(case: str, tmp_path: Path) -> None:
    masks = CASES[case]
    write(tmp_path / "a.tif", [masks], "tiff")
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert f"EPSG:{raster.crs.to_epsg()}" == masks.georeference.crs
        assert tuple(raster.transform)[:6] == pytest.approx(masks.georeference.transform)
        assert raster.nodata == 0
        np.testing.assert_array_equal(raster.read(1), TOUCHING)


def test_a_coordinate_system_without_a_code_is_refused(tmp_path: Path) -> None:
    system = "+proj=laea +lat_0=12.5 +lon_0=3.5 +ellps=WGS84"
    masks = masks_of(TOUCHING, georeference=Georeference(system, UTM.transform))
    with pytest.raises(ValueError, match="has no EPSG code, so that a GeoTIFF cannot name it"):
        write(tmp_path / "a.tif", [masks], "tiff")
    assert not list(tmp_path.iterdir())


def test_two_images_of_one_name_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two of the images have the same name, field 1; rename one"):
        write(tmp_path / "yolo", [CASES["disk"], CASES["touching"]], "yolo")
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------------------------
# Damaged and hostile files


@pytest.mark.parametrize("name", [name for name in MASKS if name not in ("masks", "yolo", "ome-zarr")])
@pytest.mark.parametrize("keep", [0, 20, 0.5, 0.9])
def test_a_truncated_file_is_refused(name: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / TARGETS[name]
    write(path, [CASES["touching objects"] if name == "objects" else masks_of(LARGE[::16, ::16])], name)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])
    with pytest.raises(ValueError, match=r"a_clearclip_.*: |is not JSON|lacks"):
        read(path)


def coco_with(**changes: Any) -> str:
    image = {"id": 1, "file_name": "a.png", "width": 4, "height": 4} | changes.pop("image", {})
    annotation = {"image_id": 1, "category_id": 1, "segmentation": {"size": [4, 4], "counts": [16]}}
    annotation |= changes.pop("annotation", {})
    category = {"id": 1, "name": "a"}
    return json.dumps({"images": [image], "annotations": [annotation], "categories": [category], **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "lacks what its form asks for"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (coco_with(image={"width": 10**9, "height": 10**9}), "is too large"),
        (coco_with(image={"width": 0}), "is empty"),
        (coco_with(image={"stack": [10**6, 10**6]}), "is too large"),
        (coco_with(annotation={"segmentation": {"size": [4, 4], "counts": [17]}}), "cover 17 of 16 pixels"),
        (coco_with(annotation={"segmentation": {"size": [9, 9], "counts": [81]}}), "a mask has size"),
        (coco_with(annotation={"segmentation": {"size": [4, 4], "counts": "~~~~~~~~~~~~~~~~"}}), "cannot be used"),
        (coco_with(annotation={"category_id": 9}), "lacks what its form asks for"),
    ],
)
def test_a_hostile_coco_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.json")


def test_an_archive_with_pickles_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", about=np.array([print], object))
    with pytest.raises(ValueError, match="cannot be read as masks: .*allow_pickle"):
        read(tmp_path / "a.npz")


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.npz", [CASES["large"]], "npz")
    monkeypatch.setattr("napari_clearclip.io.npz._MOST_BYTES", 1_000_000)
    with pytest.raises(ValueError, match="it would unpack to 16,"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("about", "text", "message"),
    [
        ("names: [", "", "is not YAML"),
        ("!!python/object/apply:os.system [ls]", "", "is not YAML"),
        ("names: {0: a}", "", "lacks names or sizes"),
        ("names: {0: a}\nannotated: [{file_name: ../../x.png, size: [4, 4], objects: false}]", "", "does not exist"),
        ("names: {0: a}\nannotated: [{file_name: a.png, size: [4, 4], objects: false}]", "0 .1 .2 .3", "line 1 of"),
        ("names: {0: a}\nannotated: [{file_name: a.png, size: [4, 4], objects: false}]", "7 0 0 1 1 1 0", "line 1 of"),
        ("names: {0: a}\nannotated: [{file_name: a.png, size: [4, 4], objects: false}]", "0 0 0 9 9 1 0", "outside"),
        ("names: {0: a}\nannotated: [{file_name: a.png, size: [99999999, 4444]}]", "", "too large"),
    ],
)
def test_a_hostile_yolo_folder_is_refused(about: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text(about)
    (tmp_path / "labels/a.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_what_is_no_format_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_text("a")
    with pytest.raises(ValueError, match="is no format that holds masks; known are"):
        read(tmp_path / "a.doc")
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "none.png")
    with pytest.raises(ValueError, match="the folder .* holds no PNG"):
        read(tmp_path)
    with pytest.raises(ValueError, match="'gif' is not known; there are tiff, "):
        write(tmp_path / "a", [CASES["disk"]], "gif")
    with pytest.raises(ValueError, match="takes one image a file; write each"):
        write(tmp_path / "a", [CASES["disk"]] * 2, "png")
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is no indexed PNG: its mode is RGB"):
        read(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="it says no names of masks"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("name", FORMATS)
def test_where_nothing_can_be_written_the_old_file_stays(name: str, tmp_path: Path) -> None:
    case = "touching objects" if name == "objects" else "disk"
    path = tmp_path / "file"
    path.write_text("a file, where the folder should be")
    masks = replace(CASES[case], scores=np.zeros((3, 1, 1), np.float32))
    with pytest.raises(OSError, match="file"):
        write(path / TARGETS[name], [masks], name)
    assert path.read_text() == "a file, where the folder should be"
