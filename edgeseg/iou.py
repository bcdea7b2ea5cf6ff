"""Confusion matrix and the figures of segmentation quality that come from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES, IGNORE_INDEX
from edgeseg.errors import DataError


class ConfusionMatrix:
    """Counts pixels by (true class, predicted class) over any number of pictures.

    counts: (C, C) int64, rows are the truth, columns the prediction. Pixels whose truth is IGNORE_INDEX count nowhere.
    """

    def __init__(self, names: Sequence[str] = CLASS_NAMES) -> None:
        self.names = tuple(names)
        self.counts: NDArray[np.int64] = np.zeros((len(self.names), len(self.names)), np.int64)

    def update(self, predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> None:
        """Add one picture: two integer arrays of one shape. Raises DataError on other shapes or foreign values."""
        if predicted.shape != truth.shape:
            raise DataError(f"prediction {predicted.shape} and truth {truth.shape} must have one shape")
        size = len(self.names)
        seen = truth != IGNORE_INDEX
        true_ids = truth[seen].astype(np.int64)
        predicted_ids = predicted[seen].astype(np.int64)
        for name, ids in (("truth", true_ids), ("prediction", predicted_ids)):
            if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                raise DataError(f"{name} holds class {int(ids.max())}, but there are only {size} classes")
        self.counts += np.bincount(true_ids * size + predicted_ids, minlength=size * size).reshape(size, size)

    def iou(self) -> dict[str, float]:
        """Intersection over union per class; nan for a class in neither truth nor prediction."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return {
            name: float(hit) / float(either) if either else math.nan
            for name, hit, either in zip(self.names, hits, union, strict=True)
        }

    def mean_iou(self, names: Sequence[str] | None = None) -> float:
        """The mean IoU over the named classes (all by default) that occur; nan when none does."""
        values = [value for name, value in self.iou().items() if (names is None or name in names)]
        present = [value for value in values if not math.isnan(value)]
        return sum(present) / len(present) if present else math.nan

    def mean_iou_foreground(self) -> float:
        """The mean IoU over every class but the first (`other`)."""
        return self.mean_iou(self.names[1:])

    def pixel_accuracy(self) -> float:
        """The share of counted pixels whose class is right; nan when nothing was counted."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else math.nan


def none_if_nan(value: float) -> float | None:
    """JSON has no nan: a figure that does not exist becomes null."""
    return None if math.isnan(value) else value
