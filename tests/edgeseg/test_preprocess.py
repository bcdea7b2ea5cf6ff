"""One resize, one normalisation, exact in INT8 and reversible in geometry."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.errors import DataError
from edgeseg.preprocess import Fit, normalise_float, normalise_int8, to_input, upscale_logits

INPUT_HW = (352, 480)


def test_every_pixel_value_is_quantised_exactly() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(normalise_int8(pixels).astype(np.float32) / 128, normalise_float(pixels))
    assert normalise_float(pixels)[[0, 128, 255]].tolist() == [-1.0, 0.0, 127 / 128]


def test_int8_can_be_written_in_place() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    buffer = np.zeros((1, 4, 4, 3), np.int8)
    normalise_int8(pixels, out=buffer[0])
    assert np.array_equal(buffer[0], normalise_int8(pixels))


def test_bgr_becomes_rgb() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    image[:] = (10, 20, 30)
    rgb = to_input(image, INPUT_HW)
    assert rgb.shape == (*INPUT_HW, 3)
    assert np.array_equal(np.unique(rgb.reshape(-1, 3), axis=0), [[30, 20, 10]])


def test_a_picture_of_the_right_size_is_not_resampled() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*INPUT_HW, 3), np.uint8)
    for mode in ("stretch", "letterbox"):
        assert np.array_equal(to_input(image, INPUT_HW, mode), image[..., ::-1])


def test_the_input_is_left_alone_and_read_only_pictures_are_taken() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    image.flags.writeable = False
    out = np.empty((*INPUT_HW, 3), np.uint8)
    assert to_input(image, INPUT_HW, out=out) is out
    assert np.array_equal(out, to_input(image, INPUT_HW))


def test_a_letterbox_keeps_the_aspect_and_fills_with_the_grey_that_is_zero() -> None:
    image = np.full((720, 1280, 3), 255, np.uint8)
    rgb = to_input(image, INPUT_HW, "letterbox")
    fit = Fit.plan((720, 1280), INPUT_HW, "letterbox")
    assert fit.width == 480
    assert fit.height == pytest.approx(480 * 720 / 1280, abs=2)
    inside = np.zeros(INPUT_HW, bool)
    inside[fit.top : fit.top + fit.height, fit.left : fit.left + fit.width] = True
    assert (rgb[inside] == 255).all()
    assert not normalise_float(rgb[~inside]).any()


sides = st.integers(1, 3000)


@given(sides, sides, st.sampled_from([(352, 480), (192, 320), (64, 64)]), st.sampled_from([4, 8, 16]))
def test_a_letterbox_always_lies_inside_the_input_on_cells(
    height: int, width: int, input_hw: tuple[int, int], stride: int
) -> None:
    fit = Fit.plan((height, width), input_hw, "letterbox", stride)
    for start, length, limit in ((fit.top, fit.height, input_hw[0]), (fit.left, fit.width, input_hw[1])):
        assert length > 0
        assert start >= 0
        assert start + length <= limit
        assert start % stride == 0
        assert length % stride == 0
    scores = np.zeros((input_hw[0] // stride, input_hw[1] // stride, 4), np.float32)
    assert fit.crop(scores).shape == (fit.height // stride, fit.width // stride, 4)


@settings(max_examples=25)
@given(st.integers(40, 400), st.integers(40, 400), st.sampled_from(["stretch", "letterbox"]))
def test_a_mark_comes_back_to_where_it_was(height: int, width: int, mode: str) -> None:
    """Down to scores and up again: what is at a relative place in the picture is at that place in the result."""
    y, x = height // 3, 2 * width // 3
    image = np.zeros((height, width, 3), np.uint8)
    reach = max(height, width) // 10
    cv2.circle(image, (x, y), reach, (255, 255, 255), -1)
    rgb = to_input(image, INPUT_HW, mode)
    fit = Fit.plan((height, width), INPUT_HW, mode)
    scores = cv2.resize(normalise_float(rgb), (120, 88), interpolation=cv2.INTER_AREA)
    full = upscale_logits(scores, fit)
    assert full.shape == (height, width, 3)
    found = np.argwhere(full[..., 0] > 0).mean(axis=0)
    assert found == pytest.approx(np.argwhere(image[..., 0]).mean(axis=0), abs=1 + max(height, width) / 100)


def test_scores_can_be_brought_to_another_size_and_keep_any_number_of_classes() -> None:
    scores = np.random.default_rng(0).normal(size=(88, 120, 7)).astype(np.float32)
    fit = Fit.plan((720, 1280), INPUT_HW)
    assert upscale_logits(scores, fit, (176, 240)).shape == (176, 240, 7)
    assert upscale_logits(scores[..., :1], fit).shape == (720, 1280, 1)
    np.testing.assert_allclose(upscale_logits(scores, fit, (88, 120)), scores)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2160, 3840)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_extreme_sizes_pass(size: tuple[int, int], mode: str) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    rgb = to_input(image, INPUT_HW, mode)
    fit = Fit.plan(size, INPUT_HW, mode)
    assert (fit.crop(rgb) == 200).all()


def test_wrong_pictures_and_modes_are_refused() -> None:
    with pytest.raises(DataError, match="uint8 BGR"):
        to_input(np.zeros((4, 4, 4), np.uint8), INPUT_HW)
    with pytest.raises(DataError, match="unknown fit 'crop'"):
        Fit.plan((4, 4), INPUT_HW, "crop")  # type: ignore[arg-type]
