from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from convert.quantize import (
    convert_float,
    convert_int8,
    fold_scaling,
    has_linear_end,
    keras,
    load_network,
    resize_network,
)
from edgeseg.errors import DataError, ModelError
from edgeseg.scaling import Scaling
from tests.convert.conftest import SMALL_HW, iterate_noise


def _run(flatbuffer: bytes, sample: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    if given["dtype"] is np.int8:
        sample = np.round(sample * 128).astype(np.int8)
    interpreter.set_tensor(given["index"], sample)
    interpreter.invoke()
    scores = interpreter.get_tensor(taken["index"])
    if taken["dtype"] is np.int8:
        scale, zero_point = taken["quantization"]
        scores = (scores.astype(np.float32) - zero_point) * scale
    return np.asarray(scores, np.float32)


def test_int8_model_keeps_the_contract(small_network: Any) -> None:
    flatbuffer = convert_int8(resize_network(small_network, SMALL_HW), iterate_noise)
    interpreter = Interpreter(model_content=flatbuffer)
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["dtype"] is np.int8
    assert given["quantization"] == (1 / 128, 0)
    assert tuple(given["shape"]) == tuple(given["shape_signature"]) == (1, 64, 96, 3)
    assert taken["dtype"] is np.int8
    assert tuple(taken["shape"]) == (1, 16, 24, 4)


def test_both_models_compute_what_keras_computes(small_network: Any) -> None:
    network = resize_network(small_network, SMALL_HW)
    sample = next(iterate_noise(1))
    truth = np.asarray(network(sample))
    np.testing.assert_allclose(_run(convert_float(network), sample), truth, atol=1e-4)
    spread = float(truth.max() - truth.min())
    assert np.abs(_run(convert_int8(network, iterate_noise), sample) - truth).max() < 0.05 * spread


def test_resizing_keeps_the_weights(small_network: Any) -> None:
    resized = resize_network(small_network, SMALL_HW)
    assert resized.input_shape == (1, 64, 96, 3)
    sample = next(iterate_noise(1))
    np.testing.assert_allclose(np.asarray(resized(sample)), np.asarray(small_network(sample)), atol=1e-5)


def test_samples_that_do_not_span_the_range_are_refused(small_network: Any) -> None:
    with pytest.raises(ModelError, match=r"instead of int8, 1/128 and 0"):
        convert_int8(resize_network(small_network, SMALL_HW), lambda: (sample * 0.5 for sample in iterate_noise()))


def test_an_error_in_the_samples_stays_itself(small_network: Any) -> None:
    def broken() -> Any:
        yield next(iterate_noise(1))
        raise DataError("picture.png: not a readable picture")

    with pytest.raises(DataError, match=r"picture\.png"):
        convert_int8(resize_network(small_network, SMALL_HW), broken)


def test_classifier_is_refused() -> None:
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    network = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(layers.Conv2D(4, 3)(inputs))), name="classifier")
    with pytest.raises(ModelError, match=r"classifier: cannot be rebuilt for 96x64"):
        resize_network(network, SMALL_HW)
    pooled = keras.Model(inputs, layers.Dense(4)(layers.GlobalMaxPooling2D()(inputs)), name="pooled")
    with pytest.raises(ModelError, match="pooled: gives scores of shape"):
        resize_network(pooled, SMALL_HW)


def test_size_that_does_not_divide_is_refused(small_network: Any) -> None:
    with pytest.raises(ModelError, match=r"98x66: .*divide by 32"):
        resize_network(small_network, (66, 98))


def test_network_is_loaded_from_its_file(small_network: Any, tmp_path: Path) -> None:
    small_network.save(tmp_path / "best.keras")
    loaded = load_network(tmp_path / "best.keras")
    sample = next(iterate_noise(1))
    np.testing.assert_array_equal(np.asarray(loaded(sample)), np.asarray(small_network(sample)))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_is_no_keras_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "best.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"best\.keras: cannot be loaded as a Keras model"):
        load_network(path)


def test_a_keras_file_with_damage_in_the_middle_is_refused(small_network: Any, tmp_path: Path) -> None:
    path = tmp_path / "best.keras"
    small_network.save(path)
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content) // 2):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"best\.keras: cannot be loaded as a Keras model"):
        load_network(path)


def test_folding_scales_the_scores(small_network: Any) -> None:
    network = resize_network(small_network, SMALL_HW)
    sample = np.random.default_rng(1).uniform(-1, 1, (1, *SMALL_HW, 3)).astype(np.float32)
    before = np.asarray(network(sample))
    assert has_linear_end(network)
    scaling = Scaling(2.5, (0.0, 0.5, -1.0, 2.0))
    fold_scaling(network, scaling.temperature, scaling.offsets)
    np.testing.assert_allclose(np.asarray(network(sample)), scaling.apply(before), atol=1e-5)
    assert not has_linear_end(keras.Model(network.inputs, keras.layers.ReLU()(network.outputs[0])))
