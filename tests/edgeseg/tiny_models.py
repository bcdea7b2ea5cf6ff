"""Builds the small models that tests of the device side run: `python tiny_models.py FOLDER`.

A script of its own, so that TensorFlow stays out of the process that runs the tests. The segmenters average each 4x4
block and score its colour: green is road, blue vehicle, red person, the rest other. So what they must answer is known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

HEIGHT, WIDTH = 64, 96
#: Scores of other, road, vehicle, person for red, green, blue in [-1, 1].
WEIGHTS = np.array([[0, -2, -2, 4], [0, 4, -2, -2], [0, -2, 4, -2]], np.float32)
BIAS = np.array([1, 0, 0, 0], np.float32)


def segmenter(classes: int = 4) -> keras.Model:
    """4x4 blocks of (1, HEIGHT, WIDTH, 3) to (1, HEIGHT / 4, WIDTH / 4, classes)."""
    inputs = keras.Input(batch_shape=(1, HEIGHT, WIDTH, 3))
    scores = keras.layers.Conv2D(classes, 4, strides=4)
    model = keras.Model(inputs, scores(inputs))
    kernel = np.broadcast_to(WEIGHTS[:, :classes] / 16, (4, 4, 3, classes))
    scores.set_weights([kernel, BIAS[:classes]])
    return model


def classifier() -> keras.Model:
    """The same picture to (1, 4): one score per class for all of it."""
    inputs = keras.Input(batch_shape=(1, HEIGHT, WIDTH, 3))
    x = keras.layers.MaxPooling2D(16)(keras.layers.Conv2D(4, 4, strides=4)(inputs))
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))


def to_float(model: keras.Model) -> bytes:
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def to_int8(model: keras.Model, low: float = -1.0, high: float = 127 / 128) -> bytes:
    """Full INT8; the pictures shown span [low, high], which becomes the input's range."""

    def pictures() -> Iterator[list[np.ndarray]]:
        rng = np.random.default_rng(0)
        for _ in range(8):
            colour = rng.uniform(low, high, (1, HEIGHT // 16, WIDTH // 16, 3))
            # Pure red, green and blue, so that the range of the scores covers what the tests paint.
            colour[0, 0, :3] = np.where(np.eye(3), high, low)
            picture = colour.repeat(16, axis=1).repeat(16, axis=2).astype(np.float32)
            yield [picture]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main(folder: Path) -> None:
    built = {
        "int8": to_int8(segmenter()),
        "float32": to_float(segmenter()),
        "three-classes": to_int8(segmenter(3)),
        "classifier": to_int8(classifier()),
        "other-input-range": to_int8(segmenter(), 0.0, 1.0),
    }
    for name, flatbuffer in built.items():
        (folder / f"{name}.tflite").write_bytes(flatbuffer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
