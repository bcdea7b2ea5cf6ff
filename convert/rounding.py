"""Rounding without loss: weights put on their INT8 grid, and batch norms that take back what that shifts.

A rounded kernel gives other means and variances than the kernel it came from, and the next layers add to that. As the
batch norm behind it knows what training's were, it can be told the difference: bias correction (Nagel et al. 2019,
arXiv:1906.04721, section 4.2), here measured on pictures, of mean and variance, layer by layer in the order of the
graph, so that each one is corrected for what those before it left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

#: Pictures to measure on: means over their places need few.
PICTURES = 24
#: How much a variance may be said to have changed: a channel that is nearly constant says nothing of it.
_VARIANCE_RATIO = 2.0
_LEVELS = 127


def round_weights(network: keras.Model, pictures: Iterable[NDArray[np.float32]]) -> keras.Model:
    """A twin of `network` whose kernels are on the grid that the converter puts them on, and its batch norms corrected.

    pictures: (1, h, w, 3) each, as the network takes them; all of them are held in memory. It goes by the convolutions,
    depthwise or not, with a batch norm behind them or with a bias and no activation; what else there is, is left to the
    converter, and so is the whole of a network that is more than layers which each take tensors alone, once.
    """
    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    if not _is_plain(network):
        return twin
    inputs = {layer.name: _as_list(layer.input) for layer in network.layers}
    norms = {id(inputs[it.name][0]): it for it in twin.layers if isinstance(it, keras.layers.BatchNormalization)}
    uses = Counter(id(tensor) for tensors in inputs.values() for tensor in tensors)
    batch = keras.ops.convert_to_tensor(np.concatenate(list(pictures)))
    # By the tensor of `network` whose values they are: what flows there, and in the twin.
    exact: dict[int, Any] = {id(network.input): batch}
    rounded: dict[int, Any] = dict(exact)
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        other, norm = twin.get_layer(layer.name), norms.get(id(layer.output))
        corrigible = _is_corrigible(layer, norm)
        if corrigible:
            _round_kernel(other)
        true, near = _run(layer, layer.input, exact), _run(other, layer.input, rounded)
        if corrigible and norm is not None:
            _correct_norm(norm, true, near)
        elif corrigible:
            near = _correct_bias(other, true, near)
        exact[id(layer.output)], rounded[id(layer.output)] = true, near
        for tensor in inputs[layer.name]:
            uses[id(tensor)] -= 1
            if not uses[id(tensor)]:
                del exact[id(tensor)], rounded[id(tensor)]
    return twin


def _is_plain(network: keras.Model) -> bool:
    """Whether a network is layers of one output, each called once, with tensors and nothing else."""
    names = {layer.name for layer in network.layers}
    if any(isinstance(layer.output, (list, tuple)) for layer in network.layers):
        return False
    for operation in network.get_config()["layers"]:
        calls = operation.get("inbound_nodes")
        if operation.get("name") not in names or calls is None or len(calls) > 1:
            return False
        if any(len(call["args"]) != 1 or any(call["kwargs"].values()) for call in calls):
            return False
    return True


def _as_list(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _run(layer: keras.Layer, inputs: Any, flow: dict[int, Any]) -> Any:
    """What a layer gives, in inference, for what flows into it."""
    if isinstance(inputs, (list, tuple)):
        return layer([flow[id(tensor)] for tensor in inputs])
    return layer(flow[id(inputs)])


def _is_corrigible(layer: keras.Layer, norm: keras.Layer | None) -> bool:
    if not isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        return False
    return norm is not None or (layer.use_bias and layer.activation is keras.activations.linear)


def _round_kernel(layer: keras.Layer) -> None:
    kernel, *bias = layer.get_weights()
    within = (0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (0, 1, 2)
    step = np.maximum(np.abs(kernel).max(axis=within, keepdims=True) / _LEVELS, np.finfo(np.float32).tiny)
    layer.set_weights([np.rint(kernel / step) * step, *bias])


def _correct_norm(norm: keras.layers.BatchNormalization, exact: Any, rounded: Any) -> None:
    """Adds to a norm's statistics what rounding added to those (B, h, w, C) of what it normalises."""
    (mean, variance), (new_mean, new_variance) = (keras.ops.moments(item, axes=(0, 1, 2)) for item in (exact, rounded))
    ratio = new_variance / keras.ops.maximum(variance, np.finfo(np.float32).tiny)
    norm.moving_mean.assign(norm.moving_mean + new_mean - mean)
    norm.moving_variance.assign(norm.moving_variance * keras.ops.clip(ratio, 1 / _VARIANCE_RATIO, _VARIANCE_RATIO))


def _correct_bias(layer: keras.Layer, exact: Any, rounded: Any) -> Any:
    """Takes what rounding added to a layer's means out of its bias; returns its output (B, h, w, C) without."""
    shift = keras.ops.mean(exact, axis=(0, 1, 2)) - keras.ops.mean(rounded, axis=(0, 1, 2))
    layer.bias.assign(layer.bias + shift)
    return rounded + shift
