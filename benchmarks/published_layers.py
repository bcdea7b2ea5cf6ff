"""The pieces that published networks share, in plain Keras layers.

What a paper asks for and XNNPACK's INT8 leaves aside is replaced here, once for all of them, by what takes the same
place in the graph: average pooling by max pooling (except the global one), nearest resizing by bilinear.

Weights are random, but drawn so that signals keep their size (He et al. 2015, arXiv:1502.01852): XNNPACK also leaves a
sum aside one of whose inputs has faded to a fraction of the other.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def convolution(
    x: Any, filters: int, kernel: int = 1, stride: int = 1, *, relu: bool = True, bias: bool = False
) -> Any:
    """Convolution, batch norm and, unless told otherwise, ReLU."""
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=bias, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def depthwise(
    x: Any, kernel: int = 3, stride: int = 1, *, multiplier: int = 1, dilation: int = 1, relu: bool = True
) -> Any:
    """Depthwise convolution with `multiplier` outputs a channel, batch norm and, unless told otherwise, ReLU."""
    x = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        depth_multiplier=multiplier,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        # Keras' own initializers divide by all input channels; here each output has one.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=2**0.5 / kernel),
    )(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def normalised_convolution(x: Any, filters: int, kernel: int = 1) -> Any:
    """Batch norm, ReLU, convolution, in this order: after a sum no convolution can take the batch norm in."""
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal")(x)


def inverted_residual(
    x: Any, filters: int, *, kernel: int = 3, stride: int = 1, expansion: int = 6, dilation: int = 1
) -> Any:
    """The block of MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381)."""
    y = convolution(x, x.shape[-1] * expansion) if expansion != 1 else x
    y = depthwise(y, kernel, stride, dilation=dilation)
    y = convolution(y, filters, relu=False)
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y


def resize_like(x: Any, other: Any) -> Any:
    """`x`, bilinearly, at the height and width of `other`."""
    return x if x.shape[1:3] == other.shape[1:3] else layers.Resizing(*other.shape[1:3], interpolation="bilinear")(x)


def pool(x: Any, kernel: int, stride: int) -> Any:
    """Where a paper averages over windows; see the module for why it is the maximum here."""
    return layers.MaxPooling2D(kernel, stride, padding="same")(x)


def pool_grid(x: Any, rows: int, columns: int) -> Any:
    """`x` over a grid of about `rows` and `columns` cells of one size; over the whole of it where both are 1."""
    if rows == columns == 1:
        return pool_all(x)
    cell = (-(-x.shape[1] // rows), -(-x.shape[2] // columns))
    return layers.MaxPooling2D(cell, cell, padding="same")(x)


def pool_all(x: Any) -> Any:
    return layers.GlobalAveragePooling2D(keepdims=True)(x)


def logits(x: Any, class_count: int) -> Any:
    return layers.Conv2D(class_count, 1, dtype="float32")(x)


def image(input_hw: tuple[int, int]) -> Any:
    """One picture. Raises ValueError when a side does not divide by 32."""
    if any(side % 32 for side in input_hw):
        raise ValueError(f"input size {input_hw} must divide by 32")
    return keras.Input((*input_hw, 3), batch_size=1, name="image")
