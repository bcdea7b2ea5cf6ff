"""What a network costs in time, before anybody trains it: changes of ours, and published ones.

    python -m benchmarks.designs nano nano_lean nano_lean:decoder=64,48,64,96 nano_lean:decoder_blocks=2:context=64
    python -m benchmarks.designs nano_lean small fast_scnn ddrnet_23_slim --by-stride

A design is a network of train/architectures.py, and after it the fields that differ (FIELDS), or one of
benchmarks/published.py as it is. Each is converted to INT8 with random weights, on which time hardly depends (an
addition may fall to a slow kernel that it is spared once trained; such ops are counted), and takes turns with
MobileNetV2 1.0 224 INT8 on one thread. `--by-stride` times it again cut off after each stride of its encoder
(benchmarks/strides.py) and tells what each adds. Needs TensorFlow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.yardstick import NAME, build_apart
from edgeseg import benchmark
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.fields import parse_size
from edgeseg.runtimes import open_interpreter

if TYPE_CHECKING:
    import keras

    from train.architectures import Architecture


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(item) for item in text.split(",")) if text else ()


def _widths(text: str) -> tuple[int, ...]:
    widths = _counts(text)
    if len(widths) != 4 or min(widths) < 1:
        raise ValueError("takes four channel counts, for strides 4, 8, 16 and 32")
    return widths


#: What a design of ours may change, and how its text is read.
FIELDS: dict[str, Callable[[str], Any]] = {
    "width": float,
    "depth": float,
    "stem": int,
    "stem_stride": int,
    "encoder_stride": int,
    "fused": _counts,
    "decoder": _widths,
    "decoder_blocks": int,
    "context": int,
}


@dataclass(frozen=True)
class Built:
    """A design as INT8 FlatBuffers: the whole of it, and by stride what is cut off there, when that was asked for.

    params: its weights. aside: the ops that XNNPACK leaves to slow kernels.
    """

    flatbuffer: bytes
    parts: dict[int, bytes]
    params: int
    aside: int


def read_design(text: str) -> Architecture | str:
    """The network that `NAME[:FIELD=VALUE]...` asks for; a published one by its name.

    Raises UsageError that says what is wrong with it.
    """
    from benchmarks.published import PUBLISHED
    from train.architectures import ARCHITECTURES

    name, *changes = text.split(":")
    if name in PUBLISHED:
        if changes:
            raise UsageError(f"{text}: {name} is timed as it was published; leave '{':'.join(changes)}' out")
        return name
    if name not in ARCHITECTURES:
        raise UsageError(f"{text}: '{name}' is not one of {', '.join([*ARCHITECTURES, *PUBLISHED])}")
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


def build_design(text: str, input_hw: tuple[int, int]) -> keras.Model:
    """The network of a design with random weights. Raises UsageError when it takes no pictures of that size."""
    import keras

    from benchmarks.published import PUBLISHED
    from edgeseg.classes import CLASS_NAMES
    from train.architectures import build_network

    keras.utils.set_random_seed(0)
    design = read_design(text)
    try:
        if isinstance(design, str):
            return PUBLISHED[design](input_hw, len(CLASS_NAMES))
        return build_network(design, input_hw, len(CLASS_NAMES), batch_size=1)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from error


def build(text: str, input_hw: tuple[int, int], by_stride: bool = False) -> Built:
    """Converts a design to INT8, and each part that ends at a stride, too, when `by_stride` asks for them."""
    from benchmarks.strides import cut_by_stride
    from convert.graph import read_ops
    from convert.quantize import convert_int8
    from edgeseg.preprocess import normalise_float

    network = build_design(text, input_hw)
    generator = np.random.default_rng(0)
    pictures = [normalise_float(generator.integers(0, 256, (1, *input_hw, 3), np.uint8)) for _ in range(2)]

    def samples() -> Iterator[np.ndarray]:
        yield from pictures

    flatbuffer = convert_int8(network, samples)
    parts = cut_by_stride(network) if by_stride else {}
    return Built(
        flatbuffer,
        {stride: convert_int8(part, samples) for stride, part in parts.items()},
        network.count_params(),
        sum(not op.delegated for op in read_ops(flatbuffer)),
    )


def check_designs(texts: list[str]) -> None:
    """Raises UsageError for the first design that there is not, before minutes go into those ahead of it."""
    for text in texts:
        read_design(text)


def split_time(ratios: dict[int, float], whole: float) -> str:
    """What each stride adds to the time, and the decoder, given what the parts and the whole take."""
    added = [later - earlier for earlier, later in pairwise([0.0, *ratios.values(), whole])]
    return ", ".join(f"{name} {time:.2f}" for name, time in zip([*ratios, "decoder"], added, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description="Time networks against MobileNetV2 1.0 224 INT8.")
    add = parser.add_argument
    add("designs", nargs="+", metavar="NAME[:FIELD=VALUE]...", help=f"fields: {', '.join(FIELDS)}")
    add("--size", default="480x352", metavar="WxH", help="of the input")
    add(
        "--by-stride",
        action="store_true",
        help="also what each stride of the encoder adds; takes several times as long",
    )
    add("--yardstick", type=Path, metavar="FILE", help=f"{NAME}; built there when it is missing")
    add("--rounds", type=int, default=100)
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
                pool.submit(check_designs, options.designs).result()
                jobs = [pool.submit(build, text, (height, width), options.by_stride) for text in options.designs]
                built = [job.result() for job in jobs]
            yardstick = build_apart(options.yardstick or Path(folder) / "yardstick.tflite").read_bytes()

        def compare(name: str, flatbuffer: bytes) -> benchmark.Comparison:
            ours, runtime = open_interpreter(flatbuffer, name, "auto", 1)
            theirs, _ = open_interpreter(yardstick, NAME, runtime, 1)
            return benchmark.compare((name, ours), (NAME, theirs), options.rounds)

        for text, design in zip(options.designs, built, strict=True):
            found = compare(text, design.flatbuffer)
            times = f"{found.ratio:.2f} times ({found.low:.2f} to {found.high:.2f})"
            aside = f"  undelegated ops: {design.aside}" if design.aside else ""
            print(f"{text:44s} {design.params / 1e6:5.2f} M  {times}{aside}", flush=True)
            if design.parts:
                ratios = {stride: compare(text, part).ratio for stride, part in design.parts.items()}
                print(f"    by stride: {split_time(ratios, found.ratio)}", flush=True)
    except EdgesegError as error:
        print(f"designs: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
