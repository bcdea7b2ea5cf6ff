"""Published networks of dense 3x3 convolutions: BiSeNetV2, DDRNet, STDC and PP-LiteSeg."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from benchmarks.published_layers import (
    convolution,
    depthwise,
    image,
    logits,
    normalised_convolution,
    pool,
    pool_all,
    pool_grid,
    resize_like,
)


def build_bisenet_v2(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """BiSeNetV2 (Yu et al. 2020, arXiv:2004.02147); logits at stride 8.

    The paper leaves the width of the segmentation head open. 1024 is what reimplementations take; with it the
    convolutions multiply 24.6 thousand million times at 512x1024, where the paper counts 21.15.
    """
    inputs = image(input_hw)
    detail = inputs
    for width, count in ((64, 2), (64, 3), (128, 3)):
        for index in range(count):
            detail = convolution(detail, width, 3, 2 if index == 0 else 1)

    stem = convolution(inputs, 16, 3, 2)
    left = convolution(convolution(stem, 8), 16, 3, 2)
    semantic = convolution(layers.Concatenate()([left, layers.MaxPooling2D(3, 2, padding="same")(stem)]), 16, 3)
    for width, count in ((32, 2), (64, 2), (128, 4)):
        semantic = _gather_and_expand(semantic, width, 2)
        for _ in range(count - 1):
            semantic = _gather_and_expand(semantic, width, 1)
    context = convolution(layers.BatchNormalization()(pool_all(semantic)), 128)
    semantic = layers.Conv2D(128, 3, padding="same")(layers.Add()([semantic, context]))

    # Bilateral guided aggregation: each branch says where the other one counts.
    fine = layers.Conv2D(128, 1, use_bias=False)(depthwise(detail, relu=False))
    coarse = pool(convolution(detail, 128, 3, 2, relu=False), 3, 2)
    fine_gate = resize_like(convolution(semantic, 128, 3, relu=False), fine)
    coarse_gate = layers.Conv2D(128, 1, use_bias=False)(depthwise(semantic, relu=False))
    fine = layers.Multiply()([fine, layers.Activation("sigmoid")(fine_gate)])
    coarse = layers.Multiply()([coarse, layers.Activation("sigmoid")(coarse_gate)])
    x = convolution(layers.Add()([fine, resize_like(coarse, fine)]), 128, 3, relu=False)
    return keras.Model(inputs, logits(convolution(x, 1024, 3), class_count), name="bisenet_v2")


def _gather_and_expand(x: Any, filters: int, stride: int) -> Any:
    y = convolution(x, x.shape[-1], 3)
    y = depthwise(y, 3, stride, multiplier=6, relu=False)
    if stride == 2:
        y = depthwise(y, relu=False)
        x = convolution(depthwise(x, 3, 2, relu=False), filters, relu=False)
    return layers.ReLU()(layers.Add()([x, convolution(y, filters, relu=False)]))


def build_ddrnet_23_slim(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """DDRNet-23-slim (Hong et al. 2021, arXiv:2101.06085); logits at stride 8, the deep branch goes down to 64."""
    width = 32
    inputs = image(input_hw)
    x = convolution(convolution(inputs, width, 3, 2, bias=True), width, 3, 2, bias=True)
    x = _residual_pair(_residual_pair(x, width, 1), 2 * width, 2)
    fine, deep = _residual_pair(x, 2 * width, 1), _residual_pair(x, 4 * width, 2)
    fine, deep = _exchange(fine, deep, (4 * width,))
    fine, deep = _residual_pair(fine, 2 * width, 1), _residual_pair(deep, 8 * width, 2)
    fine, deep = _exchange(fine, deep, (4 * width, 8 * width))
    fine = _bottleneck(fine, 2 * width, 1)
    deep = _aggregate_pyramid(_bottleneck(deep, 8 * width, 2), 128, 4 * width)
    x = layers.Add()([fine, resize_like(deep, fine)])
    x = layers.ReLU()(layers.BatchNormalization()(normalised_convolution(x, 64, 3)))
    return keras.Model(inputs, logits(x, class_count), name="ddrnet_23_slim")


def _residual_pair(x: Any, filters: int, stride: int) -> Any:
    """Two basic blocks of ResNet."""
    for step in (stride, 1):
        y = convolution(convolution(x, filters, 3, step), filters, 3, relu=False)
        if step != 1 or x.shape[-1] != filters:
            x = convolution(x, filters, 1, step, relu=False)
        x = layers.ReLU()(layers.Add()([x, y]))
    return x


def _exchange(fine: Any, deep: Any, widths: tuple[int, ...]) -> tuple[Any, Any]:
    """Gives each branch what the other one has; `widths` are those on the way down."""
    # The paper adds what comes before a block's last ReLU. XNNPACK leaves a ReLU aside that cannot be part of the sum
    # before it, so that here each sum takes what comes after it: as many ops, all delegated.
    lift = resize_like(convolution(deep, fine.shape[-1], relu=False), fine)
    lowered = fine
    for width in widths:
        lowered = convolution(lowered, width, 3, 2, relu=width != widths[-1])
    return tuple(layers.ReLU()(layers.Add()(pair)) for pair in ([fine, lift], [deep, lowered]))


def _bottleneck(x: Any, filters: int, stride: int) -> Any:
    y = convolution(convolution(x, filters), filters, 3, stride)
    y = convolution(y, 2 * filters, relu=False)
    return layers.Add()([convolution(x, 2 * filters, 1, stride, relu=False), y])


def _aggregate_pyramid(x: Any, branch: int, filters: int) -> Any:
    """DAPPM: pools of growing size, each added to what the one before gave."""
    parts = [normalised_convolution(x, branch)]
    for pooled in (pool(x, 5, 2), pool(x, 9, 4), pool(x, 17, 8), pool_all(x)):
        lifted = resize_like(normalised_convolution(pooled, branch), x)
        parts.append(normalised_convolution(layers.Add()([lifted, parts[-1]]), branch, 3))
    compressed = normalised_convolution(layers.Concatenate()(parts), filters)
    return layers.Add()([compressed, normalised_convolution(x, filters)])


def encode_stdc1(inputs: Any) -> dict[int, Any]:
    """The encoder STDC1 (Fan et al. 2021, arXiv:2104.13188): its features by stride, 8, 16 and 32."""
    x = convolution(convolution(inputs, 32, 3, 2), 64, 3, 2)
    taps = {}
    for stride, width in ((8, 256), (16, 512), (32, 1024)):
        x = _concatenate_short_term(_concatenate_short_term(x, width, 2), width, 1)
        taps[stride] = x
    return taps


def _concatenate_short_term(x: Any, filters: int, stride: int) -> Any:
    first = convolution(x, filters // 2)
    parts = [pool(first, 3, 2) if stride == 2 else first]
    x = depthwise(first, 3, 2, relu=False) if stride == 2 else first
    for share in (4, 8, 8):
        x = convolution(x, filters // share, 3)
        parts.append(x)
    return layers.Concatenate()(parts)


def build_stdc1(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """STDC1-Seg (Fan et al. 2021, arXiv:2104.13188): STDC1 with the context path and fusion of BiSeNet; logits at 8."""
    inputs = image(input_hw)
    taps = encode_stdc1(inputs)
    x = convolution(pool_all(taps[32]), 128)
    for stride in (32, 16):
        refined = convolution(taps[stride], 128, 3)
        gate = layers.Activation("sigmoid")(convolution(pool_all(refined), 128, relu=False))
        x = layers.Add()([layers.Multiply()([refined, gate]), x])
        x = convolution(resize_like(x, taps[stride // 2]), 128, 3)
    x = convolution(layers.Concatenate()([taps[8], x]), 256)
    gate = layers.Conv2D(64, 1, use_bias=False, activation="relu")(pool_all(x))
    gate = layers.Conv2D(256, 1, use_bias=False, activation="sigmoid")(gate)
    x = layers.Add()([layers.Multiply()([x, gate]), x])
    return keras.Model(inputs, logits(convolution(x, 256, 3), class_count), name="stdc1")


def build_pp_liteseg_t(input_hw: tuple[int, int], class_count: int) -> keras.Model:
    """PP-LiteSeg-T (Peng et al. 2022, arXiv:2204.02681), with its spatial attention; logits at stride 8."""
    inputs = image(input_hw)
    taps = encode_stdc1(inputs)
    deepest = taps[32]
    pooled = [resize_like(convolution(pool_grid(deepest, bins, bins), 128), deepest) for bins in (1, 2, 4)]
    x = convolution(layers.Add()(pooled), 128, 3)
    for stride, width in ((32, 128), (16, 64), (8, 32)):
        skip = convolution(taps[stride], x.shape[-1], 3)
        x = convolution(_attend(skip, resize_like(x, skip)), width, 3)
    return keras.Model(inputs, logits(convolution(x, 32, 3), class_count), name="pp_liteseg_t")


def _attend(skip: Any, x: Any) -> Any:
    """UAFM: a weight a position for one input, the rest of it for the other."""
    seen = [reduce(y, axis=-1, keepdims=True) for y in (skip, x) for reduce in (ops.mean, ops.max)]
    weight = convolution(convolution(layers.Concatenate()(seen), 2, 3), 1, 3, relu=False)
    weight = layers.Activation("sigmoid")(weight)
    # weight * skip + (1 - weight) * x, with one product less.
    return layers.Add()([x, layers.Multiply()([weight, layers.Subtract()([skip, x])])])
