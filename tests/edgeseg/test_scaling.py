from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.labels import LabelMapping, find_pairs
from edgeseg.model_card import ModelCard
from edgeseg.scaling import PIXELS_PER_PICTURE, Scaling, find_scaling, fit_scaling, sample_scores


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


def test_labelled_pixels_are_taken_evenly_and_at_full_size(tmp_path: Path) -> None:
    truth = (np.arange(100 * 150).reshape(100, 150) % 4).astype(np.uint8)
    for name in ("a", "b"):
        image = np.repeat(60 * truth[:, :, None], 3, axis=2)
        label = np.where(np.arange(150) < 75, 255, truth).astype(np.uint8) if name == "a" else truth
        for folder, picture in (("images", image), ("labels", label)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), picture)
    mapping = LabelMapping.load("edgeseg")
    pairs = find_pairs(tmp_path / "images", tmp_path / "labels", mapping)

    def see(image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.eye(4, dtype=np.float32)[image_bgr[:, :, 0] // 60]

    scores, classes = sample_scores(see, pairs, mapping)
    assert scores.shape == (classes.size, 4)
    assert 2 * PIXELS_PER_PICTURE <= classes.size < 4 * PIXELS_PER_PICTURE
    np.testing.assert_array_equal(scores.argmax(1), classes)
    assert find_scaling(see, [(pairs[:1], mapping), (pairs[1:], mapping)]) == fit_scaling(scores, classes)


def test_two_scalings_are_one() -> None:
    scores = np.random.default_rng(4).normal(0, 3, (50, 4)).astype(np.float32)
    first, second = Scaling(1.3, (0.0, 0.2, -0.4, -1.1)), Scaling(0.9, (0.0, -0.1, 0.3, 0.5))
    np.testing.assert_allclose(first.then(second).apply(scores), second.apply(first.apply(scores)), atol=1e-3)
    np.testing.assert_allclose(first.undo(first.apply(scores)), scores, atol=1e-4)


def test_what_a_card_says_is_what_was_done() -> None:
    assert Scaling.of(ModelCard(name="plain", input_hw=(64, 96))) == Scaling.none(4)
    scaled = ModelCard(name="scaled", input_hw=(64, 96), temperature=1.5, offsets=(0.0, 1.0, 2.0, 3.0))
    assert Scaling.of(scaled) == Scaling(1.5, (0.0, 1.0, 2.0, 3.0))
