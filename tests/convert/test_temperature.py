from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from convert.card import describe, write_model
from convert.quantize import convert_float, fold_temperature, has_linear_end, keras, resize_network
from convert.temperature import PIXELS_PER_PICTURE, fit_temperature, sample_scores
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
def test_the_temperature_that_was_put_on_is_found(temperature: float) -> None:
    scores, truth = honest(60_000, 0)
    assert fit_temperature(scores * np.float32(temperature), truth) == pytest.approx(temperature, rel=0.03)


def test_never_wrong_is_not_made_infinitely_sure() -> None:
    scores = np.eye(4, dtype=np.float32)
    assert fit_temperature(scores, np.arange(4, dtype=np.uint8)) == pytest.approx(0.1, rel=0.01)
    assert fit_temperature(np.zeros((0, 4), np.float32), np.zeros(0, np.uint8)) == 1.0


def test_folding_divides_the_scores(small_network: Any) -> None:
    network = resize_network(small_network, SMALL_HW)
    sample = np.random.default_rng(1).uniform(-1, 1, (1, *SMALL_HW, 3)).astype(np.float32)
    before = np.asarray(network(sample))
    assert has_linear_end(network)
    fold_temperature(network, 2.5)
    np.testing.assert_allclose(np.asarray(network(sample)), before / 2.5, atol=1e-6)
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
