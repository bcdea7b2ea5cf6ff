"""True scores: a temperature and an offset for each class, found on labelled pictures and folded into the last layer.

A network that is 90 % sure should be right 9 times in 10; trained ones are surer than that. One that learnt with
heavier weights for rare classes sees them too often, too: people come out too thick. Both are mended by the likeliest
softmax(scores / T + offsets): temperature scaling (Guo et al. 2017, arXiv:1706.04599) with a bias for each class
(Alexandari et al. 2020, arXiv:1901.06852). Rounding to INT8 shifts the scores once more, which is found and taken back
on the INT8 model itself. It costs nothing on the device. Training judges a network by the scores scaled like this, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import IGNORE_INDEX
from edgeseg.evaluate import Predict
from edgeseg.labels import LabelMapping, Pair, read_pair
from edgeseg.model_card import ModelCard

#: Of each picture; neighbouring pixels say the same, and a handful of numbers needs few.
PIXELS_PER_PICTURE = 4096
#: Beyond it the pictures do not tell the temperature: a network that is never wrong would be made infinitely sure.
MAX_TEMPERATURE = 10.0
#: A class of which fewer pixels were found keeps its offset of 0: what the pictures lack may well be on the road.
LEAST_PIXELS = 100
#: Draws 1 / T to 1 and the offsets to 0, where the pictures have nothing to say against it.
_PRIOR = 1e-4
_STEPS = 50


@dataclass(frozen=True)
class Scaling:
    """scores / temperature + offsets: one offset for each class, that of the first always 0."""

    temperature: float
    offsets: tuple[float, ...]

    @classmethod
    def none(cls, classes: int) -> Scaling:
        """The one that changes nothing."""
        return cls(1.0, (0.0,) * classes)

    @classmethod
    def of(cls, card: ModelCard) -> Scaling:
        """The one that a model's card says was folded into it."""
        return cls(card.temperature, card.offsets or (0.0,) * len(card.classes))

    def then(self, other: Scaling) -> Scaling:
        """This one, and after it the other."""
        pairs = zip(self.offsets, other.offsets, strict=True)
        offsets = tuple(round(mine / other.temperature + theirs, 4) for mine, theirs in pairs)
        return Scaling(round(self.temperature * other.temperature, 4), offsets)

    def apply(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (..., C) as training left them, scaled."""
        return scores / np.float32(self.temperature) + np.asarray(self.offsets, np.float32)

    def undo(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scaled scores (..., C) as training left them."""
        return (scores - np.asarray(self.offsets, np.float32)) * np.float32(self.temperature)


def sample_scores(
    predict: Predict, pairs: Sequence[Pair], mapping: LabelMapping
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scores (N, C) of labelled pixels, spread evenly over each picture, and their true classes (N,).

    The scores are those that are compared with the labels: at full size. Raises DataError for a broken file.
    """
    scores: list[NDArray[np.float32]] = []
    truths: list[NDArray[np.uint8]] = []
    for pair in pairs:
        image, label = read_pair(pair, mapping)
        (places,) = np.nonzero(label.ravel() != IGNORE_INDEX)
        places = places[:: max(1, places.size // PIXELS_PER_PICTURE)]
        full = predict(image)
        scores.append(full.reshape(-1, full.shape[2])[places])
        truths.append(label.ravel()[places])
    return np.concatenate(scores), np.concatenate(truths)


def find_scaling(predict: Predict, sets: Iterable[tuple[Sequence[Pair], LabelMapping]]) -> Scaling:
    """What the scores of a network lack on labelled pictures, all data sets together. Raises as sample_scores()."""
    samples = [sample_scores(predict, pairs, mapping) for pairs, mapping in sets]
    return fit_scaling(*(np.concatenate(parts) for parts in zip(*samples, strict=True)))


def fit_scaling(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> Scaling:
    """The temperature, 0.1 to 10, and the offsets that make the true classes (N,) likeliest, given scores (N, C).

    The negative log-likelihood is convex in 1 / T and the offsets: Newton's method with a halved step where a whole one
    would lead uphill finds its lowest point. Nothing changes where there is no pixel.
    """
    classes = scores.shape[1]
    if not truth.size:
        return Scaling.none(classes)
    wide = scores.astype(np.float64)
    is_true = np.eye(classes)[truth]
    # 1 / T, then the offsets; of these only those that move: softmax does not change when all are shifted alike.
    moving = [0, *(1 + index for index in range(1, classes) if is_true[:, index].sum() >= LEAST_PIXELS)]
    start = np.zeros(1 + classes)
    start[0] = 1.0

    def measure(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = wide * point[0] + point[1:]
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        total = powers.sum(axis=1, keepdims=True)
        cost = float((np.log(total[:, 0]) - (logits * is_true).sum(axis=1)).mean())
        return cost + _PRIOR / 2 * float(((point - start) ** 2).sum()), powers / total

    point = start
    cost, chances = measure(point)
    for _ in range(_STEPS):
        gap = chances - is_true
        slope = np.concatenate([[(gap * wide).sum(axis=1).mean()], gap.mean(axis=0)]) + _PRIOR * (point - start)
        mean = (chances * wide).sum(axis=1)
        curve = np.empty((1 + classes, 1 + classes))
        curve[0, 0] = (chances * wide**2).sum(axis=1).mean() - (mean**2).mean()
        curve[0, 1:] = curve[1:, 0] = (chances * wide).mean(axis=0) - (chances * mean[:, None]).mean(axis=0)
        curve[1:, 1:] = np.diag(chances.mean(axis=0)) - chances.T @ chances / truth.size
        curve += _PRIOR * np.eye(1 + classes)
        step = np.zeros(1 + classes)
        step[moving] = np.linalg.solve(curve[np.ix_(moving, moving)], slope[moving])
        if float(np.abs(step).max()) < 1e-5:
            break
        while (found := measure(point - step))[0] > cost and float(np.abs(step).max()) > 1e-6:
            step /= 2
        point, (cost, chances) = point - step, found
    temperature = float(np.clip(1 / max(point[0], 1e-6), 1 / MAX_TEMPERATURE, MAX_TEMPERATURE))
    return Scaling(round(temperature, 4), tuple(round(float(offset), 4) for offset in point[1:]))
