"""Cuts a network into parts that end at a stride, so that what each one costs can be timed."""

from __future__ import annotations

import math
from typing import Any

import keras


def cut_by_stride(network: keras.Model) -> dict[int, keras.Model]:
    """For each stride down to the encoder's deepest one: all that needs no coarser feature, as a network of its own.

    Each part holds the one before it and ends in what the rest of the network takes from it, so that its time less that
    of the one before is what the stride adds; what the whole takes beyond the last part is the decoder's. A fine branch
    counts to the coarsest stride whose features have gone into it.
    """
    height = network.input_shape[1]
    # Pooled context is coarser than the encoder ever is: it counts to the deepest convolution that has a window.
    windows = [item for item in network.operations if getattr(item, "kernel_size", (1, 1)) != (1, 1)]
    deepest = max(_stride(height, item.output) for item in windows)
    producers = {id(item.output): item.name for item in network.operations}
    sources, own, seen = {}, {}, {}
    for item in network.operations:
        given = [] if isinstance(item, keras.layers.InputLayer) else keras.tree.flatten(item.input)
        sources[item.name] = {producers[id(tensor)] for tensor in given}
        own[item.name] = min(_stride(height, item.output), deepest)
        seen[item.name] = max([own[item.name], *(seen[name] for name in sources[item.name])])

    parts = {}
    for stride in (2**power for power in range(1, deepest.bit_length())):
        inside: set[str] = set()
        for name in own:
            # Nothing that has been enlarged from the deepest features, nor what pools it, is the encoder's.
            enlarged = seen[name] == deepest != own[name]
            if seen[name] <= stride and not enlarged and sources[name] <= inside:
                inside.add(name)
        taken = {name for item in network.operations if item.name not in inside for name in sources[item.name]}
        ends = [item.output for item in network.operations if item.name in inside & taken and own[item.name] > 1]
        if ends:  # a stem of stride 4 leaves none at 2
            parts[stride] = keras.Model(network.inputs, ends, name=f"{network.name}_{stride}")
    return parts


def _stride(height: int, tensor: Any) -> int:
    """The power of two that is nearest to how much lower the tensor is than the picture."""
    return int(2 ** round(math.log2(height / tensor.shape[1])))
