from __future__ import annotations

import math

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.reliability import BIN_COUNT, Reliability


def scores_of(confidence: float, shape: tuple[int, int]) -> np.ndarray:
    """Scores of two classes by which the second has this probability."""
    scores = np.zeros((*shape, 2), np.float32)
    scores[..., 1] = math.log(confidence / (1 - confidence))
    return scores


def test_the_error_is_the_gap_weighted_by_pixels() -> None:
    counts = Reliability()
    truth = np.ones((10, 10), np.uint8)
    truth[:, :4] = 0
    counts.update(scores_of(0.9, (10, 10)), truth)  # 60 right of 100
    truth = np.ones((10, 30), np.uint8)
    truth[0, :] = 255
    counts.update(scores_of(0.7, (10, 30)), truth)  # 270 right of 270, 30 ignored
    assert counts.error() == pytest.approx((100 * 0.3 + 270 * 0.3) / 370, abs=1e-6)
    low, high = counts.bins()
    assert (low.pixels, low.accuracy, low.confidence) == (270, 1.0, 0.7)
    assert (high.pixels, high.accuracy, high.confidence) == (100, 0.6, 0.9)
    assert low.above < 0.7 < low.above + 1 / BIN_COUNT


def test_full_certainty_has_a_bin() -> None:
    counts = Reliability()
    scores = np.zeros((1, 1, 4), np.float32)
    scores[..., 2] = 1000
    counts.update(scores, np.full((1, 1), 2, np.uint8))
    assert counts.error() == 0
    assert counts.bins()[0].confidence == 1.0


def test_nothing_labelled_has_no_error() -> None:
    counts = Reliability()
    counts.update(np.zeros((2, 2, 4), np.float32), np.full((2, 2), 255, np.uint8))
    assert math.isnan(counts.error())
    assert counts.bins() == ()
    with pytest.raises(DataError, match="one size"):
        counts.update(np.zeros((2, 3, 4), np.float32), np.zeros((2, 2), np.uint8))
