"""What a camera in trouble gives, made from good pictures: BGR (H, W, 3) uint8 in, the same out.

Sizes are shares of the picture's width, so that a trouble is the same at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]

#: BGR of what comes over lenses. Out of focus and in its own shadow it is darker than in the hand.
COVERS = {
    "black tape": (4, 4, 6),
    "mud": (40, 60, 85),
    "hand": (35, 45, 110),
    "grey tape": (120, 125, 130),
    "paper": (190, 195, 200),
}


def cap(image: Image, rng: Generator, noise: float = 3.0) -> Image:
    """The lens cap is on: the sensor's black level and its noise."""
    return _u8(4.0 + noise * rng.standard_normal(image.shape, np.float32))


def cover(image: Image, rng: Generator, share: float, kind: str = "mud") -> Image:
    """Something lies on the lens and hides `share` of the picture, from one side, with a soft edge and soft shades."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    side = 2 * ((x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle))
    field = side + 0.5 * _smooth(image.shape, rng, 2)
    hidden = np.ones_like(field)
    if share < 1:
        hidden = 1 / (1 + np.exp(-40 * (field - np.quantile(field, 1 - share))))
    shade = np.clip(1 + 0.25 * _smooth(image.shape, rng, 1.5), 0.4, 1.7)
    thing = shade[..., None] * np.array(COVERS[kind], np.float32)
    mixed = image * (1 - hidden[..., None]) + thing * hidden[..., None]
    return _u8(mixed + 1.5 * rng.standard_normal(image.shape, np.float32))


def expose(image: Image, gain: float) -> Image:
    """Too long an exposure by `gain`; what is too bright is lost."""
    return _u8((image.astype(np.float32) + 8) * gain)


def glare(image: Image, rng: Generator, radius: float) -> Image:
    """The sun in the picture: blown out over about `radius`, a veil over the rest."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(x - rng.uniform(0.2, 0.8) * width, y - rng.uniform(0.1, 0.6) * height) / width
    light = 400 * np.exp(-((distance / radius) ** 2)) + 120 * np.exp(-distance / (2 * radius))
    return _u8(image * np.float32(0.8) + light[..., None])


def defocus(image: Image, sigma: float) -> Image:
    """The lens is out of focus: every point becomes a disc, as broad as a Gaussian of `sigma`."""
    radius = 2 * sigma * image.shape[1]
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return _u8(cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT))


def wet(image: Image, rng: Generator, share: float) -> Image:
    """Water on the lens: `share` of it under drops, each of which shows a small blurred scene upside down."""
    height, width = image.shape[:2]
    from_y, from_x = np.mgrid[0:height, 0:width].astype(np.float32)
    drops = np.zeros((height, width), np.float32)
    for _ in range(2000):
        if drops.mean() >= share:
            break
        radius = rng.uniform(0.02, 0.08) * width
        left, top = round(rng.uniform(-radius, width)), round(rng.uniform(-radius, height))
        rows, columns = (slice(max(0, start), start + round(2 * radius)) for start in (top, left))
        y, x = np.mgrid[rows.start : min(height, rows.stop), columns.start : min(width, columns.stop)]
        inside = np.hypot(x - left - radius, y - top - radius) < radius
        from_x[rows, columns][inside] = left + radius - 3 * (x - left - radius)[inside]
        from_y[rows, columns][inside] = top + radius - 3 * (y - top - radius)[inside]
        drops[rows, columns][inside] = 1
    behind = cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    # Drops lie on the lens, far out of its focus: so do their rims and what is seen in them.
    behind = cv2.GaussianBlur(behind, (0, 0), 0.02 * width)
    drops = cv2.GaussianBlur(drops, (0, 0), 0.008 * width)[..., None]
    return _u8(image * (1 - drops) + behind * drops)


def night(image: Image, rng: Generator, noise: float = 1.5) -> Image:
    """A street without lamps at night: what the headlights reach, and a trace of the rest. A good picture."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    lit = np.exp(-(((x / width - 0.5) / 0.25) ** 2) - ((y / height - 0.68) / 0.16) ** 2) + 0.015
    light = (image.astype(np.float32) / 255) ** 2.2 * lit[..., None] * 0.5
    return _u8(255 * light ** (1 / 2.2) + noise * rng.standard_normal(image.shape, np.float32))


def noisy(image: Image, rng: Generator, sigma: float) -> Image:
    """The noise of a sensor: `sigma` grey levels at middle grey, growing with the root of the light."""
    light = np.sqrt((image.astype(np.float32) + 20) / 128)
    return _u8(image + sigma * light * rng.standard_normal(image.shape, np.float32))


Bad = Callable[[Image, Generator], Image]

#: Every trouble by its name, with the condition it should be called.
TROUBLES: dict[str, tuple[str, Bad]] = {
    "cap": ("black", cap),
    "cap, high gain": ("black", lambda image, rng: cap(image, rng, 9.0)),
    "exposure x3": ("overexposed", lambda image, rng: expose(image, 3.0)),
    "exposure x6": ("overexposed", lambda image, rng: expose(image, 6.0)),
    "sun, radius 0.15": ("overexposed", lambda image, rng: glare(image, rng, 0.15)),
    "sun, radius 0.3": ("overexposed", lambda image, rng: glare(image, rng, 0.3)),
    "sun, radius 0.5": ("overexposed", lambda image, rng: glare(image, rng, 0.5)),
    **{
        f"{kind} over {share:.0%}": ("covered", lambda image, rng, s=share, k=kind: cover(image, rng, s, k))  # type: ignore[misc]
        for kind in COVERS
        for share in (0.7, 0.85, 0.95, 1.0)
    },
    **{
        f"defocus {sigma:.1%}": ("blurred", lambda image, rng, s=sigma: defocus(image, s))  # type: ignore[misc]
        for sigma in (0.002, 0.003, 0.005, 0.007, 0.01, 0.02, 0.03, 0.05)
    },
    **{
        f"drops on {share:.0%}": ("blurred", lambda image, rng, s=share: wet(image, rng, s))  # type: ignore[misc]
        for share in (0.3, 0.6, 0.95)
    },
}


def _smooth(shape: tuple[int, ...], rng: Generator, waves: float) -> NDArray[np.float32]:
    """A random field (H, W) of standard deviation near 1 that changes over 1 / `waves` of the height."""
    height, width = shape[:2]
    knots = (int(np.ceil(waves)) + 1, int(np.ceil(waves * width / height)) + 1)
    field: NDArray[np.float32] = cv2.resize(
        rng.standard_normal(knots).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return field


def _u8(array: NDArray[np.floating] | NDArray[np.uint8]) -> Image:
    return np.clip(array, 0, 255).astype(np.uint8)
