from __future__ import annotations

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
