from __future__ import annotations

import numpy as np
import pytest

from train.losses import SegmentationLoss, balance_classes, lovasz_softmax


def logits_of(labels: np.ndarray, strength: float = 20.0) -> np.ndarray:
    return (np.eye(4, dtype=np.float32)[np.where(labels == 255, 0, labels)] * strength).astype(np.float32)


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (2, 8, 12)).astype(np.uint8)
    loss = SegmentationLoss([1, 1, 1, 1])
    assert float(loss(labels, logits_of(labels))) < 0.02
    assert float(loss(labels, logits_of((labels + 1) % 4))) > 10


def test_cross_entropy_without_dice_is_the_plain_formula() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, (2, 6, 6)).astype(np.uint8)
    logits = rng.normal(size=(2, 6, 6, 4)).astype(np.float32)
    weights = np.array([0.5, 1.0, 2.0, 4.0])
    shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(shifted, labels[..., None].astype(int), -1)[..., 0]
    expected = (-picked * weights[labels]).sum() / (labels.size + 1)
    assert float(SegmentationLoss(weights.tolist(), dice=0.0)(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_smoothed_labels_give_every_class_a_share() -> None:
    labels = np.array([[[2]]], np.uint8)
    logits = np.array([[[[0.5, -1.0, 2.0, 0.0]]]], np.float32)
    log_probs = logits[0, 0, 0] - np.log(np.exp(logits).sum())
    expected = -(log_probs * [0.025, 0.025, 0.925, 0.025]).sum() / 2  # one pixel, and one that keeps from 0 / 0
    loss = SegmentationLoss([1, 1, 1, 1], dice=0.0, label_smoothing=0.1)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lovasz", [0.0, 2.0])
def test_ignored_pixels_do_not_count(lovasz: float) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, (1, 8, 8)).astype(np.uint8)
    labels[:, 4:] = 255
    logits = rng.normal(size=(1, 8, 8, 4)).astype(np.float32)
    changed = logits.copy()
    changed[:, 4:] = rng.normal(size=(1, 4, 8, 4)) * 10
    loss = SegmentationLoss([1, 1, 1, 1], lovasz=lovasz)
    assert float(loss(labels, logits)) == pytest.approx(float(loss(labels, changed)), rel=1e-5)


def test_where_classes_meet_an_error_costs_more() -> None:
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[:, :, 10:] = 3
    labels[:, 18:] = 255  # what is unknown meets nobody
    plain, sharp = (SegmentationLoss([1, 1, 1, 1], dice=0.0, boundary=weight) for weight in (0.0, 4.0))

    def wrong_at(columns: slice) -> np.ndarray:
        said = labels.copy()
        said[:, :18, columns] = 1
        return logits_of(said)

    near, far = wrong_at(slice(9, 11)), wrong_at(slice(2, 4))
    assert float(plain(labels, near)) == pytest.approx(float(plain(labels, far)), rel=1e-3)
    # Two pixels on either side of the border weigh 5, all others 1.
    mean = (1.0 * 16 + 5.0 * 4) / 20
    assert float(sharp(labels, near)) == pytest.approx(5 / mean * float(plain(labels, near)), rel=1e-2)
    assert float(sharp(labels, far)) == pytest.approx(1 / mean * float(plain(labels, far)), rel=1e-2)
    assert SegmentationLoss.from_config(sharp.get_config()).boundary == 4.0


def test_the_boundary_takes_from_the_rest_what_it_gets() -> None:
    """Of scores that are equally wrong everywhere the loss stays, whatever the classes weigh."""
    labels = np.random.default_rng(5).integers(0, 4, (2, 12, 12)).astype(np.uint8)
    labels[:, :8] = 0
    scores = np.zeros((2, 6, 6, 4), np.float32)
    plain, sharp = (SegmentationLoss([0.5, 1, 2, 8], dice=0.0, boundary=weight) for weight in (0.0, 4.0))
    assert float(sharp(labels, scores)) == pytest.approx(float(plain(labels, scores)), rel=1e-2)


def test_lovasz_of_a_sure_answer_is_one_minus_the_mean_iou() -> None:
    rng = np.random.default_rng(6)
    truth, said = rng.integers(0, 3, 500), rng.integers(0, 3, 500)
    ious = [((truth == c) & (said == c)).sum() / ((truth == c) | (said == c)).sum() for c in range(3)]
    one_hot = np.eye(3, dtype=np.float32)
    assert float(lovasz_softmax(one_hot[said], one_hot[truth])) == pytest.approx(1 - np.mean(ious), abs=1e-5)


def test_lovasz_is_the_sum_over_the_sorted_errors() -> None:
    rng = np.random.default_rng(7)
    probs = rng.dirichlet([1, 1, 1], 40).astype(np.float32)
    truth = np.eye(3, dtype=np.float32)[rng.integers(0, 2, 40)]  # the last class does not occur and costs nothing

    def lost(wrong: np.ndarray, of: np.ndarray) -> float:
        """1 - IoU when the pixels `wrong` are the other thing than they are."""
        said = np.where(wrong, 1 - of, of)
        return 1 - float(np.minimum(said, of).sum() / np.maximum(said, of).sum())

    expected = []
    for column in range(2):
        errors, total = np.abs(truth[:, column] - probs[:, column]), 0.0
        order = np.argsort(-errors)
        for rank, pixel in enumerate(order):
            before, after = (np.isin(np.arange(40), order[:count]) for count in (rank, rank + 1))
            total += errors[pixel] * (lost(after, truth[:, column]) - lost(before, truth[:, column]))
        expected.append(total)
    assert float(lovasz_softmax(probs, truth)) == pytest.approx(np.mean(expected), abs=1e-5)


def test_lovasz_is_added_of_every_second_pixel() -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 4, (2, 12, 12)).astype(np.uint8)
    labels[:, 6:] = 255
    logits = rng.normal(size=(2, 12, 12, 4)).astype(np.float32)
    loss = SegmentationLoss([1, 1, 1, 1], lovasz=2.0)
    # Every second pixel each way, from the second on, and without the first class.
    shifted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    seen = labels[:, 1:6:2, 1::2]
    one_hot = np.eye(4, dtype=np.float32)[seen][..., 1:].reshape(-1, 3)
    alone = float(lovasz_softmax(shifted[:, 1:6:2, 1::2, 1:].reshape(-1, 3), one_hot))
    added = float(loss(labels, logits)) - float(SegmentationLoss([1, 1, 1, 1])(labels, logits))
    assert added == pytest.approx(2 * alone, rel=1e-3)
    assert SegmentationLoss.from_config(loss.get_config()).lovasz == 2.0


def test_a_batch_of_ignored_pixels_costs_nothing() -> None:
    labels = np.full((1, 8, 8), 255, np.uint8)
    logits = np.random.default_rng(3).normal(size=(1, 4, 4, 4)).astype(np.float32)
    assert float(SegmentationLoss([1, 1, 1, 1], lovasz=1.0)(labels, logits)) == pytest.approx(0.0, abs=1e-6)


def test_balance_gives_rare_classes_more_and_keeps_the_mean_at_one() -> None:
    shares = [0.6, 0.3, 0.09, 0.01]
    weights = balance_classes(shares, 0.5)
    assert weights == sorted(weights)
    assert np.dot(weights, shares) == pytest.approx(1.0)
    assert balance_classes(shares, 0.0) == pytest.approx([1.0] * 4)
    assert balance_classes([0.5, 0.5, 0.0, 0.0], 0.5)[2:] == [1.0, 1.0]
