"""The training loss: class-balanced cross entropy, Dice and Lovász, all blind to ignored pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

#: One sample for each of the network's answers: they come at stride 4, the labels at LABEL_STRIDE.
LOVASZ_STRIDE = 2


def balance_classes(shares: Sequence[float], power: float) -> list[float]:
    """Class weights share ** -power, scaled so that the mean weight of a pixel is 1; a class without pixels gets 1."""
    counted = np.asarray(shares, np.float64)
    weights = np.where(counted > 0, np.maximum(counted, 1e-6) ** -power, 0.0)
    mean = float((weights * counted).sum() / max(counted.sum(), 1e-12))
    return [float(weight / mean) if weight else 1.0 for weight in weights]


def lovasz_softmax(probs: Any, truth: Any) -> Any:
    """The Lovász extension of 1 - IoU of each class that occurs, their mean (Berman et al. 2018, arXiv:1705.08790).

    probs, truth: (N, C) probabilities and one-hot labels of N pixels; a pixel that does not count is all zero in both.
    """
    errors = ops.transpose(ops.abs(truth - probs))
    order = ops.argsort(-errors, axis=-1)
    errors = ops.take_along_axis(errors, order, axis=-1)
    hits = ops.take_along_axis(ops.transpose(truth), order, axis=-1)
    pixels = ops.sum(hits, axis=-1, keepdims=True)
    # 1 - IoU were the first k pixels, those of the largest errors, all wrong and the others right.
    lost = 1 - (pixels - ops.cumsum(hits, axis=-1)) / ops.maximum(pixels + ops.cumsum(1 - hits, axis=-1), 1.0)
    steps = ops.concatenate([lost[:, :1], lost[:, 1:] - lost[:, :-1]], axis=-1)
    occurs = ops.cast(pixels[:, 0] > 0, "float32")
    return ops.sum(ops.sum(errors * ops.stop_gradient(steps), axis=-1) * occurs) / ops.maximum(ops.sum(occurs), 1.0)


@keras.saving.register_keras_serializable(package="edgeseg")
class SegmentationLoss(keras.losses.Loss):
    """Cross entropy with a weight a class, plus `dice` times Dice and `lovasz` times Lovász of all but the first class.

    y_true: (B, H, W) integers; what is no class (IGNORE_INDEX, OUTSIDE_INDEX) is left out. y_pred: (B, h, w, C)
    logits; they are resized bilinearly to H x W first, because that is how they are used. Dice (Milletari et al. 2016,
    arXiv:1606.04797) is taken over the whole batch: a class that is rare in a picture then has a steady denominator.
    `boundary` is what pixels weigh more in the cross entropy that have another class within two pixels, in the manner
    of the border weights of U-Net (Ronneberger et al. 2015, arXiv:1505.04597, section 3); the mean weight stays.
    Lovász is taken over every LOVASZ_STRIDE-th pixel of the batch, because it sorts them.
    """

    def __init__(
        self,
        class_weights: Sequence[float],
        dice: float = 1.0,
        label_smoothing: float = 0.0,
        boundary: float = 0.0,
        lovasz: float = 0.0,
        name: str = "segmentation_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.class_weights = [float(weight) for weight in class_weights]
        self.dice = dice
        self.label_smoothing = label_smoothing
        self.boundary = boundary
        self.lovasz = lovasz

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = len(self.class_weights)
        logits = ops.image.resize(y_pred, ops.shape(y_true)[1:3], interpolation="bilinear", data_format="channels_last")
        labels = ops.cast(y_true, "int32")
        counted = ops.cast(ops.less(labels, classes), "float32")
        one_hot = ops.one_hot(ops.where(ops.less(labels, classes), labels, 0), classes, dtype="float32")
        log_probs = ops.log_softmax(logits, axis=-1)

        smooth = one_hot * (1 - self.label_smoothing) + self.label_smoothing / classes
        weights = ops.convert_to_tensor(self.class_weights, "float32")
        pixel_weights = counted * ops.sum(one_hot * weights, axis=-1)
        if self.boundary:
            near = ops.max_pool(one_hot * counted[..., None], 5, strides=1, padding="same", data_format="channels_last")
            more = 1.0 + self.boundary * ops.cast(ops.sum(near, axis=-1) > 1.5, "float32")
            raised = pixel_weights * more
            pixel_weights = raised * (ops.sum(pixel_weights) + 1.0) / (ops.sum(raised) + 1.0)
        entropy = -ops.sum(smooth * log_probs, axis=-1)
        loss = ops.sum(entropy * pixel_weights) / (ops.sum(counted) + 1.0)
        probs = ops.exp(log_probs) * counted[..., None]
        truth = one_hot * counted[..., None]
        if self.lovasz:
            some = slice(LOVASZ_STRIDE // 2, None, LOVASZ_STRIDE)
            sample = [ops.reshape(part[:, some, some, 1:], (-1, classes - 1)) for part in (probs, truth)]
            loss = loss + self.lovasz * lovasz_softmax(*sample)
        if not self.dice:
            return loss
        overlap = ops.sum(probs * truth, axis=(0, 1, 2))
        size = ops.sum(probs, axis=(0, 1, 2)) + ops.sum(truth, axis=(0, 1, 2))
        # +1 pixel keeps a batch without the class from dividing by nothing. The class then costs 1 once some pixels'
        # worth of probability is given to it; the gradient falls with the square of that number.
        dice = 1 - (2 * overlap + 1.0) / (size + 1.0)
        return loss + self.dice * ops.mean(dice[1:])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "dice": self.dice,
            "label_smoothing": self.label_smoothing,
            "boundary": self.boundary,
            "lovasz": self.lovasz,
        }
