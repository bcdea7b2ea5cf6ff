"""How far a model's confidence can be believed: reliability bins and the expected calibration error."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import IGNORE_INDEX
from edgeseg.errors import DataError
from edgeseg.model_card import ReliabilityBin

#: As many as Guo et al. 2017 (arXiv:1706.04599) take.
BIN_COUNT = 15


class Reliability:
    """Counts pixels by how sure a model was of them, and how often it was right, over any number of pictures.

    pixels, hits: (BIN_COUNT,) int64, of equal parts of the confidences 0..1. confidence: (BIN_COUNT,) float64, summed.
    Pixels whose truth is IGNORE_INDEX count nowhere.
    """

    def __init__(self) -> None:
        self.pixels: NDArray[np.int64] = np.zeros(BIN_COUNT, np.int64)
        self.hits: NDArray[np.int64] = np.zeros(BIN_COUNT, np.int64)
        self.confidence: NDArray[np.float64] = np.zeros(BIN_COUNT, np.float64)

    def update(self, scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Add one picture: scores (H, W, C), log-probabilities up to a constant per pixel, and its classes (H, W)."""
        if scores.shape[:2] != truth.shape:
            raise DataError(f"scores {scores.shape} and truth {truth.shape} must have one size")
        seen = truth != IGNORE_INDEX
        known = scores[seen]
        best = known.max(axis=-1, keepdims=True)
        sure = 1.0 / np.exp(known - best).sum(axis=-1)
        right = known.argmax(axis=-1) == truth[seen]
        places = np.minimum((sure * BIN_COUNT).astype(np.int64), BIN_COUNT - 1)
        self.pixels += np.bincount(places, minlength=BIN_COUNT)
        self.hits += np.bincount(places[right], minlength=BIN_COUNT)
        self.confidence += np.bincount(places, weights=sure, minlength=BIN_COUNT)

    def error(self) -> float:
        """The expected calibration error sum_b n_b / n |accuracy_b - confidence_b|, 0..1; nan without pixels.

        Naeini et al. 2015, in the form of Guo et al. 2017 (arXiv:1706.04599), equation 3.
        """
        total = int(self.pixels.sum())
        return float(np.abs(self.hits - self.confidence).sum()) / total if total else math.nan

    def bins(self) -> tuple[ReliabilityBin, ...]:
        """The bins that hold pixels, from unsure to sure."""
        return tuple(
            ReliabilityBin(
                above=round(place / BIN_COUNT, 4),
                pixels=int(pixels),
                confidence=round(min(float(total) / int(pixels), 1.0), 4),
                accuracy=round(int(hits) / int(pixels), 4),
            )
            for place, (pixels, hits, total) in enumerate(zip(self.pixels, self.hits, self.confidence, strict=True))
            if pixels
        )
