"""Drawn streets with their true classes: enough for a network to learn from, small enough for a test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

#: Mean colours (BGR) of other, road, vehicle and person in a drawn street.
COLORS = np.array([(150, 130, 90), (70, 70, 70), (190, 60, 40), (40, 70, 220)], np.float32)


def draw_street(
    generator: np.random.Generator, size_hw: tuple[int, int] = (96, 128)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture (H, W, 3) uint8 BGR and its classes (H, W) uint8: a road, a vehicle, a person, some noise."""
    height, width = size_hw
    label = np.zeros(size_hw, np.uint8)
    horizon = int(generator.uniform(0.35, 0.5) * height)
    middle = int(generator.uniform(0.3, 0.7) * width)
    cv2.fillPoly(label, [np.array([(0, height), (middle, horizon), (width, height)], np.int32)], 1)
    left = int(generator.uniform(0, 0.6) * width)
    top = int(generator.uniform(0.35, 0.6) * height)
    cv2.rectangle(label, (left, top), (left + width // 4, top + height // 5), 2, -1)
    foot = (int(generator.uniform(0.1, 0.9) * width), int(generator.uniform(0.5, 0.8) * height))
    cv2.ellipse(label, foot, (width // 28, height // 8), 0, 0, 360, 3, -1)
    noise = generator.normal(0, 12, (*size_hw, 3)).astype(np.float32)
    return np.clip(COLORS[label] + noise, 0, 255).astype(np.uint8), label


def write_streets(folder: Path, count: int, size_hw: tuple[int, int] = (96, 128), seed: int = 3) -> Path:
    """`count` drawn streets as folder/images/*.jpg and folder/labels/*.png, the labels already in classes."""
    generator = np.random.default_rng(seed)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image, label = draw_street(generator, size_hw)
        assert cv2.imwrite(str(folder / "images" / f"drive{index % 3}_{index:03}.jpg"), image)
        assert cv2.imwrite(str(folder / "labels" / f"drive{index % 3}_{index:03}.png"), label)
    return folder
