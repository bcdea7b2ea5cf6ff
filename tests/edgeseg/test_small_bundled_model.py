"""The smaller bundled model is the bundled one in all but its size: the ladder may put it in the other's place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg import Frame, Segmenter, read_card
from edgeseg.segmenter import BUNDLED_MODEL, SMALL_BUNDLED_MODEL
from tests.conftest import ROOT


def test_it_has_the_classes_and_the_training_of_the_bundled_model_and_a_smaller_input() -> None:
    large, small = read_card(BUNDLED_MODEL), read_card(SMALL_BUNDLED_MODEL)
    assert small.classes == large.classes
    assert small.training_sha256 == large.training_sha256
    assert small.licence == large.licence
    assert small.quantization == "int8"
    assert small.input_hw == (192, 320)


def test_it_sees_what_the_bundled_model_sees() -> None:
    capture = cv2.VideoCapture(str(ROOT / "examples" / "drive" / "highway.mp4"))
    ok, image = capture.read()
    assert ok
    frame = Frame.of(np.asarray(image, np.uint8))
    seen: list[NDArray[np.uint8]] = []
    for model in (BUNDLED_MODEL, SMALL_BUNDLED_MODEL):
        with Segmenter(model) as segmenter:
            ids = segmenter.segment(frame).class_ids
            seen.append(np.asarray(cv2.resize(ids, (960, 540), interpolation=cv2.INTER_NEAREST), np.uint8))
    assert (seen[0] == seen[1]).mean() > 0.95
