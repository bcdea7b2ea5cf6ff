"""Augmentation that fits driving: where the camera looks, and what light and weather do to the picture.

Everything works on uint8 pictures with OpenCV, draws from the generator it is given and touches no global state, so a
sample is a function of (seed, epoch, step, position) alone and a resumed run sees what an unbroken one would have.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.classes import CLASS_NAMES, IGNORE_INDEX
from edgeseg.preprocess import BAR_VALUE, to_input
from train.config import Augmentation
from train.corruptions import Image, add_noise, blur_along_line, corrupt_randomly, recompress, to_uint8

#: The label of what lies outside of the picture, where it must be told from what nobody labelled.
OUTSIDE_INDEX = 254


def random_view(
    image: Image,
    label: Image,
    device_hw: tuple[int, int],
    crop_hw: tuple[int, int],
    config: Augmentation,
    rng: Generator,
    label_stride: int = 2,
    outside: int = IGNORE_INDEX,
    stretch: float | None = None,
) -> tuple[Image, Image]:
    """Cuts a random rectangle and brings it to `crop_hw` by the device's own resize.

    image: (H, W, 3) uint8 BGR; label: (H, W) uint8. `device_hw` is what the whole picture would be resized to on the
    device; a zoom of 1 shows things at that size. Returns RGB (h, w, 3) and labels (h / label_stride,
    w / label_stride). What lies outside of the picture is grey and labelled `outside`. With `stretch` the things in the
    view have the proportions that they have in the picture when its width is stretched by it.
    """
    height, width = image.shape[:2]
    zoom = rng.uniform(*config.scale)  # not log-uniform: that would spend half the pixels on grey surroundings
    squeeze = np.exp(rng.uniform(-1, 1) * np.log(config.aspect) / 2)
    # The rectangle in source pixels: as many as the crop's share of the device's picture, fewer when zoomed in.
    full_h, full_w = height * crop_hw[0] / device_hw[0], width * crop_hw[1] / device_hw[1]
    if stretch is not None:
        full_w = full_h * crop_hw[1] / crop_hw[0] / stretch
    rect_h = max(2, round(full_h / (zoom * squeeze)))
    rect_w = max(2, round(full_w / (zoom / squeeze)))
    focus = None
    for name, share in config.focus.items():
        if rng.random() < share:
            places = np.flatnonzero(label == CLASS_NAMES.index(name))
            if places.size:
                focus = divmod(int(places[rng.integers(places.size)]), width)
                break
    top = _offset(height, rect_h, None if focus is None else focus[0], rng)
    left = _offset(width, rect_w, None if focus is None else focus[1], rng)
    view = to_input(_cut(image, top, left, rect_h, rect_w, BAR_VALUE), crop_hw)
    mask = cv2.resize(
        _cut(label, top, left, rect_h, rect_w, outside),
        (crop_hw[1] // label_stride, crop_hw[0] // label_stride),
        interpolation=cv2.INTER_NEAREST_EXACT,
    )
    if rng.random() < config.flip_p:
        view, mask = np.ascontiguousarray(view[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return view, np.asarray(mask, np.uint8)


def _offset(side: int, rect: int, focus: int | None, rng: Generator) -> int:
    """Where the rectangle starts; a rectangle larger than the picture may put it anywhere inside."""
    low, high = min(0, side - rect), max(0, side - rect)
    if focus is not None:
        low, high = max(low, focus - rect + 1), min(high, focus)
    return int(rng.integers(low, high + 1)) if high > low else low


def _cut(array: Image, top: int, left: int, height: int, width: int, fill: int) -> Image:
    bottom, right = top + height, left + width
    inside = array[max(0, top) : bottom, max(0, left) : right]
    pads = (max(0, -top), max(0, bottom - array.shape[0]), max(0, -left), max(0, right - array.shape[1]))
    if not any(pads):
        return inside
    return np.asarray(cv2.copyMakeBorder(inside, *pads, cv2.BORDER_CONSTANT, value=(fill,) * 3), np.uint8)


def corrupt_whole(image: Image, config: Augmentation, rng: Generator) -> Image:
    """Corrupts a picture (H, W, 3) uint8 before anything is cut out of it, in so many cases as the recipe asks for.

    Otherwise returns the picture itself.
    """
    if config.corrupt_whole and rng.random() < config.corruption_p:
        return corrupt_randomly(image, config.corruption_strength, rng)
    return image


def random_look(rgb: Image, config: Augmentation, rng: Generator, *, corrupted: bool = False) -> Image:
    """Varies light, weather and sensor of an RGB picture (h, w, 3) uint8, in the order in which they happen.

    What is `corrupted` already is varied in its colours alone.
    """
    if rng.random() < config.color_p:
        rgb = vary_color(rgb, rng)
    if corrupted:
        return rgb
    # Asked first whether it may happen at all: a recipe without it draws what it always drew.
    if config.corruption_p and not config.corrupt_whole and rng.random() < config.corruption_p:
        return corrupt_randomly(rgb, config.corruption_strength, rng)
    if rng.random() < config.haze_p:
        rgb = add_haze(rgb, rng.uniform(0.2, 0.7), rng)
    if rng.random() < config.rain_p:
        rgb = add_rain(rgb, rng.uniform(0.3, 1.0), rng)
    if rng.random() < config.low_light_p:
        rgb = darken(rgb, rng.uniform(0.3, 1.0), rng)
    if rng.random() < config.blur_p:
        rgb = blur(rgb, rng.uniform(0.2, 1.0), rng)
    if rng.random() < config.noise_p:
        rgb = add_noise(rgb, rng.uniform(2.0, 16.0), rng)
    if rng.random() < config.jpeg_p:
        rgb = recompress(rgb, int(rng.integers(25, 80)))
    return rgb


def vary_color(rgb: Image, rng: Generator) -> Image:
    """Exposure, contrast, white balance and saturation, each moderately, through one table per channel."""
    grey = rng.uniform(90, 150)
    levels = np.arange(256, dtype=np.float32)
    gamma = np.exp(rng.uniform(-0.4, 0.4))
    curve = (255 * (levels / 255) ** gamma - grey) * rng.uniform(0.7, 1.35) + grey + rng.uniform(-25, 25)
    table = np.stack([curve * gain for gain in rng.uniform(0.9, 1.1, 3)], axis=-1)
    out = cv2.LUT(rgb, to_uint8(table)[None])
    saturation = rng.uniform(0.5, 1.4)
    luma = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return to_uint8(cv2.addWeighted(out, saturation, luma, 1 - saturation, 0))


def add_haze(rgb: Image, strength: float, rng: Generator) -> Image:
    """Blends towards a light grey, most at the horizon and above: the atmosphere model I = J t + A (1 - t)."""
    height = rgb.shape[0]
    horizon = rng.uniform(0.3, 0.6)
    rows = np.arange(height, dtype=np.float32) / height
    # Depth on a flat road grows as 1 / (row - horizon); the sky counts as far away.
    distance = np.where(rows <= horizon, 1.0, np.clip(0.06 / np.maximum(rows - horizon, 1e-3), 0, 1))
    transmission = (1 - strength * distance)[:, None, None].astype(np.float32)
    air = rng.uniform(170, 230)
    return to_uint8(rgb * transmission + air * (1 - transmission))


def add_rain(rgb: Image, strength: float, rng: Generator) -> Image:
    """Bright slanted streaks, less contrast and a slight veil."""
    height, width = rgb.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    count = int(strength * height * width / 500)
    slant = rng.uniform(-0.3, 0.3)
    for x, y, length in zip(
        rng.integers(0, width, count), rng.integers(0, height, count), rng.integers(5, 18, count), strict=True
    ):
        end = (int(x + slant * length), int(y + length))
        cv2.line(streaks, (int(x), int(y)), end, int(rng.integers(80, 200)), 1)
    veil = cv2.GaussianBlur(streaks, (3, 3), 0).astype(np.float32)[..., None] / 255
    dull = rgb * np.float32(1 - 0.25 * strength) + np.float32(28 * strength)
    return to_uint8(dull * (1 - 0.6 * veil) + 215 * 0.6 * veil)


def darken(rgb: Image, strength: float, rng: Generator) -> Image:
    """Little light and the noise of a sensor that amplifies it: shot noise grows with the root of the signal."""
    light = (rgb.astype(np.float32) / 255) ** (1 + strength) * (1 - 0.6 * strength)
    sigma = np.sqrt(light * 0.0015 + 0.0003) * (0.5 + strength)
    return to_uint8(255 * (light + sigma * rng.standard_normal(light.shape, np.float32)))


def blur(rgb: Image, strength: float, rng: Generator) -> Image:
    """A lens out of focus, or a camera that moves while it exposes."""
    if rng.random() < 0.5:
        return to_uint8(cv2.GaussianBlur(rgb, (0, 0), 0.4 + 1.6 * strength))
    return blur_along_line(rgb, 2 * int(1 + 4 * strength) + 1, rng.uniform(0, np.pi))
