"""Published networks of inverted bottlenecks: Fast-SCNN, SwiftNet, LR-ASPP and MobileNetV4."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from benchmarks.published_layers import (
    convolution,
    depthwise,
    image,
    inverted_residual,
    logits,
    normalised_convolution,
    pool_all,
    pool_grid,
    resize_like,
)


def build_fast_scnn(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """Fast-SCNN (Poudel et al. 2019, arXiv:1902.04502); logits at stride 8."""
    inputs = image(input_hw)
    x = convolution(inputs, 32, 3, 2)
    for width in (48, 64):
        x = _separable(x, width, 2)
    fine = x
    for width, stride in ((64, 2), (96, 2), (128, 1)):
        for index in range(3):
            x = inverted_residual(x, width, stride=stride if index == 0 else 1)
    pooled = [resize_like(convolution(pool_grid(x, bins, bins), 32), x) for bins in (1, 2, 3, 6)]
    x = convolution(layers.Concatenate()([x, *pooled]), 128)
    x = depthwise(resize_like(x, fine), dilation=4)
    x = layers.Add()([convolution(x, 128, relu=False, bias=True), convolution(fine, 128, relu=False, bias=True)])
    x = layers.ReLU()(x)
    for _ in range(2):
        x = _separable(x, 128, 1)
    return keras.Model(inputs, logits(x, class_count), name="fast_scnn")


def _separable(x: Any, filters: int, stride: int) -> Any:
    return convolution(depthwise(x, 3, stride, relu=False), filters)


def _encode_mobilenet_v2(inputs: Any, deepest: tuple[int, int], encoder_stride: int) -> dict[int, Any]:
    """MobileNetV2's features by stride; `deepest` are the widths of its last two stages, at stride 32 in the paper.

    Where it would go beyond `encoder_stride`, it dilates instead.
    """
    x = inverted_residual(convolution(inputs, 32, 3, 2), 16, expansion=1)
    stride, dilation, taps = 2, 1, {}
    for width, count, step in (
        (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (deepest[0], 3, 2), (deepest[1], 1, 1)
    ):  # fmt: skip
        for index in range(count):
            reduction = step if index == 0 else 1
            kept = 1 if stride * reduction > encoder_stride else reduction
            x = inverted_residual(x, width, stride=kept, dilation=dilation)
            stride, dilation = stride * kept, dilation * (reduction // kept)
            taps[stride] = x
    return taps


def build_swiftnet_mnv2(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """SwiftNet on MobileNetV2 (Orsic et al. 2019, arXiv:1903.08469); logits at stride 4.

    Our networks have its shape. What differs is worth a figure: here the decoder is of dense 3x3 convolutions on 128
    channels at every stride, and the context is a pyramid of pools instead of one.
    """
    inputs = image(input_hw)
    taps = _encode_mobilenet_v2(inputs, (160, 320), 32)
    x = normalised_convolution(taps[32], 128)
    parts = [x]
    for rows in (8, 4, 2):
        columns = max(1, round(rows * x.shape[2] / x.shape[1]))
        parts.append(resize_like(normalised_convolution(pool_grid(x, rows, columns), 128 // 3), x))
    x = normalised_convolution(layers.Concatenate()(parts), 128)
    for stride in (16, 8, 4):
        skip = normalised_convolution(taps[stride], 128)
        x = normalised_convolution(layers.Add()([resize_like(x, skip), skip]), 128, 3)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, logits(x, class_count), name="swiftnet_mnv2")


def build_lraspp_mnv2(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """LR-ASPP on MobileNetV2 (Howard et al. 2019, arXiv:1905.02244: "V2, RF2, F 128" of its table); logits at stride 8.

    Of that table's networks this is the one that XNNPACK's INT8 takes whole: those on MobileNetV3 have hard-swish.
    """
    inputs = image(input_hw)
    taps = _encode_mobilenet_v2(inputs, (80, 160), 16)
    return keras.Model(inputs, _decode_lraspp(taps[16], taps[8], class_count), name="lraspp_mnv2")


def _decode_lraspp(deep: Any, fine: Any, class_count: int) -> Any:
    # The paper pools over windows of 49x49 in a picture of 1024x2048, which is all of one as small as ours.
    gate = layers.Conv2D(128, 1, use_bias=False, activation="sigmoid")(pool_all(deep))
    x = layers.Multiply()([convolution(deep, 128), gate])
    return layers.Add()([logits(resize_like(x, fine), class_count), logits(fine, class_count)])


def build_mnv4_conv_s(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """MobileNetV4-Conv-S (Qin et al. 2024, arXiv:2404.10518) down to stride 32, with LR-ASPP; logits at stride 8.

    The paper has no segmentation; the decoder is that of build_lraspp_mnv2.
    """
    inputs = image(input_hw)
    taps = encode_mnv4_conv_s(inputs)
    return keras.Model(inputs, _decode_lraspp(taps[32], taps[8], class_count), name="mnv4_conv_s")


def encode_mnv4_conv_s(inputs: Any) -> dict[int, Any]:
    """The encoder MobileNetV4-Conv-S: its features by stride, 4 to 32."""
    x = convolution(inputs, 32, 3, 2)
    x = taps4 = convolution(convolution(x, 32, 3, 2), 32)
    x = taps8 = convolution(convolution(x, 96, 3, 2), 64)
    x = _universal_bottleneck(x, 96, 3, first=5, middle=5, stride=2)
    for _ in range(4):
        x = _universal_bottleneck(x, 96, 2, middle=3)
    x = taps16 = _universal_bottleneck(x, 96, 4, first=3)
    x = _universal_bottleneck(x, 128, 6, first=3, middle=3, stride=2)
    x = _universal_bottleneck(x, 128, 4, first=5, middle=5)
    for expansion, middle in ((4, 5), (3, 5), (4, 3), (4, 3)):
        x = _universal_bottleneck(x, 128, expansion, middle=middle)
    return {4: taps4, 8: taps8, 16: taps16, 32: x}


def _universal_bottleneck(
    x: Any, filters: int, expansion: int, *, first: int = 0, middle: int = 0, stride: int = 1
) -> Any:
    """An inverted bottleneck with a depthwise convolution before it, in its middle, or both; kernel sizes, 0: none."""
    y = depthwise(x, first, relu=False) if first else x
    y = convolution(y, x.shape[-1] * expansion)
    if middle:
        y = depthwise(y, middle, stride)
    y = convolution(y, filters, relu=False)
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y
