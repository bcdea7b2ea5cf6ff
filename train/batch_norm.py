"""Batch normalisation: trained in one op of TensorFlow's, and its statistics measured anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

#: Pictures enough for the mean and the variance of every channel.
STATISTICS_BATCHES = 16


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras' layer over the last axis of (B, H, W, C), in training by TensorFlow's fused kernel.

    Keras composes normalisation of a dozen ops, which take a third of a training step on a CPU. Everything but the
    time is Keras': the weights and their order, the biased variance in the moving average, inference.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or not self.trainable or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        normalised, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        # The kernel's variance is the unbiased one.
        count = ops.cast(ops.prod(ops.shape(inputs)[:-1]), inputs.dtype)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1.0) / count)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return normalised


def fuse_normalisation(network: keras.Model) -> keras.Model:
    """The same network with the same weights, faster to train; to be saved, its weights go into the plain one.

    Other backends than TensorFlow fuse by themselves: for them it is `network`.
    """
    if keras.backend.backend() != "tensorflow":
        return network

    def fused(layer: keras.Layer) -> keras.Layer:
        kind = FusedBatchNormalization if isinstance(layer, layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    twin = keras.models.clone_model(network, clone_function=fused)
    twin.set_weights(network.get_weights())
    return twin


def estimate_statistics(model: keras.Model, batches: Iterable[NDArray[np.float32]]) -> None:
    """Measures the batch norms' means and variances anew, as the plain mean over `batches` (B, H, W, 3).

    Averaged weights see other activations than the weights they average; with the statistics of the latter the
    average loses up to half of its IoU in mid-run (Izmailov et al. 2018, arXiv:1803.05407, section 3.3).
    """
    norms = [it for it in model.layers if isinstance(it, keras.layers.BatchNormalization) and it.trainable]
    momenta = [norm.momentum for norm in norms]
    for index, batch in enumerate(batches):
        for norm in norms:
            norm.momentum = index / (index + 1)
        model(batch, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def neutralise(norm: layers.BatchNormalization, bias: NDArray[np.float32]) -> None:
    """Makes a norm add `bias` in inference and nothing else."""
    _set(norm, np.zeros_like(bias), np.ones_like(bias) - norm.epsilon, np.ones_like(bias), bias)


def renew_statistics(
    model: keras.Model, norms: Sequence[layers.BatchNormalization], batches: Iterable[NDArray[np.float32]]
) -> None:
    """Gives norms the statistics of pictures (B, h, w, 3) and leaves what they do in inference as it is.

    For y = a x + c, the mean m and the variance v of x: moving mean m, moving variance v, gamma a sqrt(v + eps), beta
    c + a m. Training, which normalises by what it sees, then starts where inference is.
    """
    probe = keras.Model(model.inputs, [norm.input for norm in norms])
    sums: list[Any] = [0.0] * len(norms)
    squares: list[Any] = [0.0] * len(norms)
    count = 0
    for batch in batches:
        for index, activation in enumerate(probe.predict_on_batch(batch)):
            sums[index] = sums[index] + activation.mean(axis=(0, 1, 2), dtype=np.float64)
            squares[index] = squares[index] + np.square(activation, dtype=np.float64).mean(axis=(0, 1, 2))
        count += 1
    for norm, total, square in zip(norms, sums, squares, strict=True):
        gamma, beta, old_mean, old_variance = (ops.convert_to_numpy(item) for item in _variables(norm))
        slope = gamma / np.sqrt(old_variance + norm.epsilon)
        shift = beta - slope * old_mean
        mean = total / count
        variance = np.maximum(square / count - mean**2, 1e-6)
        _set(norm, mean, variance, slope * np.sqrt(variance + norm.epsilon), shift + slope * mean)


def _variables(norm: layers.BatchNormalization) -> tuple[Any, Any, Any, Any]:
    return norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance


def _set(norm: layers.BatchNormalization, mean: Any, variance: Any, gamma: Any, beta: Any) -> None:
    for variable, value in zip(_variables(norm), (gamma, beta, mean, variance), strict=True):
        variable.assign(value)
