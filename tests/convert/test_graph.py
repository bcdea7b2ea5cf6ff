from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convert.graph import find_replaced_ops, read_ops
from convert.quantize import convert_float, convert_int8, keras, resize_network, tf
from tests.convert.conftest import SMALL_HW, build_small_network, iterate_noise


def _names_outside(flatbuffer: bytes) -> set[str]:
    return {op.name for op in read_ops(flatbuffer) if not op.delegated}


def test_small_network_runs_on_xnnpack_as_a_whole(small_network: Any) -> None:
    ops = read_ops(convert_int8(resize_network(small_network, SMALL_HW), iterate_noise))
    assert [op.name for op in ops] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "MAX_POOL_2D",
        "RESIZE_BILINEAR",
        "ADD",
        "CONV_2D",
    ]
    assert all(op.builtin and op.delegated for op in ops)
    assert ops[0].output_shape == (1, 32, 48, 8)
    assert ops[-1].output_shape == (1, 16, 24, 4)


@pytest.mark.parametrize(
    ("layer", "outside"),
    [
        ("hard_swish", {"HARD_SWISH"}),
        ("average_pool", {"AVERAGE_POOL_2D"}),
        ("nearest", {"TILE"}),
    ],
)
def test_op_that_falls_off_xnnpack_is_found(layer: str, outside: set[str]) -> None:
    layers = keras.layers
    spoil = {
        "hard_swish": layers.Activation("hard_swish"),
        "average_pool": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(layers.AveragePooling2D(2)(x)),
        "nearest": lambda x: layers.UpSampling2D(2, interpolation="nearest")(layers.MaxPooling2D(2)(x)),
    }[layer]
    network = resize_network(build_small_network(spoil), SMALL_HW)
    assert _names_outside(convert_int8(network, iterate_noise)) == outside


def test_op_that_is_not_builtin_is_found() -> None:
    """A TensorFlow op inside the graph, as Keras' own export lets in: the device's runtime cannot load such a file."""

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3))])
    def spoilt(image: Any) -> Any:
        return tf.math.erf(tf.nn.relu(image))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([spoilt.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    ops = read_ops(converter.convert())
    assert [(op.name, op.builtin, op.delegated) for op in ops] == [
        ("RELU", True, False),
        ("FlexErf", False, False),
    ]


def test_float_model_is_read_too(small_network: Any) -> None:
    ops = read_ops(convert_float(resize_network(small_network, SMALL_HW)))
    assert len(ops) == 8
    assert all(op.delegated for op in ops)


def test_walk_back_stops_at_the_borders_of_each_part() -> None:
    """0 -> [a] -> 1 -> [b] -> 2 -> [c] -> 3, where b stays outside: two parts, and weights (9) are nobody's output."""
    ops = [
        {"inputs": [0, 9], "outputs": [1]},
        {"inputs": [1], "outputs": [2]},
        {"inputs": [2, 1], "outputs": [3]},
    ]
    parts = [
        {"inputs": np.array([0, 9]), "outputs": np.array([1])},
        {"inputs": np.array([1, 2]), "outputs": np.array([3])},
    ]
    assert find_replaced_ops(ops, parts) == {0, 2}
    assert find_replaced_ops(ops, []) == frozenset()
