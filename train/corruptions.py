"""Bad light, bad weather and bad sensors, at strengths that can be compared: for measuring and for training.

Six kinds; strength 0 leaves (nearly) nothing to see, 1 is weak, 2 medium, 3 strong, anything between is between.
Lengths are parts of the picture's sides, so that a picture suffers alike at every size. The kinds are those of
Hendrycks and Dietterich 2019 (arXiv:1903.12261) that a camera in a car meets, and drops on the windscreen; where a kind
has a physical model, that model is used. All take (H, W, 3) uint8 pictures, BGR or RGB, and draw from the generator
they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]

STRENGTHS = {"weak": 1.0, "medium": 2.0, "strong": 3.0}
_AT = (0.0, 1.0, 2.0, 3.0)


def low_light(image: Image, strength: float, rng: Generator) -> Image:
    """Dusk and night: 2, 3.3 and 4.6 stops less light, of which the camera's gain brings half back, with the noise.

    Light is linear (the inverse of sRGB's transfer function, IEC 61966-2-1). A pixel that would fill the sensor counts
    3000 electrons times the exposure; their noise is Poisson's (here its normal limit) plus 3 electrons of read-out:
    the Poissonian-Gaussian model of Foi et al. 2008 (IEEE Transactions on Image Processing 17, 10).
    """
    exposure = float(np.exp(np.interp(strength, _AT, np.log((1.0, 0.25, 0.1, 0.04)))))
    full_well, read_noise = 3000.0 * exposure, 3.0
    levels = np.arange(256, dtype=np.float32) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    electrons = (linear * full_well).astype(np.float32)[image]
    electrons += np.sqrt(electrons + np.float32(read_noise**2)) * rng.standard_normal(image.shape, np.float32)
    seen = np.clip(electrons * np.float32(np.sqrt(exposure) / full_well), 0, 1)
    encoded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** np.float32(1 / 2.4) - 0.055)
    return to_uint8(255 * encoded)


def motion_blur(image: Image, strength: float, rng: Generator) -> Image:
    """A camera that turns while it exposes: the mean along a line of 1, 2 and 4 % of the width, in any direction.

    The kernel is the path of a point during the exposure, as of a straight and even motion: Hendrycks and Dietterich
    2019 (arXiv:1903.12261), `motion_blur`.
    """
    length = float(np.interp(strength, _AT, (0.0, 0.01, 0.02, 0.04))) * image.shape[1]
    return blur_along_line(image, length, rng.uniform(0, np.pi))


def blur_along_line(image: Image, length: float, angle: float) -> Image:
    """The mean along a line of `length` pixels at `angle`, in radians."""
    half = max(1, int(np.ceil(length / 2)))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    # Many points on the path, each shared out among its four neighbours: a line of any length and angle.
    for place in np.linspace(-length / 2, length / 2, 8 * half + 1):
        x, y = half + place * np.cos(angle), half + place * np.sin(angle)
        left, top = min(int(x), 2 * half - 1), min(int(y), 2 * half - 1)
        right_part, lower_part = x - left, y - top
        kernel[top, left] += (1 - right_part) * (1 - lower_part)
        kernel[top, left + 1] += right_part * (1 - lower_part)
        kernel[top + 1, left] += (1 - right_part) * lower_part
        kernel[top + 1, left + 1] += right_part * lower_part
    return to_uint8(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def rain_drops(image: Image, strength: float, rng: Generator) -> Image:
    """Drops on the windscreen over 5, 11 and 22 % of the picture in the mean, out of focus.

    Drops of 5, 12 and 25 % in all are drawn, some of them over others and some cut off at the border. A drop is a short
    lens: it shows a wide part of the scene upside down and small (Halimeh and Roser 2009, "Raindrop detection on car
    windshields using geometric-photometric environment construction"); too near to be in focus, it is blurred with its
    edge, as in Porav et al. 2019 (arXiv:1901.00893).
    """
    height, width = image.shape[:2]
    wanted = float(np.interp(strength, _AT, (0.0, 0.05, 0.12, 0.25))) * height * width
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    map_x, map_y = columns.copy(), rows.copy()
    cover = np.zeros((height, width), np.float32)
    covered = 0.0
    while covered < wanted:
        radius = float(np.exp(rng.uniform(np.log(0.012), np.log(0.05)))) * height
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        # Gravity draws a drop out downwards.
        tall = radius * rng.uniform(1.0, 1.4)
        reach = max(1, int(tall) + 1)
        box = (
            slice(max(0, int(y) - reach), min(height, int(y) + reach + 1)),
            slice(max(0, int(x) - reach), min(width, int(x) + reach + 1)),
        )
        dx, dy = (columns[box] - np.float32(x)) / radius, (rows[box] - np.float32(y)) / tall
        inside = dx**2 + dy**2 < 1
        # Upside down, and the more of the scene the nearer to the drop's rim.
        bend = 0.35 + 0.25 * (dx**2 + dy**2)
        map_x[box][inside] = np.clip(x - dx * bend * width, 0, width - 1)[inside]
        map_y[box][inside] = np.clip(y - dy * bend * height, 0, height - 1)[inside]
        cover[box][inside] = 1
        covered += float(np.pi * radius * tall)
    sigma = 0.006 * height
    through = cv2.GaussianBlur(cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR), (0, 0), sigma)
    share = cv2.GaussianBlur(cover, (0, 0), sigma)[..., None]
    return to_uint8(image * (1 - share) + through * share)


def fog(image: Image, strength: float, rng: Generator) -> Image:
    """Fog in which one sees 300, 150 and 75 m: I = J t + A (1 - t), t = exp(-3.912 d / visibility).

    Koschmieder's law with his contrast limit of 2 %: what is dark is seen as far as t >= 0.02. The distance d is
    that of a flat road, 5 m at the lower edge and falling as 1 / (row - horizon); what stands above it counts as 80
    m away. The density varies by a fifth, in clouds of a quarter of the picture.
    """
    height, width = image.shape[:2]
    extinction = float(np.interp(strength, _AT, 3.912 * np.array((0.0, 1 / 300, 1 / 150, 1 / 75))))
    horizon = rng.uniform(0.4, 0.5)
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    distance = np.minimum(5.0 * (1 - horizon) / np.maximum(rows - horizon, 1e-3), 80.0).astype(np.float32)
    clouds = cv2.resize(
        rng.uniform(0.8, 1.2, (5, 5)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    transmission = np.exp(-np.float32(extinction) * distance[:, None] * clouds)[..., None]
    air = rng.uniform(175, 225)
    return to_uint8(image * transmission + np.float32(air) * (1 - transmission))


def jpeg(image: Image, strength: float, rng: Generator) -> Image:
    """A camera or a link that saves bytes: JPEG at quality 25, 15 and 8 of libjpeg's scale (ITU-T T.81)."""
    return recompress(image, round(float(np.interp(strength, _AT, (95, 25, 15, 8)))))


def recompress(image: Image, quality: int) -> Image:
    """The blocks and rings of JPEG at `quality` 1..100."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done  # an encoder that fails on an array in memory is a bug, not an input
    return to_uint8(cv2.imdecode(data, cv2.IMREAD_COLOR))


def noise(image: Image, strength: float, rng: Generator) -> Image:
    """A cheap or a hot sensor: Gaussian noise of 10, 20 and 40 grey levels, `gaussian_noise` of arXiv:1903.12261."""
    return add_noise(image, float(np.interp(strength, _AT, (0, 10, 20, 40))), rng)


def add_noise(image: Image, sigma: float, rng: Generator) -> Image:
    """Gaussian noise of `sigma` grey levels."""
    return to_uint8(image + np.float32(sigma) * rng.standard_normal(image.shape, np.float32))


#: Each takes a picture, a strength 0..3 and a generator.
CORRUPTIONS: dict[str, Callable[[Image, float, Generator], Image]] = {
    "low_light": low_light,
    "motion_blur": motion_blur,
    "rain_drops": rain_drops,
    "fog": fog,
    "jpeg": jpeg,
    "noise": noise,
}


def corrupt_randomly(image: Image, strengths: tuple[float, float], rng: Generator) -> Image:
    """One of the kinds, at a strength within `strengths`."""
    kind = tuple(CORRUPTIONS)[int(rng.integers(len(CORRUPTIONS)))]
    return CORRUPTIONS[kind](image, float(rng.uniform(*strengths)), rng)


def to_uint8(array: Any) -> Image:
    """Grey levels, rounded and clipped to 0..255; uint8 stays as it is."""
    return np.asarray(array if array.dtype == np.uint8 else np.clip(np.rint(array), 0, 255), np.uint8)
