"""A small network that keeps the graph's contract, and the ways in which one can break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.quantize import keras

SMALL_HW = (64, 96)


def build_small_network(spoil: Callable[[Any], Any] | None = None) -> Any:
    """Two strided convolutions, a dilated one, a decoder step: logits at 1/4. `spoil` puts an op in the middle."""
    layers = keras.layers
    keras.utils.set_random_seed(7)
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    skip = x = layers.Conv2D(16, 1, activation="relu6")(x)
    x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    if spoil is not None:
        x = spoil(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Add()([x, skip])
    return keras.Model(inputs, layers.Conv2D(4, 1)(x), name="small")


@pytest.fixture(scope="session")
def small_network() -> Any:
    return build_small_network()


def iterate_noise(count: int = 8, hw: tuple[int, int] = SMALL_HW) -> Iterator[NDArray[np.float32]]:
    """Calibration samples of noise that span exactly [-1, 127/128]."""
    generator = np.random.default_rng(1)
    for _ in range(count):
        pixels = generator.integers(0, 256, (1, *hw, 3))
        pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
        yield ((pixels - 128) / 128).astype(np.float32)
