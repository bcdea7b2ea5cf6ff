"""Distillation: a network learns the scores of a larger one, its teacher, beside the labels.

The teacher sees the very picture that the student sees, cropped, flipped and made worse alike, and its scores count
wherever there is a picture, labelled or not (Beyer et al. 2021, arXiv:2106.05237, on why the pictures must be the
same). It runs inside the training step and is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from edgeseg.errors import DataError
from train.augment import OUTSIDE_INDEX
from train.evaluate import at_size
from train.network_file import read_keras

#: From pictures (B, H, W, 3), labels (B, H', W') and the student's scores (B, h, w, C) to what is added to the loss.
Distillation = Callable[[Any, Any, Any], Any]


def distillation_loss(
    wanted: Any, said: Any, counted: Any, temperature: float, class_weights: Sequence[float] | None = None
) -> Any:
    """T^2 KL(softmax(wanted / T) || softmax(said / T)), the mean over the pixels that count.

    Hinton et al. 2015 (arXiv:1503.02531), for each pixel as in Liu et al. 2019 (arXiv:1903.04197); T^2 keeps the
    gradients as large as those of the labels' loss. wanted, said: (B, h, w, C) logits of teacher and student. counted:
    (B, h, w), 1 or 0. class_weights: a pixel's weight is their mean under the teacher's probabilities, so that the
    rare classes weigh here what they weigh in the labels' loss.
    """
    log_wanted = ops.log_softmax(wanted / temperature, axis=-1)
    log_said = ops.log_softmax(said / temperature, axis=-1)
    divergence = ops.sum(ops.exp(log_wanted) * (log_wanted - log_said), axis=-1)
    weights = counted
    if class_weights is not None:
        table = ops.convert_to_tensor([float(weight) for weight in class_weights], "float32")
        weights = counted * ops.sum(ops.softmax(wanted, axis=-1) * table, axis=-1)
    return temperature**2 * ops.sum(divergence * weights) / (ops.sum(counted) + 1.0)


def make_distillation(
    teacher: keras.Model, weight: float, temperature: float, class_weights: Sequence[float] | None = None
) -> Distillation:
    """What learning from `teacher` adds to the loss."""
    teacher.trainable = False

    def distil(pictures: Any, labels: Any, said: Any) -> Any:
        wanted = ops.stop_gradient(teacher(pictures, training=False))
        places = ops.shape(said)[1:3]
        if tuple(wanted.shape[1:3]) != tuple(said.shape[1:3]):
            wanted = ops.image.resize(wanted, places, interpolation="bilinear", data_format="channels_last")
        inside = ops.cast(ops.not_equal(ops.cast(labels, "int32"), OUTSIDE_INDEX), "float32")[..., None]
        counted = ops.image.resize(inside, places, interpolation="nearest", data_format="channels_last")[..., 0]
        return weight * distillation_loss(wanted, said, counted, temperature, class_weights)

    return distil


def load_teacher(path: Path, input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """The teacher's network for pictures of `input_hw`.

    Raises DataError when the file is damaged, or its network takes or gives something else than ours.
    """
    try:
        teacher = at_size(read_keras(path), input_hw)
    except (DataError, ValueError, TypeError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise DataError(f"{path}: cannot teach: {reason}; give the best.keras of a run") from error
    shape = teacher.output_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != class_count:
        raise DataError(f"{path}: cannot teach: gives {shape}, not scores of {class_count} classes at every place")
    return teacher
