"""Every form of image is read as stored, with the axes that its file declares."""

from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_clearclip.edits import View
from napari_clearclip.io.images import UnreadableImageError, read_image
from napari_clearclip.result import Georeference

RNG = np.random.default_rng(0)


def random(shape, dtype=np.uint8):
    return RNG.integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64, np.bool_])
def test_tiff_of_any_type(tmp_path, dtype):
    image = RNG.integers(0, 2, (6, 9)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    picture = read_image(tmp_path / "a.tif")
    assert (picture.name, picture.view.look, picture.planes) == ("a", View(), ((),))
    assert picture.data.dtype == dtype
    np.testing.assert_array_equal(picture.data, image)


# what is written, how, the shape of the data then, the place of the channels, and the stack
TIFFS = {
    "rgb": ((6, 9, 3), {"photometric": "rgb"}, (6, 9, 3), 2, ()),
    "rgb planes": ((3, 6, 9), {"photometric": "rgb", "planarconfig": "separate"}, (3, 6, 9), 0, ()),
    "five bands": ((6, 9, 5), {"photometric": "minisblack", "planarconfig": "contig"}, (6, 9, 5), 2, ()),
    "stack": ((4, 6, 9), {"photometric": "minisblack"}, (4, 6, 9), None, (4,)),
    "stack of stacks": ((2, 4, 6, 9), {"photometric": "minisblack"}, (2, 4, 6, 9), None, (2, 4)),
    "stack of rgb": ((4, 6, 9, 3), {"photometric": "rgb"}, (4, 6, 9, 3), 2, (4,)),
    "imagej channels": ((2, 6, 9), {"imagej": True, "metadata": {"axes": "CYX"}}, (2, 6, 9), 0, ()),
    "imagej all": ((5, 4, 2, 6, 9), {"imagej": True, "metadata": {"axes": "TZCYX"}}, (5, 4, 2, 6, 9), 0, (5, 4)),
    "imagej one channel": ((4, 1, 6, 9), {"imagej": True, "metadata": {"axes": "ZCYX"}}, (4, 6, 9), None, (4,)),
    "ome channels first": ((2, 4, 6, 9), {"ome": True, "metadata": {"axes": "CZYX"}}, (4, 2, 6, 9), 0, (4,)),
    "3 planes are no channels": ((3, 6, 9), {"photometric": "minisblack"}, (3, 6, 9), None, (3,)),
}


@pytest.mark.parametrize("case", TIFFS.values(), ids=TIFFS.keys())
def test_tiff_of_any_axes(tmp_path, case):
    shape, options, expected, axis, stack = case
    image = random(shape)
    path = tmp_path / ("a.ome.tif" if options.get("ome") else "a.tif")
    tifffile.imwrite(path, image, **options)
    picture = read_image(path)
    assert picture.name == "a"
    assert picture.data.shape == expected
    assert picture.view.look == View(channel_axis=axis)
    assert picture.stack == stack
    assert len(picture.planes) == np.prod(stack, initial=1)
    assert sorted(picture.data.ravel()) == sorted(image.ravel())
    if shape == expected:
        np.testing.assert_array_equal(picture.data, image)


@pytest.mark.parametrize(
    ("axes", "order", "axis"),
    [("XYZ", (2, 1, 0), None), ("YXZ", (2, 0, 1), None), ("XYC", (1, 0, 2), 2), ("CXY", (2, 1, 0), 2)],
)
def test_declared_axes_in_any_order(tmp_path, axes, order, axis):
    image = random((6, 9, 4))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata={"axes": axes})
    picture = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.data, image.transpose(order))
    assert picture.view.look == View(channel_axis=axis)


def test_channels_before_a_stack_follow_it(tmp_path):
    image = random((2, 4, 6, 9))
    tifffile.imwrite(tmp_path / "a.ome.tif", image, ome=True, metadata={"axes": "CZYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").data, image.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("extras", "alpha"),
    [(("unassalpha",), 3), (("assocalpha",), 3), (("unspecified",), None), (("unspecified", "unassalpha"), 4)],
)
def test_a_fourth_band_is_alpha_only_if_the_file_says_so(tmp_path, extras, alpha):
    image = random((6, 9, 3 + len(extras)))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=extras)
    assert read_image(tmp_path / "a.tif").view.look == View(channel_axis=2, alpha=alpha)


def test_gdal_names_colours(tmp_path):
    items = "".join(
        f'<Item name="COLORINTERP" sample="{band}" role="colorinterp">{name}</Item>'
        for band, name in enumerate(["Blue", "Green", "Red", "NIR"])
    )
    tag = (42112, "s", 0, f"<GDALMetadata>{items}</GDALMetadata>", True)
    tifffile.imwrite(
        tmp_path / "a.tif", random((6, 9, 4)), photometric="minisblack", planarconfig="contig", extratags=[tag]
    )
    assert read_image(tmp_path / "a.tif").view.look == View(channel_axis=2, channels=(2, 1, 0))


@pytest.mark.parametrize(
    ("text", "nodata"), [("0", 0.0), ("-9999", -9999.0), ("nan", None), ("", None), ("none", None)]
)
def test_nodata(tmp_path, text, nodata):
    tifffile.imwrite(tmp_path / "a.tif", random((6, 9), np.float32), extratags=[(42113, "s", 0, text, True)])
    assert read_image(tmp_path / "a.tif").view.nodata == nodata


def test_palette_becomes_colours(tmp_path):
    colormap = RNG.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    image = random((6, 9))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="palette", colormap=colormap)
    picture = read_image(tmp_path / "a.tif")
    assert picture.view.look == View(channel_axis=2)
    np.testing.assert_array_equal(picture.data[2, 3], colormap[:, image[2, 3]] // 257)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg"])
def test_compression_that_needs_another_decoder(tmp_path, compression):
    from PIL import Image

    image = np.zeros((16, 16, 3), np.uint8) + np.arange(16, dtype=np.uint8)[:, None, None]
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
    picture = read_image(tmp_path / "a.tif")
    assert picture.view.look == View(channel_axis=2)
    np.testing.assert_allclose(picture.data, image, atol=4 if compression == "jpeg" else 0)


def test_compression_that_nothing_here_decodes_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", random((16, 16)), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["Compression"].overwrite(34712)
    with pytest.raises(
        UnreadableImageError, match=r"JPEG2000\) needs the package imagecodecs: pip install imagecodecs"
    ):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("shape", "name", "view"),
    [
        ((6, 9), "a.png", View()),
        ((6, 9, 3), "a.png", View(channel_axis=2)),
        ((6, 9, 4), "a.png", View(channel_axis=2, alpha=3)),
        ((6, 9, 2), "a.png", View(channel_axis=2, alpha=1)),
        ((6, 9, 3), "a.bmp", View(channel_axis=2)),
    ],
)
def test_drawings_come_back(tmp_path, shape, name, view):
    image = random(shape)
    imageio.imwrite(tmp_path / name, image)
    picture = read_image(tmp_path / name)
    np.testing.assert_array_equal(picture.data, image)
    assert (picture.view.look, picture.stack) == (view, ())


def test_16_bit_png(tmp_path):
    image = random((6, 9), np.uint16) * 300
    imageio.imwrite(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, image)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(tmp_path, mode):
    from PIL import Image

    Image.new(mode, (40, 30)).save(tmp_path / "a.JPG", format="JPEG")
    picture = read_image(tmp_path / "a.JPG")
    assert picture.data.shape == ((30, 40) if mode == "L" else (30, 40, 3))
    assert picture.view.alpha is None


def test_frames_are_a_stack(tmp_path):
    imageio.imwrite(tmp_path / "a.gif", [np.full((6, 9, 3), value, np.uint8) for value in (0, 120, 255)])
    picture = read_image(tmp_path / "a.gif")
    assert picture.stack == (3,)


@pytest.mark.parametrize(
    ("shape", "axis", "stack"),
    [
        ((6, 9), None, ()),
        ((6, 9, 3), 2, ()),
        ((6, 9, 4), 2, ()),
        ((3, 6, 9), 0, ()),
        ((5, 6, 9), None, (5,)),
        ((2, 4, 6, 9), 0, (2,)),
        ((2, 5, 6, 9), None, (2, 5)),
    ],
)
def test_arrays(tmp_path, shape, axis, stack):
    image = random(shape, np.float32)
    np.save(tmp_path / "a.npy", image)
    picture = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(picture.data, image)
    assert (picture.view.look, picture.stack) == (View(channel_axis=axis), stack)


def test_the_content_counts_not_the_ending(tmp_path):
    imageio.imwrite(tmp_path / "a.png", random((6, 9)))
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").data.shape == (6, 9)


def _missing(path):
    pass


def _empty(path):
    path.touch()


def _text(path):
    path.write_text("no image at all")


def _cut_png(path):
    imageio.imwrite(path, random((60, 90)), extension=".png")
    path.write_bytes(path.read_bytes()[:200])


def _cut_tiff(path):
    tifffile.imwrite(path, random((60, 90)), compression="zlib")
    path.write_bytes(path.read_bytes()[:-1000])


def _tiff_without_pages(path):
    path.write_bytes(b"II*\0\0\0\0\0")


def _no_pixels(path):
    np.save(path.open("wb"), np.zeros((0, 5)))


def _a_list(path):
    np.save(path.open("wb"), np.zeros(5))


def _pickle(path):
    np.save(path.open("wb"), np.array([{}]), allow_pickle=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, "does not exist"),
        (_empty, r"is empty \(0 bytes\)"),
        (_text, "cannot be read as an image: its content is of no known format; save it as TIFF or PNG"),
        (_cut_png, "cannot be read as an image: "),
        (_cut_tiff, "cannot be read as an image: "),
        (_tiff_without_pages, "cannot be read as an image: "),
        (_no_pixels, r"holds no pixels: its shape is \(0, 5\)"),
        (_a_list, r"an array of shape \(5,\) is no image"),
        (_pickle, "cannot be read as an image: "),
        (lambda path: path.mkdir(), "is a folder; give the image files in it"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(tmp_path, make, message):
    path = tmp_path / "a.dat"
    make(path)
    with pytest.raises(UnreadableImageError, match=rf"a\.dat .*{message}") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def _geotiff(path, *tags, keys=(3072, 0, 1, 32632), raster=1):
    directory = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, raster, *keys)
    tifffile.imwrite(path, random((4, 5)), extratags=[(34735, "H", len(directory), directory, True), *tags])
    return read_image(path)


SCALE, TIE = (33550, "d", 3, (2.0, 3.0, 0.0), True), (33922, "d", 6, (1.0, 2.0, 0.0, 100.0, 200.0, 0.0), True)
MATRIX = (34264, "d", 16, (2.0, 0.5, 0.0, 100.0, 0.25, -3.0, 0.0, 200.0, *([0.0] * 7), 1.0), True)


def test_transform_from_scale_and_tie_point(tmp_path):
    expected = Georeference("EPSG:32632", (2, 0, 98, 0, -3, 206))
    assert _geotiff(tmp_path / "a.tif", SCALE, TIE).georeference == expected


def test_transform_of_pixel_centres_is_moved_to_corners(tmp_path):
    expected = Georeference("EPSG:32632", (2, 0, 97, 0, -3, 207.5))
    assert _geotiff(tmp_path / "a.tif", SCALE, TIE, raster=2).georeference == expected


def test_transform_with_rotation(tmp_path):
    expected = Georeference("EPSG:4326", (2, 0.5, 100, 0.25, -3, 200))
    assert _geotiff(tmp_path / "a.tif", MATRIX, keys=(2048, 0, 1, 4326)).georeference == expected


def test_a_system_without_a_code_keeps_its_tags(tmp_path):
    picture = _geotiff(tmp_path / "a.tif", SCALE, TIE, keys=(3072, 0, 1, 32767))
    assert picture.georeference is None
    assert [tag[0] for tag in picture.placement.tags] == [33550, 33922, 34735]


def test_imagej_spacing_is_kept(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        random((4, 6, 9)),
        imagej=True,
        resolution=(2.5, 2.5),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 0.3},
    )
    placement = read_image(tmp_path / "a.tif").placement
    assert placement.spacing == {"unit": "um", "spacing": 0.3}
    assert placement.resolution == pytest.approx((2.5, 2.5))
    assert placement.axes == "Z"


def test_real_files(test_data):
    rgb = read_image(test_data / "geo/RGB.byte.tif")
    assert (rgb.data.shape, rgb.view.look) == ((718, 791, 3), View(channel_axis=2, nodata=0))
    assert rgb.view.bands == ("red", "green", "blue")
    assert rgb.georeference.crs == "EPSG:32618"
    bands = read_image(test_data / "geo/RGBA.uint16.tif")
    assert (bands.data.shape, bands.view.look) == ((411, 634, 4), View(channel_axis=2, channels=(2, 1, 0), alpha=3))
    assert bands.view.bands == ("blue", "green", "red", "alpha")
    assert len(read_image(test_data / "microscopy/nuclei_3d.tif").planes) == 31


# ----------------------------------------------------------------------------------------------------------------------
# Names of bands


def _gdal(*items):
    lines = "".join(f'<Item name="X" sample="{band}" role="{role}">{text}</Item>' for band, role, text in items)
    return (42112, "s", 0, f"<GDALMetadata>{lines}</GDALMetadata>", True)


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ((), ()),
        (((0, "description", "B4 &amp; Red"), (3, "description", "NIR")), ("B4 & Red", "", "", "NIR")),
        (((0, "colorinterp", "Blue"), (2, "colorinterp", "Red"), (1, "colorinterp", "Gray")), ("blue", "", "red", "")),
        (((0, "colorinterp", "Red"), (0, "description", "B04")), ("B04", "", "", "")),
        (((7, "description", "beyond"),), ()),
    ],
)
def test_bands_are_called_as_gdal_says(tmp_path, items, names):
    data = np.zeros((8, 9, 4), np.uint16)
    tags = [_gdal(*items)] if items else []
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig", extratags=tags, metadata=None
    )
    assert read_image(tmp_path / "a.tif").view.bands == names


def test_channels_are_called_as_ome_says(tmp_path):
    data = np.zeros((2, 3, 8, 9), np.uint16)
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP & more", "Cy5"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=metadata)
    picture = read_image(tmp_path / "a.ome.tif")
    assert picture.view.bands == ("DAPI", "GFP & more", "Cy5")
    assert picture.data.shape[picture.view.channel_axis - 3] == 3


def test_colours_are_called_by_their_names(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    imageio.imwrite(tmp_path / "a.png", np.zeros((8, 9, 4), np.uint8))
    imageio.imwrite(tmp_path / "grey.png", np.zeros((8, 9), np.uint8))
    assert read_image(tmp_path / "a.tif").view.bands == ("red", "green", "blue")
    assert read_image(tmp_path / "a.png").view.bands == ("red", "green", "blue", "alpha")
    assert read_image(tmp_path / "grey.png").view.bands == ()
