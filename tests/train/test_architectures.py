from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from train.architectures import ARCHITECTURES, build_network


@cache
def build(name: str) -> Any:
    """No test changes what it gets, so that one network of a kind does for all."""
    return build_network(name, (64, 96), 4)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_scores_come_at_a_quarter_of_the_size_and_are_linear(name: str) -> None:
    network = build(name)
    logits = network(np.random.default_rng(0).uniform(-1, 1, (2, 64, 96, 3)).astype(np.float32))
    assert logits.shape == (2, 16, 24, 4)
    assert network.layers[-1].activation.__name__ == "linear"


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_no_layer_falls_off_the_fast_path(name: str) -> None:
    """FACTS of XNNPACK: no hard-swish, PReLU, GELU, average pool, nearest resize."""
    for layer in build(name).layers:
        kind = type(layer).__name__
        assert kind in {
            "InputLayer", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add", "UpSampling2D",
            "GlobalAveragePooling2D", "SpatialDropout2D",
        }  # fmt: skip
        if kind == "UpSampling2D":
            assert layer.interpolation == "bilinear"


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="divide by the encoder's stride 32"):
        build_network("nano", (360, 480), 4)


def test_width_and_depth_scale_the_network() -> None:
    nano = ARCHITECTURES["nano"]
    assert build_network(nano.scaled(width=2.0), (64, 64), 4).count_params() > 2.5 * build("nano").count_params()
    shallow = nano.scaled(depth=0.5)
    assert sum(stage.blocks for stage in shallow.stages) < sum(stage.blocks for stage in nano.stages)
    assert build("small").count_params() > build("nano").count_params()
    assert ARCHITECTURES["nano_fused"].scaled(width=0.5).fused == (24, 16)


def encoder(network: Any) -> list[Any]:
    return [layer for layer in network.layers if layer.name.startswith(("stem", "block"))]


def test_a_stem_of_stride_4_takes_the_first_reduction_over() -> None:
    network = build_network(replace(ARCHITECTURES["nano"], stem_stride=4), (64, 96), 4)
    assert network.output_shape == (None, 16, 24, 4)
    reduced = {layer.name: layer.strides for layer in encoder(network) if getattr(layer, "strides", (1, 1)) != (1, 1)}
    assert reduced == {
        "stem_conv": (4, 4),
        "block3_depthwise_conv": (2, 2),
        "block6_depthwise_conv": (2, 2),
        "block13_depthwise_conv": (2, 2),
    }


def test_an_encoder_of_stride_16_is_dilated_instead() -> None:
    network = build_network(replace(ARCHITECTURES["nano"], encoder_stride=16), (64, 96), 4)
    assert network.output_shape == (None, 16, 24, 4)
    assert network.get_layer("context_local_relu").output.shape[1:3] == (4, 6)
    dilated = [layer.name for layer in encoder(network) if getattr(layer, "dilation_rate", (1, 1)) == (2, 2)]
    # The block that would have reduced sees its input as before; those after it skip what it would have left out.
    assert dilated == [f"block{index}_depthwise_conv" for index in (14, 15, 16)]
    # 48 divides by 16 and not by 32.
    assert build_network(replace(ARCHITECTURES["nano"], encoder_stride=16), (48, 96), 4).output_shape[1] == 12


def test_fused_blocks_take_the_place_of_those_at_strides_2_and_4() -> None:
    network = build("nano_fused")
    assert network.output_shape == (None, 16, 24, 4)
    early = [layer.name for layer in encoder(network) if layer.name.startswith(("block0_", "block1_", "block2_"))]
    assert [name for name in early if name.endswith(("_conv", "_add"))] == [
        "block1_fused_conv",
        "block1_project_conv",
        "block2_fused_conv",
        "block2_project_conv",
        "block2_add",
    ]
    convolutions = [network.get_layer(f"block{number}_fused_conv") for number in (1, 2)]
    assert [(item.kernel_size, item.strides, item.filters) for item in convolutions] == [
        ((3, 3), (2, 2), 48),
        ((3, 3), (1, 1), 32),
    ]
    # All else is as it was: the weights of the other network fit.
    before = {layer.name: [weight.shape for weight in layer.weights] for layer in build("nano_lean").layers}
    after = {layer.name: [weight.shape for weight in layer.weights] for layer in network.layers if layer.weights}
    assert [name for name in after if after[name] != before.get(name)] == [
        "block1_fused_conv",
        "block1_fused_bn",
        "block2_fused_conv",
        "block2_fused_bn",
        "block2_project_conv",
    ]


def test_one_fused_block_may_do() -> None:
    network = build_network(replace(ARCHITECTURES["nano_fused"], fused=(48,)), (64, 96), 4)
    assert network.output_shape == (None, 16, 24, 4)
    assert not any(layer.name.startswith("block2_") for layer in network.layers)


@pytest.mark.parametrize("change", [{"stem_stride": 4}, {"encoder_stride": 16}])
def test_another_stride_changes_no_weight_of_the_encoder(change: dict[str, int]) -> None:
    """So a pretrained file fits."""
    changed = build_network(replace(ARCHITECTURES["nano"], **change), (64, 96), 4)
    weights = [
        [(weight.path, weight.shape) for layer in encoder(network) for weight in layer.weights]
        for network in (build("nano"), changed)
    ]
    assert weights[0] == weights[1]


def test_a_stride_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="stem_stride is 2 or 4, not 3"):
        replace(ARCHITECTURES["nano"], stem_stride=3)
    with pytest.raises(ValueError, match="encoder_stride is 16 or 32, not 8"):
        replace(ARCHITECTURES["nano"], encoder_stride=8)
    with pytest.raises(ValueError, match="none beside a stem of stride 4, not 48"):
        replace(ARCHITECTURES["nano"], stem_stride=4, fused=(48,))
    for fused in ((48, 32, 32), (0,)):
        with pytest.raises(ValueError, match="at most 2 blocks, and none beside"):
            replace(ARCHITECTURES["nano"], fused=fused)
