"""The figures of quality, against hand-counted cases and a plain definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.errors import DataError
from edgeseg.iou import ConfusionMatrix, none_if_nan

NAMES = ("other", "road", "vehicle", "person")


def test_a_hand_counted_case() -> None:
    truth = np.array([[0, 0, 1, 1], [1, 2, 2, 255]])
    predicted = np.array([[0, 1, 1, 1], [1, 2, 0, 3]])
    confusion = ConfusionMatrix(NAMES)
    confusion.update(predicted, truth)
    iou = confusion.iou()
    # other: 1 of {two true, one more predicted}; road: 3 of 4; vehicle: 1 of 2; person: only under ignore.
    assert iou["other"] == pytest.approx(1 / 3)
    assert iou["road"] == pytest.approx(3 / 4)
    assert iou["vehicle"] == pytest.approx(1 / 2)
    assert math.isnan(iou["person"])
    assert confusion.mean_iou() == pytest.approx((1 / 3 + 3 / 4 + 1 / 2) / 3)
    assert confusion.mean_iou_foreground() == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert confusion.pixel_accuracy() == pytest.approx(5 / 7)
    assert int(confusion.counts.sum()) == 7


maps = hnp.arrays(np.uint8, (5, 7), elements=st.integers(0, 3))


@given(maps, maps, hnp.arrays(np.bool_, (5, 7)))
def test_it_agrees_with_the_definition(predicted: np.ndarray, truth: np.ndarray, ignored: np.ndarray) -> None:
    confusion = ConfusionMatrix(NAMES)
    confusion.update(predicted, np.where(ignored, 255, truth))
    for index, name in enumerate(NAMES):
        said, true = (predicted == index) & ~ignored, (truth == index) & ~ignored
        either = int((said | true).sum())
        expected = int((said & true).sum()) / either if either else math.nan
        assert confusion.iou()[name] == pytest.approx(expected, nan_ok=True)


@given(maps, maps, maps, maps)
def test_pictures_add_up(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    apart, together = ConfusionMatrix(NAMES), ConfusionMatrix(NAMES)
    apart.update(a, b)
    apart.update(c, d)
    together.update(np.concatenate([a, c]), np.concatenate([b, d]))
    assert np.array_equal(apart.counts, together.counts)


def test_nothing_counted_is_no_figure_rather_than_zero() -> None:
    confusion = ConfusionMatrix(NAMES)
    confusion.update(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8))
    assert none_if_nan(confusion.mean_iou()) is None
    assert none_if_nan(confusion.pixel_accuracy()) is None
    assert none_if_nan(0.0) == 0.0


def test_other_shapes_and_foreign_classes_are_refused() -> None:
    confusion = ConfusionMatrix(NAMES)
    with pytest.raises(DataError, match="one shape"):
        confusion.update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(DataError, match="truth holds class 4"):
        confusion.update(np.zeros((2, 2), np.uint8), np.full((2, 2), 4, np.uint8))
    with pytest.raises(DataError, match="prediction holds class 9"):
        confusion.update(np.full((2, 2), 9, np.uint8), np.zeros((2, 2), np.uint8))
    assert not confusion.counts.any()
