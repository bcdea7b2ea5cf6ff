"""What a change of the network costs in time, before anybody trains it.

    python -m benchmarks.designs nano nano_lean nano_lean:decoder=64,48,64,96 nano_lean:decoder_blocks=2:context=64

A design is a network of train/architectures.py, and after it the fields that differ: width, depth, stem, decoder,
decoder_blocks and context. Each is converted to INT8 with random weights, on which time does not depend, and takes
turns with MobileNetV2 1.0 224 INT8 on one thread. Needs TensorFlow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.yardstick import NAME, build_apart
from edgeseg import benchmark
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.fields import parse_size
from edgeseg.runtimes import open_interpreter

if TYPE_CHECKING:
    from train.architectures import Architecture


def _widths(text: str) -> tuple[int, ...]:
    widths = tuple(int(item) for item in text.split(","))
    if len(widths) != 4 or min(widths) < 1:
        raise ValueError("takes four channel counts, for strides 4, 8, 16 and 32")
    return widths


#: What a design may change, and how its text is read.
FIELDS: dict[str, Callable[[str], Any]] = {
    "width": float,
    "depth": float,
    "stem": int,
    "decoder": _widths,
    "decoder_blocks": int,
    "context": int,
}


def read_design(text: str) -> Architecture:
    """The network that `NAME[:FIELD=VALUE]...` asks for. Raises UsageError that says what is wrong with it."""
    from train.architectures import ARCHITECTURES

    name, *changes = text.split(":")
    if name not in ARCHITECTURES:
        raise UsageError(f"{text}: '{name}' is not one of {', '.join(ARCHITECTURES)}")
    found: dict[str, Any] = {}
    for change in changes:
        field, _, value = change.partition("=")
        if field not in FIELDS:
            raise UsageError(f"{text}: '{field}' is not one of {', '.join(FIELDS)}")
        try:
            found[field] = FIELDS[field](value)
        except ValueError as error:
            raise UsageError(f"{text}: {field}: {error}") from error
    scale = {field: found.pop(field) for field in ("width", "depth") if field in found}
    try:
        return replace(ARCHITECTURES[name].scaled(**scale), **found)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text}: {error}") from error


def build(text: str, input_hw: tuple[int, int]) -> tuple[bytes, int]:
    """The INT8 FlatBuffer of a design with random weights, and how many it has."""
    import keras

    from convert.quantize import convert_int8
    from edgeseg.classes import CLASS_NAMES
    from edgeseg.preprocess import normalise_float
    from train.architectures import build_network

    keras.utils.set_random_seed(0)
    try:
        network = build_network(read_design(text), input_hw, len(CLASS_NAMES), batch_size=1)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from error
    generator = np.random.default_rng(0)

    def pictures() -> Iterator[np.ndarray]:
        for _ in range(2):
            yield normalise_float(generator.integers(0, 256, (1, *input_hw, 3), np.uint8))

    return convert_int8(network, pictures), network.count_params()


def main() -> int:
    parser = argparse.ArgumentParser(description="Time changes of a network against MobileNetV2 1.0 224 INT8.")
    parser.add_argument("designs", nargs="+", metavar="NAME[:FIELD=VALUE]...", help=f"fields: {', '.join(FIELDS)}")
    parser.add_argument("--size", default="480x352", metavar="WxH", help="of the input")
    parser.add_argument("--yardstick", type=Path, metavar="FILE", help=f"{NAME}; built there when it is missing")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    try:
        benchmark.check_rounds(options.rounds)
        try:
            width, height = parse_size(options.size)
        except ValueError as error:
            raise UsageError(f"--size {options.size}: {error}") from error
        with tempfile.TemporaryDirectory() as folder:
            # TensorFlow is loaded in a process that is gone, with its threads, when time is taken.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                list(pool.map(read_design, options.designs))
                built = list(pool.map(build, options.designs, [(height, width)] * len(options.designs)))
            yardstick = build_apart(options.yardstick or Path(folder) / "yardstick.tflite").read_bytes()
        for text, (flatbuffer, params) in zip(options.designs, built, strict=True):
            ours, runtime = open_interpreter(flatbuffer, text, "auto", 1)
            theirs, _ = open_interpreter(yardstick, NAME, runtime, 1)
            found = benchmark.compare((text, ours), (NAME, theirs), options.rounds)
            times = f"{found.ratio:.2f} times ({found.low:.2f} to {found.high:.2f})"
            print(f"{text:44s} {params / 1e6:5.2f} M  {times}", flush=True)
    except EdgesegError as error:
        print(f"designs: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
