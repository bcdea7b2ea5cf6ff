from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from convert.card import describe, write_model
from convert.quantize import convert_float, fold_scaling, has_linear_end, keras, resize_network
from convert.scaling import PIXELS_PER_PICTURE, Scaling, fit_scaling, sample_scores
from edgeseg.labels import LabelMapping, find_pairs
from edgeseg.model_card import ModelCard
from edgeseg.segmenter import Segmenter
from tests.convert.conftest import SMALL_HW, build_color_network, draw_dataset


def honest(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and classes drawn from just the probabilities that the scores say."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (count, 4)).astype(np.float32)
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    truth = (probabilities.cumsum(1) < rng.random((count, 1))).sum(1)
    return scores, np.minimum(truth, 3).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_what_was_put_on_is_found(temperature: float) -> None:
    scores, truth = honest(60_000, 0)
    offsets = np.array([0.0, 0.3, -0.5, 2.0], np.float32)
    found = fit_scaling((scores - offsets) * np.float32(temperature), truth)
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert found.offsets == pytest.approx(offsets, abs=0.06)
    np.testing.assert_allclose(found.apply(found.undo(scores)), scores, atol=1e-4)


def test_rare_classes_that_training_weighed_more_are_seen_as_often_as_they_are() -> None:
    scores, truth = honest(60_000, 1)
    weighed = scores + np.float32([0, 0, 0, 1.5])
    found = fit_scaling(weighed, truth)
    assert (weighed.argmax(1) == 3).mean() > 1.4 * (scores.argmax(1) == 3).mean()
    assert (found.apply(weighed).argmax(1) == 3).mean() == pytest.approx((scores.argmax(1) == 3).mean(), rel=0.05)


def test_never_wrong_is_not_made_infinitely_sure() -> None:
    scores = np.eye(4, dtype=np.float32).repeat(200, 0)
    found = fit_scaling(scores, np.arange(4, dtype=np.uint8).repeat(200))
    assert 0.1 <= found.temperature < 0.3
    assert fit_scaling(np.zeros((0, 4), np.float32), np.zeros(0, np.uint8)) == Scaling.none(4)


def test_a_class_that_the_pictures_lack_is_left_alone() -> None:
    scores, truth = honest(20_000, 2)
    seen = truth != 3
    assert fit_scaling(scores[seen], truth[seen]).offsets[3] == 0.0


def test_folding_scales_the_scores(small_network: Any) -> None:
    network = resize_network(small_network, SMALL_HW)
    sample = np.random.default_rng(1).uniform(-1, 1, (1, *SMALL_HW, 3)).astype(np.float32)
    before = np.asarray(network(sample))
    assert has_linear_end(network)
    scaling = Scaling(2.5, (0.0, 0.5, -1.0, 2.0))
    fold_scaling(network, scaling.temperature, scaling.offsets)
    np.testing.assert_allclose(np.asarray(network(sample)), scaling.apply(before), atol=1e-5)
    assert not has_linear_end(keras.Model(network.inputs, keras.layers.ReLU()(network.outputs[0])))


def test_labelled_pixels_are_taken_evenly_and_at_full_size(tmp_path: Path) -> None:
    folder = draw_dataset(tmp_path / "data", 2)
    label = folder / "labels" / "000.png"
    truth = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    truth[:, :75] = 255
    cv2.imwrite(str(label), truth)
    network = resize_network(build_color_network(), SMALL_HW)
    card = describe(
        ModelCard(name="colors", input_hw=SMALL_HW),
        input_hw=SMALL_HW,
        output_hw=(16, 24),
        quantization="float32",
        metrics={},
    )
    write_model(tmp_path / "m.tflite", convert_float(network), card)
    mapping = LabelMapping.load("edgeseg")
    with Segmenter(tmp_path / "m.tflite") as segmenter:
        scores, classes = sample_scores(segmenter, find_pairs(folder / "images", folder / "labels", mapping), mapping)
    assert scores.shape == (classes.size, 4)
    assert 2 * PIXELS_PER_PICTURE <= classes.size < 4 * PIXELS_PER_PICTURE
    assert classes.max() == 3
    assert (scores.argmax(1) == classes).mean() > 0.8


def test_two_scalings_are_one() -> None:
    scores = np.random.default_rng(4).normal(0, 3, (50, 4)).astype(np.float32)
    first, second = Scaling(1.3, (0.0, 0.2, -0.4, -1.1)), Scaling(0.9, (0.0, -0.1, 0.3, 0.5))
    np.testing.assert_allclose(first.then(second).apply(scores), second.apply(first.apply(scores)), atol=1e-3)
    np.testing.assert_allclose(first.undo(first.apply(scores)), scores, atol=1e-4)


def test_what_a_card_says_is_what_was_done() -> None:
    assert Scaling.of(ModelCard(name="plain", input_hw=(64, 96))) == Scaling.none(4)
    scaled = ModelCard(name="scaled", input_hw=(64, 96), temperature=1.5, offsets=(0.0, 1.0, 2.0, 3.0))
    assert Scaling.of(scaled) == Scaling(1.5, (0.0, 1.0, 2.0, 3.0))
