"""Why a network saw a class where it did: class-activation maps over a picture (Seg-Grad-CAM).

Vinogradova et al. 2020 (arXiv:2002.11434): with A^k the maps of one layer and y_c the summed score of class c over the
pixels in question, the map is ReLU(sum_k a_k A^k), a_k the mean over the places of dy_c / dA^k. Grad-CAM (Selvaraju et
al. 2017, arXiv:1610.02391) with the pixels of a region in place of one score.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES, CLASSES
from edgeseg.errors import DataError, SinkUnavailableError, UsageError, explain
from edgeseg.preprocess import Fit, normalise_float, to_input, upscale_logits
from train.network_file import TrainedNetwork


def find_layer(model: keras.Model, name: str | None = None) -> keras.layers.Layer:
    """The layer to look at: by name, or the deepest one, as in the paper: the last rectified of the coarsest maps.

    Maps of one position (a global pool) do not count. Raises UsageError, which names what there is.
    """
    maps = [
        layer
        for layer in model.layers
        if isinstance(layer.output, keras.KerasTensor)
        and len(layer.output.shape) == 4
        and None not in layer.output.shape[1:3]
        and max(layer.output.shape[1:3]) > 1
        and not isinstance(layer, keras.layers.InputLayer)
    ]
    if name is None:
        if not maps:
            raise UsageError(f"{model.name}: has no layer with maps to look at")
        coarsest = min(layer.output.shape[1] * layer.output.shape[2] for layer in maps)
        deepest = [layer for layer in maps if layer.output.shape[1] * layer.output.shape[2] == coarsest]
        return next(filter(_is_rectified, reversed(deepest)), deepest[-1])
    for layer in maps:
        if layer.name == name:
            return layer
    raise UsageError(f"--layer {name}: the network has no such maps; some are {', '.join(m.name for m in maps[::8])}")


def _is_rectified(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) is keras.activations.relu


def explain_class(
    network: TrainedNetwork, image_bgr: NDArray[np.uint8], class_name: str, layer: str | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What spoke for a class where it was seen: the map (H, W) float32 in 0..1, and where it was seen, (H, W) bool.

    image_bgr: (H, W, 3) uint8. Raises DataError when the class is seen nowhere, UsageError for another backend than
    TensorFlow, whose gradient tape this takes.
    """
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"explaining takes TensorFlow's gradients, not those of {keras.backend.backend()}")
    import tensorflow as tf

    index = CLASS_NAMES.index(class_name)
    looked_at = find_layer(network.model, layer)
    both = keras.Model(network.model.inputs[0], [looked_at.output, network.model.outputs[0]])
    batch = tf.constant(normalise_float(to_input(image_bgr, network.input_hw))[None])
    with tf.GradientTape() as tape:
        maps, scores = both(batch, training=False)
        seen = tf.cast(tf.equal(tf.argmax(scores, axis=-1), index), tf.float32)
        total = tf.reduce_sum(scores[..., index] * seen)
    if not float(tf.reduce_sum(seen)):
        raise DataError(f"the network sees no {class_name} in the picture, so there is nothing to explain")
    weights = tf.reduce_mean(tape.gradient(total, maps), axis=(1, 2), keepdims=True)
    heat = np.maximum(np.asarray(tf.reduce_sum(weights * maps, axis=-1))[0], 0)
    fit = Fit.plan((image_bgr.shape[0], image_bgr.shape[1]), network.input_hw)
    full = upscale_logits(np.asarray(scores)[0], fit)
    wide = upscale_logits(np.ascontiguousarray(heat[..., None], np.float32), fit)[..., 0]
    return wide / np.float32(max(float(wide.max()), 1e-12)), full.argmax(axis=-1) == index


def draw_explanation(
    image_bgr: NDArray[np.uint8], heat: NDArray[np.float32], seen: NDArray[np.bool_], class_name: str
) -> NDArray[np.uint8]:
    """The picture, darkened, the map in warm colours over it, a line in the class's colour around what was seen."""
    color = CLASSES[CLASS_NAMES.index(class_name)].color_rgb[::-1]
    warm = cv2.applyColorMap((255 * np.clip(heat, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (0.75 * np.clip(heat, 0, 1))[..., None]
    drawn = np.clip(0.7 * image_bgr * (1 - share) + warm * share, 0, 255).astype(np.uint8)
    contours: Any = cv2.findContours(seen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    thickness = max(1, round(image_bgr.shape[0] / 360))
    return np.asarray(cv2.drawContours(drawn, contours, -1, color, thickness), np.uint8)


def write_explanation(
    network: TrainedNetwork, picture: Path, image_bgr: NDArray[np.uint8], class_name: str, out: Path, layer: str | None
) -> Path:
    """Writes the overlay as `out`/PICTURE-CLASS.png; returns its path. Raises SinkUnavailableError, and as above."""
    heat, seen = explain_class(network, image_bgr, class_name, layer)
    path = out / f"{picture.stem}-{class_name}.png"
    data = cv2.imencode(".png", draw_explanation(image_bgr, heat, seen, class_name))[1]
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise SinkUnavailableError(f"{path}: cannot be written: {explain(error)}; choose another --out") from error
    return path
