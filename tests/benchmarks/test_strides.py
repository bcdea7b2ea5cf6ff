"""A network cut into parts that end at a stride: together they are all of it, and each ends where it should."""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest

from benchmarks.published import PUBLISHED
from benchmarks.strides import cut_by_stride
from train.architectures import ARCHITECTURES, Architecture, build_network

HEIGHT = 128


def cut(design: Architecture | str) -> tuple[keras.Model, dict[int, keras.Model]]:
    build = PUBLISHED[design] if isinstance(design, str) else None
    size = (HEIGHT, 192)
    network = build(size, 4) if build else build_network(design, size, 4, batch_size=1)
    return network, cut_by_stride(network)


def names(network: keras.Model) -> set[str]:
    return {item.name for item in network.operations}


@pytest.mark.parametrize(
    ("design", "strides"),
    [
        (ARCHITECTURES["nano_lean"], [2, 4, 8, 16, 32]),
        (ARCHITECTURES["nano_fused"], [2, 4, 8, 16, 32]),
        (replace(ARCHITECTURES["nano_lean"], stem_stride=4), [4, 8, 16, 32]),
        (replace(ARCHITECTURES["nano_lean"], encoder_stride=16), [2, 4, 8, 16]),
        ("bisenet_v2", [2, 4, 8, 16, 32]),
        ("ddrnet_23_slim", [2, 4, 8, 16, 32, 64]),
        ("lraspp_mnv2", [2, 4, 8, 16]),
        ("stdc1", [2, 4, 8, 16, 32]),
    ],
)
def test_each_part_holds_the_one_before_and_nothing_coarser(design: Architecture | str, strides: list[int]) -> None:
    network, parts = cut(design)
    assert list(parts) == strides
    assert network.output.name not in {output.name for output in parts[strides[-1]].outputs}
    before: set[str] = set()
    for stride, part in parts.items():
        assert before < names(part) < names(network)
        before = names(part)
        heights = {output.shape[1] for output in part.outputs}
        # Pooled context is of one position, whatever the stride.
        assert min(heights - {1}) == HEIGHT // stride


def test_the_decoder_is_what_no_part_holds() -> None:
    network, parts = cut(ARCHITECTURES["nano_lean"])
    encoder = names(parts[32])
    assert {"block13_project_bn", "context_global_project", "context_depthwise_relu"} <= encoder
    # A projection of fine features is done before there are coarser ones.
    assert "decoder4_skip_bn" in names(parts[4])
    rest = names(network) - encoder
    assert {"decoder16_resize", "decoder4_add", "logits"} <= rest
    assert not any(name.startswith(("stem", "block")) for name in rest)


def test_a_pool_over_the_decoder_is_no_part_of_the_encoder() -> None:
    """STDC1-Seg weighs its fused features at stride 8 by their mean over the picture."""
    network, parts = cut("stdc1")
    fused = [item for item in network.operations if item.name.startswith("concatenate")][-1]
    assert fused.output.shape[1] == HEIGHT // 8
    assert fused.name not in names(parts[32])
