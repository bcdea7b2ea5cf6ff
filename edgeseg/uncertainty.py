"""How sure the model is of each pixel: confidence and entropy, as maps and as pictures."""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.frame import Segmentation, check_image
from edgeseg.fusion import log_softmax
from edgeseg.overlay import DEFAULT_OPACITY, draw_overlay, write_label

Aspect = Literal["confidence", "entropy"]
ASPECTS: tuple[Aspect, ...] = ("confidence", "entropy")

#: The heat of each level, BGR; dark is nothing to see.
_HEAT = cv2.applyColorMap(np.arange(256, dtype=np.uint8).reshape(1, 256), cv2.COLORMAP_INFERNO)


def entropy_map(segmentation: Segmentation) -> NDArray[np.float32]:
    """Returns how undecided the model is between its classes, (h, w) float32 in 0..1.

    The entropy of Shannon, H = -sum_c p_c log p_c, over that of a model which finds all C classes as likely, log C. 0:
    one class is certain. Raises DataError when the segmentation has no scores.
    """
    if segmentation.scores is None:
        raise DataError("the segmentation holds no scores; take one that a Segmenter has made")
    logs = log_softmax(segmentation.scores)
    entropy: NDArray[Any] = -(np.exp(logs) * logs).sum(axis=2) / math.log(logs.shape[2])
    return np.clip(entropy, 0.0, 1.0, out=entropy).astype(np.float32)


def draw_uncertainty(
    image: NDArray[np.uint8], segmentation: Segmentation, aspect: Aspect, opacity: float = DEFAULT_OPACITY
) -> NDArray[np.uint8]:
    """Returns a grey copy of the picture with the heat of one aspect over it.

    image: (H, W, 3) uint8 BGR of any size. confidence: hot where the winning class is sure. entropy: hot where the
    model cannot decide. opacity: of the heat, 0..1. Raises DataError for another kind of image.
    """
    check_image(image)
    if aspect == "confidence":
        # What C classes at least give the best of them is no confidence at all.
        least = 255.0 / len(segmentation.classes)
        level = (segmentation.confidence.astype(np.float32) - least) * (255.0 / (255.0 - least))
    else:
        level = entropy_map(segmentation) * 255.0
    small: NDArray[Any] = np.clip(level, 0, 255).astype(np.uint8)
    height, width = image.shape[:2]
    heat = cv2.LUT(cv2.cvtColor(cv2.resize(small, (width, height)), cv2.COLOR_GRAY2BGR), _HEAT)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(grey, 1.0 - opacity, heat, opacity, 0.0), dtype=np.uint8)


def draw_explained(
    image: NDArray[np.uint8], segmentation: Segmentation, opacity: float = DEFAULT_OPACITY, *, legend: bool = False
) -> NDArray[np.uint8]:
    """Returns the overlay, and under it half as large the confidence and the entropy: (H + H // 2, W, 3) uint8 BGR."""
    height, width = image.shape[:2]
    below, left = height // 2, width // 2
    out: NDArray[np.uint8] = np.zeros((height + below, width, 3), np.uint8)
    out[:height] = draw_overlay(image, segmentation, opacity, legend=legend)
    if not below or not left:
        # A picture of a pixel has nothing below it.
        return out
    for aspect, (start, end) in zip(ASPECTS, ((0, left), (left, width)), strict=True):
        small = np.asarray(cv2.resize(image, (end - start, below), interpolation=cv2.INTER_AREA), np.uint8)
        tile = draw_uncertainty(small, segmentation, aspect, 0.75)
        size = max(below / 360.0, 0.3)
        write_label(tile, aspect, (round(10 * size), round(28 * size)), size)
        out[height:, start:end] = tile
    return out
