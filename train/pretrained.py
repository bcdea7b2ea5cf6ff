"""Where a run starts: published weights without batch norm (.npz of converted MobileNetV2s), or an earlier run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.hand_over import BAD_ARCHIVE
from train.batch_norm import neutralise, renew_statistics
from train.network_file import read_keras


def require_weights(path: Path) -> None:
    """Raises InputNotFoundError when there is no file at `path` to start from."""
    if not path.is_file():
        missing = "network to start from; train it first" if path.suffix == ".keras" else "file of pretrained weights"
        raise InputNotFoundError(f"{path}: no such {missing}")


def load_encoder(model: keras.Model, path: Path, batches: Iterable[NDArray[np.float32]]) -> int:
    """Loads the encoder's convolutions in graph order and gives each one a batch norm that changes nothing.

    The file holds, in graph order, kernels OHWI (depthwise 1HWC) under `NNN_OP_w|...` and biases under `NNN_OP_b|...`,
    with the batch norm folded into both. The norms get the statistics of `batches` (B, H, W, 3), normalised pictures,
    so that training starts where inference would be (batch_norm.py).

    Returns the number of layers loaded. Raises DataError when the shapes do not fit the network.
    """
    require_weights(path)
    arrays = _read_arrays(path)
    kernels = [key for key in arrays if key.split("|")[0].endswith("_w")]
    biases = {key.split("_")[0]: array for key, array in arrays.items() if key.split("|")[0].endswith("_b")}
    convolutions = [
        layer for layer in model.layers if layer.name.startswith(("stem", "block")) and layer.name.endswith("_conv")
    ]
    pairs = []
    for layer, key in zip(convolutions, kernels, strict=False):
        array, wanted = arrays[key], tuple(layer.kernel.shape)
        shape = tuple(array.shape[place] for place in (1, 2, 3, 0)) if array.ndim == 4 else array.shape
        if shape != wanted:
            raise DataError(f"{path}: {key} has shape {shape}, but the network's {layer.name} needs {wanted}")
        bias = biases.get(key.split("_")[0])
        if bias is None or bias.size != wanted[2 if wanted[3] == 1 else 3]:
            raise DataError(f"{path}: {key} has no bias that fits the network's {layer.name}")
        norm = model.get_layer(layer.name.removesuffix("_conv") + "_bn")
        pairs.append((layer, norm, np.transpose(array, (1, 2, 3, 0)), bias))
    if len(pairs) < len(convolutions):
        raise DataError(f"{path}: holds {len(pairs)} layers, but the network's encoder has {len(convolutions)}")
    for layer, norm, kernel, bias in pairs:
        layer.kernel.assign(kernel)
        neutralise(norm, bias)
    renew_statistics(model, [norm for _, norm, _, _ in pairs], batches)
    return len(pairs)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz, in its order. Raises DataError when it is damaged or something else."""
    try:
        with np.load(path) as archive:
            return dict(archive.items())
    except (*BAD_ARCHIVE, AttributeError) as error:  # of a lone array, which is no archive
        raise DataError(f"{path}: cannot be read as a .npz of weights; fetch it again") from error


def load_earlier(model: keras.Model, path: Path, *, partial: bool = False) -> list[str]:
    """Takes the weights over from the best.keras of a run of the same architecture.

    partial: of another architecture, the layers of equal name and shape. Returns the names of the layers that start
    anew. Raises InputNotFoundError when there is none, DataError when it is damaged or of another architecture, or when
    not even a part of it fits.
    """
    require_weights(path)
    earlier = {layer.name: layer for layer in read_keras(path).layers}
    fitting, anew = [], []
    for layer in model.layers:
        if layer.weights:
            other = earlier.get(layer.name)
            fits = other is not None and [w.shape for w in other.weights] == [w.shape for w in layer.weights]
            (fitting if fits else anew).append(layer)
    known = {layer.name for layer in model.layers}
    missing = anew or any(layer.weights and name not in known for name, layer in earlier.items())
    if missing and not partial:
        raise DataError(f"{path}: is of another architecture than the recipe's; `partial: true` takes what fits of it")
    if not fitting:
        raise DataError(f"{path}: no layer of it fits the recipe's architecture")
    for layer in fitting:
        layer.set_weights(earlier[layer.name].get_weights())
    return [layer.name for layer in anew]
