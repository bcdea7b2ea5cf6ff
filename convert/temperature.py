"""Calibrated scores: one temperature, found on labelled pictures and folded into the last layer.

A network that is 90 % sure should be right 9 times in 10; trained ones are surer than that. Dividing all scores by one
number mends most of it and changes no decision (Guo et al. 2017, arXiv:1706.04599, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import IGNORE_INDEX
from edgeseg.labels import LabelMapping, Pair, read_pair
from edgeseg.preprocess import upscale_logits
from edgeseg.segmenter import Segmenter

#: Of each picture; neighbouring pixels say the same, and one number needs few.
PIXELS_PER_PICTURE = 4096
#: Beyond it the pictures do not tell the temperature: a network that is never wrong would be made infinitely sure.
MAX_TEMPERATURE = 10.0
_GOLDEN = (math.sqrt(5) - 1) / 2


def sample_scores(
    segmenter: Segmenter, pairs: Sequence[Pair], mapping: LabelMapping
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scores (N, C) of labelled pixels, spread evenly over each picture, and their true classes (N,).

    The scores are those that are compared with the labels: at full size. Raises DataError for a broken file.
    """
    scores: list[NDArray[np.float32]] = []
    truths: list[NDArray[np.uint8]] = []
    for pair in pairs:
        image, label = read_pair(pair, mapping)
        (places,) = np.nonzero(label.ravel() != IGNORE_INDEX)
        places = places[:: max(1, places.size // PIXELS_PER_PICTURE)]
        full = upscale_logits(segmenter.logits(image), segmenter.fit((image.shape[0], image.shape[1])))
        scores.append(full.reshape(-1, full.shape[2])[places])
        truths.append(label.ravel()[places])
    return np.concatenate(scores), np.concatenate(truths)


def fit_temperature(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> float:
    """The T, 0.1 to 10, whose softmax(scores / T) makes the true classes likeliest; 1 where there is no pixel.

    The negative log-likelihood is convex in 1 / T, so it falls to one lowest point and rises: golden section finds it.
    """
    if not truth.size:
        return 1.0
    # Against the true class's score, so that one exponential for each score is all that a step costs.
    behind = scores - np.take_along_axis(scores, truth[:, None].astype(np.intp), axis=1)

    def cost(log_temperature: float) -> float:
        scaled = behind / np.float32(math.exp(log_temperature))
        top = np.maximum(scaled.max(axis=1), 0)
        return float((top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))).mean(dtype=np.float64))

    limit = math.log(MAX_TEMPERATURE)
    return round(math.exp(_find_lowest(cost, -limit, limit)), 4)


def _find_lowest(cost: Callable[[float], float], low: float, high: float, width: float = 1e-4) -> float:
    """Where a function that falls and then rises is lowest, by golden section (Kiefer 1953)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    cost_left, cost_right = cost(left), cost(right)
    while high - low > width:
        if cost_left < cost_right:
            high, right, cost_right = right, left, cost_left
            left = high - _GOLDEN * (high - low)
            cost_left = cost(left)
        else:
            low, left, cost_left = left, right, cost_right
            right = low + _GOLDEN * (high - low)
            cost_right = cost(right)
    return (low + high) / 2
