"""Weights on the INT8 grid, and what the layers behind them take back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convert import rounding
from convert.quantize import keras, load_network, resize_network
from convert.rounding import round_weights
from tests.convert.conftest import ROOT, SMALL_HW, build_small_network, iterate_noise

layers = keras.layers


def build_deep_network(activation: str | None = None) -> Any:
    """Three depthwise-separable blocks with batch norms that have seen something, a skip, and linear scores."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((*SMALL_HW, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, activation=activation)(inputs)
    skip = x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    for _ in range(3):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.Conv2D(8, 1, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
    x = layers.Add()([x, skip])
    network = keras.Model(inputs, layers.Conv2D(4, 1)(x))
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.concatenate(list(iterate_noise(8))), training=True)
    return network


def kernels(network: Any) -> list[np.ndarray]:
    kinds = (layers.Conv2D, layers.DepthwiseConv2D)
    return [layer.get_weights()[0] for layer in network.layers if isinstance(layer, kinds)]


def held_out() -> np.ndarray:
    return np.concatenate(list(iterate_noise(24)))[16:]


@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_means_that_coarse_weights_shift_come_back(monkeypatch: pytest.MonkeyPatch, activation: str | None) -> None:
    monkeypatch.setattr(rounding, "_LEVELS", 5)  # as if of 3 bits: a shift that cannot be overlooked
    network = build_deep_network(activation)
    corrected = round_weights(network, iterate_noise(16))
    # What rounding alone makes of it: the same kernels, and everything else as it was.
    plain = keras.models.clone_model(network)
    plain.set_weights(network.get_weights())
    for layer, rounded in zip(plain.layers, corrected.layers, strict=True):
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
            layer.set_weights([rounded.get_weights()[0], *layer.get_weights()[1:]])

    exact = np.asarray(network(held_out()))

    def shift(other: Any) -> float:
        return float(np.abs((np.asarray(other(held_out())) - exact).mean((0, 1, 2))).max())

    assert shift(plain) > 0.05
    assert shift(corrected) < 0.2 * shift(plain)


def test_every_output_channel_has_its_own_grid_and_the_network_stays_as_it_was() -> None:
    network = build_deep_network()
    before = network.get_weights()
    twin = round_weights(network, iterate_noise(4))
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for exact, rounded in zip(kernels(network), kernels(twin), strict=True):
        within = (0, 1) if exact.shape[-1] == 1 else (0, 1, 2)
        steps = np.abs(exact).max(within, keepdims=True) / 127
        np.testing.assert_allclose(rounded / steps, np.rint(rounded / steps), atol=1e-3)
        assert np.abs(rounded - exact).max() > 0
        assert (np.abs(rounded - exact) <= 0.501 * steps).all()
    # On the grid already, nothing is left to be rounded.
    for once, twice in zip(kernels(twin), kernels(round_weights(twin, iterate_noise(4))), strict=True):
        np.testing.assert_allclose(once, twice, atol=1e-6)


def test_other_layers_are_left_to_the_converter() -> None:
    network = build_small_network()
    twin = round_weights(network, iterate_noise(2))
    (stem, depthwise, pointwise, dilated, scores), rounded = kernels(network), kernels(twin)
    np.testing.assert_array_equal(rounded[2], pointwise)  # its bias lies before an activation
    for index, exact in ((0, stem), (1, depthwise), (3, dilated), (4, scores)):
        assert not np.array_equal(rounded[index], exact)


def shared(x: Any) -> Any:
    layer = layers.Conv2D(3, 1)
    return layer(layer(x))


def divided(x: Any) -> Any:
    return layers.Conv2D(3, 1)(x / 2.0 + 0.1)


def cut(x: Any) -> Any:
    return keras.ops.relu6(layers.Conv2D(3, 1)(x))


def masked(x: Any) -> Any:
    return layers.Conv2D(3, 1)(layers.BatchNormalization()(x, training=True))


class Halves(keras.layers.Layer):
    """Gives two tensors."""

    def call(self, x: Any) -> tuple[Any, Any]:
        return x[..., :2], x[..., 2:]


class Scaled(keras.layers.Layer):
    """Takes two tensors, one after the other."""

    def call(self, x: Any, scale: Any) -> Any:
        return x * scale


def halved(x: Any) -> Any:
    first, second = Halves()(layers.Conv2D(4, 1)(x))
    return layers.Concatenate()([second, first])


def scaled(x: Any) -> Any:
    return Scaled()(layers.Conv2D(3, 1)(x), x)


@pytest.mark.parametrize("build", [shared, divided, cut, masked, halved, scaled])
def test_a_network_of_more_than_plain_layers_stays_as_it_is(build: Callable[[Any], Any]) -> None:
    inputs = keras.Input((*SMALL_HW, 3))
    network = keras.Model(inputs, build(inputs))
    twin = round_weights(network, iterate_noise(2))
    for old, new in zip(network.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_own_networks_are_plain_and_none_of_their_convolutions_is_left_out() -> None:
    """But those of the context branch with an activation inside."""
    network = load_network(ROOT / "tests" / "data" / "nano" / "best.keras")
    twin = round_weights(resize_network(network, SMALL_HW), iterate_noise(1))
    same = {
        layer.name
        for layer in network.layers
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D))
        and np.array_equal(layer.get_weights()[0], twin.get_layer(layer.name).get_weights()[0])
    }
    assert same == {"context_global_conv"}
