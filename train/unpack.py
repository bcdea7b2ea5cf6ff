"""A released model made trainable again: from its .tflite, INT8 or float32, to best.keras and card.json.

Whoever has the file alone can then train it on their own roads, convert it for another size, let it label videos or ask
it why. Batch norms were folded into the convolutions when it was converted. They come back as ones that change nothing,
with the statistics of pictures (batch_norm.py), so that training starts where the released model is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from keras import layers
from numpy.typing import NDArray

from edgeseg.errors import DataError, InputNotFoundError, UsageError
from edgeseg.model_card import ModelCard, read_model
from edgeseg.preprocess import normalise_float, to_input
from edgeseg.segmenter import Segmenter
from edgeseg.sources import open_source
from train.architectures import ARCHITECTURES, build_network
from train.batch_norm import neutralise, renew_statistics
from train.run_folder import RunFolder

#: So many, spread evenly over a video or a folder, are enough for the mean and the variance of every channel.
PICTURES = 64
#: So many of them are given to both networks.
COMPARED = 8
#: Of the pixels, so many must get the class that the released model gives them: INT8 rounds what flows there.
LEAST_AGREEMENT = 0.9

_TYPES = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32, schema.TensorType.FLOAT32: np.float32}
_CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)


@dataclass(frozen=True)
class Convolution:
    """A convolution as a .tflite holds it, in numbers: kernel HWIO (depthwise HWC1) and bias, float32."""

    name: str
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def unpack_model(path: Path, pictures: Sequence[Path], out: Path) -> float:
    """Writes `out`/best.keras and `out`/card.json; returns the share of pixels on which both agree.

    pictures: videos or folders, of roads such as the model is for. Raises UsageError when `out` holds a network already
    or nothing can be read from `pictures`, DataError when the file holds another network than its card says.
    """
    run = RunFolder(out)
    if run.best_file.exists():
        raise UsageError(f"{out}: already holds a network; choose another folder")
    card, flatbuffer = read_model(path)
    if card.architecture not in ARCHITECTURES:
        raise DataError(f"{path}: its network '{card.architecture}' is not one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[card.architecture].scaled(card.width, card.depth)
    network = build_network(architecture, card.input_hw, len(card.classes))
    load_convolutions(network, read_convolutions(flatbuffer, path), path)
    seen = list(_read_pictures(pictures))
    if not seen:
        raise UsageError("not one picture was read to measure on; name videos or folders of pictures")
    shown = [normalise_float(to_input(image, card.input_hw))[None] for image in seen]
    norms = [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]
    renew_statistics(network, norms, shown)
    with Segmenter(path) as segmenter:
        same = [
            np.mean(network.predict_on_batch(batch)[0].argmax(-1) == segmenter.logits(image).argmax(-1))
            for image, batch in list(zip(seen, shown, strict=True))[:: max(1, len(seen) // COMPARED)]
        ]
    agreement = float(np.mean(same))
    if agreement < LEAST_AGREEMENT:
        raise DataError(f"{path}: only {100 * agreement:.1f} % of the pixels keep their class: not the network it says")
    run.prepare()
    run.write_network(network)
    run.write_card(_describe(card))
    return agreement


def read_convolutions(flatbuffer: bytes, path: Path) -> list[Convolution]:
    """The convolutions of a graph with their weights as numbers, in the order of the graph.

    Raises DataError that names `path` when one has no weights or no bias.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    (graph,) = model.subgraphs

    def read(index: int) -> NDArray[np.float32]:
        tensor = graph.tensors[index]
        data = model.buffers[tensor.buffer].data
        if data is None or tensor.type not in _TYPES:
            raise DataError(f"{path}: a convolution of it has no weights of a known type")
        values = np.frombuffer(bytes(data), _TYPES[tensor.type]).reshape(tensor.shape).astype(np.float32)
        if tensor.type == schema.TensorType.FLOAT32:
            return values
        # Weights and biases are quantised symmetrically: their zero point is 0.
        scale = np.asarray(tensor.quantization.scale, np.float32)
        shape = [1] * values.ndim
        shape[tensor.quantization.quantizedDimension] = -1
        return values * (scale.reshape(shape) if scale.size > 1 else scale)

    found = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in _CONVOLUTIONS:
            if len(op.inputs) != 3 or min(op.inputs) < 0:
                raise DataError(f"{path}: a convolution of it has no bias; networks of ours all have one there")
            _, kernel, bias = (int(index) for index in op.inputs)
            name = graph.tensors[kernel].name.decode()
            found.append(Convolution(name, np.transpose(read(kernel), (1, 2, 3, 0)), read(bias)))
    return found


def load_convolutions(network: keras.Model, found: Sequence[Convolution], path: Path) -> None:
    """Puts each layer's weights in; the converter keeps the layers' names in those of the tensors.

    Raises DataError when a layer's weights are missing or of another shape.
    """
    names = {layer.name for layer in network.layers}
    for layer in network.layers:
        if not isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
            continue
        pattern = re.compile(rf"/{re.escape(layer.name)}(_\d+)?/")
        mine = [item for item in found if pattern.search(item.name)]
        if len(mine) != 1 or mine[0].kernel.shape != tuple(layer.kernel.shape):
            raise DataError(f"{path}: holds no weights for {layer.name} as the network of its card has them")
        if layer.use_bias:
            layer.set_weights([mine[0].kernel, mine[0].bias])
            continue
        layer.set_weights([mine[0].kernel])
        norm = layer.name.removesuffix("_conv") + "_bn"
        assert norm in names  # a convolution without a bias has one behind it, in every network of ours
        neutralise(network.get_layer(norm), mine[0].bias)


def _read_pictures(places: Iterable[Path]) -> Iterator[NDArray[np.uint8]]:
    for place in places:
        if not place.exists():
            raise InputNotFoundError(f"{place}: no such video or folder of pictures")
        with open_source(str(place.absolute()), live=False) as source:
            frames = iter(source.read, None)
            step = max(1, (source.frame_count or PICTURES) // PICTURES)
            for frame in islice(frames, 0, step * PICTURES, step):
                yield np.array(frame.image)


def _describe(card: ModelCard) -> ModelCard:
    """What the network is without the file: nothing has been measured of it, and it is no run's."""
    undone: dict[str, Any] = {"temperature": 1.0, "offsets": (), "calibration": (), "quantization": "float32"}
    unknown = {"metrics": {}, "training_sha256": None, "model_sha256": None, "model_bytes": None, "version": ""}
    return card.model_copy(update=undone | unknown)
