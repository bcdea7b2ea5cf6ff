"""How sure the model is, as maps and as pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import decide
from edgeseg.segmenter import Segmenter
from edgeseg.uncertainty import draw_explained, draw_uncertainty, entropy_map


def make(probabilities: list[list[list[float]]], *, shift: float = 0.0) -> Segmentation:
    """A segmentation of these probabilities per cell, (h, w, 4), from scores that are `shift` off."""
    scores = (np.log(np.array(probabilities, np.float32)) + shift).astype(np.float32)
    picture = np.full((4 * scores.shape[0], 4 * scores.shape[1], 3), 100, np.uint8)
    return Segmentation(Frame.of(picture), *decide(scores), scores=scores)


SURE, TORN, LOST = [1 - 3e-9, 1e-9, 1e-9, 1e-9], [0.5, 0.5 - 2e-9, 1e-9, 1e-9], [0.25] * 4


@pytest.mark.parametrize("shift", [0.0, 7.5])
def test_entropy_is_none_where_one_class_is_sure_and_all_where_each_is_as_likely(shift: float) -> None:
    entropy = entropy_map(make([[SURE, TORN, LOST]], shift=shift))
    assert entropy.dtype == np.float32
    # Two of four classes: log 2 / log 4.
    assert entropy.tolist() == [pytest.approx([0.0, math.log(2) / math.log(4), 1.0], abs=1e-5)]


def test_heat_is_where_the_aspect_is() -> None:
    segmentation = make([[SURE] * 8 + [LOST] * 8])
    picture = segmentation.frame.image
    confidence = draw_uncertainty(picture, segmentation, "confidence", 1.0)
    entropy = draw_uncertainty(picture, segmentation, "entropy", 1.0)
    assert confidence.shape == entropy.shape == picture.shape
    assert confidence[:, :16].mean() > 150 > 20 > confidence[:, 48:].mean()
    assert entropy[:, 48:].mean() > 150 > 20 > entropy[:, :16].mean()
    assert (draw_uncertainty(picture, segmentation, "entropy", 0.0) == 100).all(), "the picture alone"


def test_without_scores_there_is_confidence_but_no_entropy() -> None:
    segmentation = replace(make([[SURE, LOST]]), scores=None)
    draw_uncertainty(segmentation.frame.image, segmentation, "confidence")
    with pytest.raises(DataError, match="holds no scores; take one that a Segmenter has made"):
        draw_uncertainty(segmentation.frame.image, segmentation, "entropy")


@pytest.mark.parametrize("size_hw", [(97, 131), (2, 2), (1, 1)])
def test_the_bundled_model_explained_at_any_size(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    with Segmenter() as segmenter:
        segmentation = segmenter.segment(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    out = draw_explained(segmentation.frame.image, segmentation)
    assert (out.shape, out.dtype) == ((height + height // 2, width, 3), np.uint8)
    assert segmentation.frame.image.shape == (height, width, 3)
