"""The network: a fully convolutional encoder-decoder made of ops that INT8 XNNPACK runs fast.

Encoder: inverted residuals (MobileNetV2, Sandler et al. 2018, arXiv:1801.04381) down to stride 32, or fused blocks
first. Decoder: a context branch (global pooling) and one fusion step a stride down to 4, in the manner of SwiftNet
(Orsic et al. 2019, arXiv:1903.08469): resize bilinearly, add the 1x1-projected encoder features, one depthwise
separable 3x3. The head gives one logit a class at stride 4; softmax and argmax stay outside the graph, because fusion,
confidence and smooth upscaling need the scores.

Every layer is a plain Keras layer, so that the same code runs on the TensorFlow, JAX and torch backends. There is no
hard-swish, PReLU or average pool: XNNPACK leaves those to slow kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers

from edgeseg.errors import UsageError

OUTPUT_STRIDE = 4
BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.97  # runs here are thousands of steps, not hundreds of thousands: 0.99 lags behind


@dataclass(frozen=True)
class Stage:
    """`blocks` inverted residuals of `channels` outputs; the first has `stride`."""

    channels: int
    blocks: int
    stride: int = 1
    expansion: int = 6


@dataclass(frozen=True)
class Architecture:
    """Width and depth of a network.

    `stages` follow the stem. Strides 4, 8, 16 and 32 are tapped at the last block before the next reduction; `decoder`
    is the channel count of the decoder at each of them, `context` that of the global branch. With `stem_stride` 4
    instead of 2 the stem does what the first reduction of the stages would do; with `encoder_stride` 16 instead of 32
    the blocks after that are dilated instead of reduced, and the last number of `decoder` is not used. `fused` gives
    the channels of blocks that take the place of all that end at strides 2 and 4: each a dense 3x3 convolution of so
    many channels, the first with stride 2, and a projection, to which the others add their input (the fused MBConv of
    Tan and Le 2021, arXiv:2104.00298). Few channels on many positions are memory moved, not sums: a CPU gains nothing
    there by fast INT8 products. Raises ValueError for another stride, for more fused blocks than there are in their
    place, and for any beside a stem of stride 4.
    """

    name: str
    stem: int
    stages: tuple[Stage, ...]
    decoder: tuple[int, ...]
    context: int
    decoder_blocks: int = 1
    dropout: float = 0.1
    stem_stride: int = 2
    encoder_stride: int = 32
    fused: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for field, known in (("stem_stride", (2, 4)), ("encoder_stride", (16, 32))):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {known[0]} or {known[1]}, not {getattr(self, field)}")
        most = self.blocks_at_stride_4
        if self.fused and (self.stem_stride != 2 or min(self.fused) < 1 or len(self.fused) > most):
            raise ValueError(
                f"fused gives the channels of at most {most} blocks, and none beside a stem of stride 4, "
                f"not {', '.join(map(str, self.fused))}"
            )

    @property
    def blocks_at_stride_4(self) -> int:
        """How many blocks of MobileNetV2 end there, before fused ones take their place."""
        return sum(ends == 4 for _, _, ends in self._planned())

    def _planned(self) -> Iterator[tuple[Stage, int, int]]:
        """The blocks of MobileNetV2: stage, own stride, and the stride that each ends at behind a stem of stride 2."""
        ends = 2
        for stage in self.stages:
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                ends *= stride
                yield stage, stride, ends

    def blocks(self) -> Iterator[tuple[int, Stage, int, int]]:
        """Every block that is built: its number among all, its stage, its own stride and its dilation."""
        reached, dilation, fused = self.stem_stride, 1, 0
        for number, (stage, stride, ends) in enumerate(self._planned()):
            if self.fused and ends <= 4:
                if ends == 2 or fused == len(self.fused):
                    continue
                fused += 1
            if ends <= reached:  # the stem has done it
                yield number, stage, 1, dilation
            elif reached * stride > self.encoder_stride:
                yield number, stage, 1, dilation
                dilation *= stride
            else:
                yield number, stage, stride, dilation
                reached *= stride

    def scaled(self, width: float = 1.0, depth: float = 1.0, name: str | None = None) -> Architecture:
        """The same network with `width` times the channels (rounded to 8) and `depth` times the blocks."""

        def channels(count: int) -> int:
            return max(8, int(count * width + 4) // 8 * 8) if width != 1.0 else count

        scaled = replace(
            self,
            name=name or self.name,
            stem=channels(self.stem),
            stages=tuple(
                replace(stage, channels=channels(stage.channels), blocks=max(1, round(stage.blocks * depth)))
                for stage in self.stages
            ),
            decoder=tuple(channels(count) for count in self.decoder),
            context=channels(self.context),
            fused=(),
        )
        return replace(scaled, fused=tuple(channels(count) for count in self.fused)[: scaled.blocks_at_stride_4])


def _mobilenet_v2_stages(channels: tuple[int, ...]) -> tuple[Stage, ...]:
    """The stages of MobileNetV2 for seven output widths; the last two are optional."""
    table = ((1, 1, 1), (2, 2, 6), (3, 2, 6), (4, 2, 6), (3, 1, 6), (3, 2, 6), (1, 1, 6))
    return tuple(
        Stage(width, blocks, stride, expansion)
        for width, (blocks, stride, expansion) in zip(channels, table, strict=False)
    )


ARCHITECTURES: dict[str, Architecture] = {
    # Widths of MobileNetV2 0.5 as published with DeepLabv3 (12, not 16 channels at stride 4), so that its weights fit.
    "nano": Architecture(
        "nano", stem=16, stages=_mobilenet_v2_stages((8, 12, 16, 32, 48, 80, 160)), decoder=(32, 48, 64, 96), context=96
    ),
    # `nano` without its last stage, as `small` has none: 4 % less time. The same pretrained file fits. No dropout, here
    # and in `small`: with it they saw new pictures as well as those that they learnt from (train/RESULTS.md).
    "nano_lean": Architecture(
        "nano_lean",
        stem=16,
        stages=_mobilenet_v2_stages((8, 12, 16, 32, 48, 80)),
        decoder=(32, 48, 64, 96),
        context=96,
        dropout=0.0,
    ),
    # Widths of MobileNetV2 1.0, without its last stage, which costs more than it brings at so small a picture.
    "small": Architecture(
        "small",
        stem=32,
        stages=_mobilenet_v2_stages((16, 24, 32, 64, 96, 160)),
        decoder=(40, 64, 96, 128),
        context=128,
        dropout=0.0,
    ),
}
# The bundled model: as `nano_lean`, but for a quarter less time where a CPU has AVX-512 VNNI (train/RESULTS.md).
ARCHITECTURES["nano_fused"] = replace(ARCHITECTURES["nano_lean"], name="nano_fused", fused=(48, 32))


def _convolution(x: Any, filters: int, name: str, *, kernel: int = 1, stride: int = 1, activation: bool = True) -> Any:
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


def _depthwise(x: Any, name: str, *, stride: int = 1, dilation: int = 1) -> Any:
    x = layers.DepthwiseConv2D(
        3, strides=stride, dilation_rate=dilation, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _fused(x: Any, stage: Stage, channels: int, stride: int, name: str) -> Any:
    y = _convolution(x, channels, f"{name}_fused", kernel=3, stride=stride)
    y = _convolution(y, stage.channels, f"{name}_project", activation=False)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == stage.channels else y


def _inverted_residual(x: Any, stage: Stage, stride: int, dilation: int, name: str) -> Any:
    width_in = x.shape[-1]
    y = _convolution(x, width_in * stage.expansion, f"{name}_expand") if stage.expansion != 1 else x
    y = _depthwise(y, f"{name}_depthwise", stride=stride, dilation=dilation)
    y = _convolution(y, stage.channels, f"{name}_project", activation=False)
    if stride == 1 and width_in == stage.channels:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def build_network(
    architecture: Architecture | str,
    input_hw: tuple[int | None, int | None],
    class_count: int,
    *,
    batch_size: int | None = None,
) -> keras.Model:
    """Builds the network.

    Input: float32 (batch, height, width, 3), RGB, x = (pixel - 128) / 128. Output: float32 logits
    (batch, height / 4, width / 4, class_count). Raises ValueError when a side of `input_hw` does not divide by the
    encoder's total stride (a fractional feature map would be resized to another place than it came from).
    """
    if isinstance(architecture, str):
        architecture = ARCHITECTURES[architecture]
    blocks = list(architecture.blocks())
    total_stride = architecture.stem_stride * math.prod(stride for _, _, stride, _ in blocks)
    if any(side is not None and side % total_stride for side in input_hw):
        raise ValueError(f"input size {input_hw} must divide by the encoder's stride {total_stride}")

    inputs = keras.Input((*input_hw, 3), batch_size=batch_size, name="image")
    stride, taps, fused = architecture.stem_stride, {}, iter(architecture.fused)
    x = _convolution(inputs, architecture.stem, "stem", kernel=3, stride=stride)
    for index, stage, block_stride, dilation in blocks:
        stride *= block_stride
        if architecture.fused and stride == 4:
            x = taps[stride] = _fused(x, stage, next(fused), block_stride, f"block{index}")
        else:
            x = taps[stride] = _inverted_residual(x, stage, block_stride, dilation, f"block{index}")

    # Context: what the whole picture says (a tunnel, a car park), added to every position of the deepest features.
    widths = dict(zip((4, 8, 16, 32), architecture.decoder, strict=True))
    x = _convolution(taps[stride], widths[stride], "context_local")
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="context_pool")(taps[stride])
    # No batch norm on a single position: its statistics over a small batch are noise.
    pooled = layers.Conv2D(architecture.context, 1, activation="relu", name="context_global_conv")(pooled)
    pooled = layers.Conv2D(widths[stride], 1, name="context_global_project")(pooled)
    x = layers.Add(name="context_add")([x, pooled])
    x = _depthwise(x, "context_depthwise")
    while stride > OUTPUT_STRIDE:
        stride //= 2
        width = widths[stride]
        x = _convolution(x, width, f"decoder{stride}_reduce", activation=False)
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"decoder{stride}_resize")(x)
        skip = _convolution(taps[stride], width, f"decoder{stride}_skip", activation=False)
        x = layers.Add(name=f"decoder{stride}_add")([x, skip])
        x = layers.ReLU(6.0, name=f"decoder{stride}_relu")(x)
        for index in range(architecture.decoder_blocks):
            x = _depthwise(x, f"decoder{stride}_{index}_depthwise")
            x = _convolution(x, width, f"decoder{stride}_{index}_pointwise")
    if architecture.dropout:
        x = layers.SpatialDropout2D(architecture.dropout, name="dropout")(x)
    logits = layers.Conv2D(class_count, 1, name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name=f"edgeseg_{architecture.name}")


def freeze_encoder(network: keras.Model, stride: int) -> None:
    """Keeps stem and blocks of a network of `build_network`, down to `stride`, from learning.

    Their batch norms then normalise by the statistics they have. Raises UsageError when the encoder has no such stride.
    """
    reached = 1
    encoder = [layer for layer in network.layers if layer.name.startswith(("stem_", "block"))]
    for layer in encoder:
        reached *= getattr(layer, "strides", (1,))[0]
        if reached > stride:
            break
        layer.trainable = False
    if reached < stride:
        raise UsageError(f"freeze: the encoder has no stride {stride} but at most {reached}")
