"""The signs of a picture: edges are as wide as they were made, whatever the contrast, and shares are shares."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.truth.signs import SIDE, read_signs, shrink


def draw_blocks(size_wh: tuple[int, int], low: int, high: int, sigma_px: float) -> NDArray[np.uint8]:
    """A picture of upright bars, two grey levels high, blurred."""
    width, height = size_wh
    columns = np.where(np.arange(width) * 8 // width % 2, high, low).astype(np.float32)
    if sigma_px:
        columns = cv2.GaussianBlur(columns[None], (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)[0]
    grey = np.repeat(columns.round().astype(np.uint8)[None], height, axis=0)
    return cv2.merge((grey, grey, grey))  # type: ignore[return-value]


@settings(max_examples=30)
@given(
    st.sampled_from([(640, 360), (640, 480), (360, 640), (320, 240)]),
    st.integers(0, 100),
    st.integers(60, 150),
    st.floats(0.3, 0.9),
)
def test_an_edge_is_as_wide_as_its_blur_whatever_its_height(
    size_wh: tuple[int, int], low: int, contrast: int, percent: float
) -> None:
    picture = draw_blocks(size_wh, low, low + contrast, percent / 100 * max(size_wh))
    signs = read_signs(shrink(picture))
    # Grey levels are whole numbers, and a window of 4 % of the picture cuts the feet off the widest edges.
    assert signs.width == pytest.approx(percent, rel=0.25)
    assert 0 < signs.edges < 1


def test_a_sharp_edge_reads_sharp_and_a_wider_blur_reads_wider() -> None:
    widths = [
        read_signs(shrink(draw_blocks((1280, 720), 40, 160, percent / 100 * 1280))).width
        for percent in (0, 0.2, 0.4, 0.6, 0.8, 1.2)
    ]
    assert widths == sorted(widths)
    assert widths[0] < 0.15


def test_only_sharp_edges_count_as_sharp() -> None:
    sharp, soft = draw_blocks((1280, 720), 40, 160, 0), draw_blocks((1280, 720), 40, 160, 0.5 / 100 * 1280)
    assert read_signs(shrink(sharp)).sharp == pytest.approx(read_signs(shrink(sharp)).edges, rel=0.2)
    assert read_signs(shrink(soft)).sharp == 0
    half = sharp.copy()
    half[:, 640:] = soft[:, 640:]
    assert read_signs(shrink(half)).sharp == pytest.approx(read_signs(shrink(sharp)).sharp / 2, rel=0.2)


def test_noise_makes_no_picture_look_blurred() -> None:
    generator = np.random.default_rng(0)
    blurred = draw_blocks((1280, 720), 60, 160, 8)
    widths = []
    for sigma in (0, 2, 5, 10, 20):
        noisy = np.clip(blurred + generator.normal(0, sigma, blurred.shape), 0, 255).astype(np.uint8)
        widths.append(read_signs(shrink(noisy)).width)
    assert max(widths) == widths[0]


def test_soft_shades_are_no_detail_and_texture_is() -> None:
    y, x = np.mgrid[0:720, 0:1280].astype(np.float32)
    shades = 128 + 80 * np.sin(x / 260) * np.cos(y / 200)
    soft = cv2.merge([shades.astype(np.uint8)] * 3)
    texture = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    rough = cv2.resize(texture, (1280, 720), interpolation=cv2.INTER_NEAREST)
    # Whole grey levels leave a bend here and there.
    assert read_signs(shrink(soft)).detail < 0.02
    assert read_signs(shrink(rough)).detail > 0.99
    half = soft.copy()
    half[:, :640] = rough[:, :640]
    assert read_signs(shrink(half)).detail == pytest.approx(0.5, abs=0.04)


def test_what_is_blown_out_and_what_is_dark() -> None:
    picture = np.full((720, 1280, 3), 10, np.uint8)
    assert read_signs(shrink(picture)).bright == pytest.approx(10)
    picture[:180] = 250
    signs = read_signs(shrink(picture))
    assert signs.clipped == pytest.approx(0.25, abs=0.01)
    assert signs.bright == pytest.approx(250)
    # A lamp far away is not a bright picture.
    lamp = np.full((720, 1280, 3), 10, np.uint8)
    lamp[100:120, 100:120] = 255
    assert read_signs(shrink(lamp)).bright < 12


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 255))
def test_pictures_of_any_size_have_signs(width: int, height: int, level: int) -> None:
    small = shrink(np.full((height, width, 3), level, np.uint8))
    assert max(small.shape[:2]) <= SIDE
    signs = read_signs(small)
    assert signs.bright == pytest.approx(level)
    assert signs.clipped == (level >= 245)
    assert (signs.edges, signs.sharp, signs.detail, signs.coarse) == (0, 0, 0, 0)
    assert math.isnan(signs.width)
    assert np.allclose(signs.blocks, level)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 200), st.integers(1, 400)))
def test_shares_are_shares_and_the_picture_is_left_alone(seed: int, size_hw: tuple[int, int]) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    picture.flags.writeable = False
    signs = read_signs(shrink(picture))
    for share in (signs.clipped, signs.edges, signs.sharp, signs.detail, signs.coarse):
        assert 0 <= share <= 1


def test_shrinking_leaves_pixels_out_and_changes_none() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    small = shrink(picture)
    assert small.shape == (180, 320, 3)
    assert np.array_equal(small, picture[::4, ::4])
    assert shrink(small) is small
    assert shrink(np.zeros((2000, 3, 3), np.uint8)).shape == (320, 1, 3)
