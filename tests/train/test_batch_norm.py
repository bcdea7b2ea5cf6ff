"""The fused normalisation trains what Keras' own trains."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from train.architectures import build_network
from train.batch_norm import FusedBatchNormalization, estimate_statistics, fuse_normalisation

SHAPE = (4, 6, 5, 3)


def _pair() -> list[keras.layers.BatchNormalization]:
    """Keras' layer and ours, with the same gamma and beta."""
    rng = np.random.default_rng(0)
    scale, shift = rng.uniform(0.5, 2, 3), rng.normal(size=3)
    pair = [kind(epsilon=1e-3, momentum=0.9) for kind in (layers.BatchNormalization, FusedBatchNormalization)]
    for layer in pair:
        layer.build(SHAPE)
        layer.set_weights([scale, shift, np.full(3, 0.3), np.full(3, 1.7)])
    return pair


def _picture() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(2.0, 3.0, SHAPE).astype(np.float32))


def test_it_normalises_and_keeps_statistics_as_keras_does() -> None:
    plain, fused = _pair()
    for _ in range(3):
        np.testing.assert_allclose(fused(_picture(), training=True), plain(_picture(), training=True), atol=1e-5)
    for ours, keras_own in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-5)
    assert not np.allclose(fused.get_weights()[2], 0.3)


def test_its_gradients_are_those_of_keras() -> None:
    gradients = []
    for layer in _pair():
        picture = _picture()
        with tf.GradientTape() as tape:
            tape.watch(picture)
            loss = tf.reduce_sum(tf.sin(layer(picture, training=True)))
        gradients.append(tape.gradient(loss, [picture, layer.gamma.value, layer.beta.value]))
    for ours, keras_own in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, keras_own, atol=1e-4)


@pytest.mark.parametrize("trainable", [True, False])
def test_outside_training_it_uses_what_it_has_measured(trainable: bool) -> None:
    plain, fused = _pair()
    plain.trainable = fused.trainable = trainable
    training = not trainable  # a frozen layer normalises by its statistics in training too
    np.testing.assert_allclose(fused(_picture(), training=training), plain(_picture(), training=training), atol=1e-6)
    assert fused.get_weights()[2] == pytest.approx(np.full(3, 0.3))


def test_a_network_keeps_its_weights_their_order_and_its_dropout() -> None:
    plain = build_network("nano", (64, 96), 4)
    fused = fuse_normalisation(plain)
    assert [v.name for v in fused.variables] == [v.name for v in plain.variables]
    for ours, keras_own in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, keras_own)
    assert not any(type(layer) is layers.BatchNormalization for layer in fused.layers)
    picture = np.random.default_rng(2).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    np.testing.assert_allclose(fused.predict_on_batch(picture), plain.predict_on_batch(picture), atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_statistics_measured_anew_are_the_plain_mean_over_the_batches(fused: bool) -> None:
    kind = FusedBatchNormalization if fused else layers.BatchNormalization
    norms = [kind(name="norm"), kind(name="frozen", trainable=False)]
    model = keras.Sequential([keras.Input(SHAPE[1:]), *norms])
    for norm in norms:
        norm.set_weights([np.ones(3), np.zeros(3), np.full(3, 7.0), np.full(3, 9.0)])  # of other weights
    batches = [np.random.default_rng(seed).normal(seed, 1 + seed, SHAPE).astype(np.float32) for seed in range(3)]
    estimate_statistics(model, batches)
    mean, variance = norms[0].get_weights()[2:]
    assert mean == pytest.approx(np.mean([batch.mean((0, 1, 2)) for batch in batches], axis=0), rel=1e-4, abs=1e-5)
    assert variance == pytest.approx(np.mean([batch.var((0, 1, 2)) for batch in batches], axis=0), rel=1e-4)
    assert norms[0].momentum == kind().momentum
    assert norms[1].get_weights()[2] == pytest.approx(np.full(3, 7.0))
