"""Frames are read-only and hold what they promise; segmentations know their shares."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgeseg.classes import SegmentClass
from edgeseg.errors import DataError
from edgeseg.frame import Frame, Segmentation


def test_a_frame_cannot_be_drawn_into_but_the_callers_array_can() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    frame = Frame(image, 0, 0, "test")
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 1
    image[0, 0] = 7
    assert frame.size_wh == (6, 4)


def test_a_frame_of_an_array_was_captured_now() -> None:
    before = time.monotonic_ns()
    frame = Frame.of(np.zeros((4, 6, 3), np.uint8))
    assert before <= frame.captured_ns <= time.monotonic_ns()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.uint16),
        np.zeros((4, 6, 3), np.float32),
        np.zeros((0, 6, 3), np.uint8),
        None,
    ],
    ids=["grey", "four channels", "16 bit", "float", "empty", "cv2.imread of nothing"],
)
def test_anything_but_a_bgr_picture_is_refused_by_name(image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"camera 3: .*\(H, W, 3\) uint8 BGR"):
        Frame(image, 0, 0, "camera 3")


def test_shares_sum_to_one_and_name_every_class() -> None:
    ids = np.array([[0, 1, 1, 1], [2, 1, 0, 1]], np.uint8)
    segmentation = Segmentation(Frame.of(np.zeros((2, 4, 3), np.uint8)), ids, ids)
    assert segmentation.shares == {"other": 0.25, "road": 0.625, "vehicle": 0.125, "person": 0.0}


def test_shares_follow_the_models_own_classes() -> None:
    ids = np.array([[0, 1]], np.uint8)
    classes = (SegmentClass("sea", (0, 0, 0)), SegmentClass("land", (1, 1, 1)))
    segmentation = Segmentation(Frame.of(np.zeros((1, 2, 3), np.uint8)), ids, ids, classes=classes)
    assert segmentation.shares == {"sea": 0.5, "land": 0.5}


@pytest.mark.parametrize(
    ("ids", "confidence"),
    [
        (np.zeros((2, 4), np.int64), np.zeros((2, 4), np.uint8)),
        (np.zeros((2, 4), np.uint8), np.zeros((2, 4, 1), np.uint8)),
        (np.zeros((2, 4), np.uint8), np.zeros((4, 2), np.uint8)),
    ],
)
def test_maps_of_the_wrong_kind_are_refused(ids: np.ndarray, confidence: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"class_ids|confidence"):
        Segmentation(Frame.of(np.zeros((2, 4, 3), np.uint8)), ids, confidence)
