"""Batch normalisation that trains in one op of TensorFlow's."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


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
