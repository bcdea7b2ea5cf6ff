"""How good a network is: IoU per class over labelled pictures, with optional test-time fusion of views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import UsageError
from edgeseg.fusion import fuse_views, log_softmax
from edgeseg.iou import ConfusionMatrix
from edgeseg.preprocess import Fit, normalise_float, to_input, upscale_logits
from train.datasets import Dataset

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Views:
    """Which views of a picture are fused: sizes relative to the input size, and whether each is mirrored too."""

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def sizes(self, input_hw: tuple[int, int], stride: int = 32) -> list[tuple[int, int]]:
        """The input sizes of the views, rounded to what the network takes. Raises UsageError on a scale <= 0."""
        if any(scale <= 0 for scale in self.scales):
            raise UsageError(f"scales must be above 0, got {self.scales}")
        return [
            (
                max(stride, round(input_hw[0] * scale / stride) * stride),
                max(stride, round(input_hw[1] * scale / stride) * stride),
            )
            for scale in self.scales
        ]


def predict_picture(
    predict: Predict, image_bgr: NDArray[np.uint8], input_hw: tuple[int, int], views: Views
) -> NDArray[np.float32]:
    """Scores (H, W, C) at the picture's size; with several views P(x) = argmax_c sum_i w_i log P(c|x_i), equal w."""
    height, width = image_bgr.shape[:2]
    logits = []
    for size in views.sizes(input_hw):
        batch = normalise_float(to_input(image_bgr, size))[None]
        fit = Fit.plan((height, width), size)
        logits.append(upscale_logits(predict(batch)[0], fit))
        if views.flip:
            mirrored = predict(np.ascontiguousarray(batch[:, :, ::-1]))[0]
            logits.append(upscale_logits(np.ascontiguousarray(mirrored[:, ::-1]), fit))
    if len(logits) == 1:
        return logits[0]
    return fuse_views([log_softmax(view) for view in logits])


def evaluate_dataset(
    model: keras.Model,
    dataset: Dataset,
    input_hw: tuple[int, int],
    views: Views | None = None,
    batch_size: int = 4,
) -> ConfusionMatrix:
    """The confusion matrix over a data set at the labels' own resolution."""
    matrix = ConfusionMatrix()
    if views is not None and (views.flip or views.scales != (1.0,)):
        for index in range(len(dataset.pairs)):
            image, label = dataset.read(index)
            scores = predict_picture(model.predict_on_batch, image, input_hw, views)
            matrix.update(scores.argmax(-1), label)
        return matrix
    for images, labels in _chunks(dataset, batch_size):
        batch = np.stack([normalise_float(to_input(image, input_hw)) for image in images])
        for logits, label in zip(model.predict_on_batch(batch), labels, strict=True):
            scores = upscale_logits(logits, Fit.plan((label.shape[0], label.shape[1]), input_hw))
            matrix.update(scores.argmax(-1), label)
    return matrix


def _chunks(
    dataset: Dataset, size: int
) -> Iterator[tuple[Sequence[NDArray[np.uint8]], Sequence[NDArray[np.uint8]]]]:
    for start in range(0, len(dataset.pairs), size):
        pairs = [dataset.read(index) for index in range(start, min(start + size, len(dataset.pairs)))]
        yield [pair[0] for pair in pairs], [pair[1] for pair in pairs]
