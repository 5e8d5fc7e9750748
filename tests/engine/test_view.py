"""Any stored image becomes three channels in [0, 1] and a validity mask."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_clearclip.edits import View
from napari_clearclip.engine.view import plane_shape, render, resolve_view

Array = np.ndarray[Any, Any]
ALL = slice(None)
RNG = np.random.default_rng(0)


def shown(image: Array, view: View | None = None) -> tuple[Array, Array]:
    """The whole image as the model sees it, and where it is valid."""
    return render(image, resolve_view(image, view or View()), ALL, ALL)


# ----------------------------------------------------------------------------------------------------------------------
# Types


@pytest.mark.parametrize(
    "dtype",
    ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64", ">u2"],
)
def test_every_real_type_fills_the_range(dtype: str) -> None:
    image = (np.arange(400).reshape(20, 20) % 120).astype(dtype)
    pixels, valid = shown(image)
    assert pixels.shape == (20, 20, 3)
    assert pixels.dtype == np.float32
    assert valid.all()
    assert pixels.min() == 0
    assert pixels.max() == pytest.approx(119 / 255 if dtype == "uint8" else 1)
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("dtype", ["complex64", "U3", "O", "datetime64[s]"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(TypeError, match=r"an image of type .* cannot be shown; convert it to integers or floats"):
        resolve_view(np.zeros((4, 4), dtype), View())


def test_uint8_keeps_its_full_range_and_bool_is_zero_and_one() -> None:
    image = np.array([[0, 51], [102, 255]], np.uint8)
    np.testing.assert_allclose(shown(image)[0][..., 0], [[0, 0.2], [0.4, 1]], rtol=1e-6)
    assert resolve_view(np.zeros((2, 2), bool), View()).limits == ((0.0, 1.0),)


def test_other_types_take_percentiles_of_each_channel() -> None:
    image = RNG.normal(1000, 50, (60, 70, 2)).astype(np.float32)
    image[..., 1] += 5000
    image[0, 0] = 1e9  # one hot pixel does not darken the rest
    limits = resolve_view(image, View(channel_axis=-1)).limits
    for channel, pair in enumerate(limits or ()):
        assert pair == pytest.approx(np.percentile(image[..., channel].astype(float), (0.1, 99.9)))


def test_percentiles_of_a_large_image_come_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.engine.view._SAMPLE", 1000)
    image = RNG.integers(0, 60000, (300, 400)).astype(np.uint16)
    low, high = (resolve_view(image, View()).limits or ())[0]
    assert (low, high) == tuple(np.percentile(image[::10, ::10].astype(float), (0.1, 99.9)))


# ----------------------------------------------------------------------------------------------------------------------
# Awkward values


def test_nan_and_infinity_are_no_data() -> None:
    image = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    image[0, :3] = np.nan, np.inf, -np.inf
    pixels, valid = shown(image)
    assert np.isfinite(pixels).all()
    assert not valid[0, :3].any()
    assert valid.sum() == 97
    assert (pixels[~valid] == 0.5).all()


def test_an_image_without_any_data() -> None:
    pixels, valid = shown(np.full((3, 4), np.nan))
    assert not valid.any()
    assert (pixels == 0.5).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 1e30, 1e-30, 3e38])
def test_a_constant_image_is_finite(value: float) -> None:
    pixels, valid = shown(np.full((5, 5), value, np.float32))
    assert valid.all()
    assert np.isfinite(pixels).all()
    assert len(np.unique(pixels)) == 1


def test_one_pixel() -> None:
    pixels, valid = shown(np.array([[[255, 0, 51]]], np.uint8), View(channel_axis=-1))
    np.testing.assert_allclose(pixels, [[[1, 0, 0.2]]], rtol=1e-6)
    assert valid.tolist() == [[True]]


def test_values_of_extreme_size_do_not_overflow() -> None:
    image = np.array([[-3e38, 0], [1.0, 3e38]], np.float32)
    pixels, _ = shown(image, View(limits=((-3e38, 3e38),)))
    assert np.isfinite(pixels).all()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_images_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"the image is empty: its shape is "):
        resolve_view(np.zeros(shape, np.uint8), View())


# ----------------------------------------------------------------------------------------------------------------------
# Axes and channels


@pytest.mark.parametrize(
    ("shape", "view", "expected"),
    [
        ((6, 7), View(), (6, 7)),
        ((6, 7, 3), View(channel_axis=2), (6, 7)),
        ((6, 7, 3), View(channel_axis=-1), (6, 7)),
        ((3, 6, 7), View(channel_axis=0), (6, 7)),
        ((6, 3, 7), View(channel_axis=1), (6, 7)),
        ((4, 5, 6, 7), View(plane=(3, 4)), (6, 7)),
        ((4, 3, 6, 7), View(plane=(3,), channel_axis=-3), (6, 7)),
    ],
)
def test_plane_shape(shape: tuple[int, ...], view: View, expected: tuple[int, int]) -> None:
    assert plane_shape(np.zeros(shape, np.uint8), view) == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_channel_axis_may_be_anywhere(axis: int) -> None:
    image = RNG.integers(0, 256, (6, 7, 3), np.uint8)
    pixels, _ = shown(np.moveaxis(image, 2, axis), View(channel_axis=axis))
    np.testing.assert_allclose(pixels, image / 255, rtol=1e-6)


def test_a_plane_of_a_stack() -> None:
    stack = RNG.integers(0, 256, (2, 5, 6, 7), np.uint8)
    pixels, _ = shown(stack, View(plane=(1, 4)))
    np.testing.assert_allclose(pixels[..., 0], stack[1, 4] / 255, rtol=1e-6)


def test_a_part_is_that_part_of_the_whole() -> None:
    image = RNG.normal(size=(20, 30, 4))
    view = resolve_view(image, View(channel_axis=-1, channels=(3, 0)))
    whole, _ = render(image, view, ALL, ALL)
    part, _ = render(image, view, slice(5, 9), slice(20, 30))
    assert np.array_equal(part, whole[5:9, 20:30])


def test_channels_become_red_green_and_blue_in_the_order_given() -> None:
    image = RNG.integers(0, 256, (5, 4, 4), np.uint8)
    pixels, _ = shown(image, View(channel_axis=0, channels=(4, 0, 2)))
    np.testing.assert_allclose(pixels, np.moveaxis(image[[4, 0, 2]], 0, -1) / 255, rtol=1e-6)
    two, _ = shown(image, View(channel_axis=0, channels=(1, 3)))
    np.testing.assert_allclose(two[..., 0], image[1] / 255, rtol=1e-6)
    np.testing.assert_allclose(two[..., 1], image[3] / 255, rtol=1e-6)
    assert not two[..., 2].any()


@pytest.mark.parametrize(
    ("channels", "alpha", "expected"),
    [(1, None, (0,)), (2, None, (0, 1)), (5, None, (0, 1, 2)), (4, 3, (0, 1, 2)), (2, 0, (1,))],
)
def test_channels_when_none_are_named(channels: int, alpha: int | None, expected: tuple[int, ...]) -> None:
    image = np.ones((4, 4, channels), np.uint8)
    assert resolve_view(image, View(channel_axis=-1, alpha=alpha)).channels == expected


@pytest.mark.parametrize(
    ("shape", "view", "message"),
    [
        ((4, 4, 3), View(), r"shape \(4, 4, 3\) with plane \(\) and channel_axis None is not \(H, W\); give one index"),
        ((4, 4), View(channel_axis=-1), r"is not \(H, W\) and channels"),
        ((4, 4, 4), View(plane=(1, 1)), r"is not \(H, W\)"),
        ((2, 4, 4), View(plane=(2,)), r"plane \(2,\) lies outside an image of shape \(2, 4, 4\)"),
        (
            (4, 4, 3),
            View(channel_axis=-1, channels=(0, 3)),
            "channel 3 does not exist: the image has 3, ",
        ),
        ((4, 4, 3), View(channel_axis=-1, alpha=3), "channel 3 does not exist: the image has 3"),
        ((4, 4), View(channels=(1,)), "channel 1 does not exist: the image has 1"),
        ((4, 4, 3), View(channel_axis=-1, limits=((0, 1),)), "1 contrast limits for 3 channels; give one pair each"),
    ],
)
def test_views_that_do_not_fit(shape: tuple[int, ...], view: View, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_view(np.zeros(shape, np.uint8), view)


# ----------------------------------------------------------------------------------------------------------------------
# Contrast, gamma, nodata, alpha


def test_limits_and_gamma_by_hand() -> None:
    image = np.array([[0, 10, 15, 20, 99]], np.uint16)
    pixels, _ = shown(image, View(limits=((10, 20),)))
    np.testing.assert_allclose(pixels[0, :, 0], [0, 0, 0.5, 1, 1])
    pixels, _ = shown(image, View(limits=((10, 20),), gamma=2))
    np.testing.assert_allclose(pixels[0, :, 0], [0, 0, 0.25, 1, 1])


def test_nodata_is_where_all_chosen_channels_have_the_value() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 5, 0, 0
    image[0, 1] = 0, 0, 9
    _, valid = shown(image, View(channel_axis=-1, nodata=0))
    assert valid.tolist() == [[True, True], [False, False]]
    _, valid = shown(image, View(channel_axis=-1, nodata=0, channels=(0, 1)))
    assert valid.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize(("dtype", "limits"), [("u1", (0.0, 255.0)), ("?", (0.0, 1.0))])
def test_limits_of_a_small_type_need_no_pixel(dtype: str, limits: tuple[float, float]) -> None:
    unread = SimpleNamespace(shape=(4000, 5000, 3), dtype=np.dtype(dtype))
    assert resolve_view(unread, View(channel_axis=2)).limits == (limits,) * 3


def test_pixels_without_data_do_not_count_for_the_limits() -> None:
    image = np.full((10, 10), -9999, np.int16)
    image[:5] = np.arange(50).reshape(5, 10)
    low, high = (resolve_view(image, View(nodata=-9999)).limits or ())[0]
    assert low >= 0
    assert high <= 49


def test_alpha_zero_is_no_data() -> None:
    image = np.full((2, 3, 4), 200, np.uint8)
    image[0, :, 3] = 0, 1, 255
    pixels, valid = shown(image, View(channel_axis=-1, alpha=3))
    assert valid.tolist() == [[False, True, True], [True, True, True]]
    assert (pixels[0, 0] == 0.5).all()
    np.testing.assert_allclose(pixels[0, 1], 200 / 255, rtol=1e-6)


def test_a_resolved_view_stays_as_it_is() -> None:
    image = RNG.normal(size=(9, 9, 3))
    view = resolve_view(image, View(channel_axis=-1))
    assert view.channels == (0, 1, 2)
    assert resolve_view(image, view) == view


def test_each_channel_has_its_own_gamma() -> None:
    image = np.full((3, 2, 2), 64, np.uint8)
    view = View(channel_axis=0, limits=((0, 128),) * 3, gamma=(1.0, 2.0, 0.5))
    pixels, _ = shown(image, view)
    assert pixels[0, 0].tolist() == pytest.approx([0.5, 0.25, 0.5**0.5])
    assert np.array_equal(shown(image, view.replace(gamma=2.0))[0], shown(image, view.replace(gamma=(2.0,) * 3))[0])


def test_gammas_must_be_as_many_as_channels() -> None:
    with pytest.raises(ValueError, match="2 gammas for 3 channels"):
        resolve_view(np.zeros((3, 4, 4), np.uint8), View(channel_axis=0, gamma=(1.0, 2.0)))
