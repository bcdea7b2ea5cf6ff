"""Keras network to .tflite bytes: float32, and full INT8 by calibration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from convert.silence import silence
from edgeseg.errors import EdgesegError, ModelError
from edgeseg.hand_over import BAD_ARCHIVE
from edgeseg.preprocess import PIXEL_SCALE

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with silence():
    import keras
    import tensorflow as tf

#: One pass over the calibration samples: float32 (1, h, w, 3) each.
Samples = Callable[[], Iterator[NDArray[np.float32]]]


def load_network(path: Path) -> keras.Model:
    """Loads a trained .keras file; raises ModelError when it is not one."""
    try:
        return keras.saving.load_model(path, compile=False)
    except BAD_ARCHIVE as error:
        raise ModelError(
            f"{path}: cannot be loaded as a Keras model ({_first_line(error)}); give a .keras file"
        ) from error


def resize_network(network: keras.Model, input_hw: tuple[int, int]) -> keras.Model:
    """Rebuilds a fully convolutional network with the same weights for one picture of another size.

    The batch is fixed to 1: XNNPACK takes dilated depthwise convolutions only then. Raises ModelError when a layer
    holds weights that depend on the picture's size, as those of a classifier do.
    """
    inputs = keras.Input(batch_shape=(1, *input_hw, 3), name="image")
    try:
        resized = keras.models.clone_model(network, input_tensors=inputs)
        resized.set_weights(network.get_weights())
    except ValueError as error:
        raise ModelError(
            f"{network.name}: cannot be rebuilt for {input_hw[1]}x{input_hw[0]}: {_first_line(error)}; "
            "give a fully convolutional network and a size whose sides divide by 32"
        ) from error
    shape = resized.output_shape
    if len(shape) != 4 or any(side % stride for side, stride in zip(input_hw, shape[1:3], strict=True)):
        raise ModelError(
            f"{network.name}: gives scores of shape {shape} for a picture of {input_hw[1]}x{input_hw[0]}; "
            "give a segmentation network and a size whose sides divide by 32"
        )
    return resized


def has_linear_end(network: keras.Model) -> bool:
    """True when the scores come out of a convolution as they are, so that its weights can scale them."""
    last = network.layers[-1]
    return isinstance(last, keras.layers.Conv2D) and last.use_bias and last.activation is keras.activations.linear


def fold_scaling(network: keras.Model, temperature: float, offsets: Sequence[float]) -> None:
    """Makes the scores of a network with a linear end scores / temperature + offsets, in the weights of that layer."""
    last = network.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([kernel / np.float32(temperature), bias / np.float32(temperature) + np.float32(offsets)])


def convert_float(network: keras.Model) -> bytes:
    """Converts to a float32 .tflite with batch norm folded into the convolutions."""
    return _convert(network, lambda converter: None)


def convert_int8(network: keras.Model, samples: Samples) -> bytes:
    """Converts to full INT8: weights per channel, activations per tensor from the ranges seen in `samples`.

    Raises ModelError when the input is not quantised as the contract says (scale 1/128, zero point 0).
    """

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8

    flatbuffer = _convert(network, configure)
    _check_input(flatbuffer)
    return flatbuffer


def _convert(network: keras.Model, configure: Callable[[Any], None]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    # Said outright because Keras' own export lets TensorFlow ops in, which no device runtime holds.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    configure(converter)
    with silence():
        try:
            flatbuffer: bytes = converter.convert()
        except EdgesegError:
            raise
        except Exception as error:
            raise ModelError(f"{network.name}: the TFLite converter refuses it: {_first_line(error)}") from error
    return flatbuffer


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _check_input(flatbuffer: bytes) -> None:
    (details,) = Interpreter(model_content=flatbuffer).get_input_details()
    scale, zero_point = details["quantization"]
    if details["dtype"] is not np.int8 or scale != PIXEL_SCALE or zero_point != 0:
        raise ModelError(
            f"the converter quantised the input as {np.dtype(details['dtype']).name} with scale {scale} and zero point "
            f"{zero_point} instead of int8, 1/128 and 0; the calibration samples must span exactly [-1, 127/128]"
        )
