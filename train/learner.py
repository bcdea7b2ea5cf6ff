"""What a network learns by: its loss on the labels, that of an auxiliary head, and what a teacher says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from train.distill import Distillation

#: From labels (B, H, W) and scores (B, h, w, C) to a number.
Loss = Callable[[Any, Any], Any]

#: Layers that take the encoder's features at a stride to the decoder, the deepest first: stride 16 in all our networks.
SKIPS = ("decoder16_skip_conv", "decoder8_skip_conv", "decoder4_skip_conv")
AUXILIARY_CHANNELS = 64


class Learner(keras.Model):
    """A network as `train_on_batch` trains it; with an auxiliary head it gives that one's scores, too."""

    lesson: Callable[[Any, Any, Any], Any]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        return self.lesson(x, y, y_pred)


def make_learner(
    network: keras.Model, loss: Loss, *, auxiliary: float = 0.0, distillation: Distillation | None = None
) -> Learner:
    """`network`, its layers shared, as one that learns by `loss` on the labels and by what else is given.

    auxiliary: the weight of the same loss on scores that a small head gives from the encoder's deepest skip
    (Zhao et al. 2017, arXiv:1612.01105, section 3.3). The head is part of the learner alone, not of the network.
    """
    outputs = [network.output, _auxiliary_head(network)] if auxiliary else network.output

    # A closure, because Keras would take the attributes for parts of the model: saved, counted and checkpointed.
    def lesson(pictures: Any, labels: Any, said: Any) -> Any:
        scores = said[0] if auxiliary else said
        total = loss(labels, scores)
        if auxiliary:
            total = total + auxiliary * loss(labels, said[1])
        if distillation is not None:
            total = total + distillation(pictures, labels, scores)
        return total

    learner = Learner(inputs=network.input, outputs=outputs, name=network.name)
    learner.lesson = lesson
    return learner


def _auxiliary_head(network: keras.Model) -> Any:
    features = next(layer.input for name in SKIPS for layer in network.layers if layer.name == name)
    x = layers.Conv2D(AUXILIARY_CHANNELS, 3, padding="same", use_bias=False, name="auxiliary_conv")(features)
    x = layers.BatchNormalization(name="auxiliary_bn")(x)
    x = layers.ReLU(6.0, name="auxiliary_relu")(x)
    return layers.Conv2D(network.output_shape[-1], 1, name="auxiliary_logits")(x)
